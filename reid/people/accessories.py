"""Hair, hats, bags, sticks and wheels: meshes that go with a person.

Shapes on the head are made on the mean adult's head and carried over to the person's. Knows no cloth
beyond the number of a material.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reid.people.kernels.cloth import (
    ACROSS,
    ACROSS_OTHER,
    AID,
    BAG,
    BOTH_SHOULDERS,
    BOTTOM,
    DARK,
    HAIR,
    HAT,
    LEFT_SHOULDER,
    METAL,
    RIGHT_SHOULDER,
    SKIN,
    STRAP,
    TOP,
)
from reid.people.meshes import Mesh, dome, grid_faces, join, rounded_box, tube, wheel
from reid.people.outfits import HOODED, Garment, Outfit
from reid.people.persons import Person

# Half sides of bags as shares of the person: along the way one walks, across, up; roundness.
_HUNG = (
    (0.14, 0.05, 0.10, 0.4), (0.18, 0.045, 0.14, 0.3), (0.11, 0.05, 0.08, 0.6), (0.17, 0.06, 0.17, 0.35),
    (0.16, 0.07, 0.11, 0.9),
)  # fmt: skip
_CARRIED = (
    (0.15, 0.045, 0.13, 0.4), (0.13, 0.08, 0.18, 0.8), (0.2, 0.04, 0.14, 0.15), (0.12, 0.06, 0.16, 0.15),
    (0.11, 0.09, 0.11, 0.9),
)  # fmt: skip
Attachment = Literal["bone", "hand", "ground", "rod"]


@dataclass(frozen=True)
class Part:
    """One mesh that goes with the body.

    Attributes:
        mesh: vertices in the rest pose (bone), about the hand (hand), about the point on the ground below
            the person (ground), or, for a rod, offsets with z from 0 (ground) to 1 (hand).
        material: number of its cloth.
        attachment: how it moves.
        bone: what it hangs on; for a hand or rod, the wrist.
        worn: counts as the person when boxes are drawn, as clothes and hats do.
    """

    mesh: Mesh
    material: int
    attachment: Attachment
    bone: str
    worn: bool = False


@dataclass(frozen=True)
class Head:
    """Carries a place on the mean adult's head over: `where = middle + scale * (place - origin)`."""

    middle: NDArray[np.float64]
    scale: float

    ORIGIN = np.array([0.0, -0.06, 0.93])

    def place(self, mesh: Mesh) -> Mesh:
        """The mesh on this head."""
        moved = self.middle + self.scale * (mesh.vertices - self.ORIGIN)
        return Mesh(moved.astype(np.float32), mesh.faces)


def head_parts(person: Person, outfit: Outfit, head: Head) -> Iterator[Part]:
    """Long hair and hats."""
    hat = outfit.hat.kind
    if hat not in ("hood", "headscarf"):
        for mesh in _hair(person, hat):
            yield Part(head.place(mesh), HAIR, "bone", "head", True)
    for mesh in _hat(hat):
        yield Part(head.place(mesh), HAT, "bone", "head", True)


def _hair(person: Person, hat: str) -> Iterator[Mesh]:
    style, length = person.hair_style, person.hair_length
    if style in ("long", "bob"):
        yield _curtain((0.2 + 0.16 * length) if style == "long" else (0.09 + 0.06 * length))
    elif style == "ponytail":
        yield rounded_box(0.026, 0.034, 0.08 + 0.06 * length, 0.9).moved(0, 0.065, 0.86)
    elif style == "bun" and hat != "cap":
        yield rounded_box(0.042, 0.042, 0.04, 1.0).moved(0, 0.05, 0.985)


def _curtain(length: float) -> Mesh:
    """Hair that falls round the head, open at the face."""
    around, rows = 15, 8
    angle = np.linspace(-2.05, 2.05, around)
    rings = []
    for q in np.linspace(0, 1, rows):
        radius = 0.096 + 0.02 * np.sin(q * 2.2) - 0.02 * q * (length > 0.2)
        width = 0.9 * (1 - 0.25 * q * (length > 0.2))
        back = -0.055 + radius * 1.12 * np.cos(angle) + (0.03 if length > 0.2 else 0.01) * q
        rings.append(
            np.stack([radius * width * np.sin(angle), back, np.full(around, 0.975 - (length + 0.06) * q)], 1)
        )
    return Mesh(np.concatenate(rings).astype(np.float32), grid_faces(around, rows, False))


