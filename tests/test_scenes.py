"""Scenes: the ray caster against hand-made geometry, light, routes, electronics, weather."""

import math
from dataclasses import replace

import numpy as np
import pytest

from reid.errors import InputError, UnknownNameError
from reid.people import casting
from reid.people.camera import Camera, aimed
from reid.people.electronics import Electronics, to_picture
from reid.people.kernels import ground
from reid.people.kernels import solids as columns
from reid.people.kernels.surfaces import PAINT
from reid.people.layouts.site import Frame, Rig, Site
from reid.people.light import LIGHTS, Lamp, Light, LocalLight, make_light
from reid.people.routes import body_pixels, seen_share
from reid.people.scene import BODY_M, PLACES, Scene, clearance, sample_route
from reid.people.view import View, lights_of, make_view
from reid.people.weather import add_rain

WIDE, TALL = 480, 270
BOX = (2.5, 9.0)  # middle of the box of `staged`


def staged() -> Site:
    """A site with a pale floor, a box of 2 x 2 x 3 metres at `BOX` and a post at (-2, 7)."""
    site = Site(np.random.default_rng(0), Rig(9.0, 4.0, 0.5))
    site.zone(Frame(), ground.SHEET, (200, 200), (0.5, 0.5, 0.5))
    site.box(Frame(*BOX), (2.0, 2.0, 3.0), PAINT, (0.3, 0.3, 0.3))
    site.post(Frame(-2.0, 7.0), 0.3, 2.0, PAINT, (0.3, 0.3, 0.3))
    return site


def sun(x: float, y: float, z: float, hardness: float = 1.0) -> Light:
    direction = np.array([x, y, z], np.float32) / np.float32(math.sqrt(x * x + y * y + z * z))
    white = np.ones(3, np.float32)
    main = LocalLight(direction, 2 * white, white * np.float32(0.3), white * np.float32(0.1), hardness)
    return Light("sun", main, (), white, white)


def cast(camera: Camera, scene: Scene, light: Light) -> tuple[np.ndarray, np.ndarray]:
    index = casting.index_solids(scene)
    sight = casting.look(camera, index)
    return casting.light_up(sight, scene.zones, light, index, 0.0), sight.depth


def pixel(camera: Camera, point: tuple[float, float, float]) -> tuple[int, int]:
    x, y, _ = camera.project(np.array([point]))[0]
    return int(y), int(x)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return staged().finish("plaza", (-40.0, -5.0, 40.0, 60.0))


@pytest.mark.parametrize("k1", [0.0, -0.1])
def test_depth_of_a_known_box_a_post_and_the_ground(scene: Scene, k1: float) -> None:
    camera = aimed(WIDE, TALL, 320, 4.0, 0.35, 0.03, k1)
    _, depth = cast(camera, scene, sun(0, 0, 1))
    for point in [
        (BOX[0], BOX[1] - 1.0, 1.5),  # the box's front
        (BOX[0] - 1.0, BOX[1], 2.0),  # its left side
        (BOX[0], BOX[1], 3.0),  # its top
        (-2.0, 7.0 - 0.3, 1.0),  # the post
        (-0.6, 6.0, 0.0),  # the ground
    ]:
        expected = camera.project(np.array([point]))[0, 2]
        assert depth[pixel(camera, point)] == pytest.approx(expected, rel=0.015), point


def test_every_depth_agrees_with_a_slow_ray_caster(scene: Scene) -> None:
    camera = aimed(128, 96, 90, 4.0, 0.35, 0.02, -0.08)
    _, depth = cast(camera, scene, sun(0, 0, 1))
    rows, cols = np.mgrid[0:96, 0:128]
    rays = camera.rays(np.column_stack([cols.ravel() + 0.5, rows.ravel() + 0.5]))
    with np.errstate(divide="ignore", invalid="ignore"):
        slow = np.where(rays[:, 2] < 0, -4.0 / rays[:, 2], 1e9)
        low = np.array([BOX[0] - 1, BOX[1] - 1, 0.0])
        high = low + np.array([2.0, 2.0, 3.0])
        first, second = (low - camera.position) / rays, (high - camera.position) / rays
        enter = np.minimum(first, second).max(axis=1)
        leave = np.maximum(first, second).min(axis=1)
    slow = np.where((enter < leave) & (enter > 0), np.minimum(slow, enter), slow)
    without_post = np.hypot(*(rays[:, :2] * slow[:, None] - (-2.0, 7.0)).T) > 1.5
    along = rays[:, 0] * -2 + rays[:, 1] * 7
    without_post &= np.abs(rays[:, 0] * 7 + rays[:, 1] * 2) / np.hypot(rays[:, 0], rays[:, 1]) > 0.5
    assert along.size
    assert without_post.mean() > 0.8
    wrong = np.abs(depth.ravel() - slow) > 0.01 + 1e-4 * slow
    assert wrong[without_post].mean() < 0.002  # pixels that an edge runs through


