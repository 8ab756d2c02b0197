"""Shows how far an indexing run is: a bar for a person, plain lines for a log. On stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from indexer.index_report import Progress


class _Lines(Progress):
    """One line per clip."""

    def clip_started(self, path: Path, number: int, total: int) -> None:
        print(f"[{number}/{total}] {path}", file=sys.stderr, flush=True)  # noqa: T201


class _Bar(Progress):
    """A bar over the clips, with the seconds done of the one that was heard of last."""

    def __init__(self, bar: RichProgress) -> None:
        self._bar = bar
        self._task = bar.add_task("indexing", total=None, seconds=0.0)

    def clip_started(self, path: Path, number: int, total: int) -> None:
        self._bar.update(self._task, description=path.name, total=total, seconds=0.0)

    def clip_advanced(self, path: Path, seconds: float) -> None:
        self._bar.update(self._task, description=path.name, seconds=seconds)

    def clip_ended(self, path: Path, ended: int, total: int) -> None:
        self._bar.update(self._task, completed=ended, total=total)


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """A progress display that fits stderr."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("{task.fields[seconds]:.0f} s of clip"), TimeElapsedColumn(),
    )  # fmt: skip
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield _Bar(bar)


@contextmanager
def bar_or_nothing() -> Iterator[Progress]:
    """A bar for a person; under cron nothing, for the log tells each clip."""
    if sys.stderr.isatty():
        with shown_progress() as shown:
            yield shown
    else:
        yield Progress()
