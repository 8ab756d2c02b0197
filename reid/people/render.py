"""Draws people into a view: who hides whom, light, shadow, and the truth about what can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid.people import labels
from reid.people.body import Vertices
from reid.people.camera import Camera
from reid.people.figure import Figure
from reid.people.kernels import cloth
from reid.people.kernels.mesh import NEAREST_M, rasterise, vertex_normals
from reid.people.kernels.shade import shade
from reid.people.kernels.shadow import throw_shadow
from reid.people.light import LocalLight
from reid.people.view import View

Linear = NDArray[np.float32]
"""(h, w, 3) float32, linear RGB radiance."""

_SHADOW_PIXELS = 128
_SHADOW_M = 2.7  # side of the square around a person that the shadow map covers
_SHADOW_BIAS_M = 0.035
_IN_FRONT_M = 0.3  # nearer people have no box
_SMALL_PIXELS = 130  # people smaller than this are drawn at twice the size and averaged
_CREASES_PIXELS = 220  # small creases of cloth cannot be seen on people smaller than this


class Region(NamedTuple):
    """Part of a picture, whole pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def empty(self) -> bool:
        """Holds no pixel."""
        return self.right <= self.left or self.bottom <= self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing a picture."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def within(self, other: Region) -> Region:
        """The part inside `other`; empty regions stay empty."""
        left, top = max(other.left, self.left), max(other.top, self.top)
        return Region(
            left, top, max(left, min(other.right, self.right)), max(top, min(other.bottom, self.bottom))
        )

    def grown(self, margin: int) -> Region:
        """With `margin` more pixels on each side."""
        return Region(self.left - margin, self.top - margin, self.right + margin, self.bottom + margin)

    def clipped(self, width: int, height: int) -> Region:
        """The part inside a picture of this size."""
        return self.within(Region(0, 0, width, height))


@dataclass(frozen=True)
class Actor:
    """One posed person in the world.

    Attributes:
        figure: who.
        vertices: (V, 3) float32, world metres.
        heading: direction of walking, radians from +x.
    """

    figure: Figure
    vertices: Vertices
    heading: float

    @cached_property
    def place(self) -> NDArray[np.float32]:
        """(3,) the middle of the person."""
        return np.asarray(self.vertices[self.figure.worn].mean(axis=0), np.float32)


def stand(figure: Figure, ground: NDArray[np.float64], heading: float, posed: Vertices) -> Actor:
    """The posed figure at `ground` (2,), walking in direction `heading` (radians from +x)."""
    turn = heading + np.pi / 2  # a figure faces -y
    c, s = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    world = np.empty_like(posed)
    world[:, 0] = c * posed[:, 0] - s * posed[:, 1] + np.float32(ground[0])
    world[:, 1] = s * posed[:, 0] + c * posed[:, 1] + np.float32(ground[1])
    world[:, 2] = posed[:, 2]
    return Actor(figure, world, heading)


def body_box(camera: Camera, actor: Actor) -> NDArray[np.float32] | None:
    """(4,) x1, y1, x2, y2 of body, clothes and hat, hidden parts and parts outside the picture included.

    None when the person is not wholly in front of the camera.
    """
    return _box(camera.project(actor.vertices[actor.figure.worn]))


def _box(points: NDArray[np.float32]) -> NDArray[np.float32] | None:
    if float(points[:, 2].min()) < _IN_FRONT_M:
        return None
    return np.concatenate([points[:, :2].min(axis=0), points[:, :2].max(axis=0)])


@dataclass(frozen=True)
class Staged:
    """An actor before a camera, ready to be drawn.

    Attributes:
        actor, light: who, in what light.
        points: (V, 3) float32 pixels of the whole picture, and depth.
        box: see `body_box`.
        extent: where the person, what they carry and their shadow may change the picture.
        shadow: (S, S) float32 distances from the light's plane; frame: where it lies, see `shadow_share`.
    """

    actor: Actor
    light: LocalLight
    points: NDArray[np.float32]
    box: NDArray[np.float32] | None
    extent: Region
    shadow: NDArray[np.float32]
    frame: NDArray[np.float32]

    @property
    def tall(self) -> float:
        """Height of the body in the picture, pixels."""
        return 0.0 if self.box is None else float(self.box[3] - self.box[1])