def test_a_shadow_lies_where_it_must_and_nowhere_else(scene: Scene) -> None:
    camera = aimed(WIDE, TALL, 320, 5.0, 0.45, 0.0, 0.0)
    lit, _ = cast(camera, scene, sun(1, 0, 1))  # 45 degrees from the right: shadows 3 m to the left
    dark = lit[pixel(camera, (BOX[0] - 2.0, BOX[1], 0.0))]
    bright = lit[pixel(camera, (BOX[0] - 6.5, BOX[1], 0.0))]
    assert dark.mean() < 0.35 * bright.mean()
    other, _ = cast(camera, scene, sun(-1, 0, 1))
    assert other[pixel(camera, (BOX[0] - 2.0, BOX[1], 0.0))].mean() > 0.8 * bright.mean()


def test_people_in_the_shadow_get_less_sun(scene: Scene) -> None:
    light = casting.with_shade(sun(1, 0, 0.6), casting.index_solids(scene))
    inside = light.at(np.array([BOX[0] - 2.2, BOX[1], 0.0]))
    outside = light.at(np.array([BOX[0] - 9.0, BOX[1], 0.0]))
    assert inside.colour.sum() < 0.4 * outside.colour.sum()
    assert outside.colour.sum() == pytest.approx(6.0, rel=1e-3)


def test_a_lamp_lights_what_is_near_and_the_strongest_is_the_main_light() -> None:
    down = np.array([0, 0, -1], np.float32)
    lamps = [Lamp(np.array([x, 8, 5], np.float32), np.full(3, 20, np.float32), down, 1.0) for x in (0, 12)]
    light = make_light("night", np.random.default_rng(1), lamps)
    under, between = light.at(np.array([0.5, 8, 1])), light.at(np.array([6.0, 8, 1]))
    assert under.colour.sum() > 3 * between.colour.sum()
    assert under.direction @ np.array([-0.5, 0, 4]) / math.hypot(0.5, 4) > 0.99
    assert light.at(np.array([11.0, 8, 1])).direction[0] > 0.1


@pytest.mark.parametrize("place", PLACES)
def test_routes_are_clear_seen_and_begin_and_end_out_of_sight(place: str) -> None:
    counts = []
    for seed in range(3):
        view = small_view(seed, place)
        counts.append(len(view.scene.routes))
        for route in view.scene.routes:
            points = sample_route(route, 0.2)
            assert view.scene.walkable(points).all()
            assert clearance(view.scene.solids, points).min() > BODY_M
            seen = seen_share(points, view.camera, view.depth)
            assert (seen > 0.6).sum() * 0.2 > 1.5, "hardly anybody would be seen"
            hidden = seen[0] == 0 and seen[-1] == 0
            assert hidden or len(view.scene.routes) <= 4
    assert min(counts) >= 3
    assert max(counts) <= 10


@pytest.mark.parametrize("place", [place for place in PLACES if place != "lift"])
def test_people_come_out_at_the_size_of_cctv(place: str) -> None:
    sizes = []
    for seed in range(3):
        view = small_view(seed, place)
        for route in view.scene.routes:
            points = sample_route(route, 0.3)
            there = seen_share(points, view.camera, view.depth) > 0.6
            sizes += (body_pixels(points, view.camera)[there] * 720 / TALL).tolist()
    assert 70 < np.median(sizes) < 300
    assert np.mean((np.array(sizes) > 55) & (np.array(sizes) < 420)) > 0.8