def _hat(kind: str) -> Iterator[Mesh]:
    crown = {"beanie": 0.105, "cap": 0.085, "bucket": 0.085}.get(kind)
    if crown:
        shape = dome(1.0, 1.0)
        scale = np.array([0.098, 0.124, crown], np.float32)
        yield Mesh(shape.vertices * scale, shape.faces).moved(0, -0.06, 0.945)
    if kind in ("cap", "bucket", "visor"):
        yield _brim(all_round=kind == "bucket")


def _brim(all_round: bool) -> Mesh:
    around = 24
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)
    front = (0.5 + 0.5 * np.cos(angle)) ** 0.7
    reach = np.full(around, 0.055) if all_round else 0.078 * front
    drop = np.full(around, 0.03) if all_round else 0.012 * front
    inner = np.stack([0.098 * np.sin(angle), -0.06 - 0.124 * np.cos(angle), np.full(around, 0.95)], 1)
    spread = 1 + reach / 0.11
    outer = np.stack([inner[:, 0] * spread, -0.06 + (inner[:, 1] + 0.06) * spread, 0.95 - drop], 1)
    return Mesh(np.concatenate([inner, outer]).astype(np.float32), grid_faces(around, 2, True))


def bag_parts(
    outfit: Outfit, size: float, back_y: float, hip_x: float, waist_z: float, back_z: float
) -> Iterator[Part]:
    """The bag.

    Args:
        outfit: whose bag.
        size: the person's height over the mean adult's.
        back_y, back_z: where a backpack lies on; hip_x, waist_z: where a shoulder bag hangs. Metres.
    """
    rng = np.random.default_rng([outfit.bag.seed, 8])
    big = float(rng.uniform(0.75, 1.25)) * size
    kind = outfit.bag.kind
    if kind == "backpack":
        yield from _backpack(rng, hangs(outfit.bag), big, size, back_y, back_z)
    elif kind in ("shoulder", "crossbody"):
        right = hangs(outfit.bag) in (ACROSS_OTHER, RIGHT_SHOULDER)
        wide, deep, tall, roundness = _HUNG[int(rng.integers(len(_HUNG)))]
        mesh = rounded_box(deep * big, wide * big, tall * big, roundness)
        high = float(rng.uniform(-0.06, 0.1) + 0.12 * (kind == "shoulder" and rng.random() < 0.5)) * size
        if kind == "crossbody" and rng.random() < 0.3:  # on the back
            mesh = rounded_box(wide * big, deep * big, tall * big, roundness)
            yield Part(
                mesh.moved(0, back_y + deep * big, waist_z + high + 0.06 * size), BAG, "bone", "spine05"
            )
        else:
            beside = (-1 if right else 1) * (hip_x + 0.6 * deep * big)
            yield Part(
                mesh.moved(beside, float(rng.uniform(-0.09, 0.12)), waist_z + high), BAG, "bone", "spine05"
            )
    elif kind == "handbag":
        wide, deep, tall, roundness = _CARRIED[int(rng.integers(len(_CARRIED)))]
        below = (0.05 + float(rng.uniform(0.03, 0.12)) + tall) * big
        yield Part(
            rounded_box(deep * big, wide * big, tall * big, roundness).moved(0, 0, -below),
            BAG,
            "hand",
            "wrist.L",
        )
        rim = -below + 0.9 * tall * big
        handles = [tube((0, 0, -0.03), (0, y * wide * big, rim), 0.006) for y in (-0.5, 0.5)]
        yield Part(join(handles), STRAP, "hand", "wrist.L")
    elif kind == "suitcase":
        body = rounded_box(0.2, 0.12, 0.3, 0.3).moved(0.3 * size, 0.42 * size, 0.36)
        handle = tube((0.3 * size, 0.36 * size, 0.6), (0.3 * size, 0.3 * size, 0.95 * size), 0.01)
        yield Part(body, BAG, "ground", "root")
        yield Part(handle, METAL, "ground", "root")


