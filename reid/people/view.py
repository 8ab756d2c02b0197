"""One camera's view of an empty place, ready for people: made from a seed.

The seed alone decides place, camera and furniture; the light changes none of them, so that one camera can
be filmed by day and by night. Draws no people.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.errors import InputError
from reid.people import casting
from reid.people.camera import SIDES, Camera, aimed, check_size
from reid.people.electronics import Electronics, make_electronics
from reid.people.layouts.places import check_place, lay_out
from reid.people.layouts.site import Rig, Site
from reid.people.light import Light, check_light, make_light
from reid.people.routes import choose
from reid.people.scene import INDOOR, PLACES, Scene
from reid.people.weather import make_veil

F32 = NDArray[np.float32]

_PLACE_SHARES = {
    "street": 0.24, "alley": 0.15, "park": 0.14, "crossing": 0.11, "plaza": 0.08, "station": 0.12,
    "shop": 0.09, "lift": 0.07
}  # fmt: skip
_OUTDOOR_SHARES = {"sun": 0.32, "overcast": 0.28, "dusk": 0.12, "night": 0.18, "infrared": 0.1}
_ENOUGH_ROUTES, _ATTEMPTS = 4, 10  # a camera that looks at a wall is hung again
_CLOSE, _BLOCKED = 0.35, 0.2  # share of the distance of people, share of the picture
_PROBE = 512  # pixels of the picture in which routes are judged
_SEEDS = 2**63 - 1


@dataclass(frozen=True)
class View:
    """What a camera sees before anybody comes.

    Attributes:
        camera, light, scene, electronics: what the picture was made with.
        background: (H, W, 3) float32 linear RGB, veil not included.
        depth: (H, W) float32 metres along the forward axis; 1e9 is the sky.
        veil: (H, W, 3) float32 linear RGB that strays over everything, people too; None for a clean lens.
        rain: 0 for none to 1, how strong it rains.
    """

    camera: Camera
    light: Light
    scene: Scene
    electronics: Electronics
    background: F32
    depth: F32
    veil: F32 | None
    rain: float


def lights_of(place: str) -> tuple[str, ...]:
    """The lights a place can have: indoors the ceiling's, or the camera's own after closing time.

    Raises:
        UnknownNameError: no such place.
    """
    check_place(place)
    return ("indoor", "infrared") if place in INDOOR else tuple(_OUTDOOR_SHARES)


def make_view(
    seed: int, *, place: str | None = None, light: str | None = None, width: int = 1280, height: int = 720
) -> View:
    """Make a camera with a place before it.

    Args:
        seed: 0 or more; the same seed makes the same view.
        place: of `scene.PLACES`; drawn from the seed when None.
        light: of `light.LIGHTS` that suits the place, see `lights_of`; drawn from the seed when None.
        width, height: picture size, pixels; the camera sees the same width at any size.

    Raises:
        UnknownNameError: a place or light nobody knows.
        InputError: a seed or size out of range, or a light the place cannot have.
    """
    if not 0 <= seed <= _SEEDS:
        raise InputError(f"seed: expected 0 to {_SEEDS}, got {seed}")
    check_size(width, height)
    place, light = _chosen(seed, place, light)
    tries = (_hang(seed, attempt, place, width, height) for attempt in range(_ATTEMPTS))
    best: tuple[Camera, Rig, Scene, casting.Index] | None = None
    for hung in tries:
        if best is None or len(hung[2].routes) > len(best[2].routes):
            best = hung
        if len(best[2].routes) >= _ENOUGH_ROUTES:
            break
    assert best is not None
    return _lit(seed, light, *best)


def view_from(camera: Camera, rig: Rig, seed: int, place: str, light: str) -> View:
    """What this camera sees of the place of `seed`, which is laid out for its `rig`; see `make_view`."""
    return _lit(seed, light, camera, rig, *_furnished(camera, rig, place, np.random.default_rng([seed, 3])))


def _hang(
    seed: int, attempt: int, place: str, width: int, height: int
) -> tuple[Camera, Rig, Scene, casting.Index]:
    """One more camera and its place; the same at any light."""
    camera, rig = make_camera(np.random.default_rng([seed, 2, attempt]), place, width, height)
    return camera, rig, *_furnished(camera, rig, place, np.random.default_rng([seed, 3, attempt]))


def _furnished(camera: Camera, rig: Rig, place: str, rng: np.random.Generator) -> tuple[Scene, casting.Index]:
    """A place with the routes that the camera sees; they are the same at any picture size."""
    scene = lay_out(place, Site(rng, rig))
    index = casting.index_solids(scene)
    probe = camera.scaled(_PROBE, max(SIDES[0], round(_PROBE * camera.height / camera.width)))
    depth = casting.look(probe, index).depth
    routes = choose(scene, probe, depth)
    if (
        place != "lift" and (depth < _CLOSE * rig.distance).mean() > _BLOCKED
    ):  # a wall before the lens: hung again if it can be
        routes = routes[: _ENOUGH_ROUTES - 1]
    return scene.with_routes(routes), index


def _lit(seed: int, light: str, camera: Camera, rig: Rig, scene: Scene, index: casting.Index) -> View:
    """The view in a light, with rain or without, through a camera that exposes itself."""
    lighting = make_light(light, np.random.default_rng([seed, 4]), scene.lamps, rig.height)
    lighting = casting.with_shade(lighting, index)
    rain = _rain(np.random.default_rng([seed, 6]), scene.place, light)
    sight = casting.look(camera, index)
    background = casting.light_up(sight, scene.zones, lighting, index, rain)
    electronics = make_electronics(light, np.random.default_rng([seed, 5]), background)
    veil = make_veil(background, camera, lighting, electronics.gain, np.random.default_rng([seed, 7]))
    return View(camera, lighting, scene, electronics, background, sight.depth, veil, rain)


def _chosen(seed: int, place: str | None, light: str | None) -> tuple[str, str]:
    """Place and light, drawn from the seed where they are None, checked where not."""
    rng = np.random.default_rng([seed, 1])
    shares = np.array([_PLACE_SHARES[each] for each in PLACES])
    if light is not None:
        check_light(light)
        shares = shares * [light in lights_of(each) for each in PLACES]
    drawn = str(rng.choice(PLACES, p=shares / shares.sum()))
    place = drawn if place is None else place
    lights = lights_of(place)
    outdoor = str(rng.choice(list(_OUTDOOR_SHARES), p=list(_OUTDOOR_SHARES.values())))
    if light is None:
        light = "indoor" if place in INDOOR else outdoor
    if light not in lights:
        raise InputError(
            f"light {light!r} does not suit place {place!r}: expected one of {', '.join(lights)}"
        )
    return place, light


def _rain(rng: np.random.Generator, place: str, light: str) -> float:
    """How strong it rains, 0..1; one overcast, dusky or dark view in five."""
    falls, strength = rng.random() < 0.2, float(rng.uniform(0.4, 1.0))
    return strength if falls and place not in INDOOR and light in ("overcast", "dusk", "night") else 0.0


# place: (camera height, metres), (height of people as a share of the picture's), (where they stand, share
# from
# the top of the picture), (focal length over width)
_MOUNTS = {
    "street": ((3.2, 5.5), (0.18, 0.32), (0.5, 0.66), (0.6, 1.2)),
    "crossing": ((3.6, 5.6), (0.17, 0.29), (0.5, 0.66), (0.6, 1.15)),
    "plaza": ((3.0, 5.5), (0.17, 0.31), (0.48, 0.64), (0.6, 1.2)),
    "alley": ((2.7, 4.4), (0.2, 0.36), (0.5, 0.64), (0.55, 1.0)),
    "park": ((2.9, 5.0), (0.17, 0.31), (0.48, 0.64), (0.6, 1.2)),
    "station": ((2.6, 3.8), (0.2, 0.36), (0.5, 0.66), (0.55, 1.0)),
    "shop": ((2.5, 3.1), (0.24, 0.4), (0.52, 0.68), (0.5, 0.75)),
    "lift": ((2.25, 2.4), (0.85, 1.0), (0.85, 0.95), (0.42, 0.5)),
}


def make_camera(rng: np.random.Generator, place: str, width: int, height: int) -> tuple[Camera, Rig]:
    """A camera as they are hung in such a place, and what the layout needs to know of it."""
    heights, sizes, rows, focals = _MOUNTS[place]
    up, size, row = float(rng.uniform(*heights)), float(rng.uniform(*sizes)), float(rng.uniform(*rows))
    focal = width * float(rng.uniform(*focals))
    tall = 720 / 1280 * width  # sizes are meant for pictures of 16:9
    distance = max(focal * 1.6 / (size * tall), up * 0.8)
    if place == "lift":
        distance = 1.5
    tilt = math.atan2(up, distance) - math.atan((row - 0.5) * tall / focal)
    roll = float(np.clip(rng.normal(0, 0.012), -0.035, 0.035))
    corner = math.hypot(width / 2, height / 2) / focal
    most = min(0.22, 0.105 / corner**2)  # beyond, the picture's corners would lie where the barrel folds back
    barrel = -float(rng.uniform(0.0, 1.0) ** 1.3) * most
    camera = aimed(width, height, focal, up, tilt, roll, barrel)
    return camera, Rig(distance, up, math.atan(width / 2 / focal))
