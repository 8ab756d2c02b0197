"""Draws people into a view: who hides whom, light, shadow, and the truth about what can be seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reid.people.body import Vertices
from reid.people.camera import Camera
from reid.people.figure import Figure
from reid.people.kernels.mesh import rasterise, vertex_normals
from reid.people.kernels.shade import shade
from reid.people.kernels.shadow import throw_shadow
from reid.people.light import LocalLight
from reid.people.view import View

Linear = NDArray[np.float32]
"""(h, w, 3) float32, linear RGB radiance."""

_SHADOW_PIXELS = 128
_SHADOW_M = 2.7  # side of the square around a person that the shadow map covers
_SHADOW_BIAS_M = 0.035
_SMALL_PIXELS = 200  # people smaller than this are drawn at twice the size and averaged


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

    def clipped(self, width: int, height: int) -> Region:
        """The part inside a picture of this size."""
        return Region(max(0, self.left), max(0, self.top), min(width, self.right), min(height, self.bottom))


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

    @property
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
    points = camera.project(actor.vertices[actor.figure.worn])
    if float(points[:, 2].min()) < 0.3:
        return None
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    return np.asarray([*low, *high], np.float32)


def extent(view: View, actor: Actor) -> Region:
    """Where the person, what they carry and their shadow may change the picture."""
    light = view.light.at(actor.place)
    low = actor.vertices[:, 2:3]
    reach = [actor.vertices]
    if light.hardness > 0:
        thrown = actor.vertices[::20] - low[::20] / max(float(light.direction[2]), 0.25) * light.direction
        reach.append(np.asarray(thrown, np.float32))
    feet = actor.place[:2]
    around = np.array([[dx, dy] for dx in (-0.7, 0.7) for dy in (-0.7, 0.7)], np.float32) + feet
    reach.append(np.column_stack([around, np.zeros(4, np.float32)]))
    points = view.camera.project(np.concatenate(reach).astype(np.float32))
    points = points[points[:, 2] > 0.3]
    if not len(points):
        return Region(0, 0, 0, 0)
    low_xy, high_xy = np.floor(points[:, :2].min(axis=0)) - 4, np.ceil(points[:, :2].max(axis=0)) + 4
    size = np.array([view.camera.width, view.camera.height])
    low_xy, high_xy = np.clip(low_xy, -1, size), np.clip(high_xy, -1, size)
    return Region(*low_xy.astype(int).tolist(), *high_xy.astype(int).tolist()).clipped(*size.tolist())


@dataclass(frozen=True)
class Drawing:
    """A drawn region.

    Attributes:
        picture: (h, w, 3) float32 linear RGB.
        visible: (N,) float32, the share of each actor's silhouette (with clothes, bags and aids) inside
            this region that can be seen.
    """

    picture: Linear
    visible: NDArray[np.float32]


def draw(view: View, actors: Sequence[Actor], region: Region) -> Drawing:
    """Draw `actors` into `region` of the view's background."""
    background = np.ascontiguousarray(view.background[region.slices])
    depth = np.ascontiguousarray(view.depth[region.slices])
    lights = [view.light.at(actor.place) for actor in actors]
    maps = [_shadow_map(actor, light) for actor, light in zip(actors, lights, strict=True)]
    picture = background.copy()
    for actor, light, (shadow, frame) in zip(actors, lights, maps, strict=True):
        _throw(view.camera, picture, depth, region, actor, light, shadow, frame)
    points = [view.camera.project(actor.vertices) for actor in actors]
    tallest = max((float(np.ptp(p[a.figure.worn, 1])) for p, a in zip(points, actors, strict=True)), default=0)
    fine = 2 if tallest < _SMALL_PIXELS else 1
    depth = depth.repeat(fine, 0).repeat(fine, 1)
    canvas = picture.repeat(fine, 0).repeat(fine, 1)
    owner = np.full(depth.shape, -1, np.int16)
    whole = np.zeros(len(actors), np.float32)
    for index, (actor, light, at, (shadow, frame)) in enumerate(zip(actors, lights, points, maps, strict=True)):
        at = at * np.array([fine, fine, 1], np.float32)
        at[:, :2] -= np.array([region.left, region.top], np.float32) * fine
        whole[index] = _paint(view.camera, actor, light, at, shadow, frame, depth, canvas, owner, index)
    seen = np.bincount(owner[owner >= 0], minlength=len(actors)).astype(np.float32)
    if fine > 1:
        h, w = picture.shape[:2]
        canvas = canvas.reshape(h, fine, w, fine, 3).mean(axis=(1, 3))
    if view.veil is not None:
        canvas = canvas + view.veil[region.slices]
    return Drawing(np.asarray(canvas, np.float32), seen / np.maximum(whole, 1))


