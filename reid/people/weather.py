"""Rain before the lens, and what bright light does within it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from reid import images
from reid.images import Picture
from reid.people.camera import Camera
from reid.people.light import Light

F32 = NDArray[np.float32]

_SHEETS = 4
_DROPS_A_MEGAPIXEL = 1400


def add_rain(picture: Picture, strength: float, rng: np.random.Generator) -> Picture:
    """A frame with streaks of rain of `strength` 0..1; every call other streaks. BGR uint8."""
    if strength <= 0:
        return picture
    height, width = picture.shape[:2]
    sheet = _sheets(height, width)[int(rng.integers(_SHEETS))]
    top, left = int(rng.integers(0, height)), int(rng.integers(0, width))
    fallen = np.roll(sheet, (top, left), (0, 1))
    streaks = (fallen * np.float32(min(strength, 1.0))).astype(np.uint8)
    return images.add_signed(picture, streaks, np.zeros_like(streaks))


@lru_cache(maxsize=4)
def _sheets(height: int, width: int) -> tuple[F32, ...]:
    """Prepared streaks, (H, W, 3) float32 in grey levels, near drops long and faint, far ones short."""
    sheets = []
    for number in range(_SHEETS):
        rng = np.random.default_rng([height, width, number, 77])
        count = max(20, round(_DROPS_A_MEGAPIXEL * height * width / 1e6))
        near = rng.uniform(0.3, 1.0, count) ** 2
        long = near * height * 0.07 + 3
        x, y = rng.uniform(0, width, count), rng.uniform(0, height, count)
        slant = rng.normal(0.08, 0.03, count)
        ends = np.column_stack([x, y, x + slant * long, y + long]).astype(np.int32)
        drawn = images.draw_lines((height, width), ends, (22 + 26 * (1 - near)).astype(np.uint8))
        soft = images.blur_floats(drawn.astype(np.float32), 0.7)
        sheets.append(np.repeat(soft[..., None], 3, axis=2))
    return tuple(sheets)


def make_veil(
    background: F32, camera: Camera, light: Light, gain: float, rng: np.random.Generator
) -> F32 | None:
    """Light that strays within the lens: bloom round what is too bright, haze when it looks at the sun.

    Args:
        background: (H, W, 3) linear RGB; gain: of the electronics.
        rng: how clean the lens is.

    Returns:
        (H, W, 3) float32 linear RGB to add over everything, None where there is none worth the work.
    """
    height, width = background.shape[:2]
    dirt = float(rng.uniform(0.5, 1.6))
    small = images.resize_floats(np.minimum(background, 8.0 / gain), width // 4, height // 4)
    over = np.maximum(small - 0.9 / gain, 0)
    veil = np.zeros_like(small)
    if float(over.max()) > 0:
        for share, sigma in ((0.10, 0.004), (0.045, 0.015), (0.02, 0.06)):
            veil += images.blur_floats(over, sigma * width / 4 + 0.5) * np.float32(share * dirt)
    if light.kind in ("sun", "dusk"):
        veil += _sun_glare(veil.shape[:2], camera, light, dirt)
    if float(veil.max()) * gain < 0.01:
        return None
    return images.resize_floats(veil, width, height)


def _sun_glare(shape: tuple[int, int], camera: Camera, light: Light, dirt: float) -> F32:
    """(h, w, 3) haze that grows towards the sun, when the camera looks against it."""
    sun = camera.rotation @ light.main.direction.astype(np.float64)
    against = max(0.0, float(sun[2]))
    if against < 0.15:
        return np.zeros((*shape, 3), np.float32)
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    scale = camera.width / shape[1] / camera.focal
    x, y = (columns - shape[1] / 2) * scale, (rows - shape[0] / 2) * scale
    cosine = (x * sun[0] + y * sun[1] + sun[2]) / np.sqrt(x * x + y * y + 1)
    haze = 0.06 * dirt * against * np.maximum(cosine, 0) ** 3
    return np.asarray(haze[..., None] * light.main.colour, np.float32)
