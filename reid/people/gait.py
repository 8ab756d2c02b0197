"""How people move: rotations of the bones over one gait cycle, by age and by what they lean on.

A cycle is two steps. Amplitudes follow the gait literature loosely: children swing more and step faster,
the old take short steps with bent trunks and little arm swing (Winter 1991; Murray et al. 1969).
Rotations are about world axes at the joint, applied parents first. Knows no clothes and no place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.people.body import Body, BodyModel
from reid.people.persons import Person

Rotation = NDArray[np.float64]
"""(3, 3)."""


def about_x(angle: float) -> Rotation:
    """Rotation about the axis to the person's left; positive bends a limb backward."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])


def about_y(angle: float) -> Rotation:
    """Rotation about the axis to the person's back; positive lowers the left arm."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def about_z(angle: float) -> Rotation:
    """Rotation about the vertical."""
    c, s = math.cos(angle), math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


@dataclass(frozen=True)
class Gait:
    """The walk of one person.

    Attributes:
        hip, knee, arm: swing in radians.
        legs_in, arms_in: radians by which limbs come in from the rest pose.
        elbow: bend in radians. lean, hunch, head: forward bend of trunk, upper back, head.
        left, right: what each arm does: swing, pocket, phone, forward, carry, push, cane, hold.
        seated: rides a wheelchair.
        speed_m_s: comfortable walking speed. cycle_m: metres walked in one cycle.
    """

    hip: float
    knee: float
    arm: float
    legs_in: float
    arms_in: float
    elbow: float
    lean: float
    hunch: float
    head: float
    left: str
    right: str
    seated: bool
    speed_m_s: float
    cycle_m: float


_SPEEDS = {"child": 1.15, "adult": 1.3, "elder": 0.9}
_AID_SPEED = {"cane": 0.75, "walking frame": 0.6, "wheelchair": 0.8, "stroller": 0.9}


def make_gait(person: Person, bag: str, aid: str) -> Gait:
    """The walk of a person who carries this bag and leans on this aid; the same person walks the same."""
    rng = np.random.default_rng([person.seed, 5])
    elder, child = person.age_group == "elder", person.age_group == "child"
    frail = float(np.clip((person.years - 70) / 18 + rng.normal(0, 0.25), 0, 1)) if elder else 0.0
    hip = rng.uniform(0.38, 0.52) * (1 - 0.4 * frail) * (1.05 if child else 1)
    size = person.height_m / 1.7
    speed = _SPEEDS[person.age_group] * rng.normal(1, 0.12) * size**0.5 * (1 - 0.35 * frail)
    left, right = _arms(rng, bag, aid)
    bent = 0.09 if aid in ("walking frame", "stroller") else 0.0
    return Gait(
        hip=hip,
        knee=rng.uniform(0.75, 1.05) * (1 - 0.35 * frail),
        arm=rng.uniform(0.2, 0.5) * (0.5 if elder else 1) * (1.25 if child else 1),
        legs_in=rng.uniform(0.06, 0.13) - 0.03 * frail,
        arms_in=rng.uniform(0.46, 0.62),
        elbow=rng.uniform(0.2, 0.55),
        lean=rng.normal(0.02, 0.025) + 0.13 * frail + bent,
        hunch=rng.normal(0.03, 0.04) + 0.2 * frail + bent,
        head=rng.normal(0.06, 0.07) - 0.08 * frail,
        left=left,
        right=right,
        seated=aid == "wheelchair",
        speed_m_s=float(np.clip(speed, 0.35, 2.0)) * _AID_SPEED.get(aid, 1.0),
        cycle_m=4 * hip * 0.86 * person.height_m * 0.5,
    )


def _arms(rng: np.random.Generator, bag: str, aid: str) -> tuple[str, str]:
    free = ("swing", "pocket", "phone", "forward")
    left, right = (free[int(rng.choice(4, p=(0.7, 0.12, 0.08, 0.1)))] for _ in range(2))
    if left == right == "phone":
        right = "swing"
    if aid in ("walking frame", "stroller"):
        return "push", "push"
    if aid == "wheelchair":
        return "lap", "lap"
    if bag in ("handbag", "suitcase"):
        left = "carry"
    if aid in ("cane", "umbrella"):
        right = "cane" if aid == "cane" else "hold"
    return left, right


def pose(gait: Gait, phase: float, standing: float, head_turn: float) -> dict[str, Rotation]:
    """Rotation of each moving bone.

    Args:
        gait: whose walk.
        phase: 0..1 through the cycle; at 0 the left leg is in front.
        standing: 0 walks, 1 stands still.
        head_turn: radians to the left.
    """
    moving = 1 - standing
    turned: dict[str, Rotation] = {}
    for side, sign, shift in (("L", 1, 0.0), ("R", -1, 0.5)):
        q = 2 * math.pi * (phase + shift)
        turned.update(_seated_leg(side) if gait.seated else _leg(gait, side, sign, q, moving))
        swing = gait.arm * math.cos(q + math.pi) * moving
        turned.update(_arm(gait, gait.left if side == "L" else gait.right, side, sign, swing))
    sway = moving * math.cos(2 * math.pi * phase) * (0 if gait.seated else 1)
    turned["spine05"] = about_x(gait.lean - 0.08 * gait.seated) @ about_z(0.06 * sway)
    turned["spine02"] = about_x(gait.hunch) @ about_z(-0.13 * sway)
    turned["neck01"] = about_x(gait.head - gait.lean * 0.5 - gait.hunch * 0.5)
    turned["head"] = about_z(head_turn) @ about_x(gait.head * 0.5)
    return turned


def _leg(gait: Gait, side: str, sign: int, q: float, moving: float) -> dict[str, Rotation]:
    hip = moving * (gait.hip * math.cos(q) + 0.06) + (1 - moving) * 0.02 * sign
    bend = gait.knee * max(0.0, math.sin(-q + 0.6)) ** 1.5 + 0.18 * max(0.0, math.sin(q + 0.3)) ** 4
    knee = moving * (0.12 + bend) + 0.03
    ankle = moving * 0.22 * math.sin(-q - 0.3)
    return {
        f"upperleg01.{side}": about_x(-hip) @ about_y(sign * gait.legs_in),
        f"lowerleg01.{side}": about_x(knee),
        f"foot.{side}": about_x(hip * 0.35 - knee * 0.45 + ankle * 0.6),
    }


def _seated_leg(side: str) -> dict[str, Rotation]:
    return {
        f"upperleg01.{side}": about_x(-1.45),
        f"lowerleg01.{side}": about_x(1.3),
        f"foot.{side}": about_x(0.1),
    }


def _arm(gait: Gait, doing: str, side: str, sign: int, swing: float) -> dict[str, Rotation]:
    upper, lower = f"upperarm01.{side}", f"lowerarm01.{side}"
    close = sign * gait.arms_in
    if doing == "phone":
        return {
            upper: about_x(-1.2) @ about_y(close + 0.25 * sign),
            lower: about_z(-1.1 * sign) @ about_x(-1.15),
        }
    if doing == "forward":
        return {upper: about_x(-0.25) @ about_y(close), lower: about_z(-sign * 0.75) @ about_x(-0.55)}
    if doing == "pocket":
        return {upper: about_x(0.2 - 0.3 * swing) @ about_y(close - 0.2 * sign),
                lower: about_x(-0.05) @ about_y(sign * 0.35)}  # fmt: skip
    if doing == "push":
        return {upper: about_x(-0.4 - gait.lean) @ about_y(close), lower: about_x(-0.05)}
    if doing == "lap":
        return {upper: about_x(-0.25) @ about_y(close), lower: about_z(-sign * 0.35) @ about_x(-0.35)}
    if doing == "cane":
        return {upper: about_x(-0.5 * swing - 0.12) @ about_y(close - 0.05 * sign), lower: about_x(0.3)}
    if doing == "hold":
        return {upper: about_x(-0.3) @ about_y(close), lower: about_z(-sign * 0.3) @ about_x(-1.2)}
    if doing == "carry":
        return {
            upper: about_x(-0.35 * swing) @ about_y(close - 0.05 * sign),
            lower: about_x(gait.elbow + 0.1),
        }
    return {
        upper: about_x(-swing - 0.02) @ about_y(close),
        lower: about_x(gait.elbow - 0.5 * max(0.0, swing)),
    }


def bone_transforms(model: BodyModel, body: Body, turned: Mapping[str, Rotation]) -> NDArray[np.float32]:
    """(B, 3, 4) float32: forward kinematics, each bone turned about its own joint and its parents' turns."""
    transforms = np.zeros((len(model.bones), 3, 4))
    for bone, name in enumerate(model.bones):
        parent = model.parents[bone]
        rotation, offset = (
            (np.eye(3), np.zeros(3)) if parent < 0 else (transforms[parent, :, :3], transforms[parent, :, 3])
        )
        own = turned.get(name)
        if own is None:
            transforms[bone, :, :3], transforms[bone, :, 3] = rotation, offset
        else:
            joint = body.joints[bone].astype(float)
            transforms[bone, :, :3] = rotation @ own
            transforms[bone, :, 3] = rotation @ (joint - own @ joint) + offset
    return transforms.astype(np.float32)
