"""The best chain against every chain there is; what a route may never claim."""

import io
import itertools
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from indexer.districts import load_districts
from indexer.times import milliseconds
from search.engine import Engine
from search.judged import Feedback, find_judged
from search.last_seen import LastSeen, Place
from search.report import to_json
from search.request import Request
from search.route import CLEAR, MOST_STOPS, Route, Stop, best_chain, find_route, sure_span
from search.sightings import SearchResult, find_sightings
from search.terminal import print_result
from tests.crowd import snapshot
from tests.test_search import SCOPE, START, made, red  # noqa: F401  fixtures
from tests.world import FakeEmbedder

MINUTE = 60_000
HERE: Place = (37.5, 127.1)
KM = 1 / 111.195  # degrees of latitude


def north(km: float) -> Place:
    return (HERE[0] + km * KM, HERE[1])


CAMERAS = [north(km) for km in np.linspace(-9, 9, 60)]


def stop(
    name: str, minute: float, km: float | None, log_odds: float = 3.0, long: float = 0.2, must: bool = False
) -> Stop:  # fmt: skip
    start = round(minute * MINUTE)
    place = None if km is None else north(km)
    return Stop(name, start, start + round(long * MINUTE), f"camera at {km}", place, log_odds, must)


def route(*stops: Stop, seen: LastSeen | None = None) -> Route:
    return find_route(stops, CAMERAS, 6 * 3600.0, "adult", seen)


def ids(found: Route) -> list[str]:
    return [hop.id for hop in found.hops]


def every_chain(worth: np.ndarray, ways: np.ndarray) -> tuple[float, tuple[int, ...]]:
    best, chosen = 0.0, tuple[int, ...]()
    for size in range(1, len(worth) + 1):
        for chain in itertools.combinations(range(len(worth)), size):
            value = worth[list(chain)].sum() + sum(ways[a, b] for a, b in itertools.pairwise(chain))
            if value > best:
                best, chosen = value, chain
    return best, chosen


def test_the_best_chain_against_every_chain() -> None:
    random = np.random.default_rng(7)
    for _ in range(150):
        count = int(random.integers(0, 9))
        worth, ways = random.normal(0, 3, count), random.normal(-0.5, 3, (count, count))
        ways[random.random((count, count)) < 0.3] = -np.inf
        worth[random.random(count) < 0.1] = -np.inf
        found, expected = best_chain(worth, ways), every_chain(worth, ways)
        assert found[0] == pytest.approx(expected[0])
        assert found[1] == expected[1]


def test_margins_against_every_chain_without_the_hop() -> None:
    random = np.random.default_rng(8)
    for _ in range(20):
        stops = [
            stop(
                str(k),
                float(random.uniform(0, 200)),
                float(random.uniform(-4, 4)),
                float(random.normal(0, 3)),
            )
            for k in range(7)
        ]
        found = route(*stops)
        for hop in found.hops:
            without = route(*(each for each in stops if each.id != hop.id))
            assert hop.margin is not None
            assert hop.margin >= 0
            assert set(hop.instead) == set(ids(without)) - set(ids(found))


def test_a_walk_is_found_in_the_order_of_time_and_a_leap_is_not() -> None:
    walk = [stop("a", 0, 0), stop("b", 15, 0.8), stop("c", 30, 1.5)]
    leap = stop("x", 16, -8, 0.5)  # nearly nine kilometres in a minute, and back
    found = route(leap, *reversed(walk))
    assert ids(found) == ["a", "b", "c"]
    assert [hop.metres for hop in found.hops] == [None, pytest.approx(800, abs=2), pytest.approx(700, abs=2)]
    assert found.hops[1].seconds == pytest.approx(14.8 * 60)
    assert all(
        hop.sureness == "clear" and hop.margin is not None and hop.margin > CLEAR for hop in found.hops
    )


def test_nobody_is_in_two_places_at_once() -> None:
    sure = [stop("a", 0, 0, 12, long=3), stop("b", 1, 5, 11, long=3)]
    found = route(*sure)
    assert ids(found) == ["a"]
    assert found.hops[0].margin == pytest.approx(1)
    assert (found.hops[0].instead, found.hops[0].sureness) == (("b",), "likely")
    beside = route(stop("a", 0, 0, long=3), stop("b", 1, 0.05, long=3))
    assert ids(beside) == ["a", "b"]
    assert beside.hops[1].seconds == 0


