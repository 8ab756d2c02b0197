"""A dressed person as one mesh that can be posed.

The body is thickened where clothes lie, smoothed where they hide its anatomy, and joined with what hangs
(skirts, coats) and what is worn, carried or pushed. Knows no scene and no light.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from reid.people.accessories import Head, Part, aid_parts, bag_parts, head_parts, hood_parts
from reid.people.body import BodyModel, Vertices, body_model
from reid.people.gait import Gait, bone_transforms, make_gait, pose
from reid.people.kernels import cloth as k
from reid.people.kernels.mesh import hanging_rings, skin, smooth, vertex_normals
from reid.people.meshes import grid_faces
from reid.people.outfits import Outfit
from reid.people.persons import Person
from reid.people.tailoring import Rings, Tailoring, tailor

_AROUND = 36  # vertices per ring of hanging cloth
_RING_STEP = 0.04  # canonical metres between rings
_BAND = 0.03
_SEAT_M = 0.5  # height of a wheelchair's seat
_HAIR = {"short": 0.02, "crop": 0.008, "bald": 0.0, "balding": 0.004, "long": 0.018, "bob": 0.022,
         "ponytail": 0.012, "bun": 0.012, "curls": 0.05}  # fmt: skip


@dataclass(frozen=True)
class Regions:
    """What each vertex of the body belongs to, 0..1, and what is needed to smooth over the mesh."""

    attributes: NDArray[np.float32]
    """(V, 7): canonical x, y, z, place along the arm, head, hand, foot."""
    first: NDArray[np.int32]
    """(V + 1,) where each vertex's part of `neighbours` begins."""
    neighbours: NDArray[np.int32]
    """(E,) vertices that share an edge."""

    def smooth(self, values: NDArray[np.float32], rounds: int) -> NDArray[np.float32]:
        """`values` (V,) or (V, C) averaged `rounds` times with their neighbours."""
        columns = np.ascontiguousarray(values.reshape(len(values), -1), np.float32)
        return smooth(columns, self.first, self.neighbours, rounds).reshape(values.shape)


@cache
def regions() -> Regions:
    """Of the one body model."""
    model = body_model()
    arm = model.region("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
    attributes = np.column_stack([
        model.canonical, _along_arm(model, arm), model.region("head", "eye", "neck03"),
        model.region("wrist", "finger", "metacarpal"), model.region("foot", "toe"),
    ]).astype(np.float32)  # fmt: skip
    edges = np.concatenate(
        [model.faces[:, pair] for pair in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2))]
    )
    edges = np.unique(edges, axis=0)
    first = np.searchsorted(edges[:, 0], np.arange(len(attributes) + 1))
    return Regions(attributes, first.astype(np.int32), edges[:, 1].astype(np.int32))


def _along_arm(model: BodyModel, arm: NDArray[np.float32]) -> NDArray[np.float32]:
    """(V,) 0 off the arm, else 0.02..1 from shoulder to wrist."""
    along = np.zeros(len(arm), np.float32)
    for side, sign in (("L", 1), ("R", -1)):
        shoulder, elbow, wrist = (
            model.canonical_joints[model.bones.index(f"{bone}.{side}")]
            for bone in ("upperarm01", "lowerarm01", "wrist")
        )
        upper, lower = float(np.linalg.norm(elbow - shoulder)), float(np.linalg.norm(wrist - elbow))
        on_upper = (model.canonical - shoulder) @ (elbow - shoulder) / upper
        on_lower = (model.canonical - elbow) @ (wrist - elbow) / lower
        length = np.where(on_lower > 0, upper + on_lower, np.clip(on_upper, 0, None)) / (upper + lower)
        here = (np.sign(model.canonical[:, 0]) == sign) & (arm > 0.3)
        along[here] = np.maximum(length[here], 0.02)
    return along


