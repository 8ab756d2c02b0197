"""Light on a dressed body: folds, self-shadow, sky, gloss."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.cloth import (
    AID,
    BOTTOM,
    DARK,
    GLOSS,
    HAIR,
    PATTERN,
    SCALE,
    SHIFT_X,
    SHIFT_Y,
    SHIFT_Z,
    SIDE_STRIPE,
    TOP,
    WRINKLE,
    blend,
    front,
    material,
)
from reid.people.kernels.compile import compiled
from reid.people.kernels.noise import noise

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]

# Columns of the vertex attributes: canonical x, y, z, then these.
ARM, HEAD, HAND, FOOT = 3, 4, 5, 6
ATTRIBUTES = 7
QUILTED = 13
_STEP = 0.25  # of a cell of noise, over which a fold's slope is taken

# Rows of the light table, each a vector of three.
DIRECTION, COLOUR, SKY, GROUND, EYE = range(5)


@compiled
def shadow_share(x: float, y: float, z: float, shadow: F32, frame: F32) -> float:
    """Share of the sun that reaches a point: 3 x 3 look-ups in the depth map seen from the sun.

    Args:
        x, y, z: the point, world metres.
        shadow: (S, S) distances from the sun's plane, metres.
        frame: (5, 3): right, down and forward of the map; its middle; [pixels per metre, bias, 0].
    """
    dx, dy, dz = x - frame[3, 0], y - frame[3, 1], z - frame[3, 2]
    scale = frame[4, 0]
    size = shadow.shape[0]
    u = int((frame[0, 0] * dx + frame[0, 1] * dy + frame[0, 2] * dz) * scale + size * 0.5)
    v = int((frame[1, 0] * dx + frame[1, 1] * dy + frame[1, 2] * dz) * scale + size * 0.5)
    away = frame[2, 0] * dx + frame[2, 1] * dy + frame[2, 2] * dz + 10.0
    if u < 1 or v < 1 or u >= size - 1 or v >= size - 1:
        return 1.0
    hidden = 0
    for dv in range(-1, 2):
        for du in range(-1, 2):
            if shadow[v + dv, u + du] < away - frame[4, 1]:
                hidden += 1
    return 1.0 - hidden / 9.0


@compiled
def shade(
    triangle: I32, corners: F32, visible: NDArray[np.bool_], faces: I32, vertices: F32, normals: F32,
    attributes: F32, kinds: I32, cloths: F32, cut: F32, light: F32, hardness: float, shadow: F32, frame: F32,
    octaves: int, out: F32, materials: NDArray[np.int8],
) -> None:  # fmt: skip
    """Colour every visible pixel of one person.

    Args:
        triangle, corners: of the rasteriser, (H, W) and (H, W, 2).
        visible: (H, W), pixels to draw.
        faces, vertices, normals: the posed mesh in world coordinates.
        attributes: (V, 7), canonical place and regions.
        kinds: (F,) the material of each face, -1 where the body's clothes decide.
        cloths: (materials, columns); cut: (measures,), see `cloth`.
        light: (5, 3), see the row names above.
        hardness: 0..1, how much of the main light comes from one point.
        shadow, frame: see `shadow_share`.
        octaves: 1 for large folds only, 2 for small creases too.
        out: (H, W, 3) linear RGB, written.
        materials: (H, W), what each pixel shows, written.
    """
    height, width = triangle.shape
    sun, colour, sky, ground, eye = light[DIRECTION], light[COLOUR], light[SKY], light[GROUND], light[EYE]
    for row in range(height):
        for column in range(width):
            if not visible[row, column]:
                continue
            t = triangle[row, column]
            a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
            w1, w2 = corners[row, column, 0], corners[row, column, 1]
            w0 = 1 - w1 - w2
            x = w0 * attributes[a, 0] + w1 * attributes[b, 0] + w2 * attributes[c, 0]
            y = w0 * attributes[a, 1] + w1 * attributes[b, 1] + w2 * attributes[c, 1]
            z = w0 * attributes[a, 2] + w1 * attributes[b, 2] + w2 * attributes[c, 2]
            arm = w0 * attributes[a, ARM] + w1 * attributes[b, ARM] + w2 * attributes[c, ARM]
            nx = w0 * normals[a, 0] + w1 * normals[b, 0] + w2 * normals[c, 0]
            ny = w0 * normals[a, 1] + w1 * normals[b, 1] + w2 * normals[c, 1]
            nz = w0 * normals[a, 2] + w1 * normals[b, 2] + w2 * normals[c, 2]
            vx = w0 * vertices[a, 0] + w1 * vertices[b, 0] + w2 * vertices[c, 0]
            vy = w0 * vertices[a, 1] + w1 * vertices[b, 1] + w2 * vertices[c, 1]
            vz = w0 * vertices[a, 2] + w1 * vertices[b, 2] + w2 * vertices[c, 2]
            made_of = kinds[t]
            closed = 1.0  # 0..1, how open the place is to the sky
            if made_of < 0:
                head = w0 * attributes[a, HEAD] + w1 * attributes[b, HEAD] + w2 * attributes[c, HEAD]
                hand = w0 * attributes[a, HAND] + w1 * attributes[b, HAND] + w2 * attributes[c, HAND]
                foot = w0 * attributes[a, FOOT] + w1 * attributes[b, FOOT] + w2 * attributes[c, FOOT]
                made_of = material(x, y, z, arm, head, hand, foot, cut)
                if z < 0.1 and head < 0.5 and arm < 0.03:
                    closed *= 0.7 + 0.3 * min(1.0, abs(x) / 0.1)  # between the legs
                if head > 0.5 and z < 0.86:
                    closed *= 0.7 + 0.3 * min(1.0, max(0.0, (z - 0.79) / 0.06))  # under the chin
            elif made_of == TOP:  # a coat or a hem that hangs free
                made_of = front(x, y, z, cut)
            materials[row, column] = made_of
            cloth = cloths[made_of]
            red, green, blue = cloth[0], cloth[1], cloth[2]
            share = blend(x, y, z, arm, cloth)
            if share > 1.5 or (
                made_of == BOTTOM and cut[SIDE_STRIPE] > 0 and abs(x) > 0.16 and abs(y + 0.02) < 0.018
            ):
                red, green, blue = cloth[6], cloth[7], cloth[8]
            elif share > 0:
                red = red * (1 - share) + cloth[3] * share
                green = green * (1 - share) + cloth[4] * share
                blue = blue * (1 - share) + cloth[5] * share
            if cloth[WRINKLE] > 0:
                px, py, pz = x + cloth[SHIFT_X], y + cloth[SHIFT_Y], z + cloth[SHIFT_Z]
                if made_of == HAIR:
                    py, pz = py * 2.5, pz * 0.3
                for octave in range(octaves):  # folds: noise, drawn out downwards, warped sideways
                    size = 14.0 if octave == 0 else 34.0
                    reach = cloth[WRINKLE] * (1.5 if octave == 0 else 0.8) / _STEP
                    fx, fy, fz = px * size, py * size, pz * size * 0.6
                    fx += 1.3 * noise(fx * 0.6, fy * 0.6, fz * 0.6 + 9)
                    at = noise(fx, fy, fz)
                    nx -= reach * (noise(fx + _STEP, fy, fz) - at)
                    ny -= reach * (noise(fx, fy + _STEP, fz) - at)
                    nz -= reach * (noise(fx, fy, fz + _STEP) - at) * 0.6
                    closed *= 1 - 0.35 * cloth[WRINKLE] * (1 - at)
            if int(cloth[PATTERN]) == QUILTED:
                seam = z * cloth[SCALE] if arm < 0.03 else arm * cloth[SCALE] * 0.6
                within = seam - math.floor(seam)
                nz += 0.9 * (within - 0.5)
                closed *= 0.55 + 0.45 * min(1.0, min(within, 1 - within) * 7)
            length = 1.0 / (math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9)
            nx, ny, nz = nx * length, ny * length, nz * length
            dx, dy, dz = eye[0] - vx, eye[1] - vy, eye[2] - vz
            length = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
            dx, dy, dz = dx * length, dy * length, dz * length
            if nx * dx + ny * dy + nz * dz < -0.15:  # the inside of a skirt or a coat
                nx, ny, nz = -nx, -ny, -nz
                closed *= 0.6
            facing = nx * sun[0] + ny * sun[1] + nz * sun[2]
            wrapped = 0.12 + 0.4 * (1 - hardness)  # soft light reaches round corners
            lit = max(0.0, (facing + wrapped) / (1 + wrapped))
            if hardness > 0 and lit > 0:
                lit *= 1 - hardness * (1 - shadow_share(vx, vy, vz, shadow, frame))
            up = 0.5 + 0.5 * nz
            open_sky = closed * (0.7 + 0.3 * min(1.0, vz / 0.5))
            shine = 0.0
            if (cloth[GLOSS] > 0 and made_of != DARK) or made_of == AID:
                hx, hy, hz = sun[0] + dx, sun[1] + dy, sun[2] + dz
                length = 1.0 / (math.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
                half = max(0.0, (nx * hx + ny * hy + nz * hz) * length)
                shine = cloth[GLOSS] * half**18 * lit * 2.0
            direct = lit * closed
            out[row, column, 0] = (
                red * (direct * colour[0] + (sky[0] * up + ground[0] * (1 - up)) * open_sky)
                + shine * colour[0]
            )
            out[row, column, 1] = (
                green * (direct * colour[1] + (sky[1] * up + ground[1] * (1 - up)) * open_sky)
                + shine * colour[1]
            )
            out[row, column, 2] = (
                blue * (direct * colour[2] + (sky[2] * up + ground[2] * (1 - up)) * open_sky)
                + shine * colour[2]
            )
