"""A map of cameras on which somebody points to where a person was last seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from indexer.cameras import Camera
from search.last_seen import Place, place_of
from search.map import WIDTH, Frame


@dataclass(frozen=True)
class Dot:
    """A camera: pixels, `district/id` and what people call it."""

    x: float
    y: float
    place: str
    name: str


@dataclass(frozen=True)
class CameraMap:
    """What a page draws.

    Attributes:
        width, height: pixels. dots: the cameras. names: (x, y, slug) of districts.
        first, step: latitude and longitude of the upper left corner, and of a pixel down and to the right.
    """

    width: float
    height: float
    dots: tuple[Dot, ...]
    names: tuple[tuple[float, float, str], ...]
    first: Place
    step: Place


def camera_map(cameras: Iterable[Camera]) -> CameraMap | None:
    """The map of cameras whose place is known; None where that is none's."""
    known = [(camera, place) for camera in cameras if (place := place_of(camera)) is not None]
    if not known:
        return None
    frame = Frame.around([place for _, place in known])
    dots, columns = [], defaultdict(list)
    for camera, place in known:
        x, y = frame(place)
        dots.append(Dot(x, y, f"{camera.district}/{camera.id}", camera.name))
        columns[camera.district].append((x, y))
    names = tuple(
        (sum(x for x, _ in those) / len(those), min(y for _, y in those) - 10, slug)
        for slug, those in columns.items()
    )
    first, last = frame.place((0, 0)), frame.place((WIDTH, frame.height))
    step = (last[0] - first[0]) / frame.height, (last[1] - first[1]) / WIDTH
    return CameraMap(WIDTH, frame.height, tuple(dots), names, first, step)
