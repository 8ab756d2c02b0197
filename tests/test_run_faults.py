"""What can happen to a run while it is on: full disks, vanished mounts, clocks that jump, masses of clips."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kills import Trial
from indexer import work
from indexer.cameras import Camera
from indexer.catalogue import Catalogue
from indexer.clips import ClipRequest, Given, find_clips
from indexer.coverage import NOT_INDEXED, Footage
from indexer.decisions import RunOptions
from indexer.districts import load_districts
from indexer.executors import InProcess, Outcome
from indexer.index_report import IndexReport, Progress
from indexer.indexing import index_with
from indexer.pipeline import Pipeline
from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from indexer.verification import verify
from indexer.video import Clip, open_clip
from indexer.work import Job
from indexer.workers import WorkerProcesses
from reid.errors import StorageError
from tests.canned import NOW, KnownPipeline, at, clip, snapshot
from tests.faulty import FaultyPipeline
from tests.test_executors import KIT, beside, made, processes
from tests.test_executors import run as run_with
from tests.world import Walk, write_scene

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFiles:
    return ArchiveFiles(tmp_path / "archive")


def run(archive: ArchiveFiles, clips: list[ClipRequest], **options: Any) -> IndexReport:
    return run_with(InProcess(FaultyPipeline()), archive, clips, **options)


@contextmanager
def mounted(folder: Path, *how: str) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    if subprocess.run(["mount", *how, str(folder)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], capture_output=True)


class After(Progress):
    """Something happens when so many clips have ended."""

    def __init__(self, count: int, act: Callable[[], object]) -> None:
        self._count, self._act = count, act

    def clip_ended(self, path: Path, ended: int, total: int) -> None:
        if ended == self._count:
            self._act()


@only_root
@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_the_run_and_keeps_what_was_done(tmp_path: Path, workers: int) -> None:
    disk = tmp_path / "disk"
    clips = [clip(tmp_path, f"c{k}", "S-1", at(9) + 60_000 * k) for k in range(40)]
    with mounted(disk, "-t", "tmpfs", "-o", "size=400k", "tmpfs"):
        archive = ArchiveFiles(disk / "archive")
        with processes(workers) as crew, pytest.raises(StorageError, match="full"):
            run_with(crew, archive, clips)
        done = snapshot(archive).clips
        assert 0 < len(done) < len(clips)
        assert verify(archive, deep=True).damaged == ()
        assert len(snapshot(archive).waiting) == len(clips) - len(done)
        subprocess.run(["mount", "-o", "remount,size=40m", str(disk)], check=True)
        run(archive, clips)
        run(beside(ArchiveFiles(tmp_path / "a")), clips)
        assert made(archive) == made(beside(ArchiveFiles(tmp_path / "a")))


@only_root
def test_a_mount_that_vanishes_takes_no_footage_with_it(archive: ArchiveFiles, tmp_path: Path) -> None:
    """Unmounted after two clips: the rest fails as missing, and stays known as not yet indexed."""
    disk, seen_at = tmp_path / "disk", tmp_path / "footage"
    disk.mkdir()
    start = datetime.fromisoformat("2025-02-18T09:00:00+09:00")
    for k in range(5):
        write_scene(disk / f"{k}.mp4", [Walk("red", 0, 20 + k)], frames=30)
    clips = [ClipRequest(seen_at / f"{k}.mp4", "songpa", "S-1", start + timedelta(hours=k)) for k in range(5)]
    with mounted(seen_at, "--bind", str(disk)), processes() as crew:
        umount = After(2, lambda: subprocess.run(["umount", "-l", str(seen_at)], check=True))
        report = run_with(crew, archive, clips, umount)
        assert {each.reason for each in report.failed} <= {"missing", "unreadable", "no_frames"}
        assert len(report.done) + len(report.failed) == 5
        assert len(report.failed) >= 1
        gone = [each for each in report.failed if each.reason == "missing"]
        assert {each.path for each in snapshot(archive).waiting} == {each.path for each in gone}
        since, until = milliseconds(start), milliseconds(start) + 5 * 3_600_000
        told = Footage(snapshot(archive)).measure(("songpa",), (), since, until, milliseconds(NOW))
        waiting = [each for each in told.missing if each.reason == NOT_INDEXED]
        assert [len(each.where) > 0 for each in waiting] == [True] * bool(gone)
        assert not any(each.unmeasured for each in waiting)  # their lengths are known
    with mounted(seen_at, "--bind", str(disk)):
        assert not run(archive, clips).failed
        run(beside(archive), clips)
        assert made(archive)[1:] == made(beside(archive))[1:]
    assert snapshot(archive).unfinished == ()


def crashing_open(path: Path) -> Clip:
    if path.stem.startswith("head"):
        ctypes.string_at(0)
    return open_clip(path)


@dataclass(frozen=True)
class CrashingHeads:
    """In its process a decoder crashes on the first frame of some clips."""

    def __call__(self) -> Pipeline:
        vars(work)["open_clip"] = crashing_open
        return FaultyPipeline()


def test_a_clip_whose_head_ends_the_worker_is_not_begun(archive: ArchiveFiles, tmp_path: Path) -> None:
    clips = [clip(tmp_path, name, "S-1", at(9 + k)) for k, name in enumerate(("a", "head", "b"))]
    with WorkerProcesses(CrashingHeads(), KIT, 2) as crew:
        report = run_with(crew, archive, clips)
    assert [(Path(each.path).stem, each.reason) for each in report.failed] == [("head", "crashed")]
    assert len(report.done) == 2
    assert [each.tries for each in snapshot(archive).failures] == [1]


def test_killed_at_random_the_archive_is_that_of_an_undisturbed_run(tmp_path: Path) -> None:
    """The benchmark `kills`, small: who orders and workers are ended by SIGKILL."""
    trial = Trial(tmp_path, clips=12, seed=5)
    rounds = trial.rounds(kills=5)
    assert all(each.is_equal for each in rounds)
    assert sum(trial.hits.values()) == sum(each.kills for each in rounds) >= 5


def test_that_comparison_can_fail(tmp_path: Path) -> None:
    trial = Trial(tmp_path, clips=2, seed=5)
    (tmp_path / "whole").mkdir()
    trial.finish(tmp_path / "other")
    run(ArchiveFiles(tmp_path / "whole"), [clip(tmp_path, "a", "S-1", at(9))])
    assert not any(each.is_equal for each in trial.rounds(kills=1))


def test_a_clock_that_jumps_back_during_a_run_loses_nothing(archive: ArchiveFiles, tmp_path: Path) -> None:
    """What then seems to lie in the future is told, and indexed as soon as the clock is right."""
    clips = [clip(tmp_path, f"c{k}", "S-1", at(9 + k)) for k in range(4)]
    moment = [NOW]

    def back() -> None:
        moment[0] = NOW - timedelta(days=365)

    who = InProcess(FaultyPipeline())
    report = index_with(who, archive, clips, After(2, back), lambda: moment[0])
    assert [each.reason for each in report.failed] == ["future_start"] * 2
    assert len(report.done) == 2
    assert all(0 <= each.seconds_taken < 600 for each in report.done)
    assert not index_with(who, archive, clips, now=lambda: NOW).failed
    run(beside(archive), clips)
    assert made(archive)[1:] == made(beside(archive))[1:]


def test_the_hour_that_a_camera_shows_twice(archive: ArchiveFiles, tmp_path: Path) -> None:
    """A recorder that goes by daylight saving names two clips by the same time when its clock is put back:
    both are indexed, neither takes the other's place, and the time counts once.
    """
    start = datetime.fromisoformat("2025-10-26T02:30:00+09:00")
    now = start + timedelta(days=30)
    for folder, walk in (("before", "red"), ("after", "blue")):
        place = tmp_path / folder / "songpa" / "S-1"
        write_scene(place / "20251026T023000.mp4", [Walk(walk, 0, 29)], frames=30)
    clips = find_clips([tmp_path / "before", tmp_path / "after"], Given(), load_districts())
    from_files = InProcess(KnownPipeline(2))
    report = index_with(from_files, archive, clips, now=lambda: now)
    assert len(report.done) == 2
    assert {each.start_ms for each in report.done} == {milliseconds(start)}
    seen = snapshot(archive)
    assert len(seen.clips) == 2
    told = Footage(seen).measure(("songpa",), (), None, None, milliseconds(now))
    assert told.searched_camera_hours == pytest.approx(20 / 3600)  # of two times 20 seconds
    assert len(index_with(from_files, archive, clips, now=lambda: now).skipped) == 2


def test_footage_of_a_camera_an_hour_ahead_is_moved_as_a_whole(archive: ArchiveFiles, tmp_path: Path) -> None:
    """Its summer is told by its clock offset: the day of the shard is that of the true time."""
    late = clip(tmp_path, "late", "S-1", at(24) + 10 * 60_000)  # shown ten past midnight
    who = InProcess(FaultyPipeline())
    index_with(who, archive, [], now=lambda: NOW)
    with Catalogue(archive, "write") as catalogue:
        catalogue.put_cameras([Camera("S-1", "", "songpa", clock_offset_s=3600)])
    index_with(who, archive, [late], now=lambda: NOW)
    assert {entry.day for entry in snapshot(archive).segments} == {"2025-02-18"}


class Counting:
    """An executor that does nothing, and knows how much it was given at once."""

    kit, slots = KIT, 3

    def __init__(self) -> None:
        self.jobs: list[tuple[int, Job]] = []
        self.most = 0

    def submit(self, ticket: int, job: Job, limit_s: float) -> None:
        self.jobs.append((ticket, job))
        self.most = max(self.most, len(self.jobs))

    def wait(self, advanced: Callable[[int, float], None]) -> Outcome:
        ticket, job = self.jobs.pop()
        return Outcome(ticket, job.run(KnownPipeline(0), lambda seconds: None))

    def close(self) -> None:
        pass


def test_masses_of_clips_are_planned_in_little_memory(archive: ArchiveFiles, tmp_path: Path) -> None:
    """Twenty thousand names; the work is stopped after fifty, and never more than the slots were given."""
    folder = tmp_path / "footage"
    folder.mkdir()
    start = datetime.fromisoformat("2025-02-18T00:00:00+09:00")
    clips = []
    for k in range(20_000):
        (folder / f"{k}.mp4").write_text(str(k))
        clips.append(ClipRequest(folder / f"{k}.mp4", "songpa", f"S-{k % 50}", start + timedelta(seconds=k)))
    counting, asked = Counting(), [0]

    def stop() -> bool:
        asked[0] += 1
        return asked[0] > 50

    tracemalloc.start()
    try:
        report = index_with(counting, archive, clips, now=lambda: NOW, stop_when=stop)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert report.left == len(snapshot(archive).waiting) == 20_000
    assert counting.most == counting.slots
    assert peak < 60e6  # bytes; 3 KB a clip


def test_a_pipe_that_never_gives_a_byte_is_not_opened(archive: ArchiveFiles, tmp_path: Path) -> None:
    slow = replace(clip(tmp_path, "a", "S-1", at(9)), path=tmp_path / "pipe.mp4")
    os.mkfifo(slow.path)
    report = run(archive, [slow], options=RunOptions(time_floor_s=1))
    assert [each.reason for each in report.failed] == ["not_video"]