def hangs(bag: Garment) -> int:
    """How it hangs, see `kernels.cloth`; 0 for what is carried in the hand."""
    if bag.kind == "crossbody":
        return ACROSS if bag.seed % 2 else ACROSS_OTHER
    if bag.kind == "shoulder" or (bag.kind == "backpack" and bag.seed % 8 == 0):
        return LEFT_SHOULDER if bag.seed % 16 < 8 else RIGHT_SHOULDER
    return BOTH_SHOULDERS if bag.kind == "backpack" else 0


def _backpack(
    rng: np.random.Generator, strap: int, big: float, size: float, back_y: float, back_z: float
) -> Iterator[Part]:
    """A bag with a pocket, zips, and perhaps a dark base and side pockets; on one shoulder it hangs aside."""
    half_x, half_y, half_z = (
        float(rng.uniform(*each)) * big for each in ((0.11, 0.18), (0.05, 0.12), (0.16, 0.26))
    )
    aside = {LEFT_SHOULDER: 0.09, RIGHT_SHOULDER: -0.09}.get(strap, 0.0) * size
    x, y, z = aside, back_y + 0.8 * half_y, back_z + float(rng.uniform(-0.09, 0.03)) * size

    def box(wide: float, deep: float, tall: float, right: float, out: float, up: float) -> Mesh:
        """Half sides and place as shares of the bag's own."""
        shape = rounded_box(wide * half_x, deep * half_y, tall * half_z, 0.4)
        return shape.moved(x + right * half_x, y + out * half_y, z + up * half_z)

    bag = rounded_box(half_x, half_y, half_z, float(rng.uniform(0.3, 0.8))).moved(x, y, z)
    low = float(rng.uniform(0.1, 0.45))
    pocket = box(float(rng.uniform(0.6, 0.9)), 0.4, float(rng.uniform(0.3, 0.6)), 0, 1, -low)
    details = [box(0.6, 0.1, 0.03, 0, 1.35, -low + up) for up in (0.2, 0.45)[: int(rng.integers(3))]]
    details += [box(0.3, 0.5, 0.05, 0, -0.4, 1.0)]
    if rng.random() < 0.3:
        details.append(box(1.02, 1.05, 0.25, 0, 0, -0.8))
    if rng.random() < 0.4:
        details += [box(0.2, 0.7, 0.4, side, 0, -0.5) for side in (-1, 1)]
    yield Part(bag, BAG, "bone", "spine01")
    yield Part(pocket, BAG if rng.random() < 0.6 else STRAP, "bone", "spine01")
    yield Part(join(details), STRAP, "bone", "spine01")


def hood_parts(outfit: Outfit, size: float, back_y: float, neck_z: float) -> Iterator[Part]:
    """The hood that hangs down the back.

    Args:
        outfit: whose. size: the person's height over the mean adult's.
        back_y, neck_z: where the back and the neck are, metres.
    """
    rng = np.random.default_rng([outfit.top.seed, 11])
    if outfit.top.kind in HOODED and outfit.hat.kind != "hood" and rng.random() < 0.75:
        wide, tall = float(rng.uniform(0.09, 0.13)) * size, float(rng.uniform(0.06, 0.1)) * size
        hood = rounded_box(wide, 0.045 * size, tall, 0.8)
        yield Part(hood.moved(0, back_y + 0.01 * size, neck_z - 0.05 * size), TOP, "bone", "spine01", True)


def aid_parts(outfit: Outfit, size: float) -> Iterator[Part]:
    """Cane, walking frame, wheelchair, stroller with a child, umbrella; forward is -y."""
    kind = outfit.aid.kind
    if kind == "cane":
        stick = tube((0, -0.03, 0), (0, -0.03, 1), 0.011)
        yield Part(stick, AID, "rod", "wrist.R")
    elif kind == "umbrella":
        yield Part(dome(0.52, 0.22, hang=0.02).moved(0.12, 0.16, 0.67), AID, "hand", "wrist.R")
        yield Part(tube((0, -0.02, -0.08), (0.12, 0.16, 0.87), 0.008), METAL, "hand", "wrist.R")
    elif kind == "walking frame":
        yield from _walker(size)
    elif kind == "stroller":
        yield from _stroller(size)
    elif kind == "wheelchair":
        yield from _wheelchair()


