"""Found at k: what a ranking of sightings is worth to somebody who looks for one person. Pure.

A case is found at k when any of the first k sightings shows the person. What no ranking can mend, that no
tracklet shows the person at all, is kept apart as the bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

KS = (1, 5, 10, 20)
MOST = 50
"""Sightings looked at of each search."""

_HEIGHTS = (60, 100, 160, 240)  # pixels: borders of the groups of distance


@dataclass(frozen=True)
class Best:
    """The passage that shows a person best.

    Attributes:
        clip: its name.
        frame: its best frame, from 0.
        height_px: of the person there.
        light, place: of the clip.
    """

    clip: str
    frame: int
    height_px: float
    light: str
    place: str


@dataclass(frozen=True)
class Case:
    """One search.

    Attributes:
        person: who is missing.
        age_group: child or elder.
        photo_kind: what photo there is.
        clothes_change: the photo shows other clothes.
        lookalikes: people in the city dressed much like them.
        best: None when they are not to be seen in any clip.
        passages: clips in which they are to be seen.
        tracked: those of them in which a tracklet shows them.
        ranks: of the sightings that show them, ascending, from 1, at most `MOST`.
        found_clips: passages that are shown by the first 20 sightings.
        lookalike_rank: of the first sighting that shows a lookalike of theirs, if any.
        answer_ms: from the photo's path to the ranked sightings, models loaded.
    """

    person: int
    age_group: str
    photo_kind: str
    clothes_change: bool
    lookalikes: int
    best: Best | None
    passages: tuple[str, ...]
    tracked: tuple[str, ...]
    ranks: tuple[int, ...]
    found_clips: tuple[str, ...]
    lookalike_rank: int | None
    answer_ms: float

    def found_at(self, k: int) -> bool:
        """Does one of the first `k` sightings show the person?"""
        return bool(self.ranks) and self.ranks[0] <= k


def found(cases: Sequence[Case], k: int) -> int:
    """How many are found at k."""
    return sum(case.found_at(k) for case in cases)


def curve(cases: Sequence[Case]) -> list[int]:
    """Found at 1, 2, ... `MOST`."""
    return [found(cases, k) for k in range(1, MOST + 1)]


def bound(cases: Sequence[Case]) -> int:
    """How many any ranking of these tracklets could find."""
    return sum(bool(case.tracked) for case in cases)


def distance(height_px: float) -> str:
    """The group of a height in pixels."""
    borders = (0, *_HEIGHTS)
    for low, high in zip(borders, _HEIGHTS, strict=False):
        if height_px < high:
            return f"{low} to {high} px" if low else f"below {high} px"
    return f"{_HEIGHTS[-1]} px and more"


_DISTANCES = [distance(height) for height in (0, *_HEIGHTS)]
_SPLITS: Mapping[str, Callable[[Case], str]] = {
    "age": lambda case: case.age_group,
    "light of the best passage": lambda case: case.best.light if case.best else "never to be seen",
    "distance: height in the best passage": lambda case: (
        distance(case.best.height_px) if case.best else "never to be seen"
    ),
    "clothes": lambda case: "other clothes in the photo" if case.clothes_change else "same clothes",
    "lookalikes in the city": lambda case: "some" if case.lookalikes else "none",
    "photo": lambda case: case.photo_kind,
}


def splits(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Found at each of `KS` for each group of each split."""
    rows: list[dict[str, Any]] = []
    for name, group_of in _SPLITS.items():
        groups: dict[str, list[Case]] = {}
        for case in cases:
            groups.setdefault(group_of(case), []).append(case)
        order = [group for group in _DISTANCES if group in groups]
        order += sorted(set(groups) - set(order))
        rows += [{"split": name, "group": group, **_figures(groups[group])} for group in order]
    return rows


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """The headline, and where the others were lost."""
    missed = [case for case in cases if not case.found_at(KS[-1])]
    return {
        **_figures(cases),
        "never_to_be_seen": sum(case.best is None for case in cases),
        "missed_at_20_never_tracked": sum(not case.tracked for case in missed),
        "missed_at_20_by_ranking": sum(bool(case.tracked) for case in missed),
        "lookalike_before_the_person": sum(_beaten(case) for case in cases),
        "passages": sum(len(case.passages) for case in cases),
        "passages_tracked": sum(len(case.tracked) for case in cases),
        "passages_in_first_20": sum(len(case.found_clips) for case in cases),
    }


def _figures(cases: Sequence[Case]) -> dict[str, Any]:
    return {
        "people": len(cases),
        "found_at": {str(k): found(cases, k) for k in KS},
        "bound": bound(cases),
    }


def _beaten(case: Case) -> bool:
    first = case.ranks[0] if case.ranks else MOST + 1
    return case.lookalike_rank is not None and case.lookalike_rank < first
