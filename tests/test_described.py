"""A search by description alone against brute force over everything that was put into the archive."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import cli
from indexer.clothes import as_set
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Tracklet
from reid.attributes import COLOURS
from reid.errors import InputError
from reid.models import find_model
from reid.registry import DEFAULT_EMBEDDER
from reid.vectors import unit_rows
from search import sightings
from search.description import Description, description, read_description
from search.engine import Engine
from search.evidence import Rest, probabilities
from search.filters import Filters, Near
from search.found import Found
from search.judged import Feedback, find_judged
from search.query import Query
from search.request import Request
from search.sightings import SearchResult, find_sightings
from tests.crowd import DAY, HOUR, embedder, fill, midnight

BOTH = ("songpa", "nowon")
CASES = [
    ({"upper": ["yellow"], "lower": ["검정"]}, Filters(BOTH)),
    ({"age": ["elder"], "having": ["cane"]}, Filters(("songpa",))),
    ({"upper": ["navy", "red"], "without": ["hat"]}, Filters(BOTH, cameras=("S-1", "N-0"))),
    ({"upper": ["white"]}, Filters(BOTH, near=Near(37.5, 127.1, 1500))),
    (
        {"lower": ["blue"], "having": ["backpack"]},
        Filters(BOTH, (), midnight(DAY) + 9 * HOUR, midnight(DAY) + 10 * HOUR),
    ),
    ({"upper": ["red"], "age": ["child"]}, Filters(BOTH, upper=as_set(["red"]))),
]


def spoken(words: dict[str, list[str]]) -> Description:
    found = read_description(**words)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ArchiveFiles, list[Tracklet]]:
    archive = ArchiveFiles(tmp_path_factory.mktemp("described"))
    return archive, fill(archive, BOTH, days=2, cameras=2, tracklets=20)


@pytest.fixture(scope="module")
def engine(made: tuple[ArchiveFiles, object]) -> Iterator[Engine]:
    with Engine(made[0], embedder()) as opened:
        yield opened


def in_scope(engine: Engine, everybody: list[Tracklet], filters: Filters) -> list[Tracklet]:
    keys = filters.within(engine.view().snapshot).keys
    cameras = {camera for _, camera in keys}
    return [
        one for one in everybody
        if one.record.camera in cameras
        and (filters.since_ms is None or one.record.end_ms >= filters.since_ms)
        and (filters.until_ms is None or one.record.start_ms < filters.until_ms)
        and (not filters.upper or not one.upper or one.upper & filters.upper)
    ]  # fmt: skip


@pytest.mark.parametrize(("words", "filters"), CASES)
@pytest.mark.parametrize("top", [1, 7, 1000])
def test_it_equals_brute_force(
    made: tuple[ArchiveFiles, list[Tracklet]], engine: Engine, words: dict[str, list[str]], filters: Filters,
    top: int,
) -> None:  # fmt: skip
    said = spoken(words)
    found = engine.search_described(said, filters, top)
    scope = in_scope(engine, made[1], filters)
    assert len(scope) > 3
    _, told = said.told(np.stack([one.attributes for one in scope]))
    known = np.asarray(told.any(axis=0))
    fits = description(said, np.stack([one.attributes for one in scope])).log_ratios
    expected = sorted(
        (-fit, one.record.start_ms, one.record.id)
        for one, fit, is_known in zip(scope, fits.tolist(), known.tolist(), strict=True) if is_known
    )  # fmt: skip
    shown = [(-hit.score, hit.start_ms, each.record.id) for hit, each in pairs(found)]
    assert [each[0] for each in shown] == pytest.approx([each[0] for each in expected[:top]], abs=0.02)
    if top >= len(expected):
        assert {each[2] for each in shown} == {each[2] for each in expected}
    assert all(a[1] <= b[1] for a, b in pairwise(shown) if a[0] == b[0])
    assert found.described is not None
    assert found.described.unknown == int((~known).sum())
    assert found.tracklets == len(scope)
    assert found.rows == sum(len(one.vectors) for one in scope)
    assert len(found.hits) + int(found.described.rest.counts.sum()) == len(expected)
    best = -expected[0][0]
    as_well = sum(best + each[0] <= np.log(2) for each in expected)
    assert abs(found.described.as_well - as_well) <= 0.05 * len(scope)  # counted in steps


def pairs(found: Found):  # type: ignore[no-untyped-def]
    return zip(found.hits, found.contents, strict=True)


def test_nobody_is_listed_of_whom_nothing_is_known(
    made: tuple[ArchiveFiles, list[Tracklet]], engine: Engine
) -> None:
    found = engine.search_described(spoken({"upper": ["red"]}), Filters(BOTH), 1000)
    nothing = {one.record.id for one in made[1] if not one.upper}
    assert nothing
    assert not nothing & {each.record.id for each in found.contents}
    assert found.described is not None
    assert found.described.unknown == len(nothing)


def ask(engine: Engine, words: dict[str, list[str]], filters: Filters, top: int = 10) -> SearchResult:
    return find_sightings(engine, Request((), filters, top, description=spoken(words)))


def test_the_answer_says_what_it_is(made: tuple[ArchiveFiles, list[Tracklet]], engine: Engine) -> None:
    worn = next(one for one in made[1] if one.upper and one.lower)
    colours = [COLOURS[(each & -each).bit_length() - 1] for each in (worn.upper, worn.lower)]
    result = ask(engine, {"upper": [colours[0]], "lower": [colours[1]]}, Filters(BOTH), 3)
    assert worn.record.id in {each.record.id for each in result.sightings}
    first = result.sightings[0]
    assert (first.score, first.rank, result.plan.kind) == (None, 1, "description")
    assert set(first.evidence) <= {"description", "one at a time"}
    assert [each.verdict for each in first.shown] == ["likely", "likely"]
    found = engine.search_described(result.request.description, Filters(BOTH), 200)  # type: ignore[arg-type]
    assert [each.evidence["description"] for each in result.sightings] == pytest.approx(
        [found.hits[k].score for k in range(3)], abs=1e-6
    )
    assert any("a description fits many people" in warning for warning in result.request.warnings)


def test_a_damaged_segment_is_told_and_the_rest_answers(
    made: tuple[ArchiveFiles, list[Tracklet]], tmp_path: Path
) -> None:
    archive = ArchiveFiles(tmp_path / "copy")
    shutil.copytree(made[0].home, archive.home)
    words = {"upper": ["red"], "having": ["hat"]}
    with Engine(archive, embedder()) as engine:
        whole = ask(engine, words, Filters(BOTH), 1000)
    broken = [archive.home / "shards" / each for each in ("songpa", "nowon")]
    hurt = []
    for place, name in ((broken[0], "columns.bin"), (broken[1], "records.bin")):
        file = sorted(place.rglob(name))[0]
        file.write_bytes(file.read_bytes()[:-20] + bytes(20))
        hurt.append(file.parent.name)
    with Engine(archive, embedder()) as engine:
        result = ask(engine, words, Filters(BOTH), 1000)
        clips = {entry.segment: set(entry.clips) for entry in engine.view().snapshot.segments}
    assert {name for name, _ in result.damaged} == set(hurt)
    lost = clips[hurt[0]] | clips[hurt[1]]
    assert {each.record.id for each in result.sightings} == {
        each.record.id for each in whole.sightings if each.record.clip not in lost
    }
    assert {gap.reason for gap in result.coverage.missing} == {"damaged segment"} | {
        gap.reason for gap in whole.coverage.missing
    }


def test_many_who_fit_share_the_probability() -> None:
    """Ten of a thousand who fit equally, among 5,000: none is likelier for being listed."""
    fits, others = np.log(4.0), np.log(1 / 4)  # a mean ratio of 1: nobody gains by chance
    rest = Rest(np.array([fits, others]), np.array([990, 4000]))
    shared = probabilities(np.full(10, fits), 5000, rest)
    assert shared == pytest.approx(np.full(10, 4 / 5000), rel=0.02)  # of one sighting expected


def test_in_other_clothes_who_fits_joins_who_looks_alike(
    made: tuple[ArchiveFiles, list[Tracklet]], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a shortlist of five of 160, one who fits best and looks like nobody is listed all the same."""
    monkeypatch.setattr(sightings, "SHORTLIST", 5)
    said = spoken({"upper": ["red"], "having": ["hat"]})
    best = engine.search_described(said, Filters(BOTH), 1).contents[0]
    picture = np.zeros((64, 32, 3), np.uint8)
    own = best.vectors[0]
    other = np.random.default_rng(1).normal(size=len(own)).astype(np.float32)
    other -= (other @ own) * own
    query = Query(
        "photo.jpg", picture, (), (0.0, 0.0, 32.0, 64.0), unit_rows(other[None]), 0.5, (), None, None, None
    )  # fmt: skip

    def listed(clothes_changed: bool) -> set[str]:
        request = Request((query,), Filters(BOTH), 5, description=said, clothes_changed=clothes_changed)
        return {each.record.id for each in find_sightings(engine, request).sightings}

    assert best.record.id in listed(True)
    assert best.record.id not in listed(False)


