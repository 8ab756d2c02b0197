"""`reid status` and the metrics: every figure counted again by hand, and unknown where nobody can know."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import cli
from indexer.catalogue import Catalogue
from indexer.forecast import days_until_full, growth_of
from indexer.ledger import ClipFailed, ClipWaiting
from indexer.metrics import metrics_text, write_metrics
from indexer.purge import Days, Order
from indexer.retention import purge
from indexer.shard.files import ArchiveFiles
from indexer.status import Status, read_status
from indexer.times import parse_local
from indexer.verification import verify
from reid.errors import InputError, StorageError
from tests.canned import at, copy_of, snapshot
from tests.crowd import fill

NOW = parse_local("2025-02-22T01:00")
runner = CliRunner()


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ArchiveFiles:
    """Four whole days in Songpa; in Nowon only two; a clip that waits, two that failed, one of nowhere."""
    archive = ArchiveFiles(tmp_path_factory.mktemp("status") / "archive")
    fill(archive, ("songpa",), days=4, cameras=2, hours=(9,), tracklets=3)
    fill(archive, ("nowon",), days=2, cameras=1, hours=(9,), tracklets=2)
    with Catalogue(archive, "write") as catalogue:
        catalogue.record_waiting([ClipWaiting("/f/w.mp4", "songpa", "S-0", at(100), at(101))])
        catalogue.record_waiting([ClipWaiting("/f/v.mp4", "songpa", "S-0", at(100), None)])
        for path, place in (("a", "songpa"), ("b", "mapo"), ("c", None)):
            end = at(90.5) if path == "a" else None
            catalogue.record_failure(
                ClipFailed(f"/f/{path}.mp4", place, "X-1", at(90), "no_frames", "bad", end_ms=end)
            )
    return archive


@pytest.fixture
def archive(full: ArchiveFiles, tmp_path: Path) -> ArchiveFiles:
    return copy_of(full, tmp_path)


def read(archive: ArchiveFiles, **days: int) -> Status:
    return read_status(archive, Days(30, days), lambda: NOW)


def test_every_figure_is_counted(archive: ArchiveFiles) -> None:
    found = read(archive, nowon=7)
    assert [each.district for each in found.districts] == ["mapo", "nowon", "songpa"]
    mapo, nowon, songpa = found.districts
    entries = [entry for entry in snapshot(archive).segments if entry.district == "songpa"]
    on_disk = sum(
        path.stat().st_size
        for path in (archive.home / "shards" / "songpa").rglob("*")
        if path.is_file() and path.name != "manifest.json"
    )
    assert (songpa.clips, songpa.tracklets, songpa.segments) == (8, 24, 8)
    assert songpa.vectors == sum(entry.vectors for entry in entries)
    assert songpa.bytes == on_disk
    assert songpa.newest == "2025-02-21T10:00:00+09:00"
    assert (songpa.waiting.clips, songpa.waiting.camera_hours, songpa.waiting.unmeasured) == (2, 1.0, 1)
    assert (songpa.failed.clips, songpa.failed.camera_hours, songpa.failed.unmeasured) == (1, 0.5, 0)
    assert songpa.growth is not None
    assert (songpa.growth.days, songpa.growth.last) == (4, "2025-02-21")
    assert songpa.growth.bytes_a_day == pytest.approx(on_disk / 4)
    assert (nowon.growth, nowon.keeps_days, songpa.keeps_days) == (None, 7, 30)
    assert (mapo.newest, mapo.clips, mapo.failed.clips, mapo.growth) == (None, 0, 1, None)
    assert (found.elsewhere.clips, found.elsewhere.unmeasured) == (1, 1)
    usage = shutil.disk_usage(archive.home)
    assert found.disk.total == usage.total
    assert found.disk.segments == songpa.bytes + nowon.bytes
    assert found.disk.catalogue == archive.catalogue.stat().st_blocks * 512
    assert (found.last_purge, found.proofs, found.last_night) == (None, 0, None)


def test_a_forecast_without_enough_days_is_unknown(archive: ArchiveFiles) -> None:
    disk = read(archive).disk
    assert (disk.bytes_a_day, disk.full_on) == (None, None)
    assert disk.forecast == "unknown: fewer than 3 whole days are indexed of nowon"


def test_quarantine_purge_and_night_are_told(archive: ArchiveFiles) -> None:
    entry = snapshot(archive).segments[0]
    shutil.rmtree(archive.segment(entry.district, entry.day, entry.segment).folder)
    verify(archive)
    assert sum(each.quarantined for each in read(archive).districts) == 1
    purge(archive, Days(2), Order("night"), now=lambda: NOW)
    found = read(archive)
    assert (found.last_purge, found.proofs) == ("2025-02-22T01:00:00+09:00", 1)
    assert sum(each.quarantined for each in found.districts) == 0
    nights = archive.home / "nights"
    nights.mkdir()
    told = {
        "night": "2025-02-21T010000", "state": "done", "started": "2025-02-21T01:00:00+09:00",
        "ended": "2025-02-21T03:00:00+09:00", "exit_code": 1, "done": 8, "failed_count": 2, "not_reached": 3,
        "more": [],
    }  # fmt: skip
    (nights / "2025-02-21T010000.json").write_text(json.dumps(told))
    (nights / "2025-02-22T010000.json").write_text('{"night": ')  # cut off: the one before is told
    night = read(archive).last_night
    assert night is not None
    assert (night["exit_code"], night["done"], night["failed"], night["not_reached"]) == (1, 8, 2, 3)
    assert "exit code 1; 8 clips indexed, 2 failed, 3 left" in read(archive).notes()[-1]


def day(number: int) -> date:
    return date(2025, 2, 1) + timedelta(days=number)


# (bytes of days, today, bytes a day, days)
GROWTHS: list[tuple[dict[int, int], int, float | None, int]] = [
    ({}, 5, None, 0),
    ({1: 10, 2: 20}, 5, None, 0),
    ({1: 10, 2: 20, 3: 60}, 5, 30, 3),
    ({1: 10, 2: 20, 3: 60}, 3, None, 0),  # today is not over
    ({1: 30, 4: 30}, 9, 15, 4),  # days without footage count
    ({k: 100 if k < 10 else 7 for k in range(17)}, 20, 7, 7),  # the last week
]


@pytest.mark.parametrize(("sizes", "today", "a_day", "days"), GROWTHS)
def test_growth(sizes: dict[int, int], today: int, a_day: float | None, days: int) -> None:
    found = growth_of({day(k): size for k, size in sizes.items()}, day(today))
    if a_day is None:
        assert found is None
    else:
        assert found is not None
        assert found.bytes_a_day == pytest.approx(a_day)
        assert found.days == days


def simulated(districts: list[tuple[int, float, int]], free: int) -> int | None:
    """Day by day: each brings its bytes, and what is older than the days kept goes."""
    kept = [[float(size)] for size, _, _ in districts]
    begin = sum(size for size, _, _ in districts)
    for number in range(1, 400):
        for days, (size, a_day, keeps) in zip(kept, districts, strict=True):
            days.append(a_day)
            old = max(1, round(size / a_day))  # what is there came evenly
            if number + old > keeps:
                days[0] = max(0.0, days[0] - a_day) if days[0] > 0 else 0.0
                if days[0] == 0 and sum(days) > keeps * a_day:
                    days.pop(1)
        if sum(map(sum, kept)) - begin >= free - 1e-6:
            return number
    return None


@pytest.mark.parametrize(
    ("districts", "free"),
    [
        ([(300, 100.0, 30)], 1000),
        ([(300, 100.0, 30)], 1001),
        ([(300, 100.0, 30)], 2700),
        ([(300, 100.0, 30)], 2701),
        ([(300, 100.0, 10), (100, 50.0, 5)], 600),
        ([(300, 100.0, 10), (100, 50.0, 5)], 851),
        ([(3000, 100.0, 30)], 50),
    ],
)
def test_the_forecast_is_what_a_simulation_of_the_days_says(
    districts: list[tuple[int, float, int]], free: int
) -> None:
    assert days_until_full(districts, free) == simulated(districts, free)


def test_a_full_forecast(archive: ArchiveFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(archive.home)
    fill(archive, ("songpa",), days=4, cameras=2, hours=(9,), tracklets=3)
    size = sum(entry.bytes for entry in snapshot(archive).segments)
    free = size  # four days' worth
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9 * size, 0, free))
    assert read(archive).disk.full_on == "2025-02-26"
    assert read(archive, songpa=7).disk.full_on is None  # three days more, and then days go
    assert read(archive, songpa=7).disk.forecast.startswith("not foreseen within 10 years: ")


SAMPLE = re.compile(r'([a-z_]+)(?:\{district="([^"\\\n]*)"\})? (-?\d+(?:\.\d+)?(?:e[+-]\d+)?)')


def samples(text: str) -> Iterator[tuple[str, str | None, float]]:
    """By the text format: HELP and TYPE once and before the samples of each, every line ended."""
    assert text.endswith("\n")
    known: list[str] = []
    lines = text.splitlines()
    while lines:
        line = lines.pop(0)
        if line.startswith("# HELP "):
            name = line.split()[2]
            assert name not in known
            known.append(name)
            assert lines.pop(0) == f"# TYPE {name} gauge"
            continue
        match = SAMPLE.fullmatch(line)
        assert match is not None, line
        assert match[1] == known[-1]
        yield match[1], match[2], float(match[3])


def test_metrics_say_what_the_status_says(archive: ArchiveFiles) -> None:
    found = read(archive)
    told = {(name, district): value for name, district, value in samples(metrics_text(found))}
    songpa = found.districts[2]
    assert told["reid_segment_bytes", "songpa"] == songpa.bytes
    assert told["reid_waiting_camera_seconds", "songpa"] == 3600
    assert told["reid_waiting_unmeasured_clips", "songpa"] == 1
    assert told["reid_failed_clips", "mapo"] == 1
    assert told["reid_status_timestamp_seconds", None] == NOW.timestamp()
    newest = datetime.fromisoformat(str(songpa.newest)).timestamp()
    assert told["reid_newest_footage_timestamp_seconds", "songpa"] == newest == at(82) / 1000
    assert ("reid_newest_footage_timestamp_seconds", "mapo") not in told  # unknown is absent, not 0
    assert ("reid_growth_bytes_per_day", "nowon") not in told
    assert ("reid_disk_full_timestamp_seconds", None) not in told
    assert ("reid_night_exit_code", None) not in told
    assert told["reid_unplaced_clips", None] == 1


def test_metrics_are_written_in_one_step(archive: ArchiveFiles, tmp_path: Path) -> None:
    found = read(archive)
    path = tmp_path / "reid.prom"
    path.write_text("old")
    write_metrics(path, found)
    assert path.read_text() == metrics_text(found)
    assert [each.name for each in tmp_path.glob("*.prom*")] == ["reid.prom"]
    with pytest.raises(InputError, match=r"ends in \.prom"):
        write_metrics(tmp_path / "reid.txt", found)
    with pytest.raises(StorageError):
        write_metrics(tmp_path / "absent" / "reid.prom", found)


def reid(*arguments: object) -> Result:
    return runner.invoke(cli.app, [str(argument) for argument in arguments])


def test_the_command(archive: ArchiveFiles, tmp_path: Path) -> None:
    shown = reid("status", "--home", archive.home)
    assert shown.exit_code == 0
    assert "songpa" in shown.stdout
    assert "unknown: fewer than 3 whole days" in shown.stdout
    told: dict[str, Any] = json.loads(reid("status", "--json", "--home", archive.home).stdout)
    assert [each["district"] for each in told["districts"]] == ["mapo", "nowon", "songpa"]
    path = tmp_path / "reid.prom"
    archive.settings.write_text(f'metrics_file = "{path}"\n')
    printed = reid("status", "--metrics", "--home", archive.home)
    assert set(samples(printed.stdout)) == set(samples(path.read_text()))
    assert reid("status", "--home", tmp_path / "absent").exit_code == 3
