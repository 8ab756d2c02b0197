"""The demo: a missing person who does not exist, seven cameras, and the truth about them.

Owns the shipped data (`data/`, see its README) and the judgement of a result against the truth.
"""

from __future__ import annotations

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from reid.boxes import iou

if TYPE_CHECKING:
    from search.sightings import SearchResult, Sighting

DATA = Path(__file__).parent / "data"
FOOTAGE = DATA / "footage"
PHOTO = DATA / "photo.jpg"
CAMERAS = DATA / "cameras.csv"

_MATCH = 0.4  # IoU from which a box shows the person of a truth box


@dataclass(frozen=True)
class Judgement:
    """A result against the truth.

    Attributes:
        passed: (camera, clip) the missing person walked past, in order of time.
        right_ranks: ranks of the sightings that do show the person.
        best_rank_by_clip: the first right rank in each clip where the person was found.
    """

    passed: tuple[tuple[str, str], ...]
    right_ranks: tuple[int, ...]
    best_rank_by_clip: dict[str, int]


class Truth:
    """Who really walked where, frame by frame."""

    def __init__(self, data: Path = DATA) -> None:
        values: dict[str, Any] = json.loads((data / "truth.json").read_text("utf-8"))
        self.missing = int(values["missing"]["person"])
        self.description = str(values["missing"]["description"])
        self._rates = {clip["clip"]: float(clip["fps"]) for clip in values["clips"]}
        self._passages = [row for row in values["passages"] if row["person"] == self.missing]
        self._boxes: dict[tuple[str, int, int], tuple[float, float, float, float]] = {}
        with gzip.open(data / "boxes.csv.gz", "rt", encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream):
                x, y, w, h = (float(row[name]) for name in ("x", "y", "w", "h"))
                self._boxes[row["clip"], int(row["frame"]), int(row["id"])] = (x, y, x + w, y + h)

    def people_at(self, clip: str, frame: int) -> tuple[list[int], NDArray[np.float32]]:
        """Ids and (N, 4) float32 boxes of everybody in this frame of the clip."""
        rows = [(key[2], box) for key, box in self._boxes.items() if key[:2] == (clip, frame)]
        boxes = np.array([box for _, box in rows], np.float32).reshape(-1, 4)
        return [person for person, _ in rows], boxes

    def person_in(self, sighting: Sighting) -> int | None:
        """Who the sighting's best crop shows; None if nobody."""
        path = Path(sighting.record.path)
        clip = "/".join(path.parts[-3:])
        if clip not in self._rates:
            return None
        frame = round(sighting.record.best_offset_s * self._rates[clip])
        people, boxes = self.people_at(clip, frame)
        if not people:
            return None
        overlap = iou(np.array([sighting.record.box], np.float32), boxes)[0]
        best = int(np.argmax(overlap))
        return people[best] if overlap[best] >= _MATCH else None

    def judge(self, result: SearchResult) -> Judgement:
        """Which of the sightings are right, and which passages were found."""
        right: list[int] = []
        best: dict[str, int] = {}
        for sighting in result.sightings:
            if self.person_in(sighting) == self.missing:
                right.append(sighting.rank)
                best.setdefault("/".join(Path(sighting.record.path).parts[-3:]), sighting.rank)
        passed = tuple((row["camera"], row["clip"]) for row in self._passages)
        return Judgement(passed, tuple(right), best)