def test_walkable_agrees_with_what_stands_there(scene: Scene) -> None:
    points = np.array(
        [BOX, (BOX[0] - 1.1, BOX[1]), (BOX[0] - 1.4, BOX[1]), (-2.0, 7.0), (0.0, 0.0), (90.0, 0.0)]
    )
    assert scene.walkable(points).tolist() == [False, False, True, False, True, False]


def test_a_turned_box_blocks_its_own_corner_only() -> None:
    site = Site(np.random.default_rng(0), Rig(9.0, 4.0, 0.5))
    site.zone(Frame(), ground.SHEET, (200, 200), (0.5, 0.5, 0.5))
    site.box(Frame(0.0, 10.0, math.pi / 4), (4.0, 0.2, 1.0), PAINT, (0.3, 0.3, 0.3))
    free = clearance(np.array(site.solids), np.array([[1.2, 11.2], [1.2, 8.8], [0.0, 10.0]]))
    assert free[0] == 0
    assert free[2] == 0
    assert free[1] == pytest.approx(1.2 * math.sqrt(2) - 0.1, abs=1e-5)


def test_high_things_and_low_things_are_no_obstacles() -> None:
    site = staged()
    site.box(Frame(0, 5), (1, 1, 0.1), PAINT, (0.3, 0.3, 0.3))
    site.box(Frame(3, 5), (1, 1, 1), PAINT, (0.3, 0.3, 0.3), low=2.2)
    assert (clearance(np.array(site.solids), np.array([[0.0, 5.0], [3.0, 5.0]])) > 0.5).all()


_VIEWS: dict[tuple[int, str, str | None], View] = {}


def small_view(seed: int, place: str, light: str | None = None) -> View:
    key = seed, place, light
    if key not in _VIEWS:
        _VIEWS[key] = make_view(seed, place=place, light=light, width=WIDE, height=TALL)
    return _VIEWS[key]


def test_the_same_seed_makes_the_same_view_and_another_another() -> None:
    first, again = (make_view(5, place="street", light="sun", width=WIDE, height=TALL) for _ in range(2))
    other = make_view(6, place="street", light="sun", width=WIDE, height=TALL)
    assert first.background.tobytes() == again.background.tobytes()
    assert first.depth.tobytes() == again.depth.tobytes()
    assert first.electronics == again.electronics
    assert all((a == b).all() for a, b in zip(first.scene.routes, again.scene.routes, strict=True))
    assert np.abs(first.depth - other.depth).mean() > 0.5


def test_light_changes_neither_camera_nor_place_nor_routes() -> None:
    day, night = small_view(2, "street", "overcast"), small_view(2, "street", "night")
    assert (day.depth == night.depth).all()
    assert (day.scene.solids == night.scene.solids).all()
    assert len(day.scene.routes) == len(night.scene.routes)


def test_picture_size_changes_neither_place_nor_routes() -> None:
    small, large = small_view(4, "alley"), make_view(4, place="alley", width=2 * WIDE, height=2 * TALL)
    assert (small.scene.solids == large.scene.solids).all()
    assert all((a == b).all() for a, b in zip(small.scene.routes, large.scene.routes, strict=True))
    point = np.array([[1.0, 9.0, 0.5]])
    assert np.allclose(2 * small.camera.project(point)[:, :2], large.camera.project(point)[:, :2], atol=1e-2)


@pytest.mark.parametrize("place", ["street", "park", "alley"])
def test_day_is_brighter_than_night_and_both_can_be_seen(place: str) -> None:
    shown = {kind: exposed(small_view(1, place, kind)).mean() for kind in ("overcast", "night", "infrared")}
    assert 0.3 < shown["overcast"] < 0.75
    assert 0.06 < shown["night"] < shown["overcast"] - 0.08
    assert 0.05 < shown["infrared"] < shown["overcast"] - 0.08


def exposed(view: View) -> np.ndarray:
    return view.electronics.expose(view.background)


@pytest.mark.parametrize("place", PLACES)
def test_pictures_by_day_have_contrast_and_are_not_burnt_out(place: str) -> None:
    grey = exposed(small_view(3, place)).mean(axis=2)
    assert grey.std() > 0.05
    assert (grey > 0.98).mean() < 0.25
    assert (grey < 0.02).mean() < 0.5


