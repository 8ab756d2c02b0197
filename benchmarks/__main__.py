"""`python -m benchmarks NAME [--quick] [--json FILE]`: runs one benchmark and keeps its figures.

Names: decoding, detection, tracking, search, people, photo, ranking, songpa99, accuracy, serving, peers,
feedback, description, night, console, kills, indexing; `all` runs each.
`city` makes the synthetic city that songpa99 searches, `vectors` the model of the vectors that serving and
peers search. The JSON holds every figure printed, the machine and the versions.
Exit codes as the command line's: 2 for wrong use, a missing extra or missing footage, 3 for the machine, 130
interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from reid.durable import write_file
from reid.errors import InputError, ReidError, storage_errors

BENCHMARKS = (
    "decoding", "detection", "tracking", "search", "people", "photo", "ranking", "songpa99", "accuracy",
    "serving", "peers", "feedback", "description", "night", "console", "kills", "indexing",
)  # fmt: skip
"""Modules with `run(quick)`; those with options of their own have `add_options` and `run(options)`."""
TOOLS = {
    "city": "benchmarks.city.command", "vectors": "benchmarks.vector_fit",
    "reliability": "benchmarks.reliability",
}  # fmt: skip
"""Things to run that measure nothing."""

_PACKAGES = (
    "torch", "torchvision", "faiss-cpu", "opencv-python", "numpy", "av", "trackers", "anny", "numba",
    "hnswlib", "usearch", "lancedb",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = next(
        (line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")),
        platform.machine(),
    )
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main(arguments: list[str] | None = None) -> int:
    """Parse, run, write; the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, add_help=False)
    parser.add_argument("name", choices=[*BENCHMARKS, *TOOLS, "all"])
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", "130")  # in a log, names are not to be cut
    if not given or given[0] in ("-h", "--help"):
        parser.print_help()
        return 0 if given else 2
    name = parser.parse_args(given[:1]).name
    figures: dict[str, Any] = {"machine": machine()}
    codes = [_report(each, given[1:], figures) for each in (BENCHMARKS if name == "all" else [name])]
    return max(codes)


def _report(name: str, arguments: list[str], figures: dict[str, Any]) -> int:
    """Run one benchmark and add what it found to the JSON; its exit code."""
    try:
        with storage_errors(Path.cwd()):
            module = _load(name)
            options = _parse(name, module, arguments)
            figures["quick"] = getattr(options, "quick", False)
            figures[name] = module.run(options if hasattr(module, "add_options") else options.quick)
            if options.json:
                text = json.dumps(figures, indent=1, ensure_ascii=False) + "\n"
                write_file(options.json.absolute(), text.encode())
    except ReidError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{name}: interrupted; what was done is kept, run the same command to go on", file=sys.stderr)
        return 130
    return 0


def _parse(name: str, module: ModuleType, arguments: list[str]) -> argparse.Namespace:
    """The options of one benchmark.

    Raises:
        InputError: the JSON cannot be written where it is wanted.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=module.__doc__)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    if name not in TOOLS:
        parser.add_argument("--quick", action="store_true", help="end within two minutes")
    if hasattr(module, "add_options"):
        module.add_options(parser)
    options = parser.parse_args(arguments)
    if options.json and not options.json.absolute().parent.is_dir():
        raise InputError(f"--json {options.json}: the folder does not exist; create it")
    return options


def _load(name: str) -> ModuleType:
    """The module of a benchmark, loaded only now: each needs other packages.

    Raises:
        InputError: a package it needs is not installed.
    """
    try:
        return importlib.import_module(TOOLS.get(name, f"benchmarks.{name}"))
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in ("benchmarks", "reid", "indexer", "search"):
            raise
        raise InputError(f"needs the package {error.name}; in a clone: uv sync") from None


if __name__ == "__main__":
    sys.exit(main())
