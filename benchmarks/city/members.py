"""Who lives in the city: everybody is a few seeds, from which the renderer makes body and clothes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AgeGroup = Literal["child", "adult", "elder"]
Role = Literal["missing", "lookalike", "bystander"]
Pattern = Literal["direct", "random", "pacing", "lapping", "running"]
"""How somebody walks through a picture. The first four are the travel patterns of people with dementia
(Martino-Saltzman et al. 1991); running is a child's: fast, with stops."""

FIRST_ID = 1
FIRST_BYSTANDER = 10_000
"""Ids from here are bystanders'; below are the missing's, then those of their lookalikes."""


@dataclass(frozen=True)
class Member:
    """Somebody, in one set of clothes.

    Attributes:
        id: the same in all cameras, from 1.
        role: why they are here.
        seed: of the person.
        age_group: of the person.
        outfit_seed: of the clothes.
        uniform: dressed like others, a name of `reid.people.outfits.UNIFORMS`; None: own clothes.
        original: whom a lookalike is dressed like; None for all others.
    """

    id: int
    role: Role
    seed: int
    age_group: AgeGroup
    outfit_seed: int
    uniform: str | None = None
    original: Member | None = None


@dataclass(frozen=True)
class WalkPlan:
    """Somebody walks through a clip, along a route the camera's scene will offer.

    Attributes:
        member: who.
        at_s: second of the clip at which the camera sees them best.
        route: which of the scene's routes, modulo how many there are.
        reverse: from the route's end to its beginning.
        right_m: metres to the right of the route, seen in walking direction.
        pattern: how.
        speed_m_s: metres a second while walking.
        seed: of what the pattern leaves open.
    """

    member: Member
    at_s: float
    route: int
    reverse: bool
    right_m: float
    pattern: Pattern
    speed_m_s: float
    seed: int


@dataclass(frozen=True)
class Missing:
    """A missing person and their photo.

    Attributes:
        member: as they walk through the city.
        home: slug of the district they live in.
        photo_kind: what `reid.people.photos.take_photo` takes.
        photo_outfit_seed: of the clothes in the photo; another than the member's after a change.
        photo_seed: of the photo.
    """

    member: Member
    home: str
    photo_kind: str
    photo_outfit_seed: int
    photo_seed: int

    @property
    def clothes_change(self) -> bool:
        """The photo shows other clothes."""
        return self.photo_outfit_seed != self.member.outfit_seed
