"""A night: what is done, what could not be, and that it can be stopped anywhere and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from indexer.catalogue import Catalogue, writer_lock
from indexer.coverage import NOT_INDEXED, Footage
from indexer.deadline import Deadline
from indexer.decisions import RunOptions
from indexer.districts import load_districts
from indexer.executors import InProcess
from indexer.night_lock import night_lock
from indexer.nightly import Night, Work
from indexer.pipeline import ClipContent
from indexer.shard.files import ArchiveFiles
from indexer.times import from_milliseconds, milliseconds, to_local_iso
from indexer.verification import verify
from reid.errors import BusyError, FootageError, InputError, StorageError
from search.night import plan_night
from tests.canned import KnownPipeline, holding, litter
from tests.nights import ONE_AM, Hands, Place

ROOT = Path(__file__).parents[1]
DISTRICTS = load_districts()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


class Failing(KnownPipeline):
    """Cannot decode clips whose bytes begin with `bad`."""

    def run(self, path: Path, progress: Callable[[float], None] = lambda seconds: None) -> ClipContent:
        if path.read_bytes().startswith(b"bad"):
            raise FootageError("not_video", f"{path}: expected a video")
        return super().run(path, progress)


def test_a_night_indexes_all_that_is_new_and_the_next_only_what_came(place: Place) -> None:
    first = [place.put(f"20250219T{hour}0000") for hour in (10, 11, 12)]
    pipeline = KnownPipeline()
    record = place.night(pipeline)
    assert (record.exit_code, record.state, record.done) == (0, "done", 3)
    assert record.by_district == {"songpa": 3}
    place.put("20250219T130000")
    again = place.night(pipeline)
    assert (again.exit_code, again.done, again.roots[0].known) == (0, 1, 3)
    assert pipeline.calls == ["20250219T120000", "20250219T110000", "20250219T100000", "20250219T130000"]
    assert litter(place.archive) == []
    assert len(first) == 3


def test_the_newest_come_first(place: Place) -> None:
    for start, district in (
        ("20250217T100000", "songpa"),
        ("20250219T100000", "nowon"),
        ("20250218T100000", "jung"),
    ):
        place.put(start, district)
    pipeline = KnownPipeline()
    place.night(pipeline)
    assert pipeline.calls == ["20250219T100000", "20250218T100000", "20250217T100000"]


def test_failed_clips_are_told_and_stop_no_other(place: Place) -> None:
    place.put("20250219T100000", data=b"bad")
    place.put("20250219T110000")
    place.put("holiday")
    record = place.night(Failing())
    assert (record.exit_code, record.done, record.failed_count, record.unread) == (1, 1, 1, 1)
    lines = record.lines()
    assert "done, but for what is listed" in lines[0]
    assert ["failed (not_video)" in line for line in lines[1:3]] == [True, False]
    assert "name not understood" in lines[2]
    assert lines.index(next(line for line in lines if "indexed now" in line)) > 2


def test_a_clip_that_fails_every_night_is_given_up_and_stops_being_news(place: Place) -> None:
    broken = place.put("20250219T100000", data=b"bad")
    work = Work(lambda clips: InProcess(Failing()), RunOptions(tries=3))
    nights = []
    for _ in range(4):
        nights.append(place.night(work=work))
        place.hands.move(86_400)
    told = [(night.exit_code, night.failed_count, night.given_up, night.skipped) for night in nights]
    assert told == [(1, 1, 0, 0)] * 3 + [(0, 0, 1, 0)]
    assert "1 clips were given up in earlier nights; see: reid clips --failed" in nights[-1].lines()
    broken.write_bytes(b"whole now")
    place.age(broken, 3600)
    assert place.night(work=work).done == 1


def test_the_summary_is_kept_and_says_what_the_night_did(place: Place) -> None:
    place.put("20250219T100000")
    record = place.night()
    kept = json.loads(place.archive.night("2025-02-20T010000").read_text("utf-8"))
    assert kept == json.loads(json.dumps(record.to_json()))
    assert (kept["state"], kept["exit_code"], kept["done"], kept["started"]) == (
        "done", 0, 1, "2025-02-20T01:00:00+09:00",
    )  # fmt: skip
    assert kept["verify"]["sound_to_the_byte"] == 1
    assert kept["holder"]["pid"] == os.getpid()


def test_a_night_without_roots_or_with_wrong_settings_does_nothing(place: Place) -> None:
    with pytest.raises(InputError, match="roots"):
        place.night(settings=place.settings(roots=[]))
    with pytest.raises(InputError, match="atlantis"):
        place.night(settings=place.settings(roots=[{"path": "/x", "district": "atlantis"}]))
    with pytest.raises(InputError, match="--until"):
        place.night(until="25:00")
    assert not place.archive.nightly_lock.exists()


def test_an_archive_that_is_not_there_is_told(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.archive = ArchiveFiles(tmp_path / "elsewhere")
    with pytest.raises(StorageError, match="reid init"):
        place.night()
    assert not place.archive.home.exists()


def test_a_vanished_root_is_a_failure_and_the_other_root_is_indexed(place: Place) -> None:
    place.put("20250219T100000")
    assert place.night().exit_code == 0
    place.footage.rename(place.folder / "unplugged")
    place.footage.mkdir()
    other = place.folder / "other"
    path = other / "nowon" / "N-1" / "20250219T110000.mp4"
    path.parent.mkdir(parents=True)
    path.write_text("x")
    place.age(path, 3600)
    record = place.night(settings=place.settings(roots=[str(place.footage), str(other)]))
    assert (record.exit_code, record.done) == (1, 1)
    assert [(each.where, "1 clips of it are in the archive" in each.message) for each in record.problems] == [
        (str(place.footage), True)
    ]
    alone = place.night()
    assert (alone.exit_code, alone.stages["verify"]["segments"]) == (2, 2)  # the rest of the night was done


def test_growing_files_wait_and_coverage_says_so(place: Place) -> None:
    whole = place.put("20250219T100000")
    growing = place.put("20250219T110000", age_s=10)

    def grows(seconds: float) -> None:
        Hands.sleep(place.hands, seconds)
        growing.write_bytes(growing.read_bytes() + b"more")

    place.hands.sleep = grows  # type: ignore[method-assign]
    record = place.night()
    assert (record.exit_code, record.done, record.put_off) == (0, 1, [str(growing)])
    with Catalogue(place.archive) as catalogue:
        snapshot = catalogue.snapshot()
    assert [clip.path for clip in snapshot.waiting] == [str(growing)]
    covered = Footage(snapshot).measure(["songpa"], [], None, None, milliseconds(place.hands.moment))
    assert {each.reason: each.where for each in covered.missing}[NOT_INDEXED] == (str(growing),)
    assert whole.exists()
    place.hands.sleep = lambda seconds: Hands.sleep(place.hands, seconds)  # type: ignore[method-assign]
    place.hands.move(86_400)
    place.age(growing, 3600)
    assert place.night().done == 1
    assert place.known() == ["20250219T100000", "20250219T110000"]


def test_a_file_that_has_stopped_growing_is_indexed_the_same_night(place: Place) -> None:
    place.put("20250219T110000", age_s=10)
    place.put("20250219T120000", age_s=-3600)  # by the server's clock it was written in an hour
    record = place.night()
    assert (record.done, record.put_off_count) == (2, 0)
    assert place.hands.slept == [120.0]


def test_until_stops_at_a_clip_s_end_and_the_next_night_goes_on(place: Place) -> None:
    for hour in range(10, 20):
        place.put(f"20250219T{hour}0000")

    class Slow(KnownPipeline):
        def run(self, path: Path, progress: Callable[[float], None] = lambda seconds: None) -> ClipContent:
            place.hands.move(3600)
            return super().run(path, progress)

    record = place.night(Slow(), until="03:30")
    assert (record.exit_code, record.done, record.not_reached) == (1, 3, 7)  # from 01:00: to 02, 03 and 04:00
    assert record.stopped == "stopped at 03:30"
    assert "stopped at 03:30: 7 clips left for the next night" in record.lines()
    with Catalogue(place.archive) as catalogue:
        assert len(catalogue.snapshot().waiting) == 7
    second = place.night(Slow(), max_hours=1.5)
    assert (second.done, second.stopped) == (2, "stopped after 1.5 hours")
    third = place.night()
    assert (third.exit_code, third.done) == (0, 5)
    with Catalogue(place.archive) as catalogue:
        assert catalogue.snapshot().waiting == ()


@pytest.mark.parametrize(
    ("now", "until", "expected"),
    [
        ("2025-02-19T16:00", "06:30", "2025-02-20T06:30:00+09:00"),  # 01:00 in Seoul
        ("2025-02-19T14:59", "06:30", "2025-02-20T06:30:00+09:00"),  # 23:59: the next morning
        ("2025-02-19T15:00", "00:00", "2025-02-21T00:00:00+09:00"),  # midnight itself: the next one
        ("2025-02-19T14:59", "00:00", "2025-02-20T00:00:00+09:00"),
        ("2025-02-19T21:31", "06:30", "2025-02-21T06:30:00+09:00"),  # a minute late: a whole day
        ("2025-12-31T14:00", "01:00", "2026-01-01T01:00:00+09:00"),
    ],
)
def test_until_is_the_next_such_time_in_seoul(now: str, until: str, expected: str) -> None:
    moment = from_milliseconds(0).fromisoformat(f"{now}:00+00:00")
    at = Deadline.of(Hands(moment).clock, until, 0).at
    assert at is not None
    assert to_local_iso(at) == expected


def test_a_night_over_midnight_is_named_by_its_beginning(place: Place) -> None:
    place.hands.moment = from_milliseconds(0).fromisoformat("2025-02-19T14:59:30+00:00")
    place.put("20250219T235930", age_s=10)  # begins before midnight in Seoul, and is indexed after it
    record = place.night()
    assert (record.name, record.done) == ("2025-02-19T235930", 1)
    assert [path.name for path in place.archive.dated()] == ["2025-02-19T235930.json", "2025-02-19.jsonl"]
    assert {entry.day for entry in snapshot_of(place).segments} == {"2025-02-19", "2025-02-20"}


def snapshot_of(place: Place):  # type: ignore[no-untyped-def]
    with Catalogue(place.archive) as catalogue:
        return catalogue.snapshot()


def test_the_second_night_is_told_who_runs_the_first(place: Place) -> None:
    place.put("20250219T100000")
    code = (
        "import sys, time; from datetime import UTC, datetime; from pathlib import Path\n"
        "from indexer.night_lock import night_lock; from indexer.shard.files import ArchiveFiles\n"
        "with night_lock(ArchiveFiles(Path(sys.argv[1])), datetime(2025, 2, 19, 15, 30, tzinfo=UTC)):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(place.archive.home)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=rf"process {other.pid} .* since 2025-02-20T00:30:00\+09:00"):
            place.night()
        assert BusyError.exit_code == 2
    finally:
        other.kill()
        other.wait()
    record = place.night()  # the lock of a dead process holds nobody up
    assert (record.exit_code, record.done) == (0, 1)
    assert record.interrupted is not None
    assert record.interrupted.pid == other.pid
    assert "was stopped before its end" in record.lines()[1]
    assert place.night().interrupted is None


def test_a_night_beside_another_writer_does_not_begin(place: Place) -> None:
    with writer_lock(place.archive), pytest.raises(BusyError, match="is being written by process"):
        place.night()
    assert list(place.archive.home.glob("nights/*")) == []


def test_another_writer_in_the_middle_of_the_night_costs_its_stage(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("20250219T100000")
    plain = Night.verify

    def beside(night: Night) -> None:
        with writer_lock(night.archive):
            plain(night)

    monkeypatch.setattr(Night, "verify", beside)
    record = place.night()
    assert (record.exit_code, [each.stage for each in record.problems]) == (1, ["verify"])


def test_a_lock_file_with_nonsense_in_it_is_no_obstacle(place: Place) -> None:
    place.archive.nightly_lock.write_bytes(b"\xff{]")
    with night_lock(place.archive, ONE_AM) as (holder, earlier):
        assert (holder.pid, earlier) == (os.getpid(), None)


def test_an_error_in_one_stage_stops_no_other(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put("20250219T100000")

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("nobody expected this")

    def full(*_: object, **__: object) -> None:
        raise StorageError("the disk is full")

    monkeypatch.setattr("indexer.nightly.verify", broken)
    monkeypatch.setattr("indexer.nightly.compact", full)
    record = place.night()
    assert (record.done, record.exit_code) == (1, 3)
    assert [(each.stage, each.exit_code) for each in record.problems] == [("verify", 1), ("compact", 3)]
    assert "retention" in record.stages
    log = place.archive.log("2025-02-20").read_text("utf-8")
    assert "RuntimeError: nobody expected this" in log


def test_an_interrupted_night_says_so_and_the_next_goes_on(place: Place) -> None:
    place.put("20250219T100000")
    place.put("20250219T110000")

    class Stopped(KnownPipeline):
        def run(self, path: Path, progress: Callable[[float], None] = lambda seconds: None) -> ClipContent:
            if self.calls:
                raise KeyboardInterrupt
            return super().run(path, progress)

    with pytest.raises(KeyboardInterrupt):
        place.night(Stopped())
    assert json.loads(place.archive.night("2025-02-20T010000").read_text("utf-8"))["state"] == "interrupted"
    assert place.night().done == 1


def test_a_killed_night_is_gone_on_with(place: Place, tmp_path: Path) -> None:
    """kill -9 while the second of three clips is decoded; the archive is that of an undisturbed night."""
    for hour in (10, 11, 12):
        place.put(f"20250219T{hour}0000")
    code = (
        "import sys, time; from pathlib import Path\n"
        "from tests.nights import Place; from tests.canned import KnownPipeline\n"
        "class Slow(KnownPipeline):\n"
        "    def run(self, path, progress=None):\n"
        "        if self.calls: print('second', flush=True); time.sleep(60)\n"
        "        return super().run(path)\n"
        "Place(Path(sys.argv[1])).night(Slow())\n"
    )
    killed = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert killed.stdout is not None
    assert killed.stdout.readline() == "second\n"
    killed.kill()
    killed.wait()
    kept = json.loads(place.archive.night("2025-02-20T010000").read_text("utf-8"))
    assert (kept["state"], kept["planned"]) == ("running", 3)
    place.hands.move(86_400)
    record = place.night()
    assert (record.exit_code, record.done, record.interrupted is not None) == (0, 2, True)
    assert record.stages["verify"]["sound_to_the_byte"] == 3  # also what the killed night had sealed
    (tmp_path / "whole").mkdir()
    whole = Place(tmp_path / "whole")
    whole.footage.rmdir()
    place.footage.rename(whole.footage)
    whole.hands.move(86_400)
    whole.night()
    mine, theirs = holding(place.archive), holding(whole.archive)
    assert mine.tracklets.keys() == theirs.tracklets.keys()
    assert litter(place.archive) == []


def test_what_a_killed_night_left_of_its_summary_goes(place: Place) -> None:
    place.put("20250219T100000")
    place.night()
    left = place.archive.night("2025-02-20T010000").with_name(".2025-02-20T010000.json.99.tmp")
    left.write_text('{"night": ')
    place.night()
    assert litter(place.archive) == []


def test_what_lies_in_damaged_segments_is_indexed_again(place: Place) -> None:
    place.put("20250219T100000")
    place.put("20250219T110000")
    place.night()
    entry = snapshot_of(place).segments[0]
    files = place.archive.segment(entry.district, entry.day, entry.segment)
    data = bytearray(files.records.read_bytes())
    data[len(data) // 2] ^= 1
    files.records.write_bytes(bytes(data))
    assert len(verify(place.archive, deep=True).damaged) == 1
    record = place.night()
    assert (record.done, record.exit_code) == (2, 0)  # both clips of the merged day
    assert verify(place.archive, deep=True).damaged == ()


def test_a_dry_run_writes_nothing(place: Place) -> None:
    place.put("20250217T100000")
    place.put("20250219T100000")
    place.put("20250219T110000", age_s=1)

    def state() -> dict[Path, int]:  # LMDB's table of readers changes with every reader
        return {path: path.stat().st_mtime_ns for path in place.folder.rglob("*") if "-lock" not in path.name}

    before = state()
    plan = plan_night(place.archive, place.settings(), DISTRICTS, place.hands.moment)
    assert [Path(path).stem for _, _, path in plan.clips] == ["20250219T100000", "20250217T100000"]
    assert (plan.record.put_off_count, plan.to_json()["dry_run"]) == (1, True)
    assert "2 clips new" in plan.lines()[-1]
    assert state() == before


def test_what_has_expired_is_not_indexed_every_night(place: Place) -> None:
    place.put("20250219T100000")
    place.put("20250110T100000")  # older than 30 days
    pipeline = KnownPipeline()
    assert place.night(pipeline).done == 2  # nobody knew yet that this district had anything
    again = place.night(pipeline)
    assert (again.done, again.roots[0].expired, again.exit_code) == (0, 1, 0)
    assert len(pipeline.calls) == 2


def test_logs_and_summaries_expire(place: Place) -> None:
    place.put("20250219T100000")
    place.night()
    place.hands.move(91 * 86_400)
    (place.archive.home / "logs" / "notes.txt").touch()
    place.night()
    assert [path.name[:10] for path in place.archive.dated()] == ["2025-05-22", "2025-05-22"]
    assert (place.archive.home / "logs" / "notes.txt").exists()


def test_a_log_has_one_event_a_line(place: Place) -> None:
    odd = place.footage / "songpa" / os.fsdecode(b"caf\xe9")
    odd.mkdir(parents=True)
    (odd / "20250219T100000.mp4").write_text("x")
    place.put("20250219T110000")
    place.night()
    lines = [json.loads(line) for line in place.archive.log("2025-02-20").read_text("utf-8").splitlines()]
    events = [line["event"] for line in lines]
    assert (events[0], events[-1]) == ("night_started", "night_ended")
    assert {"discovered", "clip_done", "stage_started", "stage_ended", "name_not_understood"} <= set(events)
    done = next(line for line in lines if line["event"] == "clip_done")
    assert (done["district"], done["camera"], done["tracklets"]) == ("songpa", "SP-1", 4)
    assert all(line["time"].endswith("+09:00") for line in lines)


def test_on_a_full_disk_the_night_does_what_it_can_and_says_what_it_could_not(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no permission to mount a small disk")
    try:
        place = Place(disk)
        place.put("20250219T100000")
        assert place.night().exit_code == 0
        place.put("20250220T100000", data=b"x" * 1000)
        fill = os.open(disk / "fill", os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while os.write(fill, bytes(4096)):
                pass
        os.close(fill)
        place.hands.move(86_400)
        record = place.night(KnownPipeline(60))
        assert (record.exit_code, record.done) == (3, 0)
        assert {each.stage for each in record.problems} == {"summary", "index"}
        assert {"verify", "retention"} <= record.stages.keys()
        (disk / "fill").unlink()
        assert place.night().done == 1
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