def test_rejected_are_left_out_and_a_confirmed_one_is_a_picture(
    made: tuple[ArchiveFiles, list[Tracklet]], engine: Engine
) -> None:
    words = {"upper": ["red"], "having": ["hat"]}
    before = ask(engine, words, Filters(BOTH))
    ids = [each.record.id for each in before.sightings]
    seen = engine.view().snapshot
    judged = find_judged(engine.archive, seen, ids[:2], [])

    def again(confirmed: tuple[str, ...], rejected: tuple[str, ...]) -> SearchResult:
        return find_sightings(
            engine,
            Request(
                (), Filters(BOTH), 10, description=spoken(words), feedback=Feedback(confirmed, rejected),
                judged=tuple(judged[each] for each in (*confirmed, *rejected)),
            ),
        )  # fmt: skip

    without = again((), (ids[0],))
    assert [each.record.id for each in without.sightings][:9] == ids[1:]
    refined = again((ids[1],), (ids[0],))
    assert refined.plan.kind == "exact"
    assert refined.sightings[0].record.id == ids[1]
    assert refined.sightings[0].score == pytest.approx(1, abs=0.02)
    assert ids[0] not in {each.record.id for each in refined.sightings}
    assert {"feedback", "description"} <= set(refined.sightings[0].evidence)


