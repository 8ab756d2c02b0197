"""What is known of a synthetic person and of a crop that shows them: labels, and a sentence in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reid.people.cloth import Cloth
from reid.people.outfits import Outfit
from reid.people.persons import Person

_LABELLED = {"stripes": "striped", "pinstripes": "striped", "diagonal": "striped", "check": "checked",
             "print": "printed", "dots": "printed", "logo": "printed"}  # fmt: skip
_TWO_COLOURED = frozenset({"stripes", "check", "two-tone", "diagonal", "print"})

_LOWER = {"jeans": "trousers", "leggings": "trousers", "joggers": "trousers", "long skirt": "skirt"}


PERSON, BAG, HAT = 1, 2, 3
"""Values of a crop's mask: where the person is seen, their bag with its straps, their hat; 0 all around."""


@dataclass(frozen=True)
class CropLabel:
    """What is known of a crop.

    Attributes:
        person_id, outfit_id, camera_id: labels.
        view_deg: the side seen, degrees: 0 the face, 180 the back, 90 the person's left side.
        visibility: 0..1, share of the silhouette not hidden by others or objects.
        height_px: of the person's box in the camera's picture.
        bag_seen, hat_seen, aid_seen: 0..1, how much of what is seen of the person is their bag with its
            straps, their hat, their aid or umbrella.
        light, place: see `reid.people.light.LIGHTS`, `reid.people.scene.PLACES`.
    """

    person_id: int
    outfit_id: int
    camera_id: int
    view_deg: float
    visibility: float
    height_px: float
    bag_seen: float
    hat_seen: float
    aid_seen: float
    light: str
    place: str


def attributes(person: Person, outfit: Outfit) -> dict[str, Any]:
    """What a caller could say of the person: colour terms, garments, what they carry, age group, sex."""
    upper = outfit.bottom if outfit.bottom.kind == "dress" and outfit.top.kind == "tee" else outfit.top
    kind = outfit.bottom.kind
    return {
        "upper_colours": _terms(upper.cloth),
        "lower_colours": _terms(outfit.bottom.cloth),
        "upper": outfit.top.kind,
        "lower": _LOWER.get(kind, kind),
        "sleeves": "short" if outfit.top.kind in ("tee", "polo", "tank") else "long",
        "coat": outfit.top.kind in ("coat", "padded coat"),
        "upper_pattern": _LABELLED.get(upper.cloth.pattern, "plain"),
        "lower_pattern": _LABELLED.get(outfit.bottom.cloth.pattern, "plain"),
        "hat": outfit.hat.kind,
        "glasses": outfit.glasses,
        "mask": outfit.mask,
        "bag": outfit.bag.kind,
        "aid": outfit.aid.kind,
        "age_group": person.age_group,
        "male": person.male,
        "uniform": outfit.uniform,
    }  # fmt: skip


def _terms(cloth: Cloth) -> list[str]:
    terms = [cloth.term, cloth.second_term] if cloth.pattern in _TWO_COLOURED else [cloth.term]
    return list(dict.fromkeys(terms))


def describe(person: Person, outfit: Outfit) -> str:
    """One English sentence, as a family would say it."""
    who = {"child": ("girl", "boy"), "adult": ("woman", "man"), "elder": ("elderly woman", "elderly man")}
    parts = [f"{who[person.age_group][person.male]} of about {person.height_m:.2f} m in"]
    for garment in (outfit.top, outfit.bottom):
        pattern = _LABELLED.get(garment.cloth.pattern, "")
        parts.append(" ".join(filter(None, [garment.cloth.term, pattern, garment.kind])) + ",")
    carried = (garment for garment in (outfit.hat, outfit.bag, outfit.aid) if garment.kind != "none")
    parts += [f"with {garment.cloth.term} {garment.kind}," for garment in carried]
    text = " ".join(parts).rstrip(",") + "."
    return text[0].upper() + text[1:]