@dataclass(frozen=True)
class Figure:
    """A dressed person.

    Attributes:
        person, outfit, gait: who, in what, walking how.
        faces: (F, 3) int32; kinds: (F,) int32 material, -1 where the body's clothes decide.
        attributes: (V, 7) float32, see `Regions`.
        tailoring: cut and cloths for the shader.
        worn: (V,) bool, vertices that count as the person: body, clothes, hair, hat; not bags or aids.
    """

    person: Person
    outfit: Outfit
    gait: Gait
    faces: NDArray[np.int32]
    kinds: NDArray[np.int32]
    attributes: NDArray[np.float32]
    tailoring: Tailoring
    worn: NDArray[np.bool_]
    _clothed: Vertices
    _parts: tuple[Part, ...]
    _carriers: NDArray[np.int32]

    def pose(self, phase: float, standing: float = 0.0, head_turn: float = 0.0) -> Vertices:
        """(V, 3) float32 vertices at this phase of the gait, feet on z = 0, facing -y, metres.

        Args:
            phase: 0..1 through the gait cycle of two steps.
            standing: 0 walks, 1 stands still.
            head_turn: radians to the left.
        """
        model, body = body_model(), self.person.body
        transforms = bone_transforms(model, body, pose(self.gait, phase, standing, head_turn))
        posed = skin(self._clothed, model.weight_bones, model.weights, transforms)
        root = body.joints[0]
        if self.gait.seated:
            posed[:, 2] += _SEAT_M - float(posed[self._carriers, 2].min())
            lift = float(posed[:, 2].min()) - 0.1
            posed[:, 2] -= min(lift, 0.0)
        else:
            posed[:, 2] -= posed[:, 2].min()
        shift = float(
            posed[0, 2] - skin(self._clothed[:1], model.weight_bones[:1], model.weights[:1], transforms)[0, 2]
        )
        pieces = [posed]
        for part in self._parts:
            bone = transforms[model.bones.index(part.bone)]
            pieces.append(_attached(part, bone, body.joints[model.bones.index(part.bone)], shift))
        for rings in self.tailoring.rings:
            levels = _levels(rings)
            heights = (levels - model.canonical_joints[0, 2]) * self._size + root[2] + shift
            pieces.append(hanging_rings(
                posed, self._carriers, model.canonical[:, 2].copy(), levels, heights.astype(np.float32),
                root[:2].copy(), _AROUND, rings.slack * self._size, rings.flare, _BAND,
            ))  # fmt: skip
        return np.concatenate(pieces)

    @property
    def _size(self) -> float:
        return self.person.body.height / 1.837


def _attached(part: Part, bone: NDArray[np.float32], joint: NDArray[np.float32], shift: float) -> Vertices:
    vertices = part.mesh.vertices
    if part.attachment == "ground":
        return vertices
    if part.attachment == "bone":
        return np.asarray(
            vertices @ bone[:, :3].T + bone[:, 3] + np.array([0, 0, shift], np.float32), np.float32
        )
    hand = bone[:, :3] @ joint + bone[:, 3] + np.array([0, 0, shift - 0.06], np.float32)
    if part.attachment == "hand":
        return np.asarray(vertices + hand, np.float32)
    foot = np.array([hand[0], hand[1] - 0.08, 0.0], np.float32)
    up = vertices[:, 2:3]
    return np.asarray(foot * (1 - up) + hand * up + vertices * np.array([1, 1, 0], np.float32), np.float32)


def _levels(rings: Rings) -> NDArray[np.float32]:
    count = max(4, int((rings.top - rings.bottom) / _RING_STEP) + 1)
    return np.linspace(rings.top, rings.bottom, count).astype(np.float32)


def build_figure(person: Person, outfit: Outfit) -> Figure:
    """Dress `person` in `outfit`."""
    model, body, area = body_model(), person.body, regions()
    size = body.height / 1.837
    tailoring = tailor(person, outfit)
    gait = make_gait(person, outfit.bag.kind, outfit.aid.kind)
    clothed = _clothe(person, outfit, tailoring, area)
    rest, z, along = body.vertices, area.attributes[:, 2], area.attributes[:, 3]
    scalp = rest[area.attributes[:, 4] > 0.95]
    width = float(np.ptp(scalp[:, 0])) / 0.1815
    head = Head(np.array([0, scalp[:, 1].min() + 0.114 * width, scalp[:, 2].max() - 0.0892 * width]), width)
    torso = (along <= 0.03) & (area.attributes[:, 4] < 0.1)
    back = rest[torso & (z > 0.35) & (z < 0.6) & (np.abs(area.attributes[:, 0]) < 0.1)][:, 1].max()
    hip = np.abs(rest[torso & (z > 0.05) & (z < 0.2)][:, 0]).max() + tailoring.body_thickness
    joint = {name: body.joints[model.bones.index(name)] for name in ("root", "spine02", "neck01")}
    parts = (
        *head_parts(person, outfit, head),
        *bag_parts(outfit, size, float(back) + tailoring.body_thickness, float(hip),
                   float(joint["root"][2]) - 0.02 * size, float(joint["spine02"][2]) + 0.06 * size),
        *hood_parts(outfit, size, float(back) + tailoring.body_thickness, float(joint["neck01"][2])),
        *aid_parts(outfit, size),
    )  # fmt: skip
    faces, kinds, attributes = [model.faces], [np.full(len(model.faces), -1, np.int32)], [area.attributes]
    worn = [np.ones(len(rest), bool)]
    count = len(rest)
    for part in parts:
        faces.append(part.mesh.faces + count)
        kinds.append(np.full(len(part.mesh.faces), part.material, np.int32))
        attributes.append(_flat(part.mesh.vertices / size))
        worn.append(np.full(len(part.mesh.vertices), part.worn))
        count += len(part.mesh.vertices)
    for rings in tailoring.rings:
        levels = _levels(rings)
        faces.append(grid_faces(_AROUND, len(levels), True) + count)
        kinds.append(np.full(len(faces[-1]), rings.material, np.int32))
        angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
        round_x, round_y = np.tile([0.17 * np.sin(angle), -0.12 * np.cos(angle)], len(levels))
        place = np.stack([round_x, round_y, np.repeat(levels, _AROUND)], 1)
        attributes.append(_flat(place.astype(np.float32)))
        worn.append(np.ones(len(place), bool))
        count += len(place)
    carriers = (along < 0.03) & (area.attributes[:, 4] < 0.3) & (area.attributes[:, 6] < 0.3) & (z < 0.5)
    if gait.seated:
        carriers &= z > -0.25
    return Figure(
        person, outfit, gait, np.concatenate(faces).astype(np.int32), np.concatenate(kinds),
        np.ascontiguousarray(np.concatenate(attributes)), tailoring, np.concatenate(worn), clothed, parts,
        np.flatnonzero(carriers).astype(np.int32),
    )  # fmt: skip


