"""What lights a place: sun, sky, street lamps, ceiling lamps, the infrared lamp of a camera.

Light is given as radiance of a white matt surface that faces it (the 1/pi of Lambert's law is inside).
Knows no geometry but the lamps' places and a map of where the sun reaches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid.errors import UnknownNameError

F32 = NDArray[np.float32]

LIGHTS = ("sun", "overcast", "dusk", "night", "infrared", "indoor")
"""`infrared` is a night in which the camera sees grey by its own lamp."""

_FAINTEST = 0.012

DARK = frozenset({"night", "infrared"})


@dataclass(frozen=True)
class LocalLight:
    """Light at one place.

    Attributes:
        direction: (3,) float32 unit vector towards the main light.
        colour: (3,) float32 linear RGB of the main light on a surface that faces it.
        sky: (3,) float32, ambient light on what faces up; ground: (3,) float32, on what faces down.
        hardness: 0..1; 1 casts hard shadows, 0 only darkens where things touch.
    """

    direction: F32
    colour: F32
    sky: F32
    ground: F32
    hardness: float


@dataclass(frozen=True)
class Lamp:
    """A lamp that shines downwards, or ahead for the camera's own.

    Attributes:
        position: (3,) float32, metres.
        colour: (3,) float32, light on a surface that faces it one metre away.
        axis: (3,) float32 unit vector, where it shines; focus: exponent of the cosine to the axis.
    """

    position: F32
    colour: F32
    axis: F32
    focus: float

    @property
    def squared_reach(self) -> float:
        """Square of the metres beyond which the lamp does not count."""
        return float(self.colour.max()) / _FAINTEST

    def at(self, position: NDArray[np.floating]) -> tuple[F32, F32]:
        """Direction towards the lamp and its light on a surface that faces it, (3,) float32 each."""
        way = self.position - np.asarray(position, np.float32)
        squared = float(way @ way) + 0.25
        direction = way / math.sqrt(squared)
        spread = max(0.0, -float(direction @ self.axis)) ** self.focus
        spread *= max(0.0, 1 - squared / self.squared_reach) ** 2
        return direction.astype(np.float32), (self.colour * (spread / squared)).astype(np.float32)


@dataclass(frozen=True)
class Shade:
    """A map of how much of the sun reaches the ground.

    Attributes:
        share: (rows along y, columns along x) float32, 0..1.
        origin: (2,) world x and y of the first cell's corner, metres; cell: side of a cell, metres.
    """

    share: F32
    origin: tuple[float, float]
    cell: float

    def at(self, position: NDArray[np.floating]) -> float:
        """Share of the sun at a place, bilinear; 1 outside the map."""
        column = (float(position[0]) - self.origin[0]) / self.cell - 0.5
        row = (float(position[1]) - self.origin[1]) / self.cell - 0.5
        rows, columns = self.share.shape
        if not (0 <= row < rows - 1 and 0 <= column < columns - 1):
            return 1.0
        i, j = int(row), int(column)
        down, right = row - i, column - j
        weights = np.array(
            [[(1 - down) * (1 - right), (1 - down) * right], [down * (1 - right), down * right]]
        )
        return float((self.share[i : i + 2, j : j + 2] * weights).sum())


@dataclass(frozen=True)
class Light:
    """The light of a scene.

    Attributes:
        kind: a name of `LIGHTS`.
        main: sun, moon or the mean of the ceiling, with the ambient light, where no lamp is near.
        lamps: street lamps, ceiling lamps, or the camera's infrared lamp.
        zenith, horizon: (3,) float32 radiance of the sky.
        haze: share of the horizon's colour that a metre of air adds.
        shade: where the sun reaches the ground; None where there is none.
    """

    kind: str
    main: LocalLight
    lamps: tuple[Lamp, ...]
    zenith: F32
    horizon: F32
    haze: float = 0.0
    shade: Shade | None = None

    def at(self, position: NDArray[np.floating]) -> LocalLight:
        """The light on something that stands at `position`, (3,) metres.

        The strongest lamp is the main light if it outshines sun or moon; the others join the ambient light.
        """
        main = self.main
        if self.shade is not None:
            share = self.shade.at(position)
            main = replace(
                main, colour=main.colour * np.float32(share), sky=main.sky * np.float32(0.75 + 0.25 * share)
            )
        if not self.lamps:
            return main
        lit = [lamp.at(position) for lamp in self.lamps]
        lit.append((main.direction, main.colour))
        strongest = max(lit, key=lambda each: float(each[1].sum()))
        rest = sum((each[1] for each in lit if each is not strongest), np.zeros(3, np.float32))
        total = strongest[1] + rest
        hardness = self.main.hardness if strongest is lit[-1] else 0.85
        share = float(strongest[1].sum() / max(float(total.sum()), 1e-9))
        return LocalLight(
            strongest[0],
            strongest[1],
            main.sky + rest * np.float32(0.6),
            main.ground + total * np.float32(0.12),
            hardness * share if strongest is not lit[-1] else hardness,
        )


def check_light(kind: str) -> None:
    """Refuse a light nobody knows.

    Raises:
        UnknownNameError: not one of `LIGHTS`.
    """
    if kind not in LIGHTS:
        raise UnknownNameError("light", kind, LIGHTS)


class _Day(NamedTuple):
    """Linear RGB of the parts of a light; see `LocalLight` and `Light`."""

    main: tuple[float, float, float]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    zenith: tuple[float, float, float]
    horizon: tuple[float, float, float]
    hardness: float


_GREY_NIGHT = (0.004, 0.004, 0.004)
_CEILING = (0.6, 0.6, 0.6)
_DAYS = {
    "sun": _Day(
        (2.7, 2.45, 2.05), (0.50, 0.58, 0.74), (0.26, 0.24, 0.21), (0.32, 0.52, 0.95), (0.95, 1.1, 1.3), 1.0
    ),
    "overcast": _Day(
        (0.3, 0.3, 0.3), (0.98, 1.02, 1.08), (0.3, 0.29, 0.28), (1.5, 1.55, 1.65), (1.7, 1.72, 1.75), 0.0
    ),
    "dusk": _Day(
        (0.42, 0.26, 0.15), (0.26, 0.29, 0.4), (0.1, 0.09, 0.09), (0.22, 0.3, 0.52), (0.75, 0.55, 0.45), 0.5
    ),
    "night": _Day(
        (0.004, 0.004, 0.006),
        (0.034, 0.031, 0.033),
        (0.006, 0.006, 0.006),
        (0.008, 0.009, 0.013),
        (0.035, 0.03, 0.03),
        0,
    ),
    "infrared": _Day(
        _GREY_NIGHT, (0.008, 0.008, 0.008), _GREY_NIGHT, _GREY_NIGHT, (0.006, 0.006, 0.006), 0.0
    ),
    "indoor": _Day((0.42, 0.42, 0.41), (0.55, 0.55, 0.54), (0.34, 0.33, 0.31), _CEILING, _CEILING, 0.15),
}


def make_light(
    kind: str, rng: np.random.Generator, lamps: Sequence[Lamp] = (), camera_height: float = 4.0
) -> Light:
    """The light of a scene from a random stream.

    Args:
        kind: a name of `LIGHTS`.
        rng: decides where the sun stands and how warm the light is.
        lamps: those of the scene; used by dusk, night and indoors.
        camera_height: metres, where the infrared lamp hangs.

    Raises:
        UnknownNameError: not one of `LIGHTS`.
    """
    check_light(kind)
    colour, sky, ground, zenith, horizon, hardness = _DAYS[kind]
    lowest, highest = {"sun": (0.45, 1.15), "dusk": (0.1, 0.3)}.get(kind, (1.1, 1.5))
    elevation, azimuth = float(rng.uniform(lowest, highest)), float(rng.uniform(0, 2 * math.pi))
    direction = (
        math.cos(elevation) * math.cos(azimuth),
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
    )
    warmth = float(rng.normal(0, 0.03))
    tint = np.exp(np.array([warmth, 0.0, -warmth]))
    grey = kind == "infrared"
    tint = np.ones(3) if grey else tint
    main = LocalLight(
        np.array(direction, np.float32), _f32(colour * tint), _f32(sky * tint), _f32(ground * tint), hardness
    )
    used = tuple(lamps) if kind in ("dusk", "night", "indoor") else ()
    if grey:
        used = (_infrared_lamp(rng, camera_height),)
    haze = {"sun": 0.0003, "overcast": 0.0004, "dusk": 0.0004}.get(kind, 0.0) * float(rng.uniform(0.5, 2.5))
    return Light(kind, main, used, _f32(zenith * tint), _f32(horizon * tint), haze)


def _infrared_lamp(rng: np.random.Generator, height: float) -> Lamp:
    """The ring of diodes round a lens: bright near the camera, little beyond fifteen metres."""
    power = float(rng.uniform(18, 40))
    axis = np.array([0, math.cos(0.28), -math.sin(0.28)], np.float32)
    return Lamp(_f32([0, 0, height + 0.1]), _f32([power] * 3), axis, float(rng.uniform(2.0, 5.0)))


def _f32(values: NDArray[np.float64] | Sequence[float]) -> F32:
    return np.asarray(values, np.float32)
