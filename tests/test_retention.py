"""Retention: whole days go by each district's rule, with a proof, and nothing that is held is lost."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import cli
from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.coverage import EXPIRED, NO_FOOTAGE, Footage
from indexer.districts import load_districts
from indexer.expiry import first_day_kept, midnight_ms
from indexer.indexing import index_clips
from indexer.proofs import check_proofs
from indexer.purge import Days, Order, Purge
from indexer.retention import purge
from indexer.settings import load_settings
from indexer.shard.files import ArchiveFiles
from indexer.times import from_milliseconds, local_day, parse_local
from indexer.verification import verify
from reid.errors import ClockError, DamagedError, FootageError, InputError, StorageError, UnknownNameError
from search.cases import Cases
from search.casework import holds
from search.engine import Engine
from search.export.sheet import sheet_of
from search.filters import Filters
from search.judged import find_judged
from tests import test_kill_points as kills
from tests import world
from tests.canned import KnownPipeline, at, clip, copy_of, holding, index, litter, snapshot, traces
from tests.crowd import embedder, fill, people

BOTH = ("songpa", "nowon")
ORDER = Order("night")
runner = CliRunner()
hook = kills.hook
small, merged, codebook = kills.small, kills.merged, kills.codebook


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ArchiveFiles:
    """18 to 21 February 2025 in two districts, before two cameras each, two clips a camera and day."""
    archive = ArchiveFiles(tmp_path_factory.mktemp("full") / "archive")
    fill(archive, BOTH, days=4, cameras=2, hours=(9, 23), tracklets=3)
    return archive


@pytest.fixture
def archive(full: ArchiveFiles, tmp_path: Path) -> ArchiveFiles:
    return copy_of(full, tmp_path)


def clock(text: str) -> Callable[[], datetime]:
    """A clock that stands still, in Seoul time."""
    moment = parse_local(text)
    return lambda: moment


def run(archive: ArchiveFiles, when: str, days: Days | int = 2, order: Order = ORDER, **more: Any) -> Purge:
    kept = Days(days) if isinstance(days, int) else days
    return purge(archive, kept, order, now=clock(when), **more)


def days_left(archive: ArchiveFiles) -> set[str]:
    return {f"{entry.district}/{entry.day}" for entry in snapshot(archive).segments}


# (today, days kept, first day kept)
KEPT = [
    ("2025-02-22", 1, "2025-02-22"),
    ("2025-02-22", 2, "2025-02-21"),
    ("2025-03-01", 30, "2025-01-31"),
    ("2024-03-01", 2, "2024-02-29"),
    ("2025-01-01", 2, "2024-12-31"),
]


@pytest.mark.parametrize(("today", "days", "first"), KEPT)
def test_which_days_are_kept(today: str, days: int, first: str) -> None:
    kept = first_day_kept(date.fromisoformat(today), days)
    assert kept == date.fromisoformat(first)
    last_moment = midnight_ms(date.fromisoformat(today) + timedelta(days=1))
    assert last_moment - midnight_ms(kept) == days * 24 * 3_600_000  # Seoul has no summer time


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin", "UTC"])
def test_days_are_days_whatever_this_machine_thinks(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own zone has summer time; Seoul has had none since 1988."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for number in range(3 * 365):
            day = date(2024, 1, 1) + timedelta(days=number)
            begin = midnight_ms(day)
            assert begin % 86_400_000 == 15 * 3_600_000
            assert local_day(from_milliseconds(begin)) == day
            assert local_day(from_milliseconds(begin - 1)) == day - timedelta(days=1)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("when", "first"),
    [
        ("2025-02-22T00:00:00", "2025-02-21"),
        ("2025-02-21T23:59:59", "2025-02-20"),
        ("2025-02-22T08:59:59", "2025-02-21"),  # 21 February in UTC
        ("2025-02-22T09:00:01", "2025-02-21"),  # 22 February in UTC
        ("2025-02-21T15:00:00Z", "2025-02-21"),  # Seoul's midnight
        ("2025-02-21T14:59:59Z", "2025-02-20"),
    ],
)
def test_a_day_is_a_day_in_seoul(archive: ArchiveFiles, when: str, first: str) -> None:
    before = holding(archive).tracklets
    done = run(archive, when, order=replace(ORDER, clock_is_right=True))
    cut = midnight_ms(date.fromisoformat(first))
    expected = {name: one for name, one in before.items() if one[3] >= cut}
    assert 0 < len(expected) < len(before)
    assert holding(archive).tracklets == expected
    assert {each.before for each in done.districts} == {f"{first}T00:00:00+09:00"}
    assert traces(archive, marked(before, expected)) == []
    assert litter(archive) == []
    assert verify(archive, deep=True).damaged == ()
    assert {each.start_ms >= cut for each in snapshot(archive).clips} == {True}


def marked(before: Any, after: Any) -> dict[str, tuple[Any, ...]]:
    """Those that went; the thumbnails of the crowd are too short to tell."""
    lost = {name: one for name, one in before.items() if name not in after}
    return {name: (*one[:10], one[8], one[11]) for name, one in lost.items()}


def test_each_district_has_its_own_days(archive: ArchiveFiles) -> None:
    archive.settings.write_text('retention_days = 3\nretention = { "송파구" = 1 }\n')
    days = Days.of(load_settings(archive), load_districts())
    assert (days["songpa"], days["nowon"]) == (1, 3)
    run(archive, "2025-02-22T01:00", days)
    assert days_left(archive) == {"nowon/2025-02-20", "nowon/2025-02-21"}
    archive.settings.write_text("[retention]\nnowhere = 3\n")
    with pytest.raises(UnknownNameError, match="nowhere"):
        Days.of(load_settings(archive), load_districts())


def test_an_order_names_districts_and_a_day(archive: ArchiveFiles) -> None:
    done = run(archive, "2025-02-22T01:00", 30, Order("Kim", ("songpa",), date(2025, 2, 20)))
    assert days_left(archive) >= {f"nowon/2025-02-{day}" for day in (18, 19, 20, 21)}
    assert {day for day in days_left(archive) if "songpa" in day} == {
        "songpa/2025-02-20", "songpa/2025-02-21",
    }  # fmt: skip
    assert [each.district for each in done.districts] == ["songpa"]
    with pytest.raises(UnknownNameError, match="mapo"):
        run(archive, "2025-02-22T01:00", 30, Order("Kim", ("mapo",)))
    with pytest.raises(InputError, match="until 2025-02-22, got 2025-02-23"):
        run(archive, "2025-02-22T01:00", 30, Order("Kim", (), date(2025, 2, 23)))
    with pytest.raises(InputError, match="by whose order"):
        Order(" ")


def test_a_dry_run_tells_and_changes_nothing(archive: ArchiveFiles) -> None:
    before, version = holding(archive), snapshot(archive).version
    told = run(archive, "2025-02-22T01:00", dry_run=True)
    assert holding(archive) == before
    assert snapshot(archive).version == version
    assert not archive.proofs.exists()
    done = run(archive, "2025-02-22T01:00")
    assert replace(done, dry_run=True, proof=None, sha256=None) == told
    assert (told.dry_run, done.dry_run) == (True, False)
    assert sum(each.tracklets for each in done.districts) == len(before.tracklets) - len(
        holding(archive).tracklets
    )


def test_the_proof_is_counted_hashed_and_chained(archive: ArchiveFiles) -> None:
    seen = snapshot(archive)
    gone = [e for e in seen.segments if e.district == "songpa" and e.day < "2025-02-20"]
    done = run(archive, "2025-02-21T01:00", 2, replace(ORDER, clock_is_right=True))
    assert done.proof == str(archive.proofs / "000001.json")
    data = Path(done.proof).read_bytes()
    assert hashlib.sha256(data).hexdigest() == done.sha256
    told = json.loads(data)
    songpa = next(each for each in told["districts"] if each["district"] == "songpa")
    assert songpa == {
        "district": "songpa", "before": "2025-02-20T00:00:00+09:00", "days": ["2025-02-18", "2025-02-19"],
        "tracklets": sum(e.tracklets for e in gone), "vectors": sum(e.vectors for e in gone),
        "bytes": sum(e.bytes for e in gone), "clips": 8, "unfinished": 0,
        "removed": [e.seal for e in gone], "replaced": [], "unreadable": [],
    }  # fmt: skip
    assert (told["by"], told["at"], told["previous"]) == ("night", "2025-02-21T01:00:00+09:00", None)
    assert told["retention_days"] == {"nowon": 2, "songpa": 2}
    nothing = run(archive, "2025-02-21T02:00", 2, replace(ORDER, clock_is_right=True))
    assert (nothing.districts, nothing.proof, nothing.lines()) == ((), None, ["nothing has expired"])
    second = run(archive, "2025-02-22T01:00")
    assert json.loads(Path(str(second.proof)).read_bytes())["previous"] == done.sha256
    assert checked(archive) == (2, (), (), ())


def checked(archive: ArchiveFiles) -> tuple[Any, ...]:
    with Catalogue(archive) as catalogue:
        found = check_proofs(archive, catalogue.retained)
    assert found.is_sound == (found.missing == found.altered == found.unexpected == ())
    return (found.proofs, found.missing, found.altered, found.unexpected)


def test_altered_missing_and_foreign_proofs_are_told(archive: ArchiveFiles) -> None:
    for day in (20, 21, 22):
        run(archive, f"2025-02-{day}T01:00", 1, replace(ORDER, clock_is_right=True))
    first, second, third = sorted(archive.proofs.glob("*.json"))
    whole = {path: path.read_bytes() for path in (first, second, third)}
    assert checked(archive) == (3, (), (), ())
    for path in (first, second, third):
        path.write_bytes(whole[path].replace(b'"night"', b'"other"'))
        assert checked(archive) == (3, (), (path.name,), ())
        path.unlink()
        assert checked(archive) == (3, (path.name,), (), ())
        path.write_bytes(whole[path])
    shutil.copy(third, archive.proofs / "000004.json")
    assert checked(archive) == (3, (), (), ("000004.json",))


# (clock, what is told)
CLOCKS = [
    ("2025-02-21T22:00", "the clock says 2025-02-21T22:00:00.*newest footage is of 2025-02-22T00:00:00"),
    ("1970-01-01T09:00:01", "newest footage"),
    ("2025-03-02T01:00", "8 days after"),
    ("2035-02-22T01:00", "more than 7 days are not taken on trust"),
]


@pytest.mark.parametrize(("when", "told"), CLOCKS)
def test_an_implausible_clock_removes_nothing(archive: ArchiveFiles, when: str, told: str) -> None:
    before = holding(archive)
    moment = datetime.fromisoformat(when + "+09:00").astimezone(UTC)
    for dry_run in (True, False):
        with pytest.raises(ClockError, match=told) as error:
            purge(archive, Days(1), ORDER, now=lambda: moment, dry_run=dry_run)
        assert "--clock-is-right" in str(error.value)
    assert holding(archive) == before
    assert error.value.exit_code == 3


def test_the_clock_is_compared_with_the_last_run(archive: ArchiveFiles) -> None:
    run(archive, "2025-02-22T01:00", 30)  # removes nothing, and was there
    run(archive, "2025-02-28T01:00", 30)
    with pytest.raises(ClockError, match="last purge is of 2025-02-28T01:00:00"):
        run(archive, "2025-02-27T23:00", 1)
    run(archive, "2025-02-28T00:55", 30)  # two machines' clocks may differ by some minutes
    run(archive, "2025-03-07T00:00", 30)  # within a week of a sign of life
    with pytest.raises(ClockError, match="10 days after"):
        run(archive, "2025-03-17T01:00", 1)
    assert len(days_left(archive)) == 8
    done = run(archive, "2025-03-17T01:00", 1, replace(ORDER, clock_is_right=True))
    assert days_left(archive) == set()
    assert json.loads(Path(str(done.proof)).read_text())["clock_is_right"] is True


def coverage(archive: ArchiveFiles, since: int | None, until: int | None) -> dict[str, float]:
    found = Footage(snapshot(archive)).measure(("songpa",), (), since, until, at(24 * 5))
    missing = {gap.reason: gap.camera_hours or 0.0 for gap in found.missing}
    assert sum(missing.values()) + found.searched_camera_hours == pytest.approx(found.asked_camera_hours)
    return {"searched": found.searched_camera_hours, "asked": found.asked_camera_hours, **missing}


def test_coverage_tells_what_expired(archive: ArchiveFiles) -> None:
    """Two cameras, an hour from 9 and from 23 o'clock each day; rows of the ledger go, the reason stays."""
    run(archive, "2025-02-22T01:00", 2)
    assert len([each for each in snapshot(archive).clips if each.district == "songpa"]) == 4
    asked = coverage(archive, at(0), at(96))
    # from the first footage on, 18 February 9 o'clock, to 21 February 0 o'clock
    assert asked == pytest.approx({"asked": 192, "searched": 4, EXPIRED: 2 * 63, NO_FOOTAGE: 62})
    kept = coverage(archive, None, None)  # the window of what is left
    assert kept == pytest.approx({"asked": 30, "searched": 4, NO_FOOTAGE: 26})
    run(archive, "2025-02-24T01:00", 1)
    assert snapshot(archive).clips == ()
    all_gone = coverage(archive, None, None)
    assert all_gone == pytest.approx({"asked": 2 * 135, "searched": 0, EXPIRED: 2 * 135})
    [one] = [each for each in snapshot(archive).erasures if each.district == "songpa"]
    assert [until for until, _ in one.runs] == [at(72), at(144)]
    assert one.erased_ms(at(1)) == at(97)
    assert one.erased_ms(at(80)) == at(145)