def test_two_people_before_one_camera_at_once_are_not_one() -> None:
    assert ids(route(stop("a", 0, 0, 5, long=3), stop("b", 1, 0, 6, long=3))) == ["b"]


def test_a_nested_sighting_does_not_open_a_gap() -> None:
    """b lies within a, beside it; c, far away, begins after b but before a has ended."""
    found = route(stop("a", 0, 0, 9, long=10), stop("b", 1, 0.1, 3, long=1), stop("c", 4, 6, 5, long=1))
    assert ids(found) == ["a"]


def test_what_is_unlikely_is_on_no_route() -> None:
    assert route() == Route(())
    assert ids(route(stop("a", 0, 0, -2), stop("b", 90, 6, -3))) == []
    assert ids(route(stop("a", 0, 0, 5), stop("b", 10, 6, -2))) == ["a"]


def test_a_good_way_lifts_an_open_sighting() -> None:
    found = route(stop("a", 0, 0, 5), stop("b", 12, 0.6, -2.5), stop("c", 24, 1.2, 5))
    assert ids(found) == ["a", "b", "c"]
    assert found.hops[1].sureness == "open"


def test_confirmed_sightings_are_on_the_route_or_it_says_why() -> None:
    found = route(stop("a", 0, 0, 9), stop("b", 10, 6, -9, must=True))
    assert ids(found) == ["a", "b"]
    assert (found.hops[1].margin, found.hops[1].sureness) == (None, "confirmed")
    both = route(stop("a", 0, 0, 5, long=5, must=True), stop("b", 1, 6, 6, long=5, must=True))
    assert ids(both) == ["b"]
    assert both.left_out == ("a",)
    nowhere = stop("b", 1, None, -9, long=5, must=True)
    assert ids(route(stop("a", 0, 0, 5, long=5), nowhere, stop("c", 20, 0, 5))) == ["b", "c"]
    assert route(stop("a", 0, 0, 5, long=5, must=True), nowhere).left_out == ("b",)


def test_the_route_begins_where_the_person_was_last_seen() -> None:
    seen = LastSeen("here", *HERE, 0)
    found = route(stop("b", 20, 1), stop("a", -30, 0.5), stop("c", -2, 0, long=10), seen=seen)
    assert ids(found) == ["a", "c", "b"]  # c began before the rough time of the report and ended after it
    assert found.seen_before == 1
    assert found.hops[1].metres == pytest.approx(0, abs=1)
    assert ids(route(stop("x", 1, 9, -1), seen=seen)) == []


def test_far_from_the_report_a_probable_sighting_is_still_on_the_route() -> None:
    """What the report says against it is in its probability already, and no more is said by the route."""
    seen = LastSeen("here", *HERE, 0)
    far = replace(stop("far", 20, 8, 4), from_report=-3.5)
    found = route(far, seen=seen)
    assert [(hop.id, hop.log_ratio) for hop in found.hops] == [("far", -3.5)]
    assert found.hops[0].margin == pytest.approx(0.5)
    assert ids(route(replace(far, log_odds=3), seen=seen)) == []


def test_an_unknown_place_says_nothing() -> None:
    found = route(stop("a", 0, 0, 2), stop("b", 1, None, 2), stop("c", 2, 0.1, 2))
    assert ids(found) == ["a", "b", "c"]
    assert found.hops[1].metres is None
    assert (found.hops[1].log_ratio, found.hops[1].margin) == (0, 2)
    assert found.hops[2].metres == pytest.approx(100, abs=1)
    assert found.hops[2].seconds == pytest.approx(108)
    assert ids(route(stop("a", 0, 0, 1, long=4), stop("b", 1, None, 6))) == ["a"]
    assert ids(route(stop("a", 0, 0, 1), stop("b", 1, None, -1))) == ["a"]
    unplaced = [replace(each, place=None) for each in (stop("a", 0, 0), stop("b", 9, 0))]
    assert ids(find_route(unplaced, [], 3600.0, "adult")) == ["a", "b"]


