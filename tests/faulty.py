"""A pipeline that does what the clip's name says: crash, hang, take all memory; for worker processes."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from indexer.pipeline import ClipContent, Pipeline
from tests.canned import KnownPipeline


class FaultyPipeline(KnownPipeline):
    """As `KnownPipeline`; names of clips that begin with the name of a fault meet it."""

    def run(self, path: Path, progress: Callable[[float], None] = lambda seconds: None) -> ClipContent:
        name = path.stem.split("-")[0]
        fault = getattr(self, f"_{name}", None)
        if fault is not None:
            fault(path)
        return super().run(path, progress)

    def _crash(self, path: Path) -> None:
        ctypes.string_at(0)  # a segmentation fault, as decoders have them

    def _abort(self, path: Path) -> None:
        os.abort()

    def _leave(self, path: Path) -> None:
        os._exit(7)

    def _endless(self, path: Path) -> None:
        time.sleep(3600)

    def _greedy(self, path: Path) -> None:
        taken = []
        while True:
            taken.append(bytearray(64 << 20))

    def _odd(self, path: Path) -> None:
        raise LookupError("what nobody foresaw")

    def _killed(self, path: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)  # what the system does when memory runs out

    def _unlucky(self, path: Path) -> None:
        """Killed the first time only."""
        mark = path.with_suffix(".once")
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def _slow(self, path: Path) -> None:
        time.sleep(0.2)


@dataclass(frozen=True)
class Unloadable:
    """Stands for weights that are not there, or for a machine on which loading them ends the process.

    Attributes:
        error: raised; None: the process ends.
    """

    error: Exception | None

    def __call__(self) -> Pipeline:
        if self.error is None:
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError
        raise self.error