def stage(view: View, actor: Actor) -> Staged:
    """Place the actor before the view's camera and in its light."""
    light = view.light.at(actor.place)
    points = view.camera.project(actor.vertices)
    shadow, frame = _shadow_map(actor, light)
    box = _box(points[actor.figure.worn])
    return Staged(actor, light, points, box, _extent(view, actor, light, points), shadow, frame)


def _extent(view: View, actor: Actor, light: LocalLight, points: NDArray[np.float32]) -> Region:
    around = np.array([[dx, dy, 0] for dx in (-0.7, 0.7) for dy in (-0.7, 0.7)], np.float32)
    ground = [around + actor.place * np.array([1, 1, 0], np.float32)]
    if light.hardness > 0:
        upper = actor.vertices[::20]
        ground.append(upper - upper[:, 2:3] / max(float(light.direction[2]), 0.25) * light.direction)
    reach = np.concatenate([points, view.camera.project(np.concatenate(ground))])
    reach = reach[reach[:, 2] > _IN_FRONT_M]
    if not len(reach):
        return Region(0, 0, 0, 0)
    size = (view.camera.width, view.camera.height)
    low = np.clip(np.floor(reach[:, :2].min(axis=0)) - 4, -1, size).astype(int).tolist()
    high = np.clip(np.ceil(reach[:, :2].max(axis=0)) + 4, -1, size).astype(int).tolist()
    return Region(*low, *high).clipped(*size)


def _shadow_map(actor: Actor, light: LocalLight) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distances from the light's plane to the person, and where that map lies."""
    forward = -light.direction.astype(float)
    side = np.cross([0, 0, 1.0], -forward)
    side /= np.linalg.norm(side) + 1e-9
    scale, middle = _SHADOW_PIXELS / _SHADOW_M, _SHADOW_PIXELS / 2
    axes = np.stack([side, np.cross(-forward, side), forward])
    frame = np.concatenate([axes, actor.place[None], [[scale, _SHADOW_BIAS_M, 0]]]).astype(np.float32)
    shadow = np.full((_SHADOW_PIXELS, _SHADOW_PIXELS), 1e9, np.float32)
    if light.hardness > 0:
        seen = (actor.vertices - actor.place) @ frame[:3].T
        placed = np.asarray(seen * (scale, scale, 1) + (middle, middle, 10), np.float32)
        triangle, corners = np.empty(shadow.shape, np.int32), np.empty((*shadow.shape, 2), np.float32)
        rasterise(placed, actor.figure.faces, shadow, triangle, corners)
    return shadow, frame


@dataclass(frozen=True)
class Drawing:
    """A drawn region.

    Attributes:
        picture: (h, w, 3) float32 linear RGB.
        visible: (N,) float32, the share of each actor's silhouette (with clothes, bags and aids) inside
            this region that can be seen.
        owner: (h, w) int16, or twice that each way where people are small: whose pixel it is, -1 nobody's.
        materials: of the same shape, int8, what a person's pixel shows, see `kernels.cloth`.
    """

    picture: Linear
    visible: NDArray[np.float32]
    owner: NDArray[np.int16]
    materials: NDArray[np.int8]

    def share(self, index: int, *materials: int) -> float:
        """How much of what is seen of actor `index` is of these materials, 0..1."""
        own = self.materials[self.owner == index]
        return float(np.isin(own, materials).mean()) if len(own) else 0.0

    def mask(self, index: int) -> NDArray[np.uint8]:
        """(h, w) where actor `index` is seen and with what, see `reid.people.labels.PERSON`."""
        step = self.owner.shape[0] // self.picture.shape[0]
        own, materials = self.owner[::step, ::step] == index, self.materials[::step, ::step]
        mask = np.where(own, labels.PERSON, 0).astype(np.uint8)
        mask[own & np.isin(materials, (cloth.BAG, cloth.STRAP))] = labels.BAG
        mask[own & (materials == cloth.HAT)] = labels.HAT
        return mask


