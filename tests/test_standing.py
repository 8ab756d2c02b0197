"""Standing searches: what is new for an open case is reported once, and nothing else is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import cli
from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest
from indexer.districts import load_districts
from indexer.erasure import erase_time
from indexer.indexing import index_clips
from indexer.night_record import NightRecord
from indexer.pipeline import Pipeline
from indexer.times import milliseconds, parse_local
from reid.images import encode_jpeg
from search.audit import recent
from search.case import Case, CasePhoto, Mandate, pack_mandate
from search.cases import Cases
from search.casework import begin
from search.engine import Engine
from search.filters import Filters
from search.leads import Lead
from search.query import query_of
from search.request import Request
from search.sightings import find_sightings
from search.standing import open_cases, scopes
from tests.nights import Place
from tests.world import COLOURS, Walk, fake_pipeline, write_scene

CASE = "2026-SP-1"
AT = milliseconds(parse_local("2025-02-19T20:00"))
LOW = 0.02
"""Few tracklets and a toy's vectors: nothing is likely."""


def photo(colour: str = "red") -> CasePhoto:
    picture = np.full((96, 48, 3), COLOURS[colour], np.uint8)
    return CasePhoto("photo.jpg", encode_jpeg(picture, 95), (0.0, 0.0, 48.0, 96.0), AT)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, bytes]:
    """Clips of two people each, by their colours."""
    folder = tmp_path_factory.mktemp("films")
    pairs = {"red": ("red", "blue"), "none": ("green", "blue"), "violet": ("violet", "yellow")}
    return {
        name: write_scene(
            folder / f"{name}.mp4", [Walk(pair[0], 2, 20, 0), Walk(pair[1], 5, 25, 1)]
        ).read_bytes()
        for name, pair in pairs.items()
    }


class Town(Place):
    """A place whose clips show people, and a case that looks for the one in red."""

    films: Mapping[str, bytes]

    def film(self, start: str, name: str, district: str = "songpa", camera: str = "SP-1") -> Path:
        # A byte behind the end tells clips of the same people apart; no decoder minds.
        data = self.films[name] + f"{start}{district}{camera}".encode()
        return self.put(start, district, camera, data=data)

    def open_case(self, case: str = CASE, *photos: CasePhoto) -> None:
        with Cases(self.archive) as cases:
            cases.record(case, AT, photos or (photo(),))

    def case(self, case: str = CASE) -> Case:
        with Cases(self.archive) as cases:
            return cases.get(case)

    def look(self, pipeline: Pipeline | None = None, **nightly: Any) -> NightRecord:
        settings = self.settings(**{"lead_probability": LOW, **nightly})
        return self.night(pipeline or fake_pipeline(), settings)


