"""Who somebody is, whatever they wear: age, sex, build, skin, hair, and the way they walk.

Everything follows from one seed. Heights are near those of Korea's population, so that a crowd looks
right; skin and hair vary more widely, because a network trained on these people must know everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from reid.errors import UnknownNameError
from reid.people.body import Body, body_model
from reid.people.colours import Colour, srgb

AgeGroup = Literal["child", "adult", "elder"]
AGE_GROUPS: tuple[AgeGroup, ...] = get_args(AgeGroup)

_YEARS = {"child": (3.0, 13.0), "adult": (17.0, 64.0), "elder": (66.0, 92.0)}
_SHARES = (0.12, 0.68, 0.20)
_AGE_OF_YEARS = (
    (0, 1, 3, 6, 10, 14, 18, 25, 60, 95),
    (-0.3, 0.05, 0.15, 0.23, 0.33, 0.45, 0.56, 0.67, 0.83, 1),
)
_HEIGHT_YEARS = (1, 3, 6, 9, 12, 15, 18, 40, 70, 90)
_HEIGHTS = {  # metres, mean of boys and men, of girls and women; roughly Korea's 2020 survey
    True: (0.77, 0.97, 1.17, 1.35, 1.53, 1.70, 1.74, 1.73, 1.66, 1.63),
    False: (0.76, 0.96, 1.16, 1.34, 1.53, 1.60, 1.61, 1.60, 1.53, 1.49),
}
_SKINS = ("#f0cdb2", "#e8bd9d", "#dcab86", "#c99a74", "#b07e58", "#8a5a3b", "#63402a", "#3f281b")
_SKIN_SHARES = (4, 6, 6, 4, 2, 1.5, 1, 1)
_HAIRS = (
    "#0f0d0c",
    "#16120f",
    "#241a14",
    "#3a2a1f",
    "#5a4130",
    "#8a6a48",
    "#b89868",
    "#6e3a22",
    "#8f8f8f",
    "#c4c4c4",
)
_HAIR_SHARES = {
    "child": (8, 7, 5, 2, 1, 0.5, 0.5, 0.2, 0, 0),
    "adult": (8, 7, 5, 4, 3, 1.5, 1, 1, 0.5, 0.2),
    "elder": (3, 2, 2, 1, 0.5, 0.3, 0.2, 0.2, 7, 7),
}
HairStyle = Literal["short", "crop", "bald", "balding", "long", "bob", "ponytail", "bun", "curls"]
_STYLES: Mapping[tuple[bool, bool], Mapping[HairStyle, float]] = {  # by (male, elder)
    (True, False): {"short": 0.62, "crop": 0.24, "bald": 0.03, "balding": 0.04, "curls": 0.04, "long": 0.03},
    (True, True): {"short": 0.5, "crop": 0.2, "bald": 0.1, "balding": 0.2},
    (False, False): {"long": 0.4, "bob": 0.2, "ponytail": 0.2, "bun": 0.09, "short": 0.07, "curls": 0.04},
    (False, True): {"curls": 0.42, "short": 0.25, "bob": 0.22, "bun": 0.08, "long": 0.03},
}


@dataclass(frozen=True)
class Person:
    """One person who does not exist.

    Attributes:
        seed: what everything follows from.
        years: age in years.
        age_group: child (to 13), adult, elder (from 66).
        male: body and, mostly, wardrobe.
        height_m: metres, barefoot.
        weight, muscle, proportions: 0..1, as the body model has them.
        origin: shares of the body model's three faces.
        skin, hair: linear RGB.
        hair_style: the cut; a hat may hide it.
        hair_length: 0..1 within the style.
        beard: wears one.
    """

    seed: int
    years: float
    age_group: AgeGroup
    male: bool
    height_m: float
    weight: float
    muscle: float
    proportions: float
    origin: tuple[float, float, float]
    skin: Colour
    hair: Colour
    hair_style: HairStyle
    hair_length: float
    beard: bool

    @cached_property
    def body(self) -> Body:
        """The body of this person, of the wanted height."""
        shape = {
            "age": float(np.interp(self.years, *_AGE_OF_YEARS)),
            "gender": 0.05 if self.male else 0.95,
            "weight": self.weight,
            "muscle": self.muscle,
            "proportions": self.proportions,
            **dict(zip(("african", "asian", "caucasian"), self.origin, strict=True)),
        }
        model = body_model()
        low, high = (model.body({**shape, "height": at}).height for at in (0.2, 0.6))
        wanted = 0.2 + 0.4 * (self.height_m - low) / (high - low)
        return model.body({**shape, "height": float(np.clip(wanted, 0, 1))})


def make_person(seed: int, age_group: str | None = None) -> Person:
    """The person of this seed, of the wanted age group (by default any).

    Raises:
        UnknownNameError: no such age group.
    """
    rng = np.random.default_rng([seed, 1])
    if age_group is None:
        group = AGE_GROUPS[int(rng.choice(3, p=_SHARES))]
    elif age_group in AGE_GROUPS:
        group = next(each for each in AGE_GROUPS if each == age_group)
    else:
        raise UnknownNameError("age group", age_group, AGE_GROUPS)
    years = float(rng.uniform(*_YEARS[group]))
    male = bool(rng.random() < 0.5)
    height = float(np.interp(years, _HEIGHT_YEARS, _HEIGHTS[male]) * rng.normal(1, 0.036))
    elder = group == "elder"
    styles = _STYLES[male, elder]
    style = list(styles)[int(rng.choice(len(styles), p=np.array(list(styles.values()))))]
    if group == "child" and style in ("bald", "balding"):
        style = "short"
    hair_shares = np.array(_HAIR_SHARES[group])
    tint = np.exp(rng.normal(0, 0.07)) * np.exp(rng.normal(0, 0.03, 3))
    skin = srgb(_SKINS[int(rng.choice(len(_SKINS), p=np.array(_SKIN_SHARES) / sum(_SKIN_SHARES)))])
    african, caucasian = (1.0, 0.2) if skin[0] < 0.2 else (0.1, float(rng.uniform(0, 0.8)))
    return Person(
        seed=seed,
        years=years,
        age_group=group,
        male=male,
        height_m=height,
        weight=float(np.clip(rng.normal(0.5 if not elder else 0.53, 0.17), 0.08, 0.98)),
        muscle=float(np.clip(rng.normal(0.5 if not elder else 0.35, 0.13), 0.1, 0.9)),
        proportions=float(rng.uniform(0.2, 0.8)),
        origin=(african, 1.0, caucasian),
        skin=Colour(*(np.array(skin) * tint)),
        hair=srgb(_HAIRS[int(rng.choice(len(_HAIRS), p=hair_shares / hair_shares.sum()))]),
        hair_style=style,
        hair_length=float(rng.random()),
        beard=bool(male and group != "child" and rng.random() < (0.3 if elder else 0.15)),
    )
