"""The engine against brute force over everything that was put into the archive."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer.catalogue import Catalogue
from indexer.clothes import parse_colours
from indexer.codebooks import check_codebook, train_codebook
from indexer.compaction import _by_day, _Work, compact
from indexer.distances import distance_m
from indexer.rewriting import swap
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Tracklet
from indexer.snapshot import Sealed
from reid.camera_means import CameraMeans, centred
from reid.errors import InputError, UnknownNameError
from search import planner
from search.engine import Engine
from search.filters import Filters, Near
from search.found import Found
from search.planner import Costs, Plan
from tests.crowd import DAY, HOUR, embedder, fill, midnight, people, snapshot

NO_PHOTO = np.empty((0, 32), np.float32)
BOTH = ("songpa", "nowon")
CODES = Costs(exact_us=1e6, segment_us=0.0, code_us=0.0, refined_us=0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ArchiveFiles, dict[str, tuple[str, Tracklet]]]:
    """Compacted and coded, and everybody by id with their district."""
    archive = ArchiveFiles(tmp_path_factory.mktemp("crowd"))
    everybody = fill(archive, BOTH, days=2, cameras=4, tracklets=60)
    train_codebook(archive)
    assert len(compact(archive, workers=2).days) == 4
    return archive, {t.record.id: ("songpa" if t.record.camera[0] == "S" else "nowon", t) for t in everybody}


@pytest.fixture(scope="module")
def engine(made: tuple[ArchiveFiles, object]) -> Iterator[Engine]:
    with Engine(made[0], embedder()) as opened:
        yield opened


@pytest.fixture
def by_codes(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "costs", lambda view: CODES)
    monkeypatch.setattr(planner, "AFFORDABLE_MS", 0.0)


def oracle(
    everybody: dict[str, tuple[str, Tracklet]], means: CameraMeans, query: NDArray[np.float32],
    filters: Filters, places: dict[tuple[str, str], tuple[float, float]],
) -> list[tuple[float, str]]:  # fmt: skip
    """(-score, id) of everybody in scope, best first, in plain words."""
    scores = []
    for name, (district, tracklet) in everybody.items():
        record = tracklet.record
        key = (district, record.camera)
        inside = (
            district in filters.districts
            and (not filters.cameras or record.camera in filters.cameras)
            and (filters.since_ms is None or record.end_ms >= filters.since_ms)
            and (filters.until_ms is None or record.start_ms < filters.until_ms)
            and all(
                not asked or not shown or asked & shown
                for asked, shown in ((filters.upper, tracklet.upper), (filters.lower, tracklet.lower))
            )
            and (
                filters.near is None
                or distance_m(filters.near.latitude, filters.near.longitude, *places[key])
                <= filters.near.metres
            )
        )
        if inside:
            stored = tracklet.vectors.astype(np.float16).astype(np.float32)
            rows = centred(stored, means.of([key])[0])
            asked = centred(query, means.overall)
            scores.append((-float((rows.astype(np.float64) @ asked.T.astype(np.float64)).max()), name))
    return sorted(scores)


def ids(found: Found) -> list[str]:
    return [each.record.id for each in found.contents]


def window(first: float, last: float) -> tuple[int, int]:
    """Hours of the first day, in milliseconds since 1970 UTC."""
    return midnight(DAY) + round(first * HOUR), midnight(DAY) + round(last * HOUR)


SCOPES = [
    Filters(BOTH),
    Filters(("songpa",)),
    Filters(BOTH, cameras=("S-1", "N-2")),
    Filters(BOTH, (), *window(9.2, 13.5)),
    Filters(("nowon",), (), *window(9.5, 9.55)),
    Filters(BOTH, (), *window(20, 34)),
    Filters(BOTH, upper=parse_colours(["red", "파랑"])),
    Filters(BOTH, upper=parse_colours(["검정"]), lower=parse_colours(["white"])),
    Filters(BOTH, near=Near(37.5, 127.1, 1500)),
    Filters(("songpa",), ("S-1",), *window(33, 34), upper=parse_colours(["green"])),
]


@pytest.mark.parametrize("filters", SCOPES)
@pytest.mark.parametrize("top", [1, 10, 400])
@pytest.mark.parametrize("queries", [1, 3])
def test_an_exact_search_equals_brute_force(
    made: tuple[ArchiveFiles, dict[str, tuple[str, Tracklet]]], engine: Engine, filters: Filters, top: int,
    queries: int,
) -> None:  # fmt: skip
    query = people(np.random.default_rng(top + queries), queries, 32)
    found = engine.search(query, filters, top, exact=True)
    view = engine.view()
    places = {k: (c.latitude or 0.0, c.longitude or 0.0) for k, c in view.snapshot.cameras.items()}
    expected = oracle(made[1], view.means, query, filters, places)
    assert ids(found) == [name for _, name in expected[:top]]
    assert [hit.score for hit in found.hits] == pytest.approx(
        [-score for score, _ in expected[:top]], abs=1e-5
    )
    assert found.rows == sum(len(made[1][name][1].vectors) for _, name in expected)
    assert found.plan == Plan("exact")
    assert not found.damaged


@pytest.mark.usefixtures("by_codes")
@pytest.mark.parametrize("filters", SCOPES)
def test_a_search_by_codes_finds_what_an_exact_one_finds(engine: Engine, filters: Filters) -> None:
    right = wanted = 0
    for seed in range(20):
        query = people(np.random.default_rng(1000 + seed), 1, 32)
        exact = engine.search(query, filters, 10, exact=True)
        by_codes = engine.search(query, filters, 10)
        assert by_codes.plan.kind == "codes"
        assert by_codes.rows == exact.rows
        wanted += len(exact.hits)
        right += len(set(ids(by_codes)) & set(ids(exact)))
        scores = dict(zip(ids(exact), (hit.score for hit in exact.hits), strict=True))
        for name, hit in zip(ids(by_codes), by_codes.hits, strict=True):
            if name in scores:
                assert hit.score == pytest.approx(scores[name], abs=1e-5)  # rescored exactly
    assert right >= 0.99 * wanted


@pytest.mark.parametrize("path", ["exact", "codes", "single"])
def test_every_vector_finds_itself(
    made: tuple[ArchiveFiles, dict[str, tuple[str, Tracklet]]], engine: Engine, path: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """`single`: so few rows in scope that they are read one by one."""
    if path == "codes":
        monkeypatch.setattr(engine, "costs", lambda view: CODES)
        monkeypatch.setattr(planner, "AFFORDABLE_MS", 0.0)
    for name, (district, tracklet) in list(made[1].items())[::17]:
        record = tracklet.record
        scope = Filters(BOTH)
        if path == "single":
            scope = Filters(
                (district,), (record.camera,), record.start_ms, record.end_ms + 1, None,
                tracklet.upper, tracklet.lower,
            )  # fmt: skip
        for row in tracklet.vectors:
            seen = [((district, record.camera), row.astype(np.float16).astype(np.float32))]
            found = engine.search(NO_PHOTO, scope, 1, path != "codes", seen)
            assert found.plan.kind == ("codes" if path == "codes" else "exact")
            assert ids(found) == [name]
            assert found.hits[0].score == pytest.approx(1, abs=1e-4)


def test_codes_that_do_not_fit_into_memory_are_read_in_turns(
    made: tuple[ArchiveFiles, object], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "AFFORDABLE_MS", 0.0)
    query = people(np.random.default_rng(7), 1, 32)
    exact = engine.search(query, Filters(BOTH), 10, exact=True)
    view = engine.view()
    assert view.pool is not None
    one = max(view.pool.bytes_for(entry.vectors) for entry in view.snapshot.segments)
    made_catalogue = engine._catalogue
    with Engine(made[0], embedder(), code_bytes=one, catalogue=made_catalogue) as small:
        monkeypatch.setattr(small, "costs", lambda view: CODES)
        small.warm()
        for _ in range(3):
            assert ids(small.search(query, Filters(BOTH), 10)) == ids(exact)
        pool = small.view().pool
        assert pool is not None
        assert pool.bytes_used <= one


def test_the_planner_takes_what_is_cheaper_and_says_so(
    made: tuple[ArchiveFiles, object], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    codebook = engine.view().codebook
    assert codebook is not None
    cheap, dear = Costs(0.1, 1, 0.01, 10), Costs(1.0, 1, 0.001, 1)
    assert planner.choose(cheap, codebook, 10_000, 0, 4, 10) == Plan("exact")
    chosen = planner.choose(dear, codebook, 1_000_000, 0, 4, 10)
    assert chosen.kind == "codes"
    assert chosen.refine >= 100
    assert 0.5 < chosen.expected_recall <= 1
    assert planner.choose(cheap, codebook, 10_000, 0, 10_000, 10).kind == "codes"  # many small segments
    assert planner.choose(dear, None, 0, 1_000_000, 4, 10) == Plan("exact")
    assert planner.choose(dear, codebook, 1_000_000, 0, 4, 500).refine >= 1500
    measured = engine.costs(engine.view())
    assert measured is not None
    assert min(measured.code_us, measured.exact_us, measured.refined_us) > 0


def test_many_searches_at_once_answer_as_one_after_the_other(
    made: tuple[ArchiveFiles, object], engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planner, "AFFORDABLE_MS", 0.0)
    monkeypatch.setattr(engine, "costs", lambda view: CODES)
    queries = [people(np.random.default_rng(seed), 1, 32) for seed in range(40)]
    filters = [SCOPES[k % len(SCOPES)] for k in range(40)]
    asked = list(zip(queries, filters, strict=True))

    def answer(pair: tuple[NDArray[np.float32], Filters]) -> list[str]:
        return ids(engine.search(pair[0], pair[1], 10))

    alone = [answer(pair) for pair in asked]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(answer, asked))
    assert together == alone


@pytest.mark.parametrize("touched", [False, True])
def test_a_search_sees_one_archive_while_days_are_merged_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, touched: bool
) -> None:
    archive = ArchiveFiles(tmp_path)
    fill(archive, tracklets=20)
    query = people(np.random.default_rng(3), 1, 32)
    with Engine(archive, embedder()) as first:
        before = first.search(query, Filters(BOTH), 10)
    with Catalogue(archive, "write") as catalogue, Engine(archive, embedder(), catalogue=catalogue) as opened:
        old = opened.view()
        if touched:
            opened.search(query, Filters(BOTH), 10)
        for group in _by_day(old.snapshot):  # the catalogue is open: LMDB opens a file once
            sealed = _Work(archive, None, None).merge(group)
            assert isinstance(sealed, Sealed)
            swap(archive, catalogue, group, [sealed])
        views = [old, opened.view()]  # the search begins in the old one, whose files are gone
        monkeypatch.setattr(opened, "view", lambda: views.pop(0) if len(views) > 1 else views[0])
        after = opened.search(query, Filters(BOTH), 10)
    assert ids(after) == ids(before)
    assert not after.damaged
    assert len(after.segments) == (24 if touched else 4)  # of files that are still open, the old view
    assert len(before.segments) == 24


def test_near_and_colours_are_checked() -> None:
    with pytest.raises(InputError, match="latitude"):
        Near(127, 37, 1000)
    with pytest.raises(InputError, match="radius"):
        Near(37, 127, 0)
    with pytest.raises(UnknownNameError, match="yellow"):
        parse_colours(["yelow"])
    assert parse_colours(["노랑"]) == parse_colours(["Yellow"])
    assert distance_m(37.5145, 127.1059, 37.5172, 127.0473) == pytest.approx(5180, rel=0.01)


def test_the_codebook_is_asked_whether_it_fits(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path)
    with pytest.raises(Exception, match="no archive there"):
        train_codebook(archive)
    fill(archive, days=1, cameras=2, tracklets=5)
    with pytest.raises(InputError, match="at least"):
        train_codebook(archive)
    with pytest.raises(InputError, match="no codebook"):
        check_codebook(archive)
    assert snapshot(archive).codebook is None