def test_a_rule_that_is_relaxed_brings_nothing_back(archive: ArchiveFiles) -> None:
    run(archive, "2025-02-22T01:00", 1)
    run(archive, "2025-02-22T02:00", 30)
    assert coverage(archive, at(0), at(96))[EXPIRED] == pytest.approx(2 * 87)


def test_footage_that_expired_is_not_indexed_again(tmp_path: Path) -> None:
    """Real clips with a length; the ledger's row is gone, and the file is not decoded again."""
    archive = ArchiveFiles(tmp_path / "archive")
    old = clip(tmp_path, "old", "S-1", at(9))
    new = clip(tmp_path, "new", "S-1", at(33))
    world.write_scene(old.path, [world.Walk("red", 3, 25)])
    world.write_scene(new.path, [world.Walk("blue", 3, 25)])
    index(archive, old, new)
    assert len(holding(archive).tracklets) == 8
    done = run(archive, "2025-02-19T12:00", 1)
    assert [each.clips for each in done.districts] == [1]
    pipeline = KnownPipeline()
    report = index(archive, old, new, pipeline=pipeline)
    assert (pipeline.calls, len(report.skipped)) == ([], 2)
    assert "expired" in dict(report.skipped)[str(old.path)]
    assert "0 clips indexed, 1 done before, 0 failed, 1 of a time that has expired; " in report.lines()[-1]
    assert len(holding(archive).tracklets) == 4
    assert snapshot(archive).waiting == ()
    over_midnight = replace(old, start=from_milliseconds(at(24) - 1000))  # ends in a day that is kept
    index_clips(archive, [over_midnight], pipeline, now=lambda: world.NOW)
    assert pipeline.calls == ["old"]
    found = [one for one in holding(archive).tracklets.values() if one[3] < at(24)]
    assert found == []


