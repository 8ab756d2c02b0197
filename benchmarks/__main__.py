"""`python -m benchmarks NAME [--quick] [--json FILE]`: runs one benchmark and keeps its figures.

Names: decoding, detection, tracking, search; `all` runs each. The JSON holds every figure printed, the
machine and the versions. Exit codes as the command line's: 2 for wrong use or missing footage.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import decoding, detection, search, tracking
from reid.errors import ReidError

BENCHMARKS: dict[str, Callable[[bool], dict[str, Any]]] = {
    "decoding": decoding.run,
    "detection": detection.run,
    "tracking": tracking.run,
    "search": search.run,
}
_PACKAGES = ("torch", "torchvision", "faiss-cpu", "opencv-python", "numpy", "av", "trackers")


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
        "versions": {name: metadata.version(name) for name in _PACKAGES},
    }


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main() -> int:
    """Parse, run, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=[*BENCHMARKS, "all"])
    parser.add_argument("--quick", action="store_true", help="end within two minutes")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()
    if not sys.stdout.isatty():
        os.environ.setdefault("COLUMNS", "130")  # in a log, names are not to be cut
    names = list(BENCHMARKS) if options.name == "all" else [options.name]
    figures: dict[str, Any] = {"machine": machine(), "quick": options.quick}
    failed = 0
    for name in names:
        try:
            figures[name] = BENCHMARKS[name](options.quick)
        except ReidError as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 2
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main())
