"""Cameras: world to pixels and back, the lens, what is refused."""

import math

import numpy as np
import pytest

from reid.errors import InputError
from reid.people.camera import Camera, aimed

LENSES = [0.0, -0.04, -0.12, 0.05]


def pixels_of(camera: Camera, count: int = 400) -> np.ndarray:
    return np.random.default_rng(3).uniform((0, 0), (camera.width, camera.height), (count, 2))


@pytest.mark.parametrize("k1", LENSES)
def test_the_ground_under_a_pixel_is_drawn_in_that_pixel(k1: float) -> None:
    camera = aimed(1280, 720, 900, 4.2, 0.5, 0.02, k1)
    pixels = pixels_of(camera)
    ground = camera.ground(pixels)
    hit = ~np.isnan(ground[:, 0])
    assert hit.mean() > 0.9
    drawn = camera.project(np.column_stack([ground, np.zeros(len(ground))])[hit])
    assert np.abs(drawn[:, :2] - pixels[hit]).max() < 2e-3


def test_projection_by_hand() -> None:
    camera = aimed(640, 480, 500, 3.0, 0.0, 0.0, -0.1)  # looks level along +y
    x, y, depth = camera.project(np.array([[1.0, 5.0, 2.0]]))[0]
    right, down = 1 / 5, 1 / 5
    stretch = 1 - 0.1 * (right**2 + down**2)
    assert x == pytest.approx(320 + 500 * right * stretch, abs=1e-3)
    assert y == pytest.approx(240 + 500 * down * stretch, abs=1e-3)
    assert depth == pytest.approx(5.0)


def test_depth_is_along_the_forward_axis() -> None:
    camera = aimed(640, 480, 500, 3.0, 0.3, 0.0, 0.0)
    forward = camera.rotation[2]
    for sideways in (0.0, 2.0, -3.0):
        point = camera.position + 7 * forward + sideways * camera.rotation[0]
        assert camera.project(point[None])[0, 2] == pytest.approx(7.0, abs=1e-4)


def test_above_the_horizon_there_is_no_ground() -> None:
    camera = aimed(1280, 720, 900, 4.0, 0.1, 0.0, 0.0)
    horizon = 360 - 900 * math.tan(0.1)
    ground = camera.ground(np.array([[640.0, horizon - 3], [640.0, horizon + 3]]))
    assert np.isnan(ground[0]).all()
    assert ground[1, 1] > 500


def test_a_barrel_never_folds_what_is_outside_back_into_the_picture() -> None:
    camera = aimed(1280, 720, 700, 4.0, 0.3, 0.0, -0.1)
    along = np.linspace(0, 300, 2000)
    points = np.column_stack([along, np.full(2000, 6.0), np.full(2000, 4.0)])
    assert (np.diff(camera.project(points)[:, 0]) > 0).all()


def test_a_smaller_picture_shows_the_same() -> None:
    camera = aimed(1280, 720, 900, 4.0, 0.4, 0.01, -0.08)
    small = camera.scaled(640, 360)
    points = np.random.default_rng(1).uniform((-4, 6, 0), (4, 20, 2), (50, 3))
    assert np.allclose(small.project(points)[:, :2] * 2, camera.project(points)[:, :2], atol=1e-3)


@pytest.mark.parametrize("size", [(0, 720), (1280, 63), (5000, 720), (-4, -4)])
def test_impossible_sizes_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="64 to 4096"):
        aimed(*size, 900, 4.0, 0.3, 0.0, 0.0)


def test_impossible_lenses_are_refused() -> None:
    with pytest.raises(InputError, match="focal length above 0"):
        aimed(640, 480, 0, 4.0, 0.3, 0.0, 0.0)
    with pytest.raises(InputError, match="rotation of shape"):
        Camera(640, 480, 500, np.zeros(3), np.eye(2))
