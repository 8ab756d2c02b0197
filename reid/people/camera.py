"""Where a camera hangs and how its lens draws: world to pixels and back.

World: metres, z up, ground at z = 0; the camera looks roughly along +y. A pixel's centre is at +0.5.
Knows nothing of light or of what stands before it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from reid.errors import InputError

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

_NEAR_M = 0.01  # nearer points are drawn as if here, so that nothing is divided by zero
_FOLD = 0.8  # share of the radius at which barrel distortion would fold the picture back on itself
_NEWTON_STEPS = 8
SIDES = (64, 4096)  # pixels


@dataclass(frozen=True)
class Camera:
    """A camera that does not move.

    Attributes:
        width, height: picture size, pixels.
        focal: focal length, pixels.
        position: (3,) float64, world metres.
        rotation: (3, 3) float64; its rows are the camera's right, down and forward axes in the world.
        distortion: k1 of the radial model x_d = x_u * (1 + k1 * r_u^2) on coordinates divided by the focal
            length; negative is a barrel. Beyond the radius where a barrel would fold back, the picture goes
            on straight, so that what lies outside the picture stays outside.

    Raises:
        InputError: a size, focal length or array of another shape than said.
    """

    width: int
    height: int
    focal: float
    position: F64
    rotation: F64
    distortion: float = 0.0

    def __post_init__(self) -> None:
        check_size(self.width, self.height)
        if not self.focal > 0:
            raise InputError(f"camera: expected a focal length above 0 pixels, got {self.focal}")
        if self.position.shape != (3,) or self.rotation.shape != (3, 3):
            raise InputError(
                "camera: expected a position of shape (3,) and a rotation of shape (3, 3),"
                f" got {self.position.shape} and {self.rotation.shape}"
            )

    @property
    def safe_radius(self) -> float:
        """Undistorted radius up to which the lens model holds; infinite without a barrel."""
        return _FOLD / math.sqrt(-3 * self.distortion) if self.distortion < 0 else math.inf

    def project(self, points: NDArray[np.floating]) -> F32:
        """Draw world points.

        Args:
            points: (N, 3) metres.

        Returns:
            (N, 3) float32: x and y in pixels, and depth in metres along the forward axis (not the range);
            zero or less is behind the camera, where x and y mean nothing.
        """
        seen = (np.asarray(points, np.float64) - self.position) @ self.rotation.T
        near = np.maximum(seen[:, 2], _NEAR_M)
        flat = seen[:, :2] / near[:, None]
        drawn = flat * self._stretch(np.hypot(flat[:, 0], flat[:, 1]))[:, None]
        pixels = drawn * self.focal + (self.width / 2, self.height / 2)
        return np.column_stack([pixels, seen[:, 2]]).astype(np.float32)

    def _stretch(self, radius: F64) -> F64:
        """(N,) distorted over undistorted radius, for (N,) undistorted radii."""
        safe, k1 = self.safe_radius, self.distortion
        if not math.isfinite(safe):
            return 1 + k1 * radius**2
        inside = np.minimum(radius, safe)
        drawn = inside * (1 + k1 * inside**2) + (radius - inside) * (1 + 3 * k1 * safe**2)
        return drawn / np.maximum(radius, 1e-12) * (radius > 1e-12) + (radius <= 1e-12)

    def flat(self, pixels: NDArray[np.floating]) -> F64:
        """Undo the lens: (N, 2) pixels to (N, 2) float64 slopes right and down of the forward axis."""
        drawn = (np.asarray(pixels, np.float64) - (self.width / 2, self.height / 2)) / self.focal
        target = np.hypot(drawn[:, 0], drawn[:, 1])
        radius = target.copy()
        safe, k1 = self.safe_radius, self.distortion
        for _ in range(_NEWTON_STEPS):
            inside = np.minimum(radius, safe)
            radius = radius - (radius * self._stretch(radius) - target) / (1 + 3 * k1 * inside**2)
        scale = np.divide(radius, target, out=np.ones_like(target), where=target > 1e-12)
        return drawn * scale[:, None]

    @cached_property
    def slopes(self) -> F32:
        """(H, W, 2) float32, `flat` of every pixel's centre; kept, for what is drawn again and again."""
        columns, rows = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        flat = self.flat(np.column_stack([columns.ravel(), rows.ravel()]))
        return flat.reshape(self.height, self.width, 2).astype(np.float32)

    def rays(self, pixels: NDArray[np.floating]) -> F64:
        """(N, 3) float64 world directions through (N, 2) pixels; one long step is one metre of depth."""
        flat = self.flat(pixels)
        rays: F64 = np.column_stack([flat, np.ones(len(flat))]) @ self.rotation
        return rays

    def ground(self, pixels: NDArray[np.floating]) -> F64:
        """Where (N, 2) pixels see the ground: (N, 2) float64 world x and y; NaN at and above the horizon."""
        rays = self.rays(pixels)
        falls = rays[:, 2] < -1e-9
        steps = np.full(len(rays), np.nan)
        steps[falls] = -self.position[2] / rays[falls, 2]
        places: F64 = self.position[:2] + rays[:, :2] * steps[:, None]
        return places

    def scaled(self, width: int, height: int) -> Camera:
        """The same camera with another number of pixels; the width of its view is kept."""
        return Camera(
            width, height, self.focal * width / self.width, self.position, self.rotation, self.distortion
        )


def aimed(width: int, height: int, focal: float, up_m: float, tilt: float, roll: float, k1: float) -> Camera:
    """A camera at (0, 0, `up_m`) that looks along +y, `tilt` radians downwards, turned by `roll` radians."""
    forward = np.array([0.0, math.cos(tilt), -math.sin(tilt)])
    right = np.array([1.0, 0.0, 0.0])
    down = np.cross(forward, right)
    cos, sin = math.cos(roll), math.sin(roll)
    rotation = np.stack([right * cos + down * sin, down * cos - right * sin, forward])
    return Camera(width, height, focal, np.array([0.0, 0.0, up_m]), rotation, k1)


def check_size(width: int, height: int) -> None:
    """Refuse pictures of an impossible size.

    Raises:
        InputError: a side outside `SIDES`.
    """
    if not all(SIDES[0] <= side <= SIDES[1] for side in (width, height)):
        raise InputError(
            f"picture size: expected {SIDES[0]} to {SIDES[1]} pixels a side, got {width} x {height}"
        )