def draw(view: View, staged: Sequence[Staged], region: Region) -> Drawing:
    """Draw people into `region` of the view's background."""
    fine = 2 if max((one.tall for one in staged), default=0) < _SMALL_PIXELS else 1
    picture = view.background[region.slices].copy()
    depth = np.ascontiguousarray(view.depth[region.slices])
    for one in staged:
        own = one.extent.within(region)
        down, right = own.top - region.top, own.left - region.left
        part = (slice(down, down + own.bottom - own.top), slice(right, right + own.right - own.left))
        _throw(view.camera, picture[part], depth[part], own, one)
    size = (depth.shape[0] * fine, depth.shape[1] * fine)
    canvas = _Canvas(
        picture.repeat(fine, 0).repeat(fine, 1), depth.repeat(fine, 0).repeat(fine, 1),
        np.full(size, -1, np.int16), np.full(size, -1, np.int8), region, fine,
    )  # fmt: skip
    whole = np.array(
        [_paint(view.camera, canvas, one, index) for index, one in enumerate(staged)], np.float32
    )
    seen = np.bincount(canvas.owner[canvas.owner >= 0], minlength=len(staged))
    drawn = canvas.picture
    if fine == 2:
        drawn = 0.25 * (drawn[::2, ::2] + drawn[1::2, ::2] + drawn[::2, 1::2] + drawn[1::2, 1::2])
    if view.veil is not None:
        drawn = drawn + view.veil[region.slices]
    shares = np.asarray(seen / np.maximum(whole, 1), np.float32)
    return Drawing(drawn, shares, canvas.owner, canvas.materials)


@dataclass(frozen=True)
class _Canvas:
    """What is drawn on: (H, W, 3) linear, depth, whose pixel, of what; `fine` times the size of `region`."""

    picture: Linear
    depth: NDArray[np.float32]
    owner: NDArray[np.int16]
    materials: NDArray[np.int8]
    region: Region
    fine: int


def _throw(camera: Camera, picture: Linear, depth: NDArray[np.float32], region: Region, lit: Staged) -> None:
    """Darken the background where this person keeps the light away."""
    light, actor = lit.light, lit.actor
    direct = light.colour * max(float(light.direction[2]), 0.0)
    kept = np.asarray(light.sky / np.maximum(light.sky + direct, 1e-6), np.float32)
    low = actor.vertices[actor.vertices[:, 2] < 0.12, :2]
    feet = low[[low[:, 0].argmin(), low[:, 0].argmax()]] if len(low) else actor.place[None, :2]
    throw_shadow(
        picture, depth, camera.slopes[region.slices], camera.rotation.astype(np.float32),
        camera.position.astype(np.float32), lit.shadow, lit.frame, kept, light.hardness,
        np.asarray(feet, np.float32),
    )  # fmt: skip


def _paint(camera: Camera, canvas: _Canvas, lit: Staged, index: int) -> int:
    """Draw one person where nothing nearer is; returns the size of the whole silhouette, pixels."""
    points = lit.points * np.array([canvas.fine, canvas.fine, 1], np.float32)
    points[:, :2] -= np.array([canvas.region.left, canvas.region.top], np.float32) * canvas.fine
    around = points[points[:, 2] > NEAREST_M, :2]
    if not len(around):
        return 0
    size = canvas.depth.shape[::-1]
    low = np.clip(np.floor(around.min(axis=0)).astype(int) - 1, 0, size)
    high = np.clip(np.ceil(around.max(axis=0)).astype(int) + 2, 0, size)
    if (high <= low).any():
        return 0
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    points[:, :2] -= low.astype(np.float32)
    own = np.full((high[1] - low[1], high[0] - low[0]), 1e9, np.float32)
    triangle, corners = np.full(own.shape, -1, np.int32), np.zeros((*own.shape, 2), np.float32)
    figure, light, vertices = lit.actor.figure, lit.light, lit.actor.vertices
    rasterise(points, figure.faces, own, triangle, corners)
    silhouette = triangle >= 0
    visible = silhouette & (own < canvas.depth[part])
    painted, materials = np.zeros((*own.shape, 3), np.float32), np.full(own.shape, -1, np.int8)
    rows = np.array([light.direction, light.colour, light.sky, light.ground, camera.position], np.float32)
    shade(
        triangle, corners, visible, figure.faces, vertices, vertex_normals(vertices, figure.faces),
        figure.attributes, figure.kinds, figure.tailoring.cloths, figure.tailoring.cut, rows, light.hardness,
        lit.shadow, lit.frame, 1 if lit.tall < _CREASES_PIXELS else 2, painted, materials,
    )  # fmt: skip
    canvas.picture[part][visible] = painted[visible]
    canvas.depth[part][visible] = own[visible]
    canvas.owner[part][visible] = index
    canvas.materials[part][visible] = materials[visible]
    return int(silhouette.sum())
