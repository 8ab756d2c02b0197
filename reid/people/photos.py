"""The photo a family or an officer has: a phone snapshot, a portrait, a still from another camera.

Made with the same people and places as footage, seen from where a person would hold a phone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from reid.errors import UnknownNameError
from reid.images import Picture
from reid.people.camera import Camera, aimed
from reid.people.electronics import Electronics, automatic_gain
from reid.people.figure import Figure, build_figure
from reid.people.layouts.site import Rig
from reid.people.outfits import Outfit
from reid.people.persons import Person
from reid.people.render import Actor, Region, body_box, draw, stage, stand
from reid.people.view import View, make_view, view_from

PHOTO_KINDS = ("phone", "cctv", "upper")
_LIGHTS = ("sun", "overcast", "overcast", "indoor")
_PHONE = (720, 960)
_QUALITY = {"phone": 88, "upper": 85}


def take_photo(person: Person, outfit: Outfit, kind: str, seed: int) -> Picture:
    """A photo of the person.

    Args:
        person, outfit: who, in what.
        kind: `phone`, the whole person in a snapshot of 720 x 960 pixels; `upper`, the same from the
            waist up; `cctv`, a crop from a camera's picture.
        seed: of place, pose and camera.

    Raises:
        UnknownNameError: no such kind.
    """
    if kind not in PHOTO_KINDS:
        raise UnknownNameError("photo kind", kind, PHOTO_KINDS)
    rng = np.random.default_rng([seed, PHOTO_KINDS.index(kind), 11])
    if kind != "cctv":
        outfit = replace(outfit, mask="none")  # nobody keeps it on for a family's picture
    figure = build_figure(person, outfit)
    return _still(figure, rng) if kind == "cctv" else _snapshot(figure, kind, rng)


def _snapshot(figure: Figure, kind: str, rng: np.random.Generator) -> Picture:
    """A phone held at chest height, two to four metres away, the person looking at it."""
    light = _LIGHTS[int(rng.integers(len(_LIGHTS)))]
    width, height = _PHONE
    tall = figure.person.height_m
    away = float(rng.uniform(2.4, 3.4)) * (0.55 + 0.45 * tall / 1.7)
    share = rng.uniform(0.62, 0.8) if kind == "phone" else rng.uniform(1.35, 1.6)
    focal = share * height * away / tall
    aim = tall * (0.5 if kind == "phone" else 0.74) + rng.normal(0, 0.03)
    up = float(tall * rng.uniform(0.75, 0.95))
    camera = aimed(width, height, focal, up, float(np.arctan2(up - aim, away)), rng.normal(0, 0.02), 0.0)
    rig = Rig(away * 2.5, up, float(np.arctan(width / 2 / focal)))
    place = "shop" if light == "indoor" else ("park", "street", "plaza")[int(rng.integers(3))]
    view = view_from(camera, rig, int(rng.integers(1 << 31)), place, light)
    red, green, blue = np.exp(rng.normal(0, 0.02, 3)).tolist()
    electronics = Electronics(
        gain=automatic_gain(view.background, float(rng.uniform(0.2, 0.28)), light),
        white_balance=(red, green, blue), saturation=float(rng.uniform(1.0, 1.2)),
        contrast=float(rng.uniform(1.0, 1.12)), noise=0.005, blur=0.6, sharpness=0.5,
        jpeg_quality=_QUALITY[kind],
    )  # fmt: skip
    facing = -np.pi / 2 + rng.normal(0, 0.25)
    at = np.array([rng.normal(0, 0.06), away])
    posed = figure.pose(float(rng.random()), 1.0, float(rng.normal(0, 0.12)))
    actor = stand(figure, at, facing, posed)
    drawing = draw(view, [stage(view, actor)], Region(0, 0, width, height))
    return electronics.capture(electronics.expose(drawing.picture), rng)


def _still(figure: Figure, rng: np.random.Generator) -> Picture:
    """A generous crop of a good moment in some camera by day."""
    for _ in range(20):
        view = make_view(int(rng.integers(1 << 31)), light=_LIGHTS[int(rng.integers(len(_LIGHTS)))])
        found = place_on_route(view, figure, rng, least=170, most=420)
        if found is None:
            continue
        actor, box = found
        margin = 0.15 * (box[3] - box[1])
        wide = np.clip(
            box + np.array([-margin, -margin, margin, margin]), 0, [view.camera.width, view.camera.height] * 2
        )
        region = Region(*wide.astype(int).tolist())
        drawing = draw(view, [stage(view, actor)], region)
        if drawing.visible[0] > 0.9:
            return view.electronics.capture(view.electronics.expose(drawing.picture), rng)
    return _snapshot(figure, "phone", rng)


def place_on_route(
    view: View, figure: Figure, rng: np.random.Generator, least: float, most: float
) -> tuple[Actor, NDArray[np.float32]] | None:
    """The figure walking somewhere on one of the view's routes, wholly inside the picture.

    Args:
        view: where.
        figure: who.
        rng: chooses route, place and pose.
        least, most: wanted height of the body's box, pixels.

    Returns:
        The actor and its box (4,) float32, or None when 40 tries found no such place.
    """
    posed = figure.pose(float(rng.random()), float(rng.random() < 0.1), float(rng.normal(0, 0.25)))
    for _ in range(40 if view.scene.routes else 0):
        route = view.scene.routes[int(rng.integers(len(view.scene.routes)))]
        leg = int(rng.integers(len(route) - 1))
        way = route[leg + 1] - route[leg]
        ground = route[leg] + way * rng.random() + rng.normal(0, 0.25, 2)
        if not view.scene.walkable(ground[None])[0]:
            continue
        heading = (
            float(np.arctan2(way[1], way[0])) + (np.pi if rng.random() < 0.5 else 0) + rng.normal(0, 0.25)
        )
        actor = stand(figure, ground, heading, posed)
        box = body_box(view.camera, actor)
        if box is not None and _inside(view.camera, box) and least <= box[3] - box[1] <= most:
            return actor, box
    return None


def _inside(camera: Camera, box: NDArray[np.float32]) -> bool:
    return bool(box[0] >= 0 and box[1] >= 0 and box[2] <= camera.width and box[3] <= camera.height)
