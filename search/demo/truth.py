"""The truth about a city: who is who, who walked past which camera, in which box.

Owns the format of `truth.json` and of the boxes, in both directions: the demo and the benchmarks read
what the city's renderer writes. Knows no scores.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from indexer.shard.records import Record
from reid.boxes import iou
from reid.errors import DamagedError, FormatError, StorageError, storage_errors
from search.demo.files import CityFiles, clip_name

FORMAT = 1
MATCH = 0.4
"""IoU from which a box shows the person of a truth box."""
SEEN = 0.25
"""Share of a person's silhouette that must be seen for a frame to belong to a passage."""

T = TypeVar("T")


@dataclass(frozen=True)
class PersonTruth:
    """A missing person or a lookalike.

    Attributes:
        person: id, the same in all cameras.
        role: missing or lookalike.
        age_group: child, adult or elder.
        description: body and clothes as worn in the footage, in English.
        attributes: the same as labels.
        looks_like: whom a lookalike is dressed like.
    """

    person: int
    role: str
    age_group: str
    description: str
    attributes: dict[str, Any]
    looks_like: int | None = None


@dataclass(frozen=True)
class MissingTruth:
    """A case: a missing person and their one photo.

    Attributes:
        person: id.
        home: slug of the district they live in.
        photo: path within the city's folder.
        photo_kind: phone, cctv or upper.
        clothes_change: the photo shows other clothes than the footage.
    """

    person: int
    home: str
    photo: str
    photo_kind: str
    clothes_change: bool


@dataclass(frozen=True)
class ClipTruth:
    """A clip.

    Attributes:
        clip: `<district>/<camera>/<start>.mp4`, the start on the camera's clock.
        start: true start, ISO 8601 with offset.
        place, light: kinds of scene and light.
        width, height: pixels.
        frame_rate: frames a second.
        frames: how many.
        people: how many walk through it.
    """

    clip: str
    start: str
    place: str
    light: str
    width: int
    height: int
    frame_rate: float
    frames: int
    people: int


@dataclass(frozen=True)
class PassageTruth:
    """A missing person or lookalike in a clip.

    Attributes:
        person: id.
        clip: its name.
        pattern: how they walk.
        first_frame, last_frame: from 0, between which a quarter of the person is seen.
        best_frame: the one that shows most of them.
        height_px: of their box in that frame.
        visibility: share of the silhouette seen in that frame, 0..1.
    """

    person: int
    clip: str
    pattern: str
    first_frame: int
    last_frame: int
    best_frame: int
    height_px: float
    visibility: float


@dataclass(frozen=True)
class TruthFrame:
    """Who is where in one frame.

    Attributes:
        people: (N,) int64 ids.
        boxes: (N, 4) float32 `[x1, y1, x2, y2]` pixels: whole bodies, clipped to the picture.
        visibility: (N,) float32, share of the silhouette that is seen, 0..1.
    """

    people: NDArray[np.int64]
    boxes: NDArray[np.float32]
    visibility: NDArray[np.float32]