def test_a_request_asks_for_somebody() -> None:
    with pytest.raises(InputError, match="expected a photo of the person, or a description"):
        Request((), Filters(BOTH))
    with pytest.raises(InputError, match="there is no photo"):
        Request((), Filters(BOTH), description=spoken({"upper": ["red"]}), clothes_changed=True)


def reid(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, [str(each) for each in arguments])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> ArchiveFiles:
    """As the embedder of the package would have made it."""
    archive = ArchiveFiles(tmp_path_factory.mktemp("small"))
    dimension = find_model(DEFAULT_EMBEDDER, "embed").dimension
    fill(archive, ("songpa",), days=1, cameras=2, hours=(9,), dimension=dimension)
    return archive


def test_the_command_line_without_a_photo(small: ArchiveFiles, tmp_path: Path) -> None:
    archive = small
    said = ("-d", "송파", "--upper", "yellow", "--lower", "검정", "--age", "elder", "--with", "cane")
    asked = ["upper yellow", "lower black", "elder", "cane"]
    alone = json.loads(reid("search", *said, "--home", archive.home, "--json").stdout)
    assert (alone["query"]["photo"], alone["photos"], alone["plan"]) == (None, [], "description")
    assert (alone["filters"]["upper"], alone["filters"]["only_colours"]) == (["yellow"], False)
    assert [each["what"] for each in alone["description"]["asked"]] == asked
    assert alone["description"]["fit_as_well"] <= alone["description"]["tracklets"] == 24
    assert alone["sightings"]
    for sighting in alone["sightings"]:
        assert sighting["score"] is None
        assert [each["what"] for each in sighting["described"]] == asked
    only = json.loads(reid("search", *said[:6], "--only-colours", "--home", archive.home, "--json").stdout)
    assert only["filters"]["only_colours"]
    assert only["description"]["tracklets"] < 24
    report = tmp_path / "report.html"
    printed = reid("search", *said, "--home", archive.home, "--html", report)
    assert printed.exit_code == 0
    for text in ("upper yellow: likely", "a description fits many people", "about as well as the first"):
        assert text in printed.stdout
        assert text in report.read_text()
    assert "상의 노랑: 그런 듯함" in report.read_text()
    kept = tmp_path / "result.json"
    kept.write_text(json.dumps(alone))
    again = reid("replay", kept, "--home", archive.home)
    assert (again.exit_code, again.stdout) == (0, "The same ranking.\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "expected a photo of the person, or a description"),
        (["--upper", "yelow"], "did you mean yellow"),
        (["--age", "child", "--age", "노인"], "expected one of child, adult, elder"),
        (["--with", "cane", "--without", "지팡이"], "contradict"),
        (["--age", "elder", "--only-colours"], "--upper or --lower"),
        (["--upper", "red", "--box", "1,2,30,40"], "a photo that is given"),
        (["--upper", "red", "--clothes-changed"], "there is no photo"),
    ],
)
def test_what_cannot_be_asked(small: ArchiveFiles, arguments: list[str], line: str) -> None:
    result = reid("search", "--home", small.home, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert line in result.stderr
    assert result.stderr.count("\n") == 1