def _flat(place: NDArray[np.float32]) -> NDArray[np.float32]:
    """Attributes of a vertex off the body: only its place."""
    rows = np.zeros((len(place), 7), np.float32)
    rows[:, :3] = place
    return rows


def _clothe(person: Person, outfit: Outfit, tailoring: Tailoring, area: Regions) -> Vertices:
    """The body's vertices with clothes and hair on."""
    rest, cut = person.body.vertices, tailoring.cut
    z, along, head, hand, foot = area.attributes[:, 2:].T
    normals = area.smooth(vertex_normals(rest, body_model().faces), 3)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    body = (head < 0.5) & (along <= 0.03)
    top = body & (z < 0.78) & (z > cut[k.HEM])
    legs = body & (z <= cut[k.HEM]) & (z > cut[k.LEG_END]) & (foot < 0.5)
    sleeves = (along > 0.03) & (hand < 0.5) & (along < cut[k.SLEEVE_END])
    shoes = (foot > 0.5) | ((z < cut[k.SHOE_TOP]) & (z < 0))
    thickness = np.zeros(len(rest), np.float32)
    thickness[top] = tailoring.body_thickness
    thickness[sleeves] = tailoring.sleeve_thickness * (1 + 0.5 * (cut[k.SLEEVE_END] < 0.6) * along[sleeves])
    thickness[legs] = tailoring.leg_thickness + tailoring.leg_flare * np.clip((0.1 - z[legs]) / 0.8, 0, 1)
    thickness[shoes] = 0.009
    thickness += _hair_thickness(person, outfit, area)
    clothed = rest + normals * area.smooth(thickness, 1)[:, None]
    loose = (top & (tailoring.body_thickness > 0.008)) | (legs & (tailoring.leg_thickness > 0.005)) | sleeves
    share = area.smooth(loose.astype(np.float32), 2)[:, None]
    rounded = area.smooth(clothed.astype(np.float32), 4 if tailoring.body_thickness > 0.012 else 2)
    return np.asarray(clothed * (1 - share) + (rounded + normals * 0.004) * share, np.float32)


def _hair_thickness(person: Person, outfit: Outfit, area: Regions) -> NDArray[np.float32]:
    x, y, z, _, head = area.attributes[:, :5].T
    line = np.interp(y, [-0.17, -0.11, -0.065, -0.01, 0.05], [0.982, 0.968, 0.90, 0.84, 0.825])
    covered = np.clip((z - line) / 0.03, 0, 1) * (head > 0.5)
    depth = _HAIR[person.hair_style] * (0.8 + 0.45 * person.hair_length)
    if outfit.hat.kind in ("beanie", "cap", "bucket"):
        depth = min(depth, 0.01)
    thickness = covered * depth * np.clip(0.5 + (z - 0.86) / 0.1, 0.3, 1.2)
    if outfit.hat.kind in ("hood", "headscarf"):
        face = (y < -0.075) & (np.abs(x) < 0.068) & (z < 0.972)
        wrapped = ((head > 0.5) & ~face) | ((z > 0.74) & (area.attributes[:, 3] < 0.03))
        thickness[wrapped] = np.maximum(thickness[wrapped], 0.02 if outfit.hat.kind == "headscarf" else 0.032)
    return np.asarray(thickness, np.float32)
