"""Triangle meshes: normals, skinning, cloth that hangs, and the depth-buffer rasteriser."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.compile import compiled

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

NEAREST_M = 0.05  # what is nearer to the camera is not drawn


@compiled
def vertex_normals(vertices: F32, faces: I32) -> F32:
    """(V, 3) unit normals, each the area-weighted mean of its triangles'."""
    normals = np.zeros_like(vertices)
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        ux, uy, uz = (
            vertices[b, 0] - vertices[a, 0],
            vertices[b, 1] - vertices[a, 1],
            vertices[b, 2] - vertices[a, 2],
        )
        wx, wy, wz = (
            vertices[c, 0] - vertices[a, 0],
            vertices[c, 1] - vertices[a, 1],
            vertices[c, 2] - vertices[a, 2],
        )
        nx, ny, nz = uy * wz - uz * wy, uz * wx - ux * wz, ux * wy - uy * wx
        for corner in range(3):
            v = faces[face, corner]
            normals[v, 0] += nx
            normals[v, 1] += ny
            normals[v, 2] += nz
    for v in range(normals.shape[0]):
        length = math.sqrt(normals[v, 0] ** 2 + normals[v, 1] ** 2 + normals[v, 2] ** 2) + 1e-12
        for axis in range(3):
            normals[v, axis] /= length
    return normals


@compiled
def smooth(values: F32, first: I32, neighbours: I32, rounds: int) -> F32:
    """(V, C) values averaged `rounds` times, half and half, with the mean of their neighbours.

    Args:
        values: (V, C).
        first: (V + 1,) where each vertex's part of `neighbours` begins.
        neighbours: (E,) vertices.
        rounds: how often.
    """
    now, then = values.copy(), values.copy()
    for _ in range(rounds):
        for v in range(values.shape[0]):
            count = first[v + 1] - first[v]
            for c in range(values.shape[1]):
                total = 0.0
                for e in range(first[v], first[v + 1]):
                    total += now[neighbours[e], c]
                then[v, c] = 0.5 * now[v, c] + 0.5 * total / max(count, 1)
        now, then = then, now
    return now


@compiled
def skin(vertices: F32, weight_bones: I32, weights: F32, transforms: F32) -> F32:
    """(V, 3) linear blend skinning: each vertex moved by its four bones' (B, 3, 4) transforms."""
    moved = np.empty_like(vertices)
    for v in range(vertices.shape[0]):
        px, py, pz = vertices[v, 0], vertices[v, 1], vertices[v, 2]
        x, y, z = 0.0, 0.0, 0.0
        for k in range(weight_bones.shape[1]):
            w = weights[v, k]
            if w == 0:
                continue
            t = transforms[weight_bones[v, k]]
            x += w * (t[0, 0] * px + t[0, 1] * py + t[0, 2] * pz + t[0, 3])
            y += w * (t[1, 0] * px + t[1, 1] * py + t[1, 2] * pz + t[1, 3])
            z += w * (t[2, 0] * px + t[2, 1] * py + t[2, 2] * pz + t[2, 3])
        moved[v, 0], moved[v, 1], moved[v, 2] = x, y, z
    return moved


@compiled
def hanging_rings(
    vertices: F32, members: I32, canonical_z: F32, levels: F32, heights: F32, middle: F32,
    around: int, slack: float, flare: float, band: float,
) -> F32:  # fmt: skip
    """(levels * around, 3) rings of a skirt or hem that hangs over what is below it.

    Each ring is the support function of the body's vertices at its canonical height, and never narrower
    than the ring above, so that cloth drapes right over any stride.

    Args:
        vertices: (V, 3) the posed body.
        members: (M,) vertices that carry the cloth.
        canonical_z: (V,) heights in which clothes are cut.
        levels: (L,) canonical heights of the rings, downward; heights: (L,) where they hang, metres.
        middle: (2,) the axis the rings go round.
        around: vertices per ring.
        slack: metres between body and cloth; flare: widening per metre.
        band: half the canonical height that a ring looks at.
    """
    count = levels.shape[0]
    radius = np.zeros((count, around), np.float32)
    sines, cosines = np.empty(around), np.empty(around)
    for k in range(around):
        sines[k], cosines[k] = math.sin(2 * math.pi * k / around), math.cos(2 * math.pi * k / around)
    for j in range(count):
        for m in range(members.shape[0]):
            v = members[m]
            if abs(canonical_z[v] - levels[j]) < band:
                dx, dy = vertices[v, 0] - middle[0], vertices[v, 1] - middle[1]
                for k in range(around):
                    reach = dx * sines[k] - dy * cosines[k]
                    radius[j, k] = max(radius[j, k], reach)
        if j > 0:
            for k in range(around):
                radius[j, k] = max(
                    radius[j, k], radius[j - 1, k] * 0.985 + flare * (heights[j - 1] - heights[j])
                )
    rings = np.empty((count * around, 3), np.float32)
    for j in range(count):
        for k in range(around):
            r = 0.25 * radius[j, (k - 1) % around] + 0.5 * radius[j, k] + 0.25 * radius[j, (k + 1) % around]
            r = r * 0.97 + slack
            rings[j * around + k, 0] = middle[0] + r * sines[k]
            rings[j * around + k, 1] = middle[1] - r * cosines[k]
            rings[j * around + k, 2] = heights[j]
    return rings


@compiled
def rasterise(points: F32, faces: I32, depth: F32, triangle: I32, corners: F32) -> None:
    """Draw triangles into a depth buffer.

    Args:
        points: (V, 3) x and y in pixels of the buffer, depth in metres.
        faces: (F, 3).
        depth: (H, W), lowered where a triangle is nearer.
        triangle: (H, W) int32, the nearest triangle's number.
        corners: (H, W, 2), the weights of its second and third corner.
    """
    height, width = depth.shape
    for face in range(faces.shape[0]):
        a, b, c = faces[face, 0], faces[face, 1], faces[face, 2]
        x0, y0, z0 = points[a, 0], points[a, 1], points[a, 2]
        x1, y1, z1 = points[b, 0], points[b, 1], points[b, 2]
        x2, y2, z2 = points[c, 0], points[c, 1], points[c, 2]
        if z0 <= NEAREST_M or z1 <= NEAREST_M or z2 <= NEAREST_M:
            continue
        doubled = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if doubled == 0:
            continue
        left = max(0, math.ceil(min(x0, x1, x2) - 0.5))
        right = min(width - 1, math.floor(max(x0, x1, x2) - 0.5))
        top = max(0, math.ceil(min(y0, y1, y2) - 0.5))
        bottom = min(height - 1, math.floor(max(y0, y1, y2) - 0.5))
        scale = 1.0 / doubled
        for y in range(top, bottom + 1):
            py = y + 0.5
            for x in range(left, right + 1):
                px = x + 0.5
                w1 = ((px - x0) * (y2 - y0) - (x2 - x0) * (py - y0)) * scale
                w2 = ((x1 - x0) * (py - y0) - (px - x0) * (y1 - y0)) * scale
                w0 = 1 - w1 - w2
                if w0 < -1e-6 or w1 < -1e-6 or w2 < -1e-6:
                    continue
                z = w0 * z0 + w1 * z1 + w2 * z2
                if z < depth[y, x]:
                    depth[y, x] = z
                    triangle[y, x] = face
                    corners[y, x, 0], corners[y, x, 1] = w1, w2