def test_failed_and_waiting_clips_expire(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    cut = clip(tmp_path, "cut", "S-1", at(9))
    world.write_scene(cut.path, [world.Walk("red", 3, 25)])

    class Broken(KnownPipeline):
        def run(self, path: Path, progress: Any = None) -> Any:
            raise FootageError("no_frames", f"{path}: nothing")

    index(archive, cut, pipeline=Broken())
    index(archive, clip(tmp_path, "kept", "S-2", at(33)))
    assert len(snapshot(archive).failures) == 1
    done = run(archive, "2025-02-19T12:00", 1)
    assert [each.unfinished for each in done.districts] == [1]
    assert snapshot(archive).failures == ()
    assert coverage(archive, at(8), at(10))[EXPIRED] == pytest.approx(1)


def test_a_corrected_clock_moves_what_expires(archive: ArchiveFiles) -> None:
    """Camera S-0 is two hours ahead: what it shows as 23 o'clock and later was before 22 o'clock."""
    before = holding(archive).tracklets
    with Catalogue(archive, "write") as catalogue:
        catalogue.put_cameras([Camera("S-0", "", "songpa", clock_offset_s=-2 * 3600)])
    done = run(archive, "2025-02-22T02:00", 2, Order("night", ("songpa",)))
    after = holding(archive).tracklets
    songpa = {name: one for name, one in before.items() if one[0] == "songpa"}
    expected = {
        name for name, one in songpa.items()
        if one[3] + (2 * 3_600_000 if one[2] == "S-0" else 0) >= at(72)
    }  # fmt: skip
    assert {name for name, one in after.items() if one[0] == "songpa"} == expected
    assert any(one[3] < at(72) for name, one in after.items() if one[0] == "songpa")
    assert done.districts[0].tracklets == len(songpa) - len(expected)
    assert traces(archive, marked(before, after)) == []


def test_a_segment_that_nobody_can_read_expires_too(archive: ArchiveFiles) -> None:
    entry = next(e for e in snapshot(archive).segments if e.district == "songpa")
    os.truncate(archive.segment("songpa", entry.day, entry.segment).vectors, 5)
    assert len(verify(archive).damaged) == 1
    done = run(archive, "2025-02-22T01:00", 2)
    assert done.unreadable == ()
    assert entry.seal in {seal for each in done.districts for seal in each.removed}
    assert verify(archive, deep=True).damaged == ()
    assert litter(archive) == []


def held_case(archive: ArchiveFiles, verdict: str = "confirmed") -> tuple[str, str]:
    """A case with a sighting of the first day in Songpa; the sighting's id and that of its clip."""
    name = min(
        name for name, one in holding(archive).tracklets.items() if one[0] == "songpa" and one[3] < at(24)
    )
    [one] = find_judged(archive, snapshot(archive), [name]).values()
    with Cases(archive) as cases:
        given = {verdict: [one]}
        cases.record("2025-SP-1", at(100), **given)  # type: ignore[arg-type]
    return name, one.record.clip


def test_what_an_open_case_holds_stays_with_the_case(archive: ArchiveFiles) -> None:
    name, of_clip = held_case(archive)
    [hold] = holds(archive)
    done = run(archive, "2025-02-22T01:00", 2, holds=holds(archive))
    assert done.held == (("2025-SP-1", name),)
    assert done.to_json()["held"] == [{"case": "2025-SP-1", "sighting": name}]
    assert json.loads(Path(str(done.proof)).read_text())["held"] == done.to_json()["held"]
    assert name not in holding(archive).tracklets
    with Cases(archive) as cases:
        case = cases.get("2025-SP-1")
    [copy] = case.judged("confirmed")
    assert (copy.record.id, len(copy.thumbnail) > 0) == (name, True)
    assert [c.sha256 for c in snapshot(archive).clips if c.start_ms < at(72) and c.district == "songpa"] == [
        of_clip
    ]
    [confirmed] = sheet_of(case, snapshot(archive), load_districts()).confirmed
    assert confirmed.clip is not None  # an export finds the original
    assert confirmed.erased_ms == at(97)
    again = run(archive, "2025-02-23T01:00", 2, holds=[hold])
    assert again.held == ()  # it went before
    [confirmed] = sheet_of(case, snapshot(archive), load_districts()).confirmed
    assert confirmed.erased_ms == at(97)
    with Cases(archive) as cases:
        cases.close_case("2025-SP-1", at(120))
    assert holds(archive) == ()
    run(archive, "2025-02-23T02:00", 2, holds=holds(archive))
    assert of_clip not in {each.sha256 for each in snapshot(archive).clips}


def test_a_rejected_sighting_holds_nothing(archive: ArchiveFiles) -> None:
    held_case(archive, "rejected")
    assert holds(archive) == ()


def test_a_damaged_copy_stops_the_purge(archive: ArchiveFiles) -> None:
    held_case(archive)
    data = bytearray(archive.cases.read_bytes())
    place = data.index(b"songpa")
    data[place] ^= 1
    archive.cases.write_bytes(data)
    with pytest.raises(DamagedError):
        holds(archive)
    before = holding(archive)
    result = reid("purge", "--home", archive.home, "--clock-is-right")
    assert (result.exit_code, result.stdout) == (3, "")
    assert holding(archive) == before


PURGE = """
import sys
from datetime import date
from pathlib import Path
from indexer.purge import Days, Order
from indexer.retention import purge
from indexer.shard.files import ArchiveFiles
purge(ArchiveFiles(Path(sys.argv[1])), Days(1), Order("night", before=date(2025, 2, 20), clock_is_right=True))
"""


@pytest.mark.parametrize("touched", [False, True])
def test_a_search_opened_before_a_purge_answers_from_one_set(
    archive: ArchiveFiles, monkeypatch: pytest.MonkeyPatch, touched: bool
) -> None:
    """It ends in the view it began in where files are still open, else in that after; never in between."""
    query = people(np.random.default_rng(3), 1, 32)
    before = set(holding(archive).tracklets)
    with Engine(archive, embedder()) as engine:
        old = engine.view()
        if touched:
            engine.search(query, Filters(BOTH), 400)
        subprocess.run([sys.executable, "-c", PURGE, str(archive.home)], check=True, cwd=kills_root())
        views = [old, engine.view()]
        monkeypatch.setattr(engine, "view", lambda: views.pop(0) if len(views) > 1 else views[0])
        during = engine.search(query, Filters(BOTH), 400)
        later = engine.search(query, Filters(BOTH), 400)
    after = set(holding(archive).tracklets)
    assert len(before) == 96
    assert len(after) == 48
    assert not during.damaged
    assert {each.record.id for each in during.contents} == (before if touched else after)
    assert {each.record.id for each in later.contents} == after


def kills_root() -> Path:
    return Path(__file__).parents[1]


def test_killed_anywhere_there_is_one_proof(
    small: kills.Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the walk of test_kill_points; here the proofs: none before, one after the next run, never two."""
    work = replace(small, archive=ArchiveFiles(tmp_path / "work"))
    shutil.copytree(small.archive.home, work.archive.home)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)

    def act(archive: ArchiveFiles) -> Purge:
        return purge(archive, Days(1), ORDER, now=clock("2025-02-19T01:00"))

    with kills.watched(work.archive, tmp_path, monkeypatch) as camera:
        done = act(work.archive)
    assert checked(work.archive) == (1, (), (), ())
    stages = set()
    for picture in camera.pictures.values():
        left = ArchiveFiles(picture)
        went = not any(entry.day == "2025-02-18" for entry in snapshot(left).segments)
        stages.add((went, (left.proofs / "000001.json").exists()))
        assert checked(left)[1:3] == ((), ()), picture.name
        folders = {path.name for path in (left.home / "shards" / "songpa").glob("*")}
        assert "2025-02-18" not in folders or not (left.proofs / "000001.json").exists(), picture.name
        again = act(left)
        assert again.proof is None or not went
        assert checked(left) == (1, (), (), ()), picture.name
        assert (left.proofs / "000001.json").read_bytes() == Path(str(done.proof)).read_bytes()
        assert litter(left) == [], picture.name
    assert stages == {(False, False), (True, False), (True, True)}


def reid(*arguments: object) -> Result:
    return runner.invoke(cli.app, [str(argument) for argument in arguments])


def test_the_command(archive: ArchiveFiles) -> None:
    home = ("--home", archive.home, "--json")
    refused = reid("purge", *home)
    assert (refused.exit_code, refused.stdout) == (3, "")  # footage of 2025: the clock is far ahead
    assert "--clock-is-right" in refused.stderr
    archive.settings.write_text("retention_days = 30\nretention = { songpa = 36000 }\n")
    dry = reid("purge", "--clock-is-right", "--dry-run", *home)
    assert (dry.exit_code, json.loads(dry.stdout)["dry_run"]) == (0, True)
    day = ("purge", "--clock-is-right", "-d", "송파", "--before", "2025-02-19", "--by", "Kim")
    for answer, code in (("n\n", 2), ("", 1)):
        assert runner.invoke(cli.app, [*map(str, (*day, *home))], input=answer).exit_code == code
    done = json.loads(reid(*day, "--yes", *home).stdout)
    assert [(each["district"], each["days"]) for each in done["districts"]] == [("songpa", ["2025-02-18"])]
    assert done["by"] == "Kim"
    shown = reid("purge", "--clock-is-right", "--home", archive.home)
    assert "nowon, before " in shown.stdout
    assert "songpa" not in shown.stdout
    assert days_left(archive) == {f"songpa/2025-02-{day}" for day in (19, 20, 21)}
    sound = reid("purge", "--check", *home)
    assert (sound.exit_code, json.loads(sound.stdout)["proofs"]) == (0, 2)
    (archive.proofs / "000001.json").unlink()
    told = reid("purge", "--check", "--home", archive.home)
    assert (told.exit_code, told.stdout.splitlines()[0]) == (1, "missing: 000001.json")
    for wrong in (("--before", "yesterday"), ("-d", "nowhere"), ("--by", " ")):
        assert reid("purge", "--clock-is-right", "--yes", *wrong, *home).exit_code == 2


def test_no_archive(tmp_path: Path) -> None:
    for dry_run in (True, False):
        with pytest.raises(StorageError, match="no archive"):
            purge(ArchiveFiles(tmp_path / "absent"), Days(), ORDER, dry_run=dry_run)


@pytest.mark.parametrize("text", ["retention = 3", "retention = { songpa = 0 }", "retention_days = 0"])
def test_days_that_make_no_sense(archive: ArchiveFiles, text: str) -> None:
    archive.settings.write_text(text)
    result = reid("purge", "--home", archive.home)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "retention" in result.stderr
