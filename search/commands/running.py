"""How every command ends: the exit code, the one line of an expected failure, and a clean stdout."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import ParamSpec

import typer

from reid.errors import ReidError, storage_errors

P = ParamSpec("P")


def command(body: Callable[P, int | None]) -> Callable[P, None]:
    """Turn expected failures into one clear line on stderr and the documented exit code."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            with storage_errors(Path.cwd()):
                code = body(*args, **kwargs)
            if sys.stdout:
                sys.stdout.flush()
        except ReidError as error:
            typer.echo(f"reid: {error}", err=True)
            code = error.exit_code
        except KeyboardInterrupt:
            typer.echo("reid: interrupted; what was done is kept, run the same command to go on", err=True)
            code = 130
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        raise typer.Exit(code or 0)

    return run


@contextmanager
def ray_on_stderr(address: str | None) -> Iterator[None]:
    """Ray tells of dead machines on stdout, where nothing but the result belongs."""
    if address is None:
        yield
        return
    from indexer.machines import disconnect

    with redirect_stdout(sys.stderr):
        try:
            yield
        finally:
            disconnect()
