"""What the city asks of a renderer, so that planning and resuming can be tested without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmarks.city.clips import ClipPlan
from benchmarks.city.members import Member, Missing, WalkPlan
from reid.images import Picture

Box = tuple[int, int, float, float, float, float, float]
"""(frame from 0, person, x1, y1, x2, y2 in pixels, visibility 0..1)."""


@dataclass(frozen=True)
class Filmed:
    """What a clip became.

    Attributes:
        width, height: pixels.
        frame_rate: frames a second.
        frames: how many.
        boxes: who is where in which frame.
    """

    width: int
    height: int
    frame_rate: float
    frames: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True)
class Looks:
    """Somebody in words.

    Attributes:
        description: body and clothes, in English.
        attributes: labels.
    """

    description: str
    attributes: dict[str, Any]


class Studio(Protocol):
    """Makes people, photos and footage; the same from the same plan."""

    def looks(self, member: Member) -> Looks:
        """How somebody looks."""

    def photograph(self, missing: Missing) -> Picture:
        """The photo of a missing person."""

    def film(self, path: Path, clip: ClipPlan, walks: Sequence[WalkPlan], size: tuple[int, int]) -> Filmed:
        """Write a clip to `path` (.mp4) in which these people walk; `size` is width and height in pixels."""
