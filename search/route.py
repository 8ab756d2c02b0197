"""The most plausible chain of sightings in time: a suggestion, each hop of which a person must confirm.

Owns the choice among chains. How people move is `search.travel`'s; what a sighting is worth is told by its
probability, from which place and time were taken out again, for the hops say them better.

A chain is worth the log odds of its sightings and the log ratios of its hops. The best one is found by
dynamic programming over the sightings in the order of time (Viterbi 1967), in O(n²).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from search.last_seen import LastSeen, Place, metres_from
from search.travel import F64, AgeGroup, density, log_ratio, mean_density

LEAST = 0.02
"""A less probable sighting is on no route, however well it lies."""
MOST_STOPS = 60
"""That a route is chosen among, the most probable ones."""
CLEAR, LIKELY = 3.0, 1.0
"""Margins in nats over the best route without a hop: a factor of 20, of 2.7."""

Sureness = Literal["confirmed", "clear", "likely", "open"]

_CLOCKS = 1e-3  # how often the clocks of two cameras make a true hop impossible; assumption
_TOGETHER_M = 150.0  # two cameras nearer than this may see somebody at once; assumption
_MUST = 1e4  # more than any chain is worth
_CAMERAS = 400  # that the mean over all is taken of


@dataclass(frozen=True)
class Stop:
    """Something that may be on a route.

    Attributes:
        id: of the sighting; empty for where the person was last seen.
        start_ms, end_ms: milliseconds since 1970 UTC.
        camera: what the place is called; two stops before one camera never overlap.
        place: None when nobody knows.
        log_odds: natural log of the odds that it shows the person, place and time apart.
        must: it is known to be right.
        from_report: what place and time say of it against where the person was last seen, nats.
        is_report: it is that report, whose time is too rough to rule anything out.
    """

    id: str
    start_ms: int
    end_ms: int
    camera: str
    place: Place | None
    log_odds: float
    must: bool = False
    from_report: float = 0.0
    is_report: bool = False

    @classmethod
    def of(cls, seen: LastSeen) -> Stop:
        """Where and when the person was last seen."""
        return cls("", seen.at_ms, seen.at_ms, seen.place, seen.at_place, 0.0, True, is_report=True)


@dataclass(frozen=True)
class Hop:
    """One sighting of a route, and how one gets there from the one before (or from the report).

    Attributes:
        id: of the sighting.
        metres: from the one before whose place is known; None for the first, and when the place is unknown.
        seconds: from the end of that one, 0 when they overlap; None likewise.
        log_ratio: how plausible the way is, against somebody else being there; 0 for the first.
        margin: how much the route is worth more than the best one without this sighting, nats; None for a
            confirmed one.
        instead: ids that the best route without it has and this one has not.
    """

    id: str
    metres: float | None
    seconds: float | None
    log_ratio: float
    margin: float | None
    instead: tuple[str, ...]

    @property
    def sureness(self) -> Sureness:
        """In a word."""
        if self.margin is None:
            return "confirmed"
        return "clear" if self.margin >= CLEAR else "likely" if self.margin >= LIKELY else "open"


@dataclass(frozen=True)
class Route:
    """A suggestion.

    Attributes:
        hops: in the order of time; none when no sighting is likely enough.
        left_out: ids of confirmed sightings that cannot all be on one route.
        seen_before: how many of the hops come before the person was last seen.
    """

    hops: tuple[Hop, ...]
    left_out: tuple[str, ...] = ()
    seen_before: int = 0


def find_route(
    stops: Sequence[Stop], cameras: Sequence[Place], window_s: float, age: AgeGroup,
    seen: LastSeen | None = None,
) -> Route:  # fmt: skip
    """The most plausible chain of some of the stops.

    Args:
        stops: sightings, in any order. Those of unknown place take no part in the choice: a likely one is put
            in where it overlaps no other.
        cameras: in scope, which anybody else may be before.
        window_s: length of the time in scope, above 0.
        age: group of the person.
        seen: where and when the person was last seen; always on the route.
    """
    likely = sorted(stops, key=lambda stop: (not stop.must, -stop.log_odds))[:MOST_STOPS]
    fixed = [stop for stop in likely if stop.must and not stop.place]
    placed = [
        stop for stop in likely
        if stop.place and (stop.must or not any(_overlap(stop, each) for each in fixed))
    ]  # fmt: skip
    nodes = sorted(placed + ([Stop.of(seen)] if seen else []), key=_middle)
    metres, seconds = _apart(nodes)
    ways = _ways(nodes, metres, seconds, cameras, window_s, age)
    worth = np.array([stop.log_odds + _MUST * stop.must for stop in nodes], float)
    best, chain = best_chain(worth, ways)
    hops: dict[str, Hop] = {}
    for before, node in pairwise((None, *chain)):
        assert node is not None
        name = nodes[node].id
        margin: float | None = None
        other: tuple[int, ...] = ()
        if not nodes[node].must:
            second, other = best_chain(np.where(np.arange(len(nodes)) == node, -np.inf, worth), ways)
            margin = best - second
        instead = tuple(nodes[each].id for each in other if each not in chain)
        if before is None:
            hops[name] = Hop(name, None, None, 0.0, margin, instead)
        else:
            far, long, ratio = (float(each[before, node]) for each in (metres, seconds, ways))
            hops[name] = Hop(name, far, long, ratio, margin, instead)
    on_it = [nodes[node] for node in chain]
    for stop in likely:
        if (
            not stop.place
            and (stop.must or stop.log_odds > 0)
            and not any(_overlap(stop, each) for each in on_it)
        ):
            on_it.append(stop)
            hops[stop.id] = Hop(stop.id, None, None, 0.0, None if stop.must else stop.log_odds, ())
    order = [stop.id for stop in sorted(on_it, key=_middle)]
    return Route(
        tuple(hops[each] for each in order if each),
        tuple(stop.id for stop in likely if stop.must and stop.id not in order),
        order.index("") if seen else 0,
    )


def _middle(stop: Stop) -> int:
    return stop.start_ms + stop.end_ms


def _overlap(stop: Stop, other: Stop) -> bool:
    return not other.is_report and stop.start_ms < other.end_ms and other.start_ms < stop.end_ms


def sure_span(start_ms: int, end_ms: int, uncertainty_s: float | None) -> tuple[int, int]:
    """The part of a sighting's time that is within it however its clock is off; at least its middle.

    What overlaps in these parts is at the same time for sure, and only that cannot be one person.
    """
    slack, middle = round((uncertainty_s or 0.0) * 1000), (start_ms + end_ms) // 2
    return min(start_ms + slack, middle), max(end_ms - slack, middle)


def best_chain(worth: F64, ways: F64) -> tuple[float, tuple[int, ...]]:
    """The chain of the greatest worth; the empty one is worth 0.

    Args:
        worth: (N,) of each node; -inf for one that must not be on it.
        ways: (N, N) of going from one to a later one; -inf where that cannot be.

    Returns:
        Its worth, and its nodes in their order.
    """
    reached, before = np.array(worth), np.full(len(worth), -1)
    for node in range(1, len(worth)):
        through = reached[:node] + ways[:node, node]
        first = int(through.argmax())
        if through[first] > 0:
            reached[node] += through[first]
            before[node] = first
    if not len(worth) or reached.max() <= 0:
        return 0.0, ()
    chain = [int(reached.argmax())]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return float(reached.max()), tuple(reversed(chain))


def _apart(nodes: Sequence[Stop]) -> tuple[F64, F64]:
    """(N, N) metres, and seconds from the end of one to the start of the other."""
    places = [node.place for node in nodes]
    metres = [metres_from(place, places) for place in places if place]
    starts = np.array([node.start_ms for node in nodes], float)
    ends = np.array([node.end_ms for node in nodes], float)
    seconds = np.maximum(starts[None] - ends[:, None], 0) / 1000
    return np.reshape(metres, (len(nodes), len(nodes))), seconds


def _ways(
    nodes: Sequence[Stop], metres: F64, seconds: F64, cameras: Sequence[Place], window_s: float, age: AgeGroup
) -> F64:
    """(N, N) log ratios of going from one to a later one; -inf where that cannot be."""
    if not nodes:
        return np.zeros((0, 0))
    steps = np.linspace(0, len(cameras) - 1, min(len(cameras), _CAMERAS)).astype(int)
    sample = [cameras[step] for step in steps] or [node.place for node in nodes]
    spread = np.concatenate([metres_from(node.place, sample) for node in nodes if node.place])
    anywhere = mean_density(spread, 0.0, window_s, age)
    ways = log_ratio(density(metres, seconds, age), anywhere, _CLOCKS)
    for place, node in enumerate(nodes):
        if node.is_report:  # the same that the sightings' probabilities were made with
            ways[place] = ways[:, place] = [each.from_report for each in nodes]
    return np.where(_possible(nodes, metres), ways, -np.inf)


def _possible(nodes: Sequence[Stop], metres: F64) -> NDArray[np.bool_]:
    """(N, N) can one person be at one and then at the other? Nobody is at two far places at once.

    Cameras that stand together may see somebody at once, but then the later sighting ends later too, so that
    what follows overlaps neither. A report rules nothing out.
    """
    starts = np.array([node.start_ms for node in nodes])
    ends = np.array([node.end_ms for node in nodes])
    rough = np.array([node.is_report for node in nodes])
    names = np.array([node.camera for node in nodes])
    after = starts[None] >= ends[:, None]
    later = (starts[None] >= starts[:, None]) & (ends[None] >= ends[:, None])
    together = later & (metres <= _TOGETHER_M) & (names[None] != names[:, None])
    return np.asarray(after | together | rough[None] | rough[:, None])
