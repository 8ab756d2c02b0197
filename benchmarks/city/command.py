"""`python -m benchmarks city`: makes a city in a folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from benchmarks.city.plan import CityPlan, make_plan
from benchmarks.city.render import MakeStudio, Told, render_city
from benchmarks.city.settings import DEMO, CitySettings, city_settings
from reid.errors import InputError, MissingExtraError
from search.demo.files import CityFiles
from search.demo.truth import Truth

_LINES = 100  # of progress in a log


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder; a rerun goes on where it stopped")
    parser.add_argument("--seed", type=int, default=7, help="another seed, another city [7]")
    parser.add_argument("--districts", type=int, default=19, help="Songpa first [19]")
    parser.add_argument("--cameras", type=int, default=4, help="in each district [4]")
    parser.add_argument("--minutes", type=float, default=2.0, help="of footage of each camera [2]")
    parser.add_argument("--missing", type=int, default=99, help="people to look for [99]")
    parser.add_argument("--demo", action="store_true", help="the city of `reid demo` instead")
    parser.add_argument("--workers", type=int, default=cores(), help="processes [one a core]")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Make the city; returns what is in it.

    Raises:
        ReidError: wrong settings, a folder that cannot be used, a missing extra, a disk that refuses.
    """
    settings = DEMO if options.demo else _settings(options)
    truth = make_city(settings, options.out, options.workers)
    figures = {
        "out": str(options.out), "clips": len(truth.clips), "missing": len(truth.missing),
        "passages": len(truth.passages), "frames": sum(clip.frames for clip in truth.clips.values()),
    }  # fmt: skip
    print(", ".join(f"{name} {value}" for name, value in figures.items()))
    return figures


def make_city(settings: CitySettings, out: Path, workers: int) -> Truth:
    """Plan and render a city with the real renderer, showing progress on stderr.

    Raises:
        ReidError: see `run`.
    """
    if workers < 1:
        raise InputError(f"expected at least 1 worker, got {workers}")
    plan = make_plan(settings)
    make_stage, renderer = find_renderer()
    with _shown(plan) as told:
        return render_city(plan, CityFiles(out.expanduser().absolute()), make_stage, renderer, workers, told)


def cores() -> int:
    """How many processes this machine runs at once."""
    return len(os.sched_getaffinity(0))


def find_renderer() -> tuple[MakeStudio, str]:
    """The real studio and its digest.

    Raises:
        MissingExtraError: a package of the extra is not installed.
    """
    try:
        from benchmarks.city.stage import make_stage, renderer_digest
    except ModuleNotFoundError as error:  # numba and anny tell it themselves
        raise MissingExtraError(error.name or "a package", "synthetic") from None
    return make_stage, renderer_digest()


def _settings(options: argparse.Namespace) -> CitySettings:
    return city_settings(options.seed, options.districts, options.cameras, options.minutes, options.missing)


@contextmanager
def _shown(plan: CityPlan) -> Iterator[Told]:
    """A bar for a person, at most a hundred lines for a log."""
    if not sys.stderr.isatty():
        every = max(1, (len(plan.clips) + len(plan.missing)) // _LINES)

        def line(done: int, total: int, name: str) -> None:
            if done % every == 0 or done == total:
                print(f"[{done}/{total}] {name}", file=sys.stderr, flush=True)

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("rendering", total=None)

        def move(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=name)

        yield move
