import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from indexer.cameras import Camera
from indexer.catalogue import Catalogue, writer_lock
from indexer.clips import ClipRequest, Given, find_clips
from indexer.districts import load_districts
from indexer.index_report import IndexReport
from indexer.indexing import index_clips
from indexer.ledger import ClipWaiting
from indexer.pipeline import ClipContent, Pipeline
from indexer.shard.files import ArchiveFiles
from indexer.shard.reader import Segment
from indexer.snapshot import Snapshot
from indexer.times import from_milliseconds, milliseconds
from reid.errors import FootageError, InputError, ModelMismatchError, StorageError
from tests.world import NOW, Walk, fake_pipeline, write_scene

START = datetime(2025, 2, 18, 3, 34, tzinfo=UTC)
RED_AND_BLUE = [Walk("red", 0, 29), Walk("blue", 5, 29, lane=1)]


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFiles:
    return ArchiveFiles(tmp_path / "archive")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_scene(tmp_path / "clip.mp4", RED_AND_BLUE)


def request(path: Path, camera: str = "SP-1", start: datetime | None = START) -> ClipRequest:
    return ClipRequest(path, "songpa", camera, start)


def run(archive: ArchiveFiles, *requests: ClipRequest, pipeline: Pipeline | None = None) -> IndexReport:
    return index_clips(archive, requests, pipeline or fake_pipeline(), now=lambda: NOW)


def snapshot(archive: ArchiveFiles) -> Snapshot:
    with Catalogue(archive) as catalogue:
        return catalogue.snapshot()


def contents(archive: ArchiveFiles) -> list[object]:
    """Everything that a search could see, without what differs between runs."""
    found: list[object] = []
    seen = snapshot(archive)
    for entry in seen.segments:
        segment = Segment.open(archive.segment(entry.district, entry.day, entry.segment).folder)
        segment.verify()
        records = segment.read(list(range(segment.manifest.tracklets)))
        found.append((entry.segment, segment.halves().tobytes(), records))
    found.append([(clip.sha256, clip.tracklets) for clip in seen.clips])
    on_disk = {path.name for path in (archive.home / "shards").glob("*/*/*")}
    assert {entry.segment for entry in seen.segments} == on_disk
    return found


def test_two_people_become_two_tracklets(archive: ArchiveFiles, clip: Path) -> None:
    report = run(archive, request(clip))
    assert [c.tracklets for c in report.done] == [2]
    assert not report.failed
    [entry] = snapshot(archive).segments
    assert (entry.district, entry.day, entry.tracklets) == ("songpa", "2025-02-18", 2)
    segment = Segment.open(archive.segment(entry.district, entry.day, entry.segment).folder)
    (first, thumbnail), _ = segment.read([0, 1])
    assert from_milliseconds(first.start_ms) == START
    assert thumbnail.startswith(b"\xff\xd8")
    assert np.allclose(np.linalg.norm(segment.halves().astype(np.float32), axis=1), 1, atol=2e-3)


def test_a_second_run_adds_nothing(archive: ArchiveFiles, clip: Path) -> None:
    run(archive, request(clip))
    before = contents(archive)
    report = run(archive, request(clip))
    assert (len(report.done), len(report.skipped)) == (0, 1)
    assert contents(archive) == before


def test_how_often_all_of_the_picture_is_looked_at_makes_no_clip_undone(
    archive: ArchiveFiles, clip: Path, tmp_path: Path
) -> None:
    pipeline = fake_pipeline()
    run(archive, request(clip))
    pipeline.options = replace(pipeline.options, whole_look_s=0.0)
    again = run(archive, request(clip), pipeline=pipeline)
    assert (len(again.done), len(again.skipped), again.warnings) == (0, 1, ())
    other = ArchiveFiles(tmp_path / "other")
    run(other, request(clip), pipeline=pipeline)
    [first], [second] = snapshot(archive).segments, snapshot(other).segments
    assert first.segment != second.segment  # what decides the content decides the name