def test_infrared_is_grey_and_fades_with_distance() -> None:
    view = small_view(1, "plaza", "infrared")
    shown = exposed(view)
    assert np.ptp(shown, axis=2).max() < 1e-6
    near = view.light.at(np.array([0.0, 5.0, 1.0])).colour.sum()
    assert near > 4 * view.light.at(np.array([0.0, 18.0, 1.0])).colour.sum()


def test_exposure_is_pointwise() -> None:
    view = small_view(1, "street", "sun")
    whole = view.electronics.expose(view.background)
    part = view.electronics.expose(view.background[40:111, 200:333])
    assert part.tobytes() == whole[40:111, 200:333].tobytes()
    brighter = view.electronics.expose(view.background * np.float32(1.1))
    assert (brighter.mean(axis=2) >= whole.mean(axis=2) - 1e-5).mean() > 0.99


def test_stills_repeat_with_their_stream_and_differ_without() -> None:
    view = small_view(1, "street", "night")
    shown = exposed(view)
    first, again, other = (view.electronics.capture(shown, np.random.default_rng(n)) for n in (1, 1, 2))
    assert first.shape == (TALL, WIDE, 3)
    assert first.dtype == np.uint8
    assert (first == again).all()
    assert (first != other).any()


def test_frames_carry_as_much_noise_as_the_camera_has() -> None:
    grey = np.full((200, 300, 3), 128, np.uint8)
    camera = Electronics(gain=1.0, noise=0.03)
    frame = camera.add_noise(grey, np.random.default_rng(1)).astype(float)
    assert 0.015 * 255 < frame.std() < 0.06 * 255
    assert abs(frame.mean() - 128) < 1
    silent = replace(camera, noise=0.0)
    assert (silent.add_noise(grey, np.random.default_rng(1)) == grey).all()


def test_rain_only_brightens_and_moves() -> None:
    dark = np.full((TALL, WIDE, 3), 60, np.uint8)
    first, second = (add_rain(dark, 0.8, np.random.default_rng(n)) for n in (1, 2))
    assert (first >= dark).all()
    assert (first > dark).mean() > 0.002
    assert (first != second).any()
    assert (add_rain(dark, 0.0, np.random.default_rng(1)) == dark).all()


def test_the_veil_is_brightest_where_the_lamps_are() -> None:
    view = small_view(1, "street", "night")
    assert view.veil is not None
    luma = view.background.mean(axis=2)
    bright, dark = luma > np.percentile(luma, 99), luma < np.percentile(luma, 30)
    assert view.veil.mean(axis=2)[bright].mean() > 2 * view.veil.mean(axis=2)[dark].mean()


def test_to_picture_is_bgr() -> None:
    assert to_picture(np.array([[[1.0, 0.5, 0.0]]], np.float32)).tolist() == [[[0, 128, 255]]]


def test_what_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown place 'stret'; did you mean street"):
        make_view(1, place="stret")
    with pytest.raises(UnknownNameError, match="unknown light 'nigth'; did you mean night"):
        make_view(1, light="nigth")
    with pytest.raises(InputError, match="does not suit place 'lift': expected one of indoor"):
        make_view(1, place="lift", light="sun")
    with pytest.raises(InputError, match="seed: expected 0"):
        make_view(-1)
    with pytest.raises(InputError, match="64 to 4096"):
        make_view(1, width=10)
    with pytest.raises(InputError, match="expected frame_rate from 1 to 60, got 0"):
        Electronics(gain=1.0, frame_rate=0)


def test_a_light_alone_chooses_a_place_that_has_it() -> None:
    for kind in LIGHTS:
        view = make_view(11, light=kind, width=WIDE, height=TALL)
        assert view.light.kind == kind
        assert kind in lights_of(view.scene.place)


def test_columns_of_solids_are_all_different() -> None:
    names = [
        columns.KIND,
        columns.X,
        columns.SHRINK_X,
        columns.MATERIAL,
        columns.RED,
        columns.P0,
        columns.SEED,
    ]
    assert len(set(names)) == len(names)
    assert max(names) == columns.COLUMNS - 1
