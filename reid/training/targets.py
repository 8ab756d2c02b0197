"""What the attribute head is to answer for a crop: known to be so, known not to be so, or not to be seen.

Owns when a crop cannot tell. Knows no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.attributes import BY_NAME, COLUMNS, GROUPS, LEAST_HEIGHTS
from reid.people.labels import CropLabel

UNKNOWN = -1
_COLOURLESS = frozenset({"night", "infrared"})
_HIDDEN = 0.6  # visibility below which the lower body is taken to be what is hidden
_MOSTLY_HIDDEN = 0.45
_SHOWN = 0.004  # share of the person's pixels from which something can be seen: some ten of 3,000

COLOURS = ("upper_colours", "lower_colours")
LOWER_BODY = ("lower", "lower_colours", "lower_pattern")

Targets = NDArray[np.int8]
"""(COLUMNS,) or (N, COLUMNS) int8: 1 true, 0 false, -1 unknown."""


def person_targets(labels: Mapping[str, Any]) -> Targets:
    """(COLUMNS,) of `reid.people.labels.attributes`: the truth, whatever a crop shows of it."""
    aid, bag = labels["aid"], labels["bag"]
    answers: dict[str, set[str]] = {
        "upper_colours": set(labels["upper_colours"]),
        "lower_colours": set(labels["lower_colours"]),
        "sleeves": {labels["sleeves"]},
        "lower": {labels["lower"]},
        "coat": {"coat"} if labels["coat"] else set(),
        "upper_pattern": {labels["upper_pattern"]},
        "lower_pattern": {labels["lower_pattern"]},
        "hat": {"hat"} if labels["hat"] != "none" else set(),
        "face": {"glasses or mask"} if labels["glasses"] or labels["mask"] != "none" else set(),
        "backpack": {"backpack"} if bag == "backpack" else set(),
        "bag": {"bag"} if bag not in ("none", "backpack") else set(),
        "umbrella": {"umbrella"} if aid == "umbrella" else set(),
        "aid": {"none" if aid == "umbrella" else aid},
        "age_group": {labels["age_group"]},
        "gender": {"male"} if labels["male"] else set(),
    }
    targets = np.zeros(COLUMNS, np.int8)
    for group in GROUPS:
        given = answers[group.name]
        true = [answer in given for answer in group.answers]
        if group.kind == "one" and sum(true) != 1:
            raise ValueError(f"{group.name}: expected one of {group.answers}, got {sorted(given)}")
        targets[group.columns] = true
    return targets


def _has(person: Targets, name: str) -> bool:
    """Whether the person has this; of the answers of `aid` the first is that they have none."""
    first = BY_NAME[name].start + (BY_NAME[name].answers[0] == "none")
    return bool((person[first : BY_NAME[name].columns.stop] == 1).any())


def crop_targets(person: Targets, shown: CropLabel) -> Targets:
    """(COLUMNS,) for one crop: `person`'s, unknown where this crop cannot tell.

    By night and in infra-red no colour is known. What somebody has and the crop does not show is unknown;
    what they have not is known.

    Args:
        person: of `person_targets`.
        shown: what is known of the crop.
    """
    targets = person.copy()
    unknown: set[str] = set()
    if shown.light in _COLOURLESS:
        unknown.update(COLOURS)
    if shown.visibility < _HIDDEN:
        unknown.update(LOWER_BODY)
    if shown.visibility < _MOSTLY_HIDDEN:
        unknown.update(group.name for group in GROUPS if group.name not in ("umbrella", "hat"))
    unknown.update(name for name, least in LEAST_HEIGHTS.items() if shown.height_px < least)
    from_behind = 110 < shown.view_deg % 360 < 250
    if from_behind:
        unknown.add("face")
    for seen, names in (
        (shown.bag_seen, ("bag", "backpack")),
        (shown.hat_seen, ("hat",)),
        (shown.aid_seen, ("umbrella", "aid")),
    ):
        if seen < _SHOWN:
            unknown.update(name for name in names if _has(person, name))
    for name in unknown:
        targets[BY_NAME[name].columns] = UNKNOWN
    return targets