@dataclass(frozen=True)
class Truth:
    """All of `truth.json`; boxes are read when they are asked for.

    Attributes:
        files: where the city lies.
        made_from: settings and digest of the city.
        people: missing people and lookalikes.
        missing: the cases.
        clips: all clips by name.
        passages: of the missing and their lookalikes, by person and time.
    """

    files: CityFiles
    made_from: dict[str, Any]
    people: tuple[PersonTruth, ...]
    missing: tuple[MissingTruth, ...]
    clips: Mapping[str, ClipTruth]
    passages: tuple[PassageTruth, ...]

    def person(self, person: int) -> PersonTruth:
        """A missing person or lookalike, by id."""
        return next(row for row in self.people if row.person == person)

    def passages_of(self, person: int) -> tuple[PassageTruth, ...]:
        """Where somebody really was, by time."""
        return tuple(row for row in self.passages if row.person == person)

    def frame(self, clip: str, number: int) -> TruthFrame:
        """Who is in frame `number` (from 0) of a clip.

        Raises:
            DamagedError: the clip's boxes cannot be read.
        """
        rows = _boxes(self.files.boxes(clip))
        first, last = np.searchsorted(rows[:, 0], [number + 1, number + 2])
        found = rows[first:last]
        corners = np.concatenate([found[:, 2:4], found[:, 2:4] + found[:, 4:6]], axis=1)
        return TruthFrame(
            found[:, 1].astype(np.int64), corners.astype(np.float32), found[:, 8].astype(np.float32)
        )

    def person_in(self, record: Record) -> int | None:
        """Who a tracklet's best crop shows: the person whose box overlaps most; None if nobody."""
        clip = self.clips.get(clip_name(record.path))
        if clip is None:
            return None
        shown = self.frame(clip.clip, round(record.best_offset_s * clip.frame_rate))
        if not len(shown.people):
            return None
        overlaps = iou(np.array([record.box], np.float32), shown.boxes)[0]
        best = int(np.argmax(overlaps))
        return int(shown.people[best]) if overlaps[best] >= MATCH else None


def read_truth(root: Path) -> Truth:
    """The truth of the city in `root`.

    Raises:
        StorageError: there is no city, or it is not whole.
        FormatError: written by a release with another format.
        DamagedError: not what was written.
    """
    files = CityFiles(root)
    if not files.truth.exists():
        raise StorageError(f"{root}: no truth.json, so no city or one half made; run its recipe (again)")
    try:
        with storage_errors(files.truth):
            values = json.loads(files.truth.read_text("utf-8"))
        if values["format"] != FORMAT:
            raise FormatError(f"{files.truth}: format {values['format']}, this release reads {FORMAT}")
        clips = [_row(ClipTruth, row) for row in values["clips"]]
        return Truth(
            files,
            dict(values["made_from"]),
            tuple(_row(PersonTruth, row) for row in values["people"]),
            tuple(_row(MissingTruth, row) for row in values["missing"]),
            {row.clip: row for row in clips},
            tuple(_row(PassageTruth, row) for row in values["passages"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{files.truth}: not what was written ({error}); make the city again") from None


def truth_json(truth: Truth) -> dict[str, Any]:
    """What `read_truth` reads."""
    return {
        "format": FORMAT,
        "made_from": truth.made_from,
        "people": [asdict(row) for row in truth.people],
        "missing": [asdict(row) for row in truth.missing],
        "clips": [asdict(row) for row in truth.clips.values()],
        "passages": [asdict(row) for row in truth.passages],
    }


def mot_text(rows: Sequence[tuple[int, int, float, float, float, float, float]]) -> str:
    """Boxes as the MOT challenges write them: `frame,id,x,y,w,h,1,1,visibility`, frames from 1.

    Args:
        rows: (frame from 0, person, x1, y1, x2, y2, visibility).
    """
    return "".join(
        f"{frame + 1},{person},{x1:.1f},{y1:.1f},{x2 - x1:.1f},{y2 - y1:.1f},1,1,{seen:.2f}\n"
        for frame, person, x1, y1, x2, y2, seen in sorted(rows)
    )


def _row(kind: type[T], values: Mapping[str, Any]) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if set(values) - known:
        raise ValueError(f"unknown fields {sorted(set(values) - known)}")
    return kind(**values)


@lru_cache(maxsize=256)
def _boxes(path: Path) -> NDArray[np.float64]:
    """(N, 9) the rows of a MOT file, by frame."""
    try:
        with storage_errors(path):
            text = path.read_text("ascii")
        rows = np.array([line.split(",") for line in text.splitlines()], np.float64).reshape(-1, 9)
    except ValueError as error:
        raise DamagedError(f"{path}: not a file of boxes ({error}); make the city again") from None
    return rows[np.argsort(rows[:, 0], kind="stable")]
