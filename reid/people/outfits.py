"""What somebody wears and carries: garments, cloth, hats, bags, aids; uniforms and lookalikes.

An outfit is data: kinds, cloths and a seed per item for its fine measures. How it is cut and drawn is
`tailoring` and `kernels.cloth`; the words for it are in `labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reid.errors import UnknownNameError
from reid.people.cloth import Cloth, make_cloth
from reid.people.colours import Dye, dye
from reid.people.persons import Person

UNIFORMS = ("school", "work vest", "black padded coat")
SEASONS = ("summer", "mild", "winter")
HOODED = ("hoodie", "windbreaker", "padded jacket", "padded coat")
"""Tops with a hood: it is worn, or hangs down the back."""


@dataclass(frozen=True)
class Garment:
    """One item: what it is, its cloth, and a seed for its fine measures."""

    kind: str
    cloth: Cloth
    seed: int


@dataclass(frozen=True)
class Outfit:
    """All that somebody wears and carries.

    Attributes:
        top: outermost on the upper body; inner: what shows where it is open.
        bottom, shoes: the rest of the clothes; a dress is a bottom that reaches the shoulders.
        hat, bag, aid: kind "none" when there is none.
        glasses: wears them. mask: "none", "white" or "black", over mouth and nose.
        uniform: the uniform's name, or "".
    """

    top: Garment
    inner: Garment
    bottom: Garment
    shoes: Garment
    hat: Garment
    bag: Garment
    aid: Garment
    glasses: bool
    mask: str
    uniform: str = ""


# kind: (shares in summer, mild, winter; shares for men, women; patterns)
_TOPS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float], str]] = {
    "tee": (
        (8, 3, 0),
        (1, 1),
        "plain plain plain plain melange stripes stripes print logo logo logo two-tone",
    ),
    "polo": ((3, 1, 0), (1, 0.5), "plain plain plain stripes two-tone"),
    "tank": ((1, 0, 0), (0.5, 1), "plain plain stripes"),
    "shirt": ((4, 3, 0.5), (1, 1), "plain plain plain pinstripes check check dots"),
    "blouse": ((2, 2, 0.3), (0, 1), "plain plain dots print print"),
    "sweater": ((0.2, 3, 2), (1, 1), "plain plain plain melange stripes stripes check two-tone"),
    "cardigan": ((0.5, 2, 0.6), (0.3, 1), "plain plain melange stripes"),
    "hoodie": ((0.3, 3, 1), (1, 0.8), "plain plain plain logo logo two-tone melange"),
    "windbreaker": ((0.4, 3, 1), (1, 1), "plain plain plain two-tone two-tone logo diagonal"),
    "jacket": ((0.1, 3, 2), (1, 0.8), "plain plain plain plain check denim"),
    "blazer": ((0.3, 1.5, 0.6), (1, 0.8), "plain plain plain check pinstripes"),
    "quilted vest": ((0, 1.5, 1), (0.8, 1), "quilted"),
    "padded jacket": ((0, 1, 5), (1, 1), "quilted quilted quilted plain two-tone"),
    "padded coat": ((0, 0.2, 4), (1, 1), "quilted quilted plain"),
    "coat": ((0, 1, 3), (0.8, 1.1), "plain plain plain plain check"),
}
_BOTTOMS: Mapping[str, tuple[tuple[float, float, float], tuple[float, float], str]] = {
    "jeans": ((3, 4, 4), (1, 1), "denim"),
    "trousers": ((3, 4, 4), (1.2, 0.8), "plain plain plain plain plain plain pinstripes check"),
    "leggings": ((0.8, 1.5, 1.2), (0, 1), "plain plain plain plain print"),
    "joggers": ((1.2, 1.5, 1.2), (1, 0.8), "plain plain plain plain"),
    "shorts": ((5, 0.5, 0), (1, 0.9), "plain plain plain plain check print denim"),
    "skirt": ((1.5, 1.2, 0.5), (0, 1), "plain plain plain check dots print"),
    "long skirt": ((1, 1, 0.6), (0, 1), "plain plain plain dots print"),
    "dress": ((1.5, 1, 0.3), (0, 1), "plain plain plain dots print stripes"),
}
_BOTTOM_DYES = (
    "black",
    "black",
    "black",
    "charcoal",
    "navy",
    "grey",
    "beige",
    "khaki",
    "brown",
    "white",
    "cream",
)
_DENIMS = ("denim dark", "denim dark", "denim", "denim", "denim light", "black", "charcoal")
_SHOE_DYES = ("black", "black", "black", "white", "white", "grey", "brown", "navy", "beige", "red", "pink")
_COAT_DYES = (
    "black",
    "black",
    "black",
    "charcoal",
    "navy",
    "beige",
    "camel",
    "grey",
    "khaki",
    "white",
    "burgundy",
)
_ELDER_DYES = (
    "purple",
    "burgundy",
    "magenta",
    "navy",
    "grey",
    "beige",
    "mustard",
    "khaki",
    "red",
    "lavender",
    "brown",
    "black",
)
_INNER_DYES = ("white", "white", "light grey", "black", "navy", "grey", "sky", "beige")
_HATS = {
    "child": {"none": 0.72, "cap": 0.13, "beanie": 0.08, "bucket": 0.07},
    "adult": {"none": 0.8, "cap": 0.08, "beanie": 0.05, "bucket": 0.03, "hood": 0.03, "headscarf": 0.01},
    "elder": {"none": 0.58, "cap": 0.13, "visor": 0.08, "bucket": 0.12, "beanie": 0.06, "headscarf": 0.03},
}
_BAGS = {
    "child": {"none": 0.5, "backpack": 0.5},
    "adult": {
        "none": 0.44,
        "backpack": 0.2,
        "shoulder": 0.13,
        "crossbody": 0.11,
        "handbag": 0.09,
        "suitcase": 0.03,
    },
    "elder": {"none": 0.54, "backpack": 0.14, "crossbody": 0.14, "handbag": 0.12, "suitcase": 0.06},
}
_BAG_PATTERNS = (
    "plain plain plain plain two-tone two-tone print check stripes dots logo logo diagonal melange"
)
_AIDS = {
    "child": {"none": 0.99, "umbrella": 0.01},
    "adult": {"none": 0.955, "stroller": 0.03, "umbrella": 0.015},
    "elder": {"none": 0.665, "cane": 0.18, "walking frame": 0.08, "wheelchair": 0.06, "umbrella": 0.015},
}
_WRINKLES = {"tee": 0.4, "shirt": 0.45, "blouse": 0.5, "hoodie": 0.45, "windbreaker": 0.6, "jacket": 0.4,
             "padded jacket": 0.6, "padded coat": 0.6, "quilted vest": 0.5, "jeans": 0.45, "trousers": 0.35,
             "joggers": 0.5, "leggings": 0.15, "skirt": 0.3, "dress": 0.4}  # fmt: skip
_GLOSSY = {"windbreaker": 0.06, "padded jacket": 0.07, "padded coat": 0.05, "quilted vest": 0.05}


def make_outfit(person: Person, seed: int, uniform: str | None = None, season: str | None = None) -> Outfit:
    """What this person might wear; the same person with another seed is in other clothes.

    Args:
        person: who.
        seed: of this outfit. People in one uniform of one group share its colours by its own seed.
        uniform: one of `UNIFORMS`.
        season: one of `SEASONS`; by default any.

    Raises:
        UnknownNameError: no such uniform or season.
    """
    if uniform is not None and uniform not in UNIFORMS:
        raise UnknownNameError("uniform", uniform, UNIFORMS)
    if season is not None and season not in SEASONS:
        raise UnknownNameError("season", season, SEASONS)
    rng = np.random.default_rng([person.seed, seed, 2])
    at = SEASONS.index(season) if season else int(rng.choice(3, p=(0.3, 0.4, 0.3)))
    top, bottom = _top(rng, person, at), _bottom(rng, person, at)
    group = person.age_group
    boots = at == SEASONS.index("winter") and rng.random() < 0.25
    outfit = Outfit(
        top=top,
        inner=_item(
            rng,
            "shirt",
            dye(rng, _INNER_DYES if rng.random() < 0.6 else None),
            "plain plain stripes check logo",
            0.3,
        ),
        bottom=bottom,
        shoes=_item(rng, "boots" if boots else "shoes", dye(rng, _SHOE_DYES), "plain", 0.1, 0.05),
        hat=_item(rng, _pick(rng, _HATS[group]), dye(rng), "plain plain plain logo", 0.2),
        bag=_item(rng, _pick(rng, _BAGS[group]), dye(rng), _BAG_PATTERNS, 0.25, 0.05),
        aid=_item(rng, _pick(rng, _AIDS[group]), dye(rng), "plain", 0.1, 0.05),
        glasses=bool(rng.random() < (0.15 if group == "child" else 0.3)),
        mask=("none", "white", "black")[int(rng.choice(3, p=(0.8, 0.14, 0.06)))],
    )
    outfit = _possible(outfit, person)
    return _in_uniform(outfit, person, uniform, seed) if uniform else outfit


def lookalike(outfit: Outfit, person: Person, seed: int) -> Outfit:
    """The outfit on another person, with one to three items changed: the same type, not the same clothes."""
    rng = np.random.default_rng([person.seed, seed, 3])
    other = make_outfit(person, seed)
    worn = [name for name in ("top", "bottom", "shoes", "hat", "bag") if _either(outfit, other, name)]
    changed = rng.choice(worn, size=int(rng.integers(1, 4)), replace=False)
    own = {name: getattr(other, name) for name in ("aid", "glasses", "mask", *changed)}
    return _possible(replace(outfit, uniform="", **own), person)


def _either(first: Outfit, second: Outfit, name: str) -> bool:
    """Whether one of them has this item."""
    return any(getattr(outfit, name).kind != "none" for outfit in (first, second))


def _without(garment: Garment) -> Garment:
    return replace(garment, kind="none")


def _possible(outfit: Outfit, person: Person) -> Outfit:
    """Mend what cannot be worn together."""
    if person.male and outfit.bottom.kind in ("skirt", "long skirt", "dress", "leggings"):
        outfit = replace(outfit, bottom=replace(outfit.bottom, kind="trousers"))
    if outfit.top.kind in ("padded coat", "coat", "padded jacket") and outfit.bottom.kind == "shorts":
        outfit = replace(outfit, bottom=replace(outfit.bottom, kind="trousers"))
    if outfit.hat.kind == "hood" and outfit.top.kind not in HOODED:
        outfit = replace(outfit, hat=_without(outfit.hat))
    if outfit.hat.kind == "headscarf" and person.male:
        outfit = replace(outfit, hat=_without(outfit.hat))
    if outfit.aid.kind in ("walking frame", "wheelchair", "stroller") and outfit.bag.kind not in (
        "none",
        "backpack",
    ):
        outfit = replace(outfit, bag=_without(outfit.bag))
    if outfit.aid.kind in ("cane", "umbrella") and outfit.bag.kind == "suitcase":
        outfit = replace(outfit, bag=_without(outfit.bag))
    if outfit.aid.kind == "wheelchair" and outfit.bag.kind == "backpack":
        outfit = replace(outfit, bag=_without(outfit.bag))
    if person.age_group != "elder" and outfit.aid.kind in ("cane", "walking frame", "wheelchair"):
        outfit = replace(outfit, aid=_without(outfit.aid))
    if person.age_group == "child" and outfit.aid.kind == "stroller":
        outfit = replace(outfit, aid=_without(outfit.aid))
    return outfit


def _in_uniform(outfit: Outfit, person: Person, uniform: str, seed: int) -> Outfit:
    rng = np.random.default_rng([seed, UNIFORMS.index(uniform), 4])  # without the person: all alike
    if uniform == "school":
        top, bottom = (
            dye(rng, ("navy", "black", "charcoal", "burgundy")),
            dye(rng, ("grey", "charcoal", "navy", "beige")),
        )
        kind = ("blazer", "cardigan", "tracksuit")[int(rng.integers(3))]
        jacket = "windbreaker" if kind == "tracksuit" else kind
        pattern = "check" if rng.random() < 0.4 and kind != "tracksuit" else "plain"
        cloth, below = make_cloth(rng, top, "plain", 0.3), make_cloth(rng, bottom, pattern, 0.3)
        lower = "skirt" if not person.male and kind != "tracksuit" else "trousers"
        inner = replace(outfit.inner, cloth=make_cloth(rng, dye(rng, ("white",)), "plain", 0.3))
        return replace(outfit, uniform=uniform, inner=inner, hat=replace(outfit.hat, kind="none"),
                       top=Garment(jacket, cloth, seed),
                       bottom=Garment(lower, cloth if kind == "tracksuit" else below, seed))  # fmt: skip
    if uniform == "work vest":
        cloth = make_cloth(rng, dye(rng, ("lime", "orange")), "reflective", 0.35)
        return replace(outfit, uniform=uniform, top=Garment("work vest", cloth, seed))
    cloth = make_cloth(rng, dye(rng, ("black",)), "quilted", 0.6, 0.05)
    outfit = replace(outfit, uniform=uniform, top=Garment("padded coat", cloth, seed))
    return _possible(outfit, person)


def _top(rng: np.random.Generator, person: Person, season: int) -> Garment:
    kind = _pick(rng, {k: s[0][season] * s[1][0 if person.male else 1] for k, s in _TOPS.items()})
    names: Sequence[str] | None = None
    if kind in ("coat", "blazer", "padded coat", "padded jacket") and rng.random() < 0.75:
        names = _COAT_DYES
    elif person.age_group == "elder" and rng.random() < 0.6:
        names = _ELDER_DYES
    cloth = make_cloth(
        rng, dye(rng, names), _TOPS[kind][2], _WRINKLES.get(kind, 0.3), _GLOSSY.get(kind, 0.02)
    )
    return Garment(kind, cloth, _seed(rng))


def _bottom(rng: np.random.Generator, person: Person, season: int) -> Garment:
    kind = _pick(rng, {k: s[0][season] * s[1][0 if person.male else 1] for k, s in _BOTTOMS.items()})
    names: Sequence[str] | None = _DENIMS if kind == "jeans" else _BOTTOM_DYES
    if kind in ("skirt", "long skirt", "dress") or (kind == "shorts" and rng.random() < 0.4):
        names = None
    return Garment(
        kind, make_cloth(rng, dye(rng, names), _BOTTOMS[kind][2], _WRINKLES.get(kind, 0.35)), _seed(rng)
    )


def _item(
    rng: np.random.Generator, kind: str, main: Dye, patterns: str, wrinkle: float, gloss: float = 0.02
) -> Garment:
    return Garment(kind, make_cloth(rng, main, patterns, wrinkle, gloss), _seed(rng))


def _pick(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    weights = np.array(list(shares.values()), float)
    return list(shares)[int(rng.choice(len(shares), p=weights / weights.sum()))]


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))
