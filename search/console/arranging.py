"""How sightings are arranged on a page: sorted, filtered, and those of one camera close in time together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from search.sightings import Sighting

Order = Literal["best", "time", "camera"]
TOGETHER_MS = 5 * 60_000
"""Sightings before one camera no further apart are one group."""


@dataclass(frozen=True)
class View:
    """What a visitor wants to see.

    Attributes:
        sort: the order. grouped: see `groups`. least: smallest probability. district: only this one.
    """

    sort: Order = "best"
    grouped: bool = True
    least: float = 0.0
    district: str = ""

    @classmethod
    def of(cls, sort: str, group: str, least: str, district: str) -> View:
        """Of a page's address; what is none of the choices is the first."""
        orders: tuple[Order, ...] = ("best", "time", "camera")
        order: Order = next((each for each in orders if each == sort), "best")
        share = int(least) / 100 if least.isdigit() and int(least) <= 100 else 0.0
        return cls(order, group != "0", share, district)


def groups(sightings: Sequence[Sighting], view: View) -> list[list[Sighting]]:
    """The wanted sightings; in a group the best comes first."""
    wanted = [each for each in sightings if _wanted(each, view)]
    if not view.grouped:
        made = [[each] for each in wanted]
    else:
        made = []
        for each in sorted(wanted, key=lambda one: (_camera(one), one.record.start_ms)):
            last = made[-1] if made else []
            close = last and each.record.start_ms - max(one.record.end_ms for one in last) <= TOGETHER_MS
            if last and close and _camera(last[-1]) == _camera(each):
                last.append(each)
            else:
                made.append([each])
    made = [sorted(group, key=lambda one: one.rank) for group in made]
    if view.sort == "time":
        return sorted(made, key=lambda group: min(one.record.start_ms for one in group))
    if view.sort == "camera":
        return sorted(made, key=lambda group: (_camera(group[0]), group[0].rank))
    return sorted(made, key=lambda group: group[0].rank)


def _wanted(each: Sighting, view: View) -> bool:
    likely = each.probability is None or each.probability >= view.least or each.decision is not None
    return likely and view.district in ("", each.district)


def _camera(each: Sighting) -> tuple[str, str]:
    return each.district, each.record.camera
