"""From how far the clocks of neighbours are apart to how far each is off: least squares over the cameras.

Differences say nothing of the truth: that is what one camera of reference shows, or what most of the cameras
that hang together agree on. Owns the arithmetic; knows no archive.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from indexer.clock_links import Apart

Key = tuple[str, str]
F64 = NDArray[np.float64]
Verdict = Literal["estimated", "only relative", "too little to tell", "reference"]

AGREE_S = 10.0
"""Clocks nearer than this show the same time: those of a majority do."""

_OUTLIER = 4.0  # of its standard deviations that a link may be off
_ALIKE = 0.99  # of the worst strain
_FEWER = 2.0  # times
_TWO_SIDED = 2.0  # standard deviations to either side, for nineteen in twenty


@dataclass(frozen=True)
class ClockLink:
    """Two neighbours whose clocks could be compared.

    Attributes:
        first, second: (district, camera id).
        metres: between them.
        apart: by how much the second is ahead of the first.
        used: False for one that contradicts the others and was left out.
    """

    first: Key
    second: Key
    metres: float
    apart: Apart
    used: bool = True


@dataclass(frozen=True)
class ClockEstimate:
    """What is found out about one clock.

    Attributes:
        key: (district, camera id).
        verdict: "estimated"; "reference": taken for right; "only relative": compared with others, of which
            nobody knows which are right; "too little to tell".
        ahead_s: seconds it is ahead of what its offset of today says; None unless estimated.
        uncertainty_s: nineteen times in twenty it is off by no more, either way; None unless estimated.
        people: about how many pairs of passages tell.
    """

    key: Key
    verdict: Verdict
    ahead_s: float | None
    uncertainty_s: float | None
    people: float


def solve(
    keys: Sequence[Key], links: Sequence[ClockLink], reference: Key | None = None
) -> tuple[tuple[ClockEstimate, ...], tuple[ClockLink, ...]]:
    """Each clock of `keys`, and the links with those left out marked.

    Args:
        keys: cameras. links: between some of them.
        reference: the camera whose clock is taken for right; None: most of those that hang together are.
    """
    left_out = _contradicting(links)
    used = [link for place, link in enumerate(links) if place not in left_out]
    people: dict[Key, float] = defaultdict(float)
    for link in used:
        people[link.first] += link.apart.people
        people[link.second] += link.apart.people
    found: dict[Key, ClockEstimate] = {}
    for group in _components(used):
        inside = [link for link in used if link.first in group]
        for key, (verdict, ahead, uncertainty) in _group(sorted(group), inside, reference).items():
            found[key] = ClockEstimate(key, verdict, ahead, uncertainty, people[key])
    if reference is not None:
        found[reference] = ClockEstimate(reference, "reference", 0.0, None, people[reference])
    nothing = [ClockEstimate(key, "too little to tell", None, None, 0.0) for key in keys if key not in found]
    estimates = sorted([*found.values(), *nothing], key=lambda each: each.key)
    marked = [
        ClockLink(link.first, link.second, link.metres, link.apart, place not in left_out)
        for place, link in enumerate(links)
    ]
    return tuple(estimates), tuple(marked)


def _group(
    keys: Sequence[Key], links: Sequence[ClockLink], reference: Key | None
) -> Mapping[Key, tuple[Verdict, float | None, float | None]]:
    """Cameras that hang together."""
    ahead, covariance, strains = _least_squares(keys, links)
    crossed = strains[strains > 0]  # links that agree worse than their errors say make all more uncertain
    covariance = covariance * max(float((crossed**2).mean()) if len(crossed) else 1.0, 1.0)
    if reference is not None:
        right = np.array([key == reference for key in keys])
    else:
        right = _majority(ahead, covariance)
    if not right.any():
        return dict.fromkeys(keys, ("only relative", None, None))
    weights = right / right.sum()
    ahead = ahead - weights @ ahead
    # Of x - mean(right): c' C c with c = e - weights.
    spread = np.diag(covariance) - 2 * covariance @ weights + weights @ covariance @ weights
    uncertainty = _TWO_SIDED * np.sqrt(np.maximum(spread, 0.0))
    if reference is None:  # what most agree on is itself known no better than they agree
        uncertainty = np.hypot(uncertainty, _TWO_SIDED * _disagreement(ahead[right]))
    return {
        key: ("estimated", round(float(a), 1), round(max(float(u), 1.0), 1))
        for key, a, u in zip(keys, ahead, uncertainty, strict=True)
    }


def _disagreement(ahead: F64) -> float:
    return float(ahead.std(ddof=1) / np.sqrt(len(ahead))) if len(ahead) > 1 else 0.0


def _majority(ahead: F64, covariance: F64) -> NDArray[np.bool_]:
    """Which cameras show the same time, if they are more than half; else none."""
    together = np.diag(covariance)[:, None] + np.diag(covariance)[None] - 2 * covariance
    near = np.abs(ahead[:, None] - ahead) <= AGREE_S + _TWO_SIDED * np.sqrt(np.maximum(together, 0.0))
    most = near[int(near.sum(axis=1).argmax())]
    return most if 2 * most.sum() > len(ahead) else np.zeros(len(ahead), bool)


def _least_squares(keys: Sequence[Key], links: Sequence[ClockLink]) -> tuple[F64, F64, F64]:
    """Of cameras that hang together: (C,) seconds ahead, of mean 0, their covariance, (C, C), and (L,) of its
    standard deviations by which each link is off from what the others say without it.
    """
    place = {key: k for k, key in enumerate(keys)}
    first = np.array([place[link.first] for link in links])
    second = np.array([place[link.second] for link in links])
    apart = np.array([link.apart.seconds for link in links])
    variance = np.array([link.apart.error_s for link in links]) ** 2
    laplacian = np.zeros((len(keys), len(keys)))
    pull = np.zeros(len(keys))
    for one, other, sign in ((first, second, -1.0), (second, first, 1.0)):
        np.add.at(laplacian, (one, one), 1 / variance)
        np.add.at(laplacian, (one, other), -1 / variance)
        np.add.at(pull, one, sign * apart / variance)
    covariance = np.asarray(np.linalg.inv(laplacian + 1 / len(keys)) - 1 / len(keys), np.float64)
    ahead = covariance @ pull
    explained = covariance[first, first] + covariance[second, second] - 2 * covariance[first, second]
    left = variance - explained  # of the residual; nothing where a link alone joins cameras
    strains = np.abs(apart - ahead[second] + ahead[first]) / np.sqrt(np.maximum(left, 1e-9))
    return ahead, covariance, np.where(left > 1e-6 * variance, strains, 0.0)


def _contradicting(links: Sequence[ClockLink]) -> frozenset[int]:
    """Places of links that the others contradict, the worst first; one that alone joins cameras cannot be."""
    out: set[int] = set()
    while True:
        used = [place for place in range(len(links)) if place not in out]
        worst: list[int] = []
        for group in _components([links[place] for place in used]):
            inside = [place for place in used if links[place].first in group]
            strains = _least_squares(sorted(group), [links[place] for place in inside])[2]
            if strains.max() > _OUTLIER:
                worst += _to_leave_out(
                    [
                        place
                        for place, strain in zip(inside, strains, strict=True)
                        if strain > _ALIKE * strains.max()
                    ],
                    links,
                )
        if not worst:
            return frozenset(out)
        out.update(worst)


def _to_leave_out(strained: Sequence[int], links: Sequence[ClockLink]) -> Sequence[int]:
    """Which of the links that are strained most: all links of a ring that does not close are strained alike.

    One that far fewer people tell than any other; else nothing says which is wrong, and none is believed.
    """
    by_people = sorted(strained, key=lambda place: links[place].apart.people)
    people = [links[place].apart.people for place in by_people[:2]]
    return by_people[:1] if len(people) < 2 or people[0] * _FEWER <= people[1] else by_people


def _components(links: Sequence[ClockLink]) -> list[Collection[Key]]:
    """Cameras that hang together by links."""
    neighbours: dict[Key, set[Key]] = defaultdict(set)
    for link in links:
        neighbours[link.first].add(link.second)
        neighbours[link.second].add(link.first)
    groups: list[Collection[Key]] = []
    seen: set[Key] = set()
    for start in sorted(neighbours):
        if start in seen:
            continue
        group, ahead = {start}, [start]
        while ahead:
            new = neighbours[ahead.pop()] - group
            group |= new
            ahead += sorted(new)
        seen |= group
        groups.append(group)
    return groups
