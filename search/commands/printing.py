"""What commands print: results on stdout, as JSON or a table; everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def say(text: str) -> None:
    """A line for people, on stderr."""
    typer.echo(text, err=True)


def print_json(value: dict[str, Any]) -> None:
    """The one object that a command with --json prints."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(header: list[str], rows: list[list[str]]) -> None:
    """Rows of as many cells as the header has."""
    from rich.table import Table

    shown = Table(*header)
    for row in rows:
        shown.add_row(*row)
    plain_console().print(shown)


def plain_console() -> Console:
    """Stdout without markup; 160 columns wide where it is no terminal."""
    from rich.console import Console

    # Names come from outside: brackets in them are no markup.
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=160)
    return console


def cell(value: object) -> str:
    """A value as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
