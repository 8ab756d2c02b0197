"""Which processor this machine has."""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")


def processor() -> str:
    """Its model, where the system tells; else its architecture."""
    return _told("model name") or platform.machine()


def instructions() -> str:
    """The instruction sets it has, as the system lists them; empty where it does not. Virtual machines on
    different processors can have the same model.
    """
    return _told("flags") or _told("Features")


@cache
def _told(name: str) -> str:
    """What the system tells of the first core."""
    lines = _CPUINFO.read_text(errors="replace").splitlines() if _CPUINFO.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(name)), "")
