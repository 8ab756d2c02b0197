"""From a photo to a query: who is looked for, and as which vector.

Owns the choice of the person in the photo. Knows no archive.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from reid.boxes import Detections, area, clip
from reid.errors import InputError, PhotoError
from reid.images import Picture, crop, decode_photo, fit_within, photo_bytes
from reid.quality import picture_quality
from search.photo import Box as Box  # whoever chooses a person says where
from search.photo import PhotoQuality, judge, seen_by_network

if TYPE_CHECKING:  # a search by description alone needs no torch
    from reid.detector import Detector
    from reid.embedder import Embedder

_SURE = 0.5  # below this a detection in a photo is no person worth offering
_DETECTION_SIDE = 1280  # pixels; a phone's 12 megapixels add time, not people
_CUT_OUT = 1.2  # height by width from which a picture without anybody found may be a cut-out person


@dataclass(frozen=True)
class Query:
    """Whom to look for.

    Attributes:
        photo: the photo's path as given.
        picture: the decoded photo.
        people: boxes of the people found in it, largest first; numbered from 1 for the user.
        person_box: the part that is used.
        vectors: (1, D) float32 unit rows.
        quality: of the part that is used, 0..1, see `reid.quality.picture_quality`.
        warnings: what the reader must know about the choice.
        sha256: of the photo's file; None for a picture that lies in none.
        detector: sha256 of the model that found the people; None where nobody was looked for.
        allows: what the part that is used allows; None where nobody looked.
    """

    photo: str
    picture: Picture
    people: tuple[Box, ...]
    person_box: Box
    vectors: NDArray[np.float32]
    quality: float
    warnings: tuple[str, ...]
    sha256: str | None = None
    detector: str | None = None
    allows: PhotoQuality | None = None


def read_query(
    path: Path,
    detector: Detector,
    embedder: Embedder,
    person: int | None = None,
    box: Box | None = None,
) -> Query:
    """Decode a photo, choose the person and embed the crop.

    Args:
        path: the photo.
        person: which of the people found, 1 is the largest; None: the largest.
        box: use this part of the photo instead of looking for people.

    Raises:
        PhotoError: the photo cannot be used, or nobody is found in one that cannot be a cut-out person.
        InputError: a person or box that is not in the photo, or both given.
    """
    return query_of(photo_bytes(path), str(path), detector, embedder, person, box)


def query_of(
    data: bytes, name: str, detector: Detector, embedder: Embedder, person: int | None = None,
    box: Box | None = None,
) -> Query:  # fmt: skip
    """The same of the bytes of a photo; `name` is its path."""
    if person is not None and box is not None:
        raise InputError("--person and --box exclude each other; give one of them")
    picture = decode_photo(data, f"photo {name}")
    people: tuple[Box, ...] = ()
    warnings: list[str] = []
    if box is not None:
        chosen = _checked_box(box, picture)
    else:
        people = _people(picture, detector)
        chosen, warnings = _choose(people, person, picture)
    allows = judge(picture, chosen, people, found=bool(people) or box is not None)
    warnings += [
        f"photo {finding.aspect} {finding.verdict}: {finding.reason}; {finding.advice}"
        for finding in allows.limits
    ]
    shown = crop(picture, np.array(chosen, np.float32))
    vectors = embedder.embed([seen_by_network(picture, chosen)])
    return Query(
        name, picture, people, chosen, vectors, picture_quality(shown), tuple(warnings),
        hashlib.sha256(data).hexdigest(), detector.spec.sha256 if box is None else None, allows,
    )  # fmt: skip


def check_choice(photos: Sequence[Path], person: int | None, box: Box | None) -> None:
    """Whether the person can be chosen so in these photos.

    Raises:
        InputError: one choice for several photos.
    """
    if len(photos) > 1 and (person is not None or box is not None):
        name = "--person" if box is None else "--box"
        raise InputError(
            f"{name} says who it is in one photo, got {len(photos)} photos; cut the person out of each photo,"
            " or search with one photo"
        )


def _people(picture: Picture, detector: Detector) -> tuple[Box, ...]:
    small = fit_within(picture, _DETECTION_SIDE, _DETECTION_SIDE)
    found: Detections = detector.detect([small])[0]
    boxes = found.boxes[found.scores >= _SURE] * (picture.shape[1] / small.shape[1])
    boxes = clip(boxes, picture.shape[1], picture.shape[0])
    order = np.argsort(-area(boxes), kind="stable")
    return tuple(_as_box(boxes[row]) for row in order)


def _choose(people: tuple[Box, ...], person: int | None, picture: Picture) -> tuple[Box, list[str]]:
    if person is not None:
        if not 1 <= person <= len(people):
            found = f"{len(people)} people were found" if people else "nobody was found"
            raise InputError(f"--person {person}: {found} in the photo; use --box x1,y1,x2,y2 to say where")
        return people[person - 1], []
    if not people:
        height, width = picture.shape[:2]
        if height < _CUT_OUT * width:
            raise PhotoError(
                f"nobody was found in the photo ({width} x {height} pixels), and it is too broad to be a"
                " person cut out; say where the person is with --box x1,y1,x2,y2, or use another photo"
            )
        whole = (0.0, 0.0, float(picture.shape[1]), float(picture.shape[0]))
        return whole, ["nobody was found in the photo, so the whole picture is taken for one cut-out person"]
    if len(people) > 1:
        listed = "; ".join(
            f"{number}: {','.join(f'{edge:.0f}' for edge in box)}" for number, box in enumerate(people, 1)
        )
        return people[0], [
            f"{len(people)} people are in the photo ({listed}); number 1, the largest, was taken: choose"
            " another with --person N or --box x1,y1,x2,y2"
        ]
    return people[0], []


def _checked_box(box: Box, picture: Picture) -> Box:
    height, width = picture.shape[:2]
    x1, y1, x2, y2 = box
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        raise InputError(
            f"--box {','.join(f'{edge:g}' for edge in box)}: expected x1<x2 within 0..{width} and y1<y2"
            f" within 0..{height} (the photo is {width} x {height} pixels)"
        )
    if x2 - x1 < 4 or y2 - y1 < 8:
        raise InputError(f"--box is {x2 - x1:g} x {y2 - y1:g} pixels; at least 4 x 8 are needed")
    return box


def _as_box(box: NDArray[np.float32]) -> Box:
    x1, y1, x2, y2 = (round(float(edge), 1) for edge in box)
    return x1, y1, x2, y2