def test_a_renamed_copy_is_not_indexed_twice(archive: ArchiveFiles, clip: Path, tmp_path: Path) -> None:
    run(archive, request(clip))
    copy = Path(shutil.copy(clip, tmp_path / "renamed.mp4"))
    report = run(archive, request(copy, camera="SP-2"))
    assert len(report.skipped) == 1
    assert "SP-1" in report.warnings[0]
    assert len(snapshot(archive).clips) == 1


def test_a_changed_file_under_the_same_name_is_indexed(archive: ArchiveFiles, clip: Path) -> None:
    run(archive, request(clip))
    write_scene(clip, [Walk("green", 0, 29)])
    report = run(archive, request(clip, start=START + timedelta(hours=1)))
    assert len(report.done) == 1
    assert len(snapshot(archive).clips) == 2


def test_a_failing_clip_does_not_stop_the_others(archive: ArchiveFiles, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video")
    report = run(archive, request(broken), request(tmp_path / "absent.mp4"), request(clip))
    assert [failed.reason for failed in report.failed] == ["not_video", "missing"]
    assert len(report.done) == 1
    again = run(archive, request(broken))
    assert [failed.tries for failed in snapshot(archive).failures if "broken" in failed.path] == [2]
    assert len(again.failed) == 1


def test_a_mended_clip_leaves_the_failures(archive: ArchiveFiles, tmp_path: Path) -> None:
    path = tmp_path / "late.mp4"
    path.write_bytes(b"still being copied")
    run(archive, request(path))
    write_scene(path, RED_AND_BLUE)
    assert len(run(archive, request(path)).done) == 1
    assert snapshot(archive).failures == ()


class Stopping(Pipeline):
    """Meets `error` at a clip of this name, once."""

    def __init__(self, name: str, error: BaseException) -> None:
        inner = fake_pipeline()
        super().__init__(inner.detector, inner.embedder, inner.options)
        self.name, self.error = name, error

    def run(self, path: Path, progress: Callable[[float], None] = lambda seconds: None) -> ClipContent:
        if path.name == self.name:
            raise self.error
        return super().run(path, progress)


def test_a_stopped_run_has_told_what_it_had_not_come_to(archive: ArchiveFiles, tmp_path: Path) -> None:
    asked = [
        request(write_scene(tmp_path / f"{k}.mp4", RED_AND_BLUE, frames=20 + k), start=start)
        for k, start in enumerate((START, START + timedelta(hours=1), NOW + timedelta(hours=1)))
    ]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is no video")
    asked.append(request(broken))
    with pytest.raises(KeyboardInterrupt):
        run(archive, *asked, pipeline=Stopping("1.mp4", KeyboardInterrupt()))
    begin = milliseconds(START) + 3_600_000
    told = {Path(clip.path).name: clip for clip in snapshot(archive).waiting}
    assert told.keys() == {"1.mp4", "2.mp4", "broken.mp4"}
    assert told["1.mp4"].start_ms == begin
    assert told["1.mp4"].end_ms == pytest.approx(begin + 2100, abs=100)
    assert (told["2.mp4"].start_ms, told["2.mp4"].end_ms) == (None, None)  # not in the future
    assert (told["broken.mp4"].start_ms, told["broken.mp4"].end_ms) == (milliseconds(START), None)
    asked[2].path.unlink()
    run(archive, *asked[:2], asked[3])
    assert snapshot(archive).waiting == ()
    assert [Path(clip.path).name for clip in snapshot(archive).failures] == ["broken.mp4"]


def test_a_failed_clip_keeps_the_length_its_file_states(archive: ArchiveFiles, clip: Path) -> None:
    error = FootageError("no_frames", "nothing could be decoded")
    for tries in (1, 2):
        run(archive, request(clip), pipeline=Stopping(clip.name, error))
        [failed] = snapshot(archive).failures
        assert failed.tries == tries
        assert failed.end_ms == pytest.approx(milliseconds(START) + 3000, abs=100)
        assert snapshot(archive).waiting == ()
    with pytest.raises(KeyboardInterrupt):  # a failed clip is no waiting one, whatever run begins
        run(archive, request(clip), pipeline=Stopping(clip.name, KeyboardInterrupt()))
    assert snapshot(archive).failures == (failed,)
    assert snapshot(archive).waiting == ()


def test_a_file_that_goes_while_a_run_is_on_waits_no_more(archive: ArchiveFiles, clip: Path) -> None:
    class Deleting(Pipeline):
        def run(self, path: Path, progress: object = None) -> ClipContent:
            path.unlink()
            return super().run(path)

    (clip.parent / "another.mp4").write_bytes(b"the disk is still there")
    whole = fake_pipeline()
    report = run(archive, request(clip), pipeline=Deleting(whole.detector, whole.embedder, whole.options))
    assert [failed.reason for failed in report.failed] == ["missing"]
    assert snapshot(archive).waiting == ()
    assert snapshot(archive).failures == ()


def test_what_was_indexed_meanwhile_waits_no_more(archive: ArchiveFiles, clip: Path) -> None:
    run(archive, request(clip))
    with Catalogue(archive, "write") as catalogue:
        catalogue.record_waiting([ClipWaiting(str(clip), "songpa", "SP-1", None, None)])
    assert len(run(archive, request(clip)).skipped) == 1
    assert snapshot(archive).waiting == ()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (ClipRequest(Path("clip.mp4"), None, "SP-1", START), "no_district"),
        (ClipRequest(Path("clip.mp4"), "songpa", None, START), "no_camera"),
        (ClipRequest(Path("clip.mp4"), "songpa", "SP-1", None), "no_start"),
        (ClipRequest(Path("clip.mp4"), "songpa", "SP-1", NOW + timedelta(hours=1)), "future_start"),
    ],
)
def test_what_a_clip_must_tell(archive: ArchiveFiles, clip: Path, asked: ClipRequest, reason: str) -> None:
    report = run(archive, ClipRequest(clip, asked.district, asked.camera, asked.start))
    assert [failed.reason for failed in report.failed] == [reason]
    assert str(clip) in report.failed[0].message


