"""Simple closed meshes for what people carry, wear and push. Metres; pure geometry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Mesh(NamedTuple):
    """Vertices (V, 3) float32 in metres and faces (F, 3) int32."""

    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]

    def moved(self, x: float, y: float, z: float) -> Mesh:
        """The mesh, shifted."""
        return Mesh(self.vertices + np.array([x, y, z], np.float32), self.faces)


def grid_faces(across: int, rows: int, closed: bool) -> NDArray[np.int32]:
    """Triangles of a grid of `rows` rows of `across` vertices; `closed` joins the ends of each row."""
    i = np.arange(across if closed else across - 1)
    start = (np.arange(rows - 1) * across)[:, None]
    a, b = start + i, start + (i + 1) % across
    c, d = a + across, b + across
    return np.stack([np.stack([a, c, b], -1), np.stack([b, c, d], -1)], 2).reshape(-1, 3).astype(np.int32)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """One mesh of several."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]).astype(
            np.int32
        ),
    )


def rounded_box(
    x: float, y: float, z: float, roundness: float = 0.35, around: int = 16, rows: int = 9
) -> Mesh:
    """A superellipsoid with half sides x, y, z: 1 an ellipsoid, towards 0 a box (Barr 1981)."""
    u = np.linspace(-np.pi, np.pi, around, endpoint=False)
    v = np.linspace(-np.pi / 2, np.pi / 2, rows)[:, None]

    def power(w: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.sign(w) * np.abs(w) ** roundness

    shape = (
        power(np.cos(v)) * power(np.cos(u)),
        power(np.cos(v)) * power(np.sin(u)),
        np.repeat(power(np.sin(v)), around, 1),
    )
    vertices = np.stack(shape, -1).reshape(-1, 3) * np.array([x, y, z])
    return Mesh(vertices.astype(np.float32), grid_faces(around, rows, True))


def tube(start: Sequence[float], end: Sequence[float], radius: float, around: int = 6) -> Mesh:
    """An open cylinder from `start` to `end`."""
    a, b = np.array(start, float), np.array(end, float)
    axis = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
    side = np.cross(axis, [1.0, 0, 0] if abs(axis[0]) < 0.9 else [0, 1.0, 0])
    side /= np.linalg.norm(side)
    other = np.cross(axis, side)
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)[:, None]
    ring = radius * (np.cos(angle) * side + np.sin(angle) * other)
    return Mesh(np.concatenate([a + ring, b + ring]).astype(np.float32), grid_faces(around, 2, True))


def wheel(radius: float, thickness: float = 0.02, around: int = 18) -> Mesh:
    """A ring in the y-z plane with spokes, round the origin."""
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    rings = []
    for x, r in (
        (-thickness, radius),
        (thickness, radius),
        (thickness, radius * 0.86),
        (-thickness, radius * 0.86),
        (-thickness, radius),
    ):
        rings.append(np.stack([np.full(around, x), r * np.cos(angle), r * np.sin(angle)], 1))
    rim = Mesh(np.concatenate(rings).astype(np.float32), grid_faces(around, 5, True))
    reach = radius * 0.9
    ends = [(0.0, reach * np.cos(a), reach * np.sin(a)) for a in np.linspace(0, np.pi, 4, endpoint=False)]
    spokes = [tube((0.0, -end[1], -end[2]), end, 0.006, 4) for end in ends]
    return join([rim, *spokes])


def dome(radius: float, height: float, around: int = 20, rows: int = 6, hang: float = 0.0) -> Mesh:
    """Half an ellipsoid, open below; its rim at z = -hang, its top at z = height."""
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    rings = []
    for q in np.linspace(0, np.pi / 2, rows):
        r, z = radius * np.cos(q), height * np.sin(q)
        rings.append(
            np.stack([r * np.sin(angle), -r * np.cos(angle), np.full(around, z - hang * (q == 0))], 1)
        )
    return Mesh(np.concatenate(rings).astype(np.float32), grid_faces(around, rows, True))
