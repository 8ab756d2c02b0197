"""One contract for whoever does the work: the archive is the same, to the bit; faults stay where they are."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.clips import ClipRequest
from indexer.compaction import compact
from indexer.decisions import RunOptions
from indexer.executors import Executor, InProcess
from indexer.index_report import IndexReport, Progress
from indexer.indexing import index_with
from indexer.shard.files import ArchiveFiles
from indexer.workers import WorkerProcesses, fitting_workers
from reid.errors import ArchiveError, InputError, ModelError, StorageError
from tests.canned import NOW, Holding, at, clip, holding, litter, snapshot
from tests.faulty import FaultyPipeline, Unloadable

KIT = FaultyPipeline().kit
ROOT = Path(__file__).parents[1]
SHORT = RunOptions(time_floor_s=1.0, time_factor=1e-6)


def processes(count: int = 2, memory_mb: int | None = None) -> WorkerProcesses:
    return WorkerProcesses(FaultyPipeline, KIT, count, memory_mb)


KINDS: dict[str, Callable[[], Executor]] = {
    "in process": lambda: InProcess(FaultyPipeline()),
    "one worker": lambda: processes(1),
    "three workers": lambda: processes(3),
}


@pytest.fixture(scope="module", params=KINDS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    """One of them, used by many runs, as nightly does."""
    made = KINDS[request.param]()
    yield made
    made.close()


@pytest.fixture(scope="module")
def crew() -> Iterator[WorkerProcesses]:
    with processes() as made:
        yield made


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFiles:
    return ArchiveFiles(tmp_path / "archive")


def run(
    executor: Executor, archive: ArchiveFiles, clips: list[ClipRequest], progress: Progress | None = None,
    options: RunOptions | None = None, stop_when: Callable[[], bool] = lambda: False,
) -> IndexReport:  # fmt: skip
    return index_with(
        executor, archive, clips, progress, lambda: NOW, options=options, stop_when=stop_when
    )  # fmt: skip


def beside(archive: ArchiveFiles) -> ArchiveFiles:
    return ArchiveFiles(archive.home.with_name(f"{archive.home.name}-alone"))


def alone(archive: ArchiveFiles, clips: list[ClipRequest], options: RunOptions | None = None) -> IndexReport:
    """The same in this process, into another archive."""
    return run(InProcess(FaultyPipeline()), beside(archive), clips, options=options)


def made(archive: ArchiveFiles) -> tuple[Holding, list[tuple[str, str]], list[tuple[str, ...]]]:
    """Everything, the names and seals of the segments, and what lies on the disk, byte by byte."""
    folder = archive.home / "shards"
    files = [
        (str(path.relative_to(folder)), path.read_bytes().hex())
        for path in folder.rglob("*")
        if path.is_file()
    ]
    entries = [(entry.segment, entry.seal) for entry in snapshot(archive).segments]
    assert litter(archive) == []
    return holding(archive), entries, sorted(files)


def told(report: IndexReport) -> object:
    """All that a report says but how long it took."""
    done = tuple(replace(each, seconds_taken=0) for each in report.done)
    failed = tuple(replace(each, seconds_taken=0) for each in report.failed)
    return replace(report, seconds_taken=0, done=done, failed=failed)


def many(folder: Path) -> list[ClipRequest]:
    """Ten clips of which some are copies, over midnight, of nobody knows where, or no clips."""
    clips = [clip(folder, name, f"S-{k % 3}", at(9 + k)) for k, name in enumerate("abcdef")]
    clips.append(clip(folder, "night", "S-1", at(24) - 15_000))
    copy = folder / "copy.mp4"
    shutil.copy(clips[0].path, copy)
    clips.append(ClipRequest(copy, "songpa", "S-0", clips[0].start))
    clips.append(ClipRequest(clip(folder, "nowhere", "S-0", at(5)).path, "songpa", None, clips[0].start))
    clips.append(ClipRequest(folder / "absent.mp4", "songpa", "S-0", clips[0].start))
    return clips


def test_the_archive_is_the_same_whoever_works(
    executor: Executor, archive: ArchiveFiles, tmp_path: Path
) -> None:
    clips = many(tmp_path)
    report = run(executor, archive, clips)
    assert [len(report.done), len(report.skipped), len(report.failed), report.left] == [7, 1, 2, 0]
    assert report.skipped[0][0].endswith("copy.mp4")
    assert [each.reason for each in report.failed] == ["no_camera", "missing"]
    assert told(report) == told(alone(archive, clips))
    assert made(archive) == made(beside(archive))
    again = run(executor, archive, clips)
    assert [len(again.done), len(again.skipped)] == [0, 8]
    assert made(archive)[1:] == made(beside(archive))[1:]


def test_what_takes_the_place_of_something_does_so_in_order(
    executor: Executor, archive: ArchiveFiles, tmp_path: Path
) -> None:
    """Each rewrites the merged day that the one before has rewritten, so the names tell the order."""
    clips = [
        clip(tmp_path, f"slow-{name}" if name == "a" else name, "S-1", at(9 + k))
        for k, name in enumerate("abcd")
    ]
    moved = [replace(each, camera="S-2") for each in clips[:3]]
    for where, who in ((archive, executor), (beside(archive), InProcess(FaultyPipeline()))):
        run(who, where, clips)
        compact(where)
        assert len(run(who, where, moved, options=RunOptions(replace=True)).done) == 3
    assert made(archive) == made(beside(archive))


def test_it_stops_at_the_end_of_a_clip_and_goes_on(
    executor: Executor, archive: ArchiveFiles, tmp_path: Path
) -> None:
    clips = many(tmp_path)[:7]
    ended: list[Path] = []

    class Counting(Progress):
        def clip_ended(self, path: Path, done: int, total: int) -> None:
            ended.append(path)

    report = run(executor, archive, clips, Counting(), stop_when=lambda: len(ended) >= 2)
    assert 2 <= len(report.done) <= 2 + executor.slots
    assert report.left == 7 - len(report.done) == len(snapshot(archive).waiting)
    assert not report.failed
    assert run(executor, archive, clips).left == 0
    alone(archive, clips)
    assert made(archive) == made(beside(archive))


def test_told_to_stop_at_once_it_does_nothing_and_says_what_waits(
    executor: Executor, archive: ArchiveFiles, tmp_path: Path
) -> None:
    report = run(executor, archive, many(tmp_path)[:7], stop_when=lambda: True)
    assert (report.done, report.left) == ((), 7)
    assert len(snapshot(archive).waiting) == 7


def test_a_fault_of_the_disk_ends_the_run_with_what_to_do(
    executor: Executor, archive: ArchiveFiles, tmp_path: Path
) -> None:
    clips = [clip(tmp_path, "a", "S-1", at(9))]
    run(executor, archive, clips)
    archive.staging.write_text("no folder")
    with pytest.raises(StorageError, match=r"staging.*(is there|not a folder)"):
        run(executor, archive, [clip(tmp_path, "b", "S-1", at(10))])
    executor.close()
    archive.staging.unlink()
    assert len(snapshot(archive).clips) == 1


def test_what_nobody_foresaw_fails_its_clip_and_tells_where(
    executor: Executor, archive: ArchiveFiles, tmp_path: Path
) -> None:
    report = run(executor, archive, [clip(tmp_path, name, "S-1", at(9)) for name in ("odd", "a")])
    [failed] = report.failed
    assert failed.reason == "crashed"
    assert "LookupError: what nobody foresaw" in failed.message
    assert "faulty.py, line" in failed.message
    assert len(report.done) == 1


FAULTS = [
    ("crash", "crashed", "SIGSEGV"),
    ("abort", "crashed", "SIGABRT"),
    ("leave", "crashed", "exit code 7"),
    ("endless", "time_limit", "not done after 1 s"),
    ("killed", "killed", "killed twice"),
]


def test_a_fault_of_a_worker_fails_its_clip_and_the_run_goes_on(
    archive: ArchiveFiles, tmp_path: Path
) -> None:
    names = [name for fault, _, _ in FAULTS for name in (fault, f"good-{fault}")]
    clips = [clip(tmp_path, name, "S-1", at(9 + k)) for k, name in enumerate(names)]
    with processes() as crew:
        report = run(crew, archive, clips, options=SHORT)
        assert len(crew.alive) <= 2
    assert [(Path(each.path).stem, each.reason) for each in report.failed] == [row[:2] for row in FAULTS]
    for failed, (_, _, message) in zip(report.failed, FAULTS, strict=True):
        assert message in failed.message
    assert len(report.done) == len(FAULTS)
    assert {each.reason for each in snapshot(archive).failures} == {row[1] for row in FAULTS}
    assert litter(archive) == []


def test_a_worker_that_takes_too_much_memory(archive: ArchiveFiles, tmp_path: Path) -> None:
    clips = [clip(tmp_path, name, "S-1", at(9)) for name in ("greedy", "a")]
    with processes(1, memory_mb=3000) as crew:
        report = run(crew, archive, clips)
    assert [each.reason for each in report.failed] == ["out_of_memory"]
    assert len(report.done) == 1


def test_a_worker_that_is_killed_once_loses_no_clip(archive: ArchiveFiles, tmp_path: Path) -> None:
    clips = [clip(tmp_path, name, "S-1", at(9 + k)) for k, name in enumerate(("unlucky", "a", "b"))]
    with processes() as crew:
        report = run(crew, archive, clips)
    assert len(report.done) == 3
    alone(archive, clips)
    assert made(archive) == made(beside(archive))


def test_models_that_cannot_be_loaded_end_the_run(archive: ArchiveFiles, tmp_path: Path) -> None:
    clips = [clip(tmp_path, "a", "S-1", at(9))]
    with (
        WorkerProcesses(Unloadable(ModelError("weights missing; reid models add")), KIT, 2) as crew,
        pytest.raises(ModelError, match="weights missing"),
    ):
        run(crew, archive, clips)
    with (
        WorkerProcesses(Unloadable(None), KIT, 1) as crew,
        pytest.raises(ArchiveError, match=r"end while they load the models \(signal SIGKILL\)"),
    ):
        run(crew, archive, clips)
    assert len(snapshot(archive).waiting) == 1


KILLED_RUN = """
import sys
from pathlib import Path
from indexer.clips import ClipRequest
from indexer.index_report import Progress
from indexer.shard.files import ArchiveFiles
from tests.canned import at, clip
from tests.test_executors import processes, run