def test_of_very_many_the_most_probable_are_chosen_among() -> None:
    many = [stop(str(k), k, 0, 1 + k / 100) for k in range(MOST_STOPS + 40)]
    assert set(ids(route(*many))) == {str(k) for k in range(40, MOST_STOPS + 40)}


def found_with(archive, query, **asked) -> SearchResult:  # type: ignore[no-untyped-def]
    with Engine(archive, FakeEmbedder().spec) as engine:
        return find_sightings(engine, Request((query,), SCOPE, 10, **asked))


def printed(result: SearchResult) -> str:
    console = Console(record=True, width=160, highlight=False, file=io.StringIO())
    print_result(console, result, load_districts())
    return console.export_text()


def test_a_search_suggests_a_route(made, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    """Red passes S-1 at 12:34 and N-1 an hour later."""
    seen = LastSeen("the [old] gate", 37.5, 127.1, milliseconds(START) - 10 * MINUTE)
    result = found_with(made, red, last_seen=seen)
    shown = to_json(result)["route"]
    by_id = {sighting.record.id: sighting for sighting in result.sightings}
    assert [by_id[hop["id"]].record.camera for hop in shown["hops"]] == ["S-1", "N-1"]
    assert {hop["rank"] for hop in shown["hops"]} == {1, 2}
    assert [hop["distance_m"] for hop in shown["hops"]] == [0, None]
    assert shown["before_last_seen"] == 0
    text = printed(result)
    assert text.index("02-18 12:24  the [old] gate (last seen)") < text.index("02-18 12:34  songpa 석촌 1")
    assert "0 m in 10 min: clear" in text
    assert "a person must confirm each hop" in text
    assert to_json(found_with(made, red))["route"] is None
    assert "Route" not in printed(found_with(made, red))


def test_uncertain_clocks_make_fewer_things_impossible() -> None:
    assert sure_span(0, 10_000, None) == sure_span(0, 10_000, 0) == (0, 10_000)
    assert sure_span(0, 10_000, 2) == (2000, 8000)
    assert sure_span(0, 10_000, 60) == (5000, 5000)
    stops = [stop("a", 0, 0, 9, long=1), stop("b", 0.5, 0.4, 9, long=1)]
    assert len(ids(route(*stops))) == 1
    spans = [sure_span(each.start_ms, each.end_ms, 30) for each in stops]
    loose = [replace(each, start_ms=s, end_ms=e) for each, (s, e) in zip(stops, spans, strict=True)]
    assert ids(route(*loose)) == ["a", "b"]


def test_a_confirmed_sighting_is_on_the_suggested_route(made, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    first = found_with(made, red, route=True)
    on_it = {hop.id for hop in first.route.hops} if first.route else set()
    other = next(each for each in first.sightings if each.record.id not in on_it)  # green, at S-2
    [judged] = find_judged(made, snapshot(made), [other.record.id]).values()
    feedback = Feedback((other.record.id,))
    again = found_with(made, red, route=True, feedback=feedback, judged=(judged,))
    assert again.route is not None
    assert {hop.id: hop.sureness for hop in again.route.hops}[other.record.id] == "confirmed"
    kept = tuple(each for each in again.sightings if each.record.id != other.record.id)
    hops = tuple(hop for hop in again.route.hops if hop.id != other.record.id)
    text = printed(replace(again, sightings=kept, route=replace(again.route, hops=hops)))
    assert "confirmed, but not in this list and so not on the route: 1" in text


def test_no_route_is_told_and_why(made, red) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    asked = found_with(made, red, route=True)
    assert asked.route is not None
    nobody = replace(asked, route=Route(()))
    assert "no sighting is likely enough" in printed(nobody)
    unknown = tuple(replace(sighting, probability=None) for sighting in asked.sightings)
    assert "no calibration" in printed(replace(asked, sightings=unknown, route=None))
    left = replace(asked.route, left_out=(asked.sightings[3].record.id,))
    assert "nobody is in two places at once: rank 4" in printed(replace(asked, route=left))