@pytest.fixture(scope="module")
def indexed(films: Mapping[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A place with an archive into which nobody has searched yet, and a copy of it."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "now").mkdir()
    place = Town(folder / "now")
    place.films = films
    for hour, name in ((10, "red"), (11, "none"), (12, "violet")):
        place.film(f"20250219T{hour}0000", name)
        place.film(f"20250219T{hour}0000", "none" if name == "red" else name, "nowon", "N-1")
    paths = sorted(place.footage.rglob("*.mp4"))
    requests = [ClipRequest(path, path.parts[-3], path.parts[-2], None) for path in paths]
    index_clips(place.archive, requests, fake_pipeline(), now=lambda: place.hands.moment)
    shutil.copytree(folder / "now", folder / "kept")
    return folder / "now", folder / "kept"


@pytest.fixture
def town(indexed: tuple[Path, Path], films: Mapping[str, bytes]) -> Town:
    """The same place again: the ledger knows its clips by their paths and times."""
    now, kept = indexed
    shutil.rmtree(now)
    shutil.copytree(kept, now)
    place = Town(now)
    place.films = films
    return place


def found(record: NightRecord, case: str = CASE) -> list[str]:
    told = record.stages["standing_searches"]["cases"]
    return [each["id"] for row in told if row["case"] == case for each in row["new_sightings"]]


def searched(town: Town, filters: Filters) -> list[tuple[str, str, float]]:
    """What a plain search of the case finds: (id, clip, probability)."""
    pipeline = fake_pipeline()
    with Catalogue(town.archive) as catalogue:
        work = begin(town.archive, catalogue.snapshot(), CASE, (), ())
    query = query_of(
        work.photos[0].data, "p", pipeline.detector, pipeline.embedder, box=work.photos[0].person_box
    )
    with Engine(town.archive, pipeline.embedder.spec) as engine:
        result = find_sightings(engine, Request((query,), filters, 200))
    return [(each.record.id, each.record.clip, each.probability or 0.0) for each in result.sightings]


def test_what_is_new_is_what_a_search_finds_and_is_told_once(town: Town) -> None:
    town.open_case()
    first = town.look()
    assert first.exit_code == 0, first.lines()
    window = Filters(("nowon", "songpa"), (), AT - 86_400_000, AT)
    expected = {each for each, _, chance in searched(town, window) if chance >= LOW}
    assert expected
    assert set(found(first)) == expected
    assert {lead.tracklet for lead in town.case().new} == expected
    again = town.look()
    assert (found(again), again.stages["standing_searches"]["clips"]) == ([], 0)
    town.film("20250219T130000", "red")
    town.film("20250219T140000", "none")
    third = town.look()
    with Catalogue(town.archive) as catalogue:
        [new] = [clip.sha256 for clip in catalogue.snapshot().clips if clip.path.endswith("130000.mp4")]
    clips = {each: clip for each, clip, _ in searched(town, window)}
    assert found(third)
    assert {clips[each] for each in found(third)} == {new}, "the one who was there before is no news"
    assert f"case {CASE}: {len(found(third))}" in third.stages["standing_searches"]["said"]


def test_closed_cases_and_cases_without_photos_are_not_asked(town: Town) -> None:
    town.open_case()
    with Cases(town.archive) as cases:
        cases.close_case(CASE, AT)
    record = town.look()
    assert record.stages["standing_searches"]["cases"] == []
    assert open_cases(town.archive, AT) == ((), frozenset())


def test_what_was_shown_or_judged_is_no_news(town: Town) -> None:
    town.open_case()
    window = Filters(("nowon", "songpa"), (), AT - 86_400_000, AT)
    first, second, *rest = [each for each, _, _ in searched(town, window)][:4]
    with Catalogue(town.archive) as catalogue:
        judged = begin(town.archive, catalogue.snapshot(), CASE, [first], ()).confirmed
    with Cases(town.archive) as cases:
        cases.record(CASE, AT, confirmed=judged)
        cases.show(CASE, [second], AT)
    told = found(town.look(lead_probability=1e-6))
    assert first not in told
    assert second not in told
    assert set(rest) <= set(told)


def test_a_search_of_the_case_makes_leads_no_news(town: Town) -> None:
    town.open_case()
    leads = found(town.look())
    with Cases(town.archive) as cases:
        cases.show(CASE, leads[:1], AT + 5)
    case = town.case()
    assert [lead.shown_ms for lead in case.leads if lead.tracklet == leads[0]] == [AT + 5]
    assert leads[0] not in {lead.tracklet for lead in case.new}


def test_footage_that_was_indexed_by_hand_or_by_a_killed_night_is_searched_too(town: Town) -> None:
    town.open_case()
    record = town.look()
    assert (record.done, record.roots[0].known) == (0, 6)
    assert found(record)


def test_a_case_reaches_its_own_districts_and_ends_when_it_expires(town: Town) -> None:
    for case, districts, expires in (
        ("2026-N", ("nowon",), None), ("2026-J", ("jung",), None), ("2026-X", None, AT - 1),
    ):  # fmt: skip
        town.open_case(case)
        with Cases(town.archive) as cases, cases._file.write() as tables:
            mandate = pack_mandate(Mandate("", expires, "kim", districts))
            tables["cases"].put(case, {"opened_ms": AT, "closed_ms": None, "mandate": mandate})
    assert open_cases(town.archive, AT) == (("2026-J", "2026-N"), frozenset({"nowon", "jung"}))
    town.look(lead_probability=1e-6)
    assert {lead.district for lead in town.case("2026-N").leads} == {"nowon"}
    assert town.case("2026-J").leads == ()
    assert town.case("2026-X").leads == ()


def test_every_standing_search_is_in_the_audit_log(town: Town) -> None:
    town.open_case()
    town.look()
    [entry] = recent(town.archive, 0, "search")
    assert (entry.deed.case, entry.deed.actor.way) == (CASE, "system")
    assert entry.deed.scope["districts"] == ["nowon", "songpa"]


def test_footage_that_comes_late_is_searched_day_by_day(town: Town) -> None:
    town.film("20250210T100000", "red")
    town.look()
    with Catalogue(town.archive) as catalogue:
        snapshot = catalogue.snapshot()
    both = scopes(snapshot, [clip.sha256 for clip in snapshot.clips])
    days = [[(each.filters.since_ms or 0) // 86_400_000, len(each.clips)] for each in both]
    assert [count for _, count in days] == [1, 6]
    assert days[1][0] - days[0][0] == 9
    assert both[0].filters.districts == ("songpa",)
    assert scopes(snapshot, ["0" * 64]) == ()


def test_districts_with_confirmed_sightings_of_open_cases_come_first(town: Town) -> None:
    town.open_case()
    town.look()
    window = Filters(("nowon",), (), AT - 86_400_000, AT)
    tracklet = searched(town, window)[0][0]
    with Catalogue(town.archive) as catalogue:
        judged = begin(town.archive, catalogue.snapshot(), CASE, [tracklet], ()).confirmed
    with Cases(town.archive) as cases:
        cases.record(CASE, AT, confirmed=judged)
    assert open_cases(town.archive, AT) == ((CASE,), frozenset({"nowon"}))
    town.film("20250219T190000", "none", "songpa")
    town.film("20250219T080000", "none", "nowon", "N-1")  # older, and first all the same
    order: list[str] = []
    pipeline = fake_pipeline()
    run = pipeline.run
    pipeline.run = lambda path, *rest: (order.append(path.parts[-3]), run(path, *rest))[1]  # type: ignore[method-assign,func-returns-value]
    town.look(pipeline)
    assert order == ["nowon", "songpa"]


def test_without_a_calibration_nothing_is_guessed(town: Town) -> None:
    shutil.rmtree(town.archive.home)  # of another model
    with Catalogue(town.archive, "create"):
        town.open_case()
    strange = fake_pipeline("ab" * 32)
    record = town.look(strange)
    assert record.exit_code == 1
    assert [(each.stage, "no calibration" in each.message) for each in record.problems] == [
        ("standing_searches", True)
    ]
    town.film("20250219T130000", "red")
    by_score = town.look(strange, lead_score=0.2)
    leads = [lead for lead in town.case().new if lead.tracklet in found(by_score)]
    assert leads
    assert all(lead.probability is None and (lead.score or 0) >= 0.2 for lead in leads)


def test_a_photo_that_cannot_be_read_is_told_and_stops_no_other_case(town: Town) -> None:
    town.open_case("2026-A", CasePhoto("broken.jpg", b"no picture", (0.0, 0.0, 9.0, 9.0), AT))
    town.open_case()
    record = town.look()
    assert found(record)
    assert [each.where for each in record.problems] == ["case 2026-A"]
    assert town.look().stages["standing_searches"]["clips"] == 0  # it holds nothing back


def test_cases_that_cannot_be_read_keep_the_footage_waiting_for_them(town: Town) -> None:
    town.open_case()
    whole = town.archive.cases.read_bytes()
    town.archive.cases.write_bytes(b"no cases" * 999)
    town.film("20250219T160000", "violet")
    record = town.look()
    assert (record.exit_code, record.done) == (3, 1)
    assert "cases" in {each.stage for each in record.problems}
    town.archive.cases.write_bytes(whole)
    assert found(town.look())


def test_leads_go_with_what_they_point_to(town: Town) -> None:
    town.open_case()
    assert found(town.look())
    erase_time(town.archive, "songpa", AT - 86_400_000, AT)
    town.film("20250219T150000", "none", "nowon", "N-1")
    town.look()
    assert {lead.district for lead in town.case().leads} <= {"nowon"}
    with Cases(town.archive) as cases:
        cases.delete(CASE)
    assert CASE.encode() not in town.archive.cases.read_bytes()


def test_leads_that_were_altered_are_told(town: Town) -> None:
    town.open_case()
    lead = Lead("0" * 16, "songpa", "SP-1", AT, AT, 0.5, 0.5, AT)
    with Cases(town.archive) as cases:
        assert cases.add_leads(CASE, [lead]) == (lead,)
        assert cases.add_leads(CASE, [lead]) == ()
        with cases._file.write() as tables:
            tables["leads"].put(f"{CASE}/{lead.tracklet}", {**lead.pack(), "start_ms": "early"})
    with Cases(town.archive) as cases, pytest.raises(Exception, match="cannot be read"):
        cases.get(CASE)


def test_reid_case_show_tells_what_is_new(town: Town) -> None:
    town.open_case()
    leads = found(town.look())
    runner = CliRunner()
    shown = runner.invoke(cli.app, ["case", "show", CASE, "--home", str(town.archive.home)])
    assert shown.stdout.count("new, nobody has looked at it") == len(leads)
    assert f"reid search --case {CASE} --since 2025-02-19" in shown.stdout
    told = json.loads(
        runner.invoke(cli.app, ["case", "show", CASE, "--json", "--home", str(town.archive.home)]).stdout
    )
    assert (told["new"], {each["id"] for each in told["leads"]}) == (len(leads), set(leads))


def test_a_notice_tells_of_cases_and_counts_and_shows_nobody(town: Town, tmp_path: Path) -> None:
    town.open_case()
    target = tmp_path / "told"
    settings = town.settings({"command": ["tee", str(target)]}, lead_probability=LOW)
    record = town.night(fake_pipeline(), settings)
    text = target.read_text("utf-8")
    assert f"case {CASE}: {len(found(record))}" in text
    assert f"reid case show {CASE}" in text
    assert "not an identification" in text
    assert record.stages["notify"] == {"told": [{"way": "command", "error": None}]}
    target.unlink()
    town.night(fake_pipeline(), settings)
    assert not target.exists()  # no news
    town.night(fake_pipeline(), town.settings({"command": ["tee", str(target)], "when": "always"}))
    assert "all done" in target.read_text("utf-8")


def test_a_notice_that_fails_is_listed_and_ends_nothing(town: Town) -> None:
    town.open_case()
    record = town.night(fake_pipeline(), town.settings({"command": ["false"]}, lead_probability=LOW))
    assert (record.state, record.exit_code) == ("done", 1)
    assert [(each.stage, each.where) for each in record.problems] == [("notify", "command")]
    assert load_districts()