def test_an_unregistered_camera_is_accepted_with_a_warning(archive: ArchiveFiles, clip: Path) -> None:
    report = run(archive, request(clip))
    assert "SP-1" in report.warnings[0]
    assert ("songpa", "SP-1") in snapshot(archive).cameras


def test_the_clock_offset_of_a_camera_is_taken_off(archive: ArchiveFiles, clip: Path) -> None:
    with Catalogue(archive, "create") as catalogue:
        catalogue.put_cameras([Camera("SP-1", "", "songpa", clock_offset_s=90)])
    report = run(archive, request(clip))
    assert report.done[0].start_ms == milliseconds(START - timedelta(seconds=90))
    assert not report.warnings


def test_a_clip_over_midnight_fills_two_days(archive: ArchiveFiles, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "night.mp4", [Walk("red", 0, 40), Walk("blue", 60, 99)], frames=100)
    midnight = datetime(2025, 2, 18, 15, tzinfo=UTC)  # 00:00 in Seoul
    report = run(archive, request(path, start=midnight - timedelta(seconds=5)))
    days = sorted((entry.day, entry.tracklets) for entry in snapshot(archive).segments)
    assert days == [("2025-02-18", 1), ("2025-02-19", 1)]
    assert len(snapshot(archive).segments_of[report.done[0].sha256]) == 2


def test_a_clip_without_people_is_done_and_has_no_segment(archive: ArchiveFiles, tmp_path: Path) -> None:
    report = run(archive, request(write_scene(tmp_path / "empty.mp4", [])))
    assert [c.tracklets for c in report.done] == [0]
    assert snapshot(archive).segments == ()


def test_another_model_is_refused_and_nothing_is_lost(archive: ArchiveFiles, clip: Path) -> None:
    run(archive, request(clip))
    before = contents(archive)
    with pytest.raises(ModelMismatchError, match="reid reindex"):
        run(archive, request(clip), pipeline=fake_pipeline("f" * 64))
    assert contents(archive) == before


