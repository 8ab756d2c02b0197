"""The words of a description that a network reads off a crop: which there are and in which column each lies.

Owns names and columns. `reid/training` makes targets of them, a network gives one number (a logit) for
each column. Knows no network and no picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

COLOURS = ("black", "grey", "white", "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
"""The eleven basic colour terms of Berlin and Kay (1969)."""

_PATTERNS = ("plain", "striped", "checked", "printed")


@dataclass(frozen=True)
class Group:
    """Columns that belong together.

    Attributes:
        name: of the question.
        answers: one for each column.
        kind: "any": each answer is true or false for itself (logistic); "one": exactly one is true (softmax).
        start: the first column.
    """

    name: str
    answers: tuple[str, ...]
    kind: Literal["any", "one"]
    start: int

    @property
    def columns(self) -> slice:
        """Where the group's columns lie."""
        return slice(self.start, self.start + len(self.answers))


def _groups(*rows: tuple[str, tuple[str, ...], Literal["any", "one"]]) -> tuple[Group, ...]:
    start, groups = 0, []
    for name, answers, kind in rows:
        groups.append(Group(name, answers, kind, start))
        start += len(answers)
    return tuple(groups)


GROUPS = _groups(
    ("upper_colours", COLOURS, "any"),
    ("lower_colours", COLOURS, "any"),
    ("sleeves", ("long",), "any"),
    ("lower", ("trousers", "shorts", "skirt", "dress"), "one"),
    ("coat", ("coat",), "any"),
    ("upper_pattern", _PATTERNS, "one"),
    ("lower_pattern", _PATTERNS, "one"),
    ("hat", ("hat",), "any"),
    ("face", ("glasses or mask",), "any"),
    ("backpack", ("backpack",), "any"),
    ("bag", ("bag",), "any"),
    ("umbrella", ("umbrella",), "any"),
    ("aid", ("none", "cane", "walking frame", "wheelchair", "stroller"), "one"),
    ("age_group", ("child", "adult", "elder"), "one"),
    ("gender", ("male",), "any"),
)
"""Every network's columns, in this order. `gender` is how somebody is dressed and built, not who they are; a
recipe must ask for it, else its column stays at a logit of 0, which says nothing."""

COLUMNS = GROUPS[-1].columns.stop
BY_NAME = {group.name: group for group in GROUPS}
LEAST_HEIGHTS = {"face": 110.0, "upper_pattern": 80.0, "lower_pattern": 80.0}
"""Pixels of a person below which these cannot be told."""