def _paint(
    camera: Camera, actor: Actor, light: LocalLight, points: NDArray[np.float32], shadow: NDArray[np.float32],
    frame: NDArray[np.float32], depth: NDArray[np.float32], canvas: Linear, owner: NDArray[np.int16], index: int,
) -> int:  # fmt: skip
    """Draw one person where nothing nearer is; returns the size of the whole silhouette, pixels."""
    height, width = depth.shape
    inside = points[points[:, 2] > 0.05]
    if not len(inside):
        return 0
    low = np.clip(np.floor(inside[:, :2].min(axis=0)).astype(int) - 1, 0, (width, height))
    high = np.clip(np.ceil(inside[:, :2].max(axis=0)).astype(int) + 2, 0, (width, height))
    if (high <= low).any():
        return 0
    part = (slice(low[1], high[1]), slice(low[0], high[0]))
    shape = (int(high[1] - low[1]), int(high[0] - low[0]))
    points = np.ascontiguousarray(points - np.array([low[0], low[1], 0], np.float32))
    own = np.full(shape, 1e9, np.float32)
    triangle, corners = np.full(shape, -1, np.int32), np.zeros((*shape, 2), np.float32)
    figure = actor.figure
    rasterise(points, figure.faces, own, triangle, corners)
    silhouette = triangle >= 0
    visible = silhouette & (own < depth[part])
    painted = np.zeros((*shape, 3), np.float32)
    rows = np.array([light.direction, light.colour, light.sky, light.ground, camera.position], np.float32)
    shade(triangle, corners, visible, figure.faces, actor.vertices, vertex_normals(actor.vertices, figure.faces),
          figure.attributes, figure.kinds, figure.tailoring.cloths, figure.tailoring.cut, rows, light.hardness,
          shadow, frame, painted)  # fmt: skip
    canvas[part][visible] = painted[visible]
    depth[part][visible] = own[visible]
    owner[part][visible] = index
    return int(silhouette.sum())


def _shadow_map(actor: Actor, light: LocalLight) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distances from the light's plane to the person, and where that map lies; see `shadow_share`."""
    forward = -light.direction.astype(float)
    side = np.cross([0, 0, 1.0], -forward)
    side /= np.linalg.norm(side) + 1e-9
    scale = _SHADOW_PIXELS / _SHADOW_M
    axes = np.stack([side, np.cross(-forward, side), forward])
    frame = np.concatenate([axes, actor.place[None], [[scale, _SHADOW_BIAS_M, 0]]]).astype(np.float32)
    shadow = np.full((_SHADOW_PIXELS, _SHADOW_PIXELS), 1e9, np.float32)
    if light.hardness > 0:
        seen = (actor.vertices - actor.place) @ frame[:3].T
        points = seen * np.array([scale, scale, 1], np.float32) + np.array([_SHADOW_PIXELS / 2, _SHADOW_PIXELS / 2, 10], np.float32)
        triangle, corners = np.empty(shadow.shape, np.int32), np.empty((*shadow.shape, 2), np.float32)
        rasterise(np.ascontiguousarray(points, np.float32), actor.figure.faces, shadow, triangle, corners)
    return shadow, frame


def _throw(
    camera: Camera, picture: Linear, depth: NDArray[np.float32], region: Region, actor: Actor, light: LocalLight,
    shadow: NDArray[np.float32], frame: NDArray[np.float32],
) -> None:  # fmt: skip
    direct = light.colour * max(float(light.direction[2]), 0.0)
    kept = np.asarray(light.sky / np.maximum(light.sky + direct, 1e-6), np.float32)
    low = actor.vertices[actor.vertices[:, 2] < 0.12, :2]
    feet = low[[low[:, 0].argmin(), low[:, 0].argmax()]] if len(low) else actor.place[None, :2]
    lens = np.array([camera.focal, camera.width / 2, camera.height / 2, camera.distortion])
    throw_shadow(picture, depth, region.left, region.top, lens, camera.rotation, camera.position, shadow, frame,
                 kept, light.hardness, np.asarray(feet, np.float32))  # fmt: skip
