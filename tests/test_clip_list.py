"""The ledger over several runs: tries, giving up, a file that changes or moves, and how it is listed."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import cli
from indexer.catalogue import Catalogue
from indexer.clip_list import list_clips
from indexer.clips import ClipRequest
from indexer.decisions import RunOptions
from indexer.executors import InProcess
from indexer.index_report import IndexReport
from indexer.indexing import index_with
from indexer.ledger import ClipDone, ClipFailed, ClipWaiting
from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from tests.canned import NOW, KnownPipeline, at, clip, index, snapshot
from tests.faulty import FaultyPipeline


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFiles:
    return ArchiveFiles(tmp_path / "archive")


def run(archive: ArchiveFiles, *clips: ClipRequest, tries: int | None = 3, days: int = 0) -> IndexReport:
    moment = NOW + timedelta(days=days)
    options = RunOptions(tries=tries)
    return index_with(InProcess(FaultyPipeline()), archive, clips, now=lambda: moment, options=options)


def failures(archive: ArchiveFiles) -> list[tuple[str, int]]:
    return [(each.reason, each.tries) for each in snapshot(archive).failures]


def test_a_clip_that_fails_is_tried_three_times_then_only_listed(
    archive: ArchiveFiles, tmp_path: Path
) -> None:
    clips = [clip(tmp_path, name, "S-1", at(9)) for name in ("odd", "a")]
    for tries in (1, 2, 3):
        assert [each.reason for each in run(archive, *clips).failed] == ["crashed"]
        assert failures(archive) == [("crashed", tries)]
    report = run(archive, *clips)
    assert (report.failed, [each.tries for each in report.given_up]) == ((), [3])
    assert "given up (crashed, 3 tries)" in "\n".join(report.lines())
    assert report.to_json()["given_up"] == [{"clip": str(clips[0].path), "reason": "crashed", "tries": 3}]
    assert failures(archive) == [("crashed", 3)]
    assert [each.reason for each in run(archive, *clips, tries=None).failed] == ["crashed"]
    assert failures(archive) == [("crashed", 4)]


def test_a_file_that_changed_is_tried_at_once_and_counted_anew(archive: ArchiveFiles, tmp_path: Path) -> None:
    bad = clip(tmp_path, "odd", "S-1", at(9))
    for _ in range(4):
        run(archive, bad)
    assert len(run(archive, bad).given_up) == 1
    os.utime(bad.path, ns=(1, 1))
    assert len(run(archive, bad).failed) == 1
    assert failures(archive) == [("crashed", 1)]


def test_what_is_mended_keeps_how_often_it_was_tried(archive: ArchiveFiles, tmp_path: Path) -> None:
    bad = clip(tmp_path, "odd", "S-1", at(9))
    run(archive, bad)
    run(archive, bad)
    [done] = index_with(InProcess(KnownPipeline()), archive, [bad], now=lambda: NOW).done
    assert (done.tries, done.at_ms) == (3, milliseconds(NOW))
    assert snapshot(archive).clips == (done,)
    assert failures(archive) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"camera": None}, "no_camera"), ({"start": NOW + timedelta(days=40)}, "future_start")],
)
def test_what_somebody_only_has_to_say_is_always_tried_again(
    archive: ArchiveFiles, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    bad = replace(clip(tmp_path, "a", "S-1", at(9)), **change)
    for _ in range(5):
        assert [each.reason for each in run(archive, bad).failed] == [reason]
    assert failures(archive) == [(reason, 5)]
    assert len(run(archive, replace(bad, camera="S-1"), days=50).done) == 1


def test_a_failed_clip_says_what_was_tried_when_and_with_what(archive: ArchiveFiles, tmp_path: Path) -> None:
    bad = clip(tmp_path, "odd", "S-1", at(9))
    run(archive, bad, days=2)
    [row] = snapshot(archive).failures
    kit, state = KnownPipeline().kit, bad.path.stat()
    assert (row.detector, row.embedder) == (kit.detector.sha256, kit.embedder.sha256)
    assert (row.size, row.modified_ns) == (state.st_size, state.st_mtime_ns)
    assert row.at_ms == milliseconds(NOW + timedelta(days=2))
    assert row.seconds_taken is not None
    assert 0 < row.seconds_taken < 60


def test_a_failed_clip_takes_on_what_is_said_of_it_later(archive: ArchiveFiles, tmp_path: Path) -> None:
    bad = clip(tmp_path, "odd", "S-1", at(9))
    run(archive, replace(bad, camera=None))
    run(archive, bad)
    [row] = snapshot(archive).failures
    assert (row.district, row.camera, row.reason) == ("songpa", "S-1", "crashed")


def test_moved_footage_is_found_where_it_lies_now(archive: ArchiveFiles, tmp_path: Path) -> None:
    first = clip(tmp_path, "a", "S-1", at(9))
    run(archive, first)
    moved = ClipRequest(first.path.rename(tmp_path / "b.mp4"), "songpa", "S-1", first.start)
    report = run(archive, moved)
    assert (len(report.done), len(report.skipped)) == (0, 1)
    assert [each.path for each in snapshot(archive).clips] == [str(moved.path)]


@pytest.mark.parametrize(("hours", "left"), [(0, 1), (3, 2)])
def test_changed_footage_is_noticed(archive: ArchiveFiles, tmp_path: Path, hours: int, left: int) -> None:
    """Of the same start it takes the place of what was there, else it is another clip."""
    first = clip(tmp_path, "a", "S-1", at(9))
    run(archive, first)
    first.path.write_text("another content")
    report = run(archive, replace(first, start=(first.start or NOW) + timedelta(hours=hours)))
    assert [each for each in report.warnings if "content has changed" in each]
    assert len(report.done) == 1
    assert len(snapshot(archive).clips) == left
    again = run(archive, replace(first, start=(first.start or NOW) + timedelta(hours=hours)))
    assert (len(again.skipped), again.warnings) == (1, ())


def test_a_disk_that_is_away_does_not_turn_footage_into_none(archive: ArchiveFiles, tmp_path: Path) -> None:
    """Known failures and waiting clips stay what they are while their folder is not there or empty."""
    mount = tmp_path / "mount"
    mount.mkdir()
    clips = [clip(mount, name, "S-1", at(9 + k)) for k, name in enumerate(("odd", "a"))]
    index_with(InProcess(FaultyPipeline()), archive, clips, now=lambda: NOW, stop_when=lambda: True)
    run(archive, clips[0])
    hidden = mount.rename(tmp_path / "away")
    for there in (False, True):
        if there:
            mount.mkdir()  # the empty folder on which it was mounted
        report = run(archive, *clips)
        assert [each.reason for each in report.failed] == ["missing", "missing"]
        seen = snapshot(archive)
        assert [Path(each.path).stem for each in seen.waiting] == ["a"]
        assert [(Path(each.path).stem, each.reason) for each in seen.failures] == [("odd", "crashed")]
    mount.rmdir()
    hidden.rename(mount)
    assert len(run(archive, *clips).done) == 1
    clips[0].path.unlink()  # but a file that was deleted is forgotten
    run(archive)
    assert snapshot(archive).unfinished == ()


def make(archive: ArchiveFiles, folder: Path) -> dict[str, ClipRequest]:
    """One clip in each state, and one of an unknown camera."""
    names = {"done": "a", "failed": "odd-1", "given_up": "odd-2", "waiting": "b"}
    clips = {state: clip(folder, name, "S-1", at(9)) for state, name in names.items()}
    clips["given_up"] = replace(clips["given_up"], camera=None)
    for _ in range(3):
        run(archive, replace(clips["given_up"], camera="S-2"), tries=None)
    run(archive, clips["done"], clips["failed"])
    with Catalogue(archive, "write") as catalogue:
        catalogue.record_waiting([ClipWaiting(str(clips["waiting"].path), "songpa", "S-1", at(10), None)])
    return clips


def test_listing(archive: ArchiveFiles, tmp_path: Path) -> None:
    clips = make(archive, tmp_path)
    found = list_clips(archive, (), (), 3)
    assert {each.state: each.row.path for each in found.clips} == {
        state: str(each.path) for state, each in clips.items()
    }
    assert found.clips[-1].state == "done"
    assert found.counts == dict.fromkeys(clips, 1)
    assert [each.state for each in list_clips(archive, ("failed", "given_up"), (), 4).clips] == ["failed"] * 2
    assert list_clips(archive, (), ("nowon",), 3).clips == ()
    for each in found.clips:
        kinds = {"done": ClipDone, "waiting": ClipWaiting}
        assert isinstance(each.row, kinds.get(each.state, ClipFailed))


def test_the_command(archive: ArchiveFiles, tmp_path: Path) -> None:
    clips = make(archive, tmp_path)
    runner = CliRunner()

    def ask(*options: str) -> dict[str, Any]:
        result = runner.invoke(cli.app, ["clips", "--home", str(archive.home), "--json", *options])
        assert result.exit_code == 0, result.stderr
        answer: dict[str, Any] = json.loads(result.stdout)
        return answer

    assert ask()["counts"] == dict.fromkeys(clips, 1)
    rows = {each["state"]: each for each in ask("--failed", "--district", "송파")["clips"]}
    assert rows.keys() == {"failed", "given_up"}
    assert (rows["given_up"]["tries"], rows["given_up"]["reason"]) == (3, "crashed")
    assert rows["failed"]["start"] == "2025-02-18T09:00:00+09:00"
    assert (rows["failed"]["sha256"], rows["failed"]["frames_read"]) == (None, None)
    assert [each["clip"] for each in ask("--waiting")["clips"]] == [str(clips["waiting"].path)]
    [done] = [each for each in ask()["clips"] if each["state"] == "done"]
    assert (done["frames_read"], done["frames_corrupt"], done["tracklets"], done["tries"]) == (9, 0, 4, 1)
    table = runner.invoke(cli.app, ["clips", "--home", str(archive.home)])
    assert "crashed" in table.stdout
    assert "1 given up" in table.stderr
    absent = runner.invoke(cli.app, ["clips", "--home", str(tmp_path / "absent")])
    assert (absent.exit_code, absent.stdout) == (3, "")


def test_an_index_that_leaves_out_what_was_given_up_says_so(tmp_path: Path) -> None:
    """By the command line: no video, four times."""
    bad = tmp_path / "20250218T090000.mp4"
    bad.write_text("no video")
    codes = []
    for _ in range(4):
        arguments = ["index", str(bad), "-d", "songpa", "-c", "S-1", "--home", str(tmp_path / "a"), "--json"]
        result = CliRunner().invoke(cli.app, arguments)
        codes.append(result.exit_code)
    assert codes == [1, 1, 1, 1]
    assert json.loads(result.stdout)["given_up"][0]["reason"] == "not_video"
    again = CliRunner().invoke(cli.app, [*arguments, "--retry"])
    assert json.loads(again.stdout)["failed"][0]["reason"] == "not_video"


def test_indexing_in_process_keeps_the_same_ledger(archive: ArchiveFiles, tmp_path: Path) -> None:
    index(archive, clip(tmp_path, "a", "S-1", at(9)))
    [row] = snapshot(archive).clips
    assert (row.tries, row.at_ms) == (1, milliseconds(NOW))
