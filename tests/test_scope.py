"""Contradictions and doubts in what is asked: a clear line and the next step."""

import pytest

from indexer.catalogue import Catalogue
from indexer.clothes import parse_colours
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from indexer.times import milliseconds, parse_local
from reid.errors import InputError
from search.filters import Filters, Near
from search.scope import check_scope
from tests.test_search import made  # noqa: F401  fixture

NOW_MS = milliseconds(parse_local("2025-06-01"))


def at(text: str) -> int:
    return milliseconds(parse_local(text))


@pytest.fixture(scope="module")
def snapshot(made: ArchiveFiles) -> Snapshot:  # noqa: F811
    with Catalogue(made) as catalogue:
        return catalogue.snapshot()


BOTH = ("songpa", "nowon")
NONE = Filters(BOTH)

REFUSED = [
    # (asked, what the line says, the next step it gives)
    (Filters(BOTH, ("S-11",)), "unknown camera 'S-11'", "did you mean S-1"),
    (Filters(BOTH, ("QQQQ",)), "unknown camera 'QQQQ'", "expected one of N-1, S-1, S-2, S-9"),
    (
        Filters(("songpa",), ("N-1",)),
        "N-1 is not in the asked districts but in nowon",
        "add --district nowon",
    ),
    (
        Filters(BOTH, near=Near(37.6, 127.1, 2000)),
        "nearest is songpa/S-1, 11.1 km away",
        "widen with --within",
    ),
    (Filters(BOTH, near=Near(37.6, 127.1, 2000)), "3 cameras have no place", "latitude,longitude"),
    (
        Filters(("nowon",), near=Near(37.5, 127.1, 2000)),
        "nobody knows where any of the 1",
        "reid cameras add",
    ),
    (Filters(BOTH, ("S-2",), near=Near(37.5, 127.1, 900)), "nobody knows where any of", "leave --near out"),
    (Filters(BOTH, since_ms=at("2025-06-02")), "still to come", "earlier --since"),
]


@pytest.mark.parametrize(("filters", "line", "step"), REFUSED)
def test_what_can_find_nothing_is_refused(snapshot: Snapshot, filters: Filters, line: str, step: str) -> None:
    with pytest.raises(InputError) as caught:
        check_scope(filters, snapshot, NOW_MS)
    assert line in str(caught.value)
    assert step in str(caught.value)


DOUBTED = [
    (Filters(BOTH, ("S-1", "S-11")), "unknown camera 'S-11'", "it is left out"),
    (Filters(("dobong",)), "no camera of dobong", "it holds cameras of nowon, songpa"),
    (
        Filters(BOTH, until_ms=at("2025-02-18T12:00")),
        "lies between 2025-02-18T12:34",
        "change --since and --until",
    ),
    (Filters(BOTH, since_ms=at("2025-02-18T15:00")), "nothing is searched", "index that time"),
]


@pytest.mark.parametrize(("filters", "line", "step"), DOUBTED)
def test_what_is_doubtful_is_told(snapshot: Snapshot, filters: Filters, line: str, step: str) -> None:
    [note] = check_scope(filters, snapshot, NOW_MS)
    assert line in note
    assert step in note


@pytest.mark.parametrize(
    "filters",
    [
        NONE,
        Filters(("songpa", "dobong")),  # the coverage tells of a district without cameras among others
        Filters(BOTH, ("S-1", "N-1")),
        Filters(BOTH, near=Near(37.5, 127.1, 900)),
        Filters(BOTH, since_ms=at("2025-02-18T12:34"), until_ms=at("2025-02-18T12:35")),
        Filters(("songpa",), ("S-9",), since_ms=at("2025-02-01")),  # no footage: told by the coverage
    ],
)
def test_what_can_be_searched_is_not_commented(snapshot: Snapshot, filters: Filters) -> None:
    assert check_scope(filters, snapshot, NOW_MS) == ()


@pytest.mark.parametrize(("name", "line"), [("yelow", "did you mean yellow"), ("qqq", "expected one of")])
def test_a_colour_that_does_not_exist(name: str, line: str) -> None:
    with pytest.raises(InputError, match=f"unknown colour '{name}'.*{line}"):
        parse_colours([name])
