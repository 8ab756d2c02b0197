"""The real footage beside the repository (`../shared/eval`), never part of it, and its ground truth."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid.errors import InputError

EVAL = Path(__file__).parents[2] / "shared" / "eval"


@dataclass(frozen=True)
class TruthFrame:
    """Who is where in one frame.

    Attributes:
        people: (N,) int64 person numbers.
        boxes: (N, 4) float32 `[x1, y1, x2, y2]` pixels.
    """

    people: NDArray[np.int64]
    boxes: NDArray[np.float32]


@dataclass(frozen=True)
class Sequence:
    """A clip with its ground truth by frame index (0-based)."""

    name: str
    clip: Path
    truth: dict[int, TruthFrame]


def read_truth(path: Path) -> dict[int, TruthFrame]:
    """A MOT15 ground-truth file; its frame k is video index k - 1."""
    rows: dict[int, list[list[float]]] = defaultdict(list)
    with path.open(newline="") as stream:
        for row in csv.reader(stream):
            frame, person, x, y, width, height = (float(value) for value in row[:6])
            rows[int(frame) - 1].append([person, x, y, x + width, y + height])
    return {
        frame: TruthFrame(
            np.array([r[0] for r in found], np.int64), np.array([r[1:] for r in found], np.float32)
        )
        for frame, found in rows.items()
    }


def sequences() -> list[Sequence]:
    """PETS09-S2L1, TUD-Campus and TUD-Stadtmitte.

    Raises:
        InputError: the footage is not beside the repository.
    """
    clips = {
        "PETS09-S2L1": EVAL / "pets09-s2l1" / "vtest.avi",
        "TUD-Campus": EVAL / "tud" / "TUD-Campus" / "TUD-Campus.mp4",
        "TUD-Stadtmitte": EVAL / "tud" / "TUD-Stadtmitte" / "TUD-Stadtmitte.mp4",
    }
    found = []
    for name, clip in clips.items():
        truth = clip.parent / ("gt.txt" if name.startswith("PETS") else "gt/gt.txt")
        if not clip.exists() or not truth.exists():
            raise InputError(f"{clip}: expected the real footage there; this benchmark cannot run without it")
        found.append(Sequence(name, clip, read_truth(truth)))
    return found