def test_a_second_writer_is_told_who_holds_the_archive(archive: ArchiveFiles, clip: Path) -> None:
    with Catalogue(archive, "create"):
        pass
    with (
        writer_lock(archive),
        pytest.raises(StorageError, match=f"written by process {os.getpid()}"),
        writer_lock(archive),
    ):
        pytest.fail("two writers at once")


def test_an_archive_below_a_file_is_one_clear_error(tmp_path: Path, clip: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StorageError, match="not a folder"):
        run(ArchiveFiles(blocked / "archive"), request(clip))


def test_a_full_disk_keeps_what_was_done(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system can only be mounted by root")
    try:
        archive = ArchiveFiles(small / "archive")
        colours = ["red", "blue", "green", "yellow", "violet"]
        paths = [
            write_scene(
                tmp_path / f"{n}.mp4", [Walk(colours[n % 5], 0, 20 + n), Walk(colours[(n + 1) % 5], 3, 29, 1)]
            )
            for n in range(20)
        ]
        requests = [request(path, start=START + timedelta(minutes=n)) for n, path in enumerate(paths)]
        with pytest.raises(StorageError, match="full"):
            run(archive, *requests)
        done = snapshot(archive).clips
        assert 0 < len(done) < len(paths)
        contents(archive)
        subprocess.run(["mount", "-o", "remount,size=40m", str(small)], check=True)
        run(archive, *requests)
        assert len(snapshot(archive).clips) == len(paths)
    finally:
        subprocess.run(["umount", str(small)], check=True)


KILLED_RUN = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from indexer.clips import ClipRequest
from indexer.indexing import index_clips
from indexer.shard.files import ArchiveFiles
from tests.world import NOW, fake_pipeline
clips = sorted(Path(sys.argv[2]).glob("*.mp4"))
start = datetime.fromisoformat(sys.argv[3])
requests = [ClipRequest(p, "songpa", "SP-1", start + timedelta(minutes=n)) for n, p in enumerate(clips)]
print("ready", flush=True)
index_clips(ArchiveFiles(Path(sys.argv[1])), requests, fake_pipeline(), now=lambda: NOW)
"""


def test_killed_at_random_the_archive_ends_up_the_same(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    for number, colour in enumerate(["red", "blue", "green", "yellow"]):
        write_scene(clips / f"{number}.mp4", [Walk(colour, 0, 25 + number)])
    whole, killed = ArchiveFiles(tmp_path / "whole"), ArchiveFiles(tmp_path / "killed")

    def start(archive: ArchiveFiles) -> subprocess.Popen[str]:
        arguments = [str(archive.home), str(clips), START.isoformat()]
        root = Path(__file__).parents[1]
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED_RUN, *arguments], stdout=subprocess.PIPE, text=True, cwd=root
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    begun = time.monotonic()
    assert start(whole).wait() == 0
    length = time.monotonic() - begun
    random = np.random.default_rng(1)
    for _ in range(5):
        process = start(killed)
        time.sleep(random.uniform(0, length / 2))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(killed).wait() == 0
    assert contents(killed) == contents(whole)


def test_finding_clips(tmp_path: Path) -> None:
    districts = load_districts()
    tree = tmp_path / "footage"
    inside = tree / "송파구" / "SP-7" / "20250218T123400.mp4"
    loose = tree / "loose.avi"
    for path in (inside, loose, tree / "notes.txt"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    found = {clip.path: clip for clip in find_clips([tree], Given(), districts)}
    assert set(found) == {inside, loose}
    assert found[inside].origin() == ("songpa", "SP-7")
    assert found[loose].district is None
    named = find_clips([inside], Given("nowon", "X-1"), districts)
    assert named[0].origin() == ("nowon", "X-1")


def test_a_list_of_clips(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    table = tmp_path / "clips.csv"
    table.write_text("path,district,camera,start\na.mp4,노원,N 1,2025-02-18T12:34:00\n", "utf-8")
    [clip] = find_clips([table], Given(), load_districts())
    assert clip == ClipRequest(tmp_path / "a.mp4", "nowon", "N 1", START)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,district\na.mp4,songpa\n", "expected the columns path"),
        ("path,strat\na.mp4,2025-01-01T10:00\n", "got path,strat"),
        ("path,start\na.mp4,2025-01-01\n", "with its time"),
        ("path,district\n,songpa\n", "line 2"),
        ("path,district\na.mp4,songpaa\n", "songpa"),
        ("path,camera\na.mp4,a/b\n", "line 2"),
        ("path,start\na.mp4,yesterday\n", "line 2"),
    ],
)
def test_bad_lists_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    table = tmp_path / "clips.csv"
    table.write_text(text, "utf-8")
    with pytest.raises(InputError, match=message):
        find_clips([table], Given(), load_districts())


def test_nothing_found_and_one_start_for_many(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no clips found"):
        find_clips([tmp_path], Given(), load_districts())
    with pytest.raises(InputError, match="no such file"):
        find_clips([tmp_path / "absent"], Given(), load_districts())
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="--start fits one clip"):
        find_clips([tmp_path], Given(start=START), load_districts())


def test_a_wrong_start_is_told_and_corrected_on_demand(archive: ArchiveFiles, clip: Path) -> None:
    run(archive, request(clip))
    right = START + timedelta(hours=3)
    report = run(archive, request(clip, start=right))
    assert len(report.skipped) == 1
    assert "--replace" in report.warnings[0]
    assert "start" in report.warnings[0]
    report = index_clips(
        archive, [request(clip, start=right)], fake_pipeline(), now=lambda: NOW, replace=True
    )
    assert len(report.done) == 1
    seen = snapshot(archive)
    assert [c.start_ms for c in seen.clips] == [milliseconds(right)]
    assert [entry.start_ms for entry in seen.segments] == [milliseconds(right)]
    same = index_clips(archive, [request(clip, start=right)], fake_pipeline(), now=lambda: NOW, replace=True)
    assert len(same.skipped) == 1


def test_a_camera_mean_is_made_of_what_the_archive_holds(archive: ArchiveFiles, clip: Path) -> None:
    run(archive, request(clip))
    before = snapshot(archive)
    assert list(before.tallies) == [("songpa", "SP-1")]
    (people,) = before.tallies.values()
    assert 1 <= people.count <= sum(entry.tracklets for entry in before.segments)
    index_clips(archive, [request(clip, camera="SP-9")], fake_pipeline(), now=lambda: NOW, replace=True)
    after = snapshot(archive).tallies
    assert list(after) == [("songpa", "SP-9")]  # nothing is left of what was replaced
    np.testing.assert_allclose(after["songpa", "SP-9"].total, people.total, atol=1e-6)


def test_what_was_replaced_leaves_the_disk_with_the_next_run(archive: ArchiveFiles, clip: Path) -> None:
    run(archive, request(clip))
    index_clips(archive, [request(clip, camera="SP-9")], fake_pipeline(), now=lambda: NOW, replace=True)
    run(archive)
    contents(archive)
    assert [entry.cameras for entry in snapshot(archive).segments] == [("SP-9",)]


def test_a_file_that_grew_replaces_its_earlier_state(archive: ArchiveFiles, tmp_path: Path) -> None:
    path = write_scene(tmp_path / "grows.mp4", [Walk("red", 0, 14)], frames=15)
    run(archive, request(path))
    write_scene(path, [Walk("red", 0, 29)], frames=30)
    run(archive, request(path))
    assert [c.frames_read for c in snapshot(archive).clips] == [30]
    assert len(snapshot(archive).segments) == 1


def test_a_file_that_changes_while_it_is_read_is_refused(archive: ArchiveFiles, clip: Path) -> None:
    class Growing(Pipeline):
        def run(self, path: Path, progress: object = None) -> ClipContent:
            content = super().run(path)
            with path.open("ab") as stream:
                stream.write(b"more")
            return content

    whole = fake_pipeline()
    report = run(archive, request(clip), pipeline=Growing(whole.detector, whole.embedder, whole.options))
    assert [failed.reason for failed in report.failed] == ["still_written"]
    assert snapshot(archive).clips == ()


def test_a_lost_segment_is_mended_by_indexing_again(archive: ArchiveFiles, clip: Path) -> None:
    run(archive, request(clip))
    before = contents(archive)
    shutil.rmtree(next((archive.home / "shards").glob("*/*/*")))
    assert len(run(archive, request(clip)).done) == 1
    assert contents(archive) == before


@pytest.mark.parametrize("rate", [0.5, 1, 2])
def test_slow_footage_is_not_searched_in_vain(archive: ArchiveFiles, tmp_path: Path, rate: float) -> None:
    """People in footage of few frames a second must be found, or the time must not count as searched."""
    path = tmp_path / "slow.mp4"
    write_scene(path, [Walk("red", 0, 9)], frames=10, rate=Fraction(rate))
    [done] = run(archive, request(path)).done
    assert done.footage_s == pytest.approx(9 / rate, rel=0.1)
    assert done.tracklets >= 1


@pytest.mark.parametrize("name", ["\udcb0\udca1.mp4", "가" * 80 + ".mp4", "a\nb.mp4", "b].mp4"])
def test_odd_names_are_indexed_and_told(archive: ArchiveFiles, tmp_path: Path, name: str) -> None:
    deep = tmp_path / ("나" * 70) / ("다" * 70) / "["  # beyond an LMDB key; with the last name "[/b]"
    good = write_scene(tmp_path / "good.mp4", RED_AND_BLUE)
    deep.mkdir(parents=True)
    path = deep / name
    shutil.copy(good, path)
    (deep / f"bad{name}").write_bytes(b"no video")
    report = run(archive, request(path), request(deep / f"bad{name}"))
    assert [c.path for c in report.done] == [str(path)]
    assert len(report.failed) == 1
    assert len(run(archive, request(path)).skipped) == 1
    assert snapshot(archive).clips[0].path == str(path)


def test_failures_of_files_that_are_gone_are_forgotten(
    archive: ArchiveFiles, clip: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    run(archive, request(broken), request(tmp_path / "never-there.mp4"))
    assert [Path(failed.path).name for failed in snapshot(archive).failures] == ["broken.mp4"]
    broken.unlink()
    run(archive, request(clip))
    assert snapshot(archive).failures == ()


def test_a_failed_clip_keeps_its_true_start(archive: ArchiveFiles, tmp_path: Path) -> None:
    broken = tmp_path / "20250218T123400.mp4"
    broken.write_bytes(b"no video")
    with Catalogue(archive, "create") as catalogue:
        catalogue.put_cameras([Camera("SP-1", "", "songpa", clock_offset_s=120)])
    [failed] = run(archive, request(broken, start=None)).failed
    assert failed.start_ms == milliseconds(START - timedelta(seconds=120))


def test_hidden_linked_and_badly_named_folders(tmp_path: Path) -> None:
    tree, store = tmp_path / "tree", tmp_path / "store"
    for path in (tree / "songpa" / ".snap" / "x.mp4", tree / "songpa" / "A " / "y.mp4", store / "z.mp4"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tree / "songpa" / "B").symlink_to(store)
    (store / "loop").symlink_to(tree)
    found = {clip.path.name: clip for clip in find_clips([tree], Given(), load_districts())}
    assert set(found) == {"y.mp4", "z.mp4"}
    assert found["y.mp4"].camera is None
    assert found["z.mp4"].origin() == ("songpa", "B")


def test_the_same_clip_given_in_two_ways_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    table = tmp_path / "clips.csv"
    table.write_text("path,district,camera\na.mp4,songpa,A\na.mp4,songpa,B\n", "utf-8")
    with pytest.raises(InputError, match="given twice"):
        find_clips([table], Given(), load_districts())
