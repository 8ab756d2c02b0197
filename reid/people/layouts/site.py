"""A building site: collects solids, ground zones, lamps and routes while a layout draws its place.

Everything is given in a frame that may be turned and mirrored against the world, so that a street runs in
any direction before the camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels import ground
from reid.people.kernels import solids as columns
from reid.people.light import Lamp
from reid.people.scene import Scene, clearance, sample_route

Rgb = tuple[float, float, float]
F64 = NDArray[np.float64]

CLEAR_M = 0.55
"""What furniture keeps from the middle of a route."""


@dataclass(frozen=True)
class Rig:
    """What a layout knows of the camera: it stands at (0, 0) and looks along +y.

    Attributes:
        distance: metres ahead where people come out at a good size.
        height: of the camera, metres.
        spread: half the angle of view, radians, to the left and right.
    """

    distance: float
    height: float
    spread: float


@dataclass(frozen=True)
class Frame:
    """A coordinate frame on the ground: u, v to world x, y.

    Attributes:
        x, y: world place of the origin, metres.
        angle: direction of u, radians from +x.
        mirror: v to the right of u instead of to the left.
    """

    x: float = 0.0
    y: float = 0.0
    angle: float = 0.0
    mirror: bool = False

    def world(self, u: float, v: float) -> tuple[float, float]:
        """World x and y of a place."""
        cos, sin, v = math.cos(self.angle), math.sin(self.angle), -v if self.mirror else v
        return self.x + cos * u - sin * v, self.y + sin * u + cos * v

    def local(self, x: float, y: float) -> tuple[float, float]:
        """U and v of a world place."""
        cos, sin, dx, dy = math.cos(self.angle), math.sin(self.angle), x - self.x, y - self.y
        v = cos * dy - sin * dx
        return cos * dx + sin * dy, -v if self.mirror else v

    def turn(self, angle: float) -> float:
        """World direction of a direction in this frame, radians."""
        return self.angle + (-angle if self.mirror else angle)

    def plain(self) -> Frame:
        """The same place and u without a mirror."""
        return Frame(self.x, self.y, self.angle)

    def at(self, u: float, v: float, angle: float = 0.0) -> Frame:
        """A frame whose origin is at u, v and which is turned by `angle` in this one."""
        x, y = self.world(u, v)
        return Frame(x, y, self.turn(angle), self.mirror)


@dataclass
class Site:
    """What has been built so far."""

    rng: np.random.Generator
    rig: Rig
    frame: Frame = field(default_factory=Frame)
    solids: list[NDArray[np.float32]] = field(default_factory=list)
    zones: list[NDArray[np.float32]] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)
    routes: list[F64] = field(default_factory=list)

    def solid(
        self, kind: int, where: Frame, low: float, high: float, half_x: float, half_y: float, material: int,
        colour: Sequence[float], second: Sequence[float] = (0.0, 0.0, 0.0), p0: float = 0.0, p1: float = 0.0,
        shrink: tuple[float, float, float] = (0.0, 0.0, 0.0), seed: float | None = None,
    ) -> None:  # fmt: skip
        """Add a solid with its middle at the origin of `where`; see `kernels.solids` for the rest."""
        row = np.zeros(columns.COLUMNS, np.float32)
        row[[columns.KIND, columns.X, columns.Y, columns.BOTTOM, columns.TOP]] = (
            kind,
            where.x,
            where.y,
            low,
            high,
        )
        row[[columns.COS, columns.SIN]] = math.cos(where.angle), math.sin(where.angle)
        row[[columns.HALF_X, columns.HALF_Y]] = half_x, half_y
        row[columns.SHRINK_X : columns.BACK + 1] = shrink
        row[columns.MATERIAL] = material
        row[columns.RED : columns.RED + 3] = colour
        row[columns.RED2 : columns.RED2 + 3] = second
        row[[columns.P0, columns.P1]] = p0, p1
        row[columns.SEED] = float(self.rng.integers(1, 500)) if seed is None else seed
        self.solids.append(row)

    def box(
        self, where: Frame, size: tuple[float, float, float], material: int, colour: Sequence[float],
        second: Sequence[float] = (0.0, 0.0, 0.0), p0: float = 0.0, p1: float = 0.0, low: float = 0.0,
        shrink: tuple[float, float, float] = (0.0, 0.0, 0.0), seed: float | None = None,
    ) -> None:  # fmt: skip
        """A box of size (x, y, z) metres that stands `low` metres above the ground."""
        x, y, z = size
        self.solid(
            columns.BOX, where, low, low + z, x / 2, y / 2, material, colour, second, p0, p1, shrink, seed
        )

    def post(
        self, where: Frame, radius: float, high: float, material: int, colour: Sequence[float],
        second: Sequence[float] = (0.0, 0.0, 0.0), p0: float = 0.0, p1: float = 0.0, low: float = 0.0,
    ) -> None:  # fmt: skip
        """An upright cylinder."""
        self.solid(columns.CYLINDER, where, low, low + high, radius, radius, material, colour, second, p0, p1)

    def blob(
        self, where: Frame, low: float, size: tuple[float, float, float], material: int,
        colour: Sequence[float],
        p0: float = 0.0, p1: float = 0.0,
    ) -> None:  # fmt: skip
        """An ellipsoid of size (x, y, z) metres."""
        x, y, z = size
        self.solid(columns.ELLIPSOID, where, low, low + z, x / 2, y / 2, material, colour, (0, 0, 0), p0, p1)

    def zone(
        self, where: Frame, kind: int, size: tuple[float, float], colour: Sequence[float],
        second: Sequence[float] = (0.0, 0.0, 0.0), p0: float = 0.0, p1: float = 0.0, corner: float = 0.0,
        fray: float = 0.0,
    ) -> None:  # fmt: skip
        """Cover a rounded rectangle of the ground; see `kernels.ground`."""
        row = np.zeros(ground.COLUMNS, np.float32)
        row[[ground.KIND, ground.X, ground.Y]] = kind, where.x, where.y
        row[[ground.COS, ground.SIN]] = math.cos(where.angle), math.sin(where.angle)
        row[[ground.HALF_X, ground.HALF_Y, ground.ROUND]] = size[0] / 2, size[1] / 2, corner
        row[ground.RED : ground.RED + 3] = colour
        row[ground.RED2 : ground.RED2 + 3] = second
        row[[ground.P0, ground.P1, ground.FRAY]] = p0, p1, fray
        row[ground.SEED] = float(self.rng.integers(1, 500))
        self.zones.append(row)

    def lamp(
        self,
        where: Frame,
        high: float,
        colour: Rgb,
        focus: float = 1.5,
        axis: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """A lamp that shines down, or slanting along `axis` (own u, v for one metre down)."""
        x, y = axis[0], -axis[1] if where.mirror else axis[1]
        cos, sin = math.cos(where.angle), math.sin(where.angle)
        aim = np.array([cos * x - sin * y, sin * x + cos * y, -1.0])
        aim /= np.linalg.norm(aim)
        self.lamps.append(
            Lamp(
                np.array([where.x, where.y, high], np.float32),
                np.array(colour, np.float32),
                aim.astype(np.float32),
                focus,
            )
        )

    def route(self, frame: Frame, points: Sequence[tuple[float, float]]) -> None:
        """Let people walk along u, v points of `frame`; made soft in its corners."""
        self.routes.append(rounded(np.array([frame.world(u, v) for u, v in points])))

    def free(self, where: Frame, length: float, width: float, gap: float = CLEAR_M) -> bool:
        """Whether a thing of this size (along u, along v) stands clear of routes, things and the camera."""
        row = np.zeros((1, columns.COLUMNS), np.float32)
        row[0, [columns.X, columns.Y, columns.TOP]] = where.x, where.y, 1.0
        row[0, [columns.COS, columns.SIN]] = math.cos(where.angle), math.sin(where.angle)
        row[0, [columns.HALF_X, columns.HALF_Y]] = length / 2, width / 2
        ways = np.concatenate([*(sample_route(route, 0.3) for route in self.routes), np.zeros((1, 2))])
        if clearance(row, ways).min() < gap:
            return False
        if not self.solids:
            return True
        u, v = np.meshgrid(np.linspace(-0.5, 0.5, 7) * length, np.linspace(-0.5, 0.5, 5) * width)
        own = np.array([where.world(a, b) for a, b in zip(u.ravel(), v.ravel(), strict=True)])
        return bool(clearance(np.array(self.solids), own).min() > 0.05)

    def finish(self, place: str, floor: tuple[float, float, float, float]) -> Scene:
        """The scene that was built."""
        return Scene(
            place, np.array(self.solids, np.float32), np.array(self.zones, np.float32), tuple(self.lamps),
            tuple(self.routes), floor,
        )  # fmt: skip


def rounded(points: F64, reach: float = 0.8) -> F64:
    """(M, 2) a polyline whose corners are cut twice (Chaikin's curve near the corners only)."""
    if len(points) < 3:
        return points
    path = [points[0]]
    for before, corner, after in zip(points[:-2], points[1:-1], points[2:], strict=True):
        back, ahead = before - corner, after - corner
        a = corner + back * min(0.4, reach / max(float(np.hypot(*back)), 1e-9))
        b = corner + ahead * min(0.4, reach / max(float(np.hypot(*ahead)), 1e-9))
        path += [a, 0.25 * a + 0.5 * corner + 0.25 * b, b]
    return np.array([*path, points[-1]])


def tinted(rng: np.random.Generator, colour: Sequence[float], light: float = 0.15, hue: float = 0.04) -> Rgb:
    """A colour a little lighter or darker, and a little off."""
    values = np.array(colour) * np.exp(rng.normal(0, light)) * np.exp(rng.normal(0, hue, 3))
    red, green, blue = np.clip(values, 0.004, 0.85)
    return float(red), float(green), float(blue)


def grey(rng: np.random.Generator, low: float, high: float) -> Rgb:
    """A nearly neutral colour of a lightness between two."""
    return tinted(rng, (rng.uniform(low, high),) * 3, 0.0, 0.02)