folder = Path(sys.argv[1])
clips = [clip(folder, name, "S-1", at(9 + k)) for k, name in enumerate(("slow-a", "b", "endless", "c", "d"))]

class Crew(Progress):
    def clip_ended(self, *told):
        print(*(worker.pid for worker in crew.alive), flush=True)

with processes(2) as crew:
    run(crew, ArchiveFiles(folder / "archive"), clips, Crew())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_who_started_them(
    archive: ArchiveFiles, tmp_path: Path, how: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED_RUN, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=ROOT,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        pids = [int(each) for each in line.split()]
        if len(pids) == 2:
            break
    assert len(pids) == 2
    process.send_signal(how)
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    clips = [clip(tmp_path, name, "S-1", at(9 + k)) for k, name in enumerate(("slow-a", "b", "c", "d"))]
    run(InProcess(FaultyPipeline()), archive, clips)
    alone(archive, clips)
    assert made(archive)[1:] == made(beside(archive))[1:]


@pytest.mark.parametrize(
    ("asked", "clips", "count"), [("1", 9, 1), ("3", 9, 3), ("3", 2, 2), ("auto", 1, 1), ("7", 0, 1)]
)
def test_how_many_workers(asked: str, clips: int, count: int) -> None:
    assert fitting_workers(asked, clips) == count


def test_automatic_workers_are_at_most_the_cores() -> None:
    assert 1 <= fitting_workers("auto", 10_000) <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize("asked", ["", "0", "-1", "many", "1000", "1.5", "²"])
def test_odd_numbers_of_workers(asked: str) -> None:
    with pytest.raises(InputError, match="auto or a number of workers"):
        fitting_workers(asked, 3)


def test_limits_follow_the_footage_and_not_a_lie() -> None:
    options = RunOptions(time_factor=10, time_floor_s=300)
    assert options.look_limit_s(1_000_000, 60.0) == 900
    assert options.look_limit_s(1_600_000, None) == 300 + 10 * 100
    assert options.look_limit_s(1_000, 1e9) == 300 + 10 * 2  # a kilobyte is no month of footage
    assert options.examine_limit_s(50_000_000) == 350
