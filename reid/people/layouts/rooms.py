"""What halls, shops and lifts share: walls, ceiling, ceiling lamps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reid.people.kernels.surfaces import CEILING
from reid.people.layouts.site import Frame, Rgb, Site

_THICK = 0.25


def ceiling(
    site: Site,
    where: Frame,
    size: tuple[float, float],
    high: float,
    colour: Rgb,
    every: tuple[int, int],
    power: float,
) -> None:
    """A suspended ceiling with lamp boards every so many boards of 60 cm, and the light they give.

    Only a few of the many lamps near the middle are sources of light; each stands for its neighbours.
    """
    site.box(where, (*size, 0.3), CEILING, colour, p0=float(every[0]), p1=float(every[1]), low=high)
    tone = (power, power * 0.99, power * 0.95)
    reach = min(size[0] / 2, 12.0), min(size[1] / 2, 11.0)
    for u in np.linspace(-reach[0] + 1.5, reach[0] - 1.5, max(2, round(reach[0] / 3))):
        for v in np.linspace(-reach[1] + 1.5, reach[1] - 1.5, max(2, round(reach[1] / 3.5))):
            site.lamp(where.at(float(u), float(v)), high - 0.05, tone, 1.0)


def wall(
    site: Site,
    frame: Frame,
    start: tuple[float, float],
    end: tuple[float, float],
    high: float,
    material: int,
    colour: Sequence[float],
    second: Sequence[float] = (0, 0, 0),
    p0: float = 0.0,
    p1: float = 0.0,
    low: float = 0.0,
) -> None:
    """A wall between two u, v points; its face for people is on both sides."""
    u, v = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    along = np.array(end, float) - np.array(start, float)
    length = float(np.hypot(*along))
    where = frame.at(u, v, float(np.arctan2(along[1], along[0])))
    site.box(where, (length, _THICK, high - low), material, colour, second, p0, p1, low)