def _walker(size: float) -> Iterator[Part]:
    """A rollator: two side frames, four wheels, a seat and a basket."""
    rods = []
    for x in (-0.24, 0.24):
        rods += [
            tube((x, -0.62, 0.1), (x, -0.36, 0.9 * size), 0.014),
            tube((x, -0.2, 0.1), (x, -0.42, 0.62 * size), 0.014),
        ]
        rods.append(tube((x, -0.36, 0.9 * size), (x, -0.24, 0.92 * size), 0.018))
    rods.append(tube((-0.24, -0.4, 0.75 * size), (0.24, -0.4, 0.75 * size), 0.012))
    yield Part(join(rods), METAL, "ground", "root")
    wheels = [wheel(0.1, around=14).moved(x, y, 0.1) for x in (-0.24, 0.24) for y in (-0.62, -0.2)]
    yield Part(join(wheels), DARK, "ground", "root")
    yield Part(rounded_box(0.2, 0.12, 0.1, 0.3).moved(0, -0.5, 0.45 * size), AID, "ground", "root")


def _stroller(size: float) -> Iterator[Part]:
    """A stroller with a small child's head and blanket in it."""
    handle = 0.98 * size
    rods = [tube((x, -1.05, 0.12), (x, -0.4, handle), 0.014) for x in (-0.22, 0.22)]
    rods += [tube((x, -0.45, 0.12), (x, -0.85, 0.55), 0.014) for x in (-0.22, 0.22)]
    rods.append(tube((-0.22, -0.4, handle), (0.22, -0.4, handle), 0.016))
    yield Part(join(rods), METAL, "ground", "root")
    wheels = [wheel(0.12, around=14).moved(x, y, 0.12) for x in (-0.22, 0.22) for y in (-1.05, -0.45)]
    yield Part(join(wheels), DARK, "ground", "root")
    seat = rounded_box(0.2, 0.3, 0.16, 0.4).moved(0, -0.82, 0.45)
    hood = dome(0.26, 0.3, around=16).moved(0, -0.66, 0.62)
    yield Part(join([seat, hood]), AID, "ground", "root")
    yield Part(rounded_box(0.07, 0.08, 0.08, 1.0).moved(0, -0.86, 0.7), SKIN, "ground", "root")
    yield Part(rounded_box(0.17, 0.22, 0.08, 0.5).moved(0, -0.92, 0.56), BOTTOM, "ground", "root")


def _wheelchair() -> Iterator[Part]:
    wheels = [wheel(0.3, around=22).moved(x, 0.08, 0.3) for x in (-0.3, 0.3)]
    wheels += [wheel(0.09, around=12).moved(x, -0.42, 0.09) for x in (-0.24, 0.24)]
    yield Part(join(wheels), DARK, "ground", "root")
    rods = []
    for x in (-0.26, 0.26):
        sides = (((0.22, 0.9), (0.14, 0.3)), ((0.16, 0.45), (-0.36, 0.45)), ((-0.36, 0.45), (-0.5, 0.12)),
                 ((0.18, 0.68), (-0.2, 0.68)), ((0.22, 0.9), (0.36, 0.92)))  # fmt: skip
        rods += [tube((x, *start), (x, *end), 0.015) for start, end in sides]
    yield Part(join(rods), METAL, "ground", "root")
    back = rounded_box(0.24, 0.02, 0.24, 0.3).moved(0, 0.2, 0.68)
    seat = rounded_box(0.24, 0.24, 0.03, 0.3).moved(0, -0.06, 0.45)
    step = rounded_box(0.2, 0.1, 0.015, 0.3).moved(0, -0.52, 0.1)
    yield Part(join([back, seat, step]), AID, "ground", "root")
