"""What is new below footage roots: nothing is left out unsaid, nothing is hashed, and a million names fit."""

from __future__ import annotations

import os
import threading
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from indexer import footage_roots
from indexer.catalogue import Catalogue
from indexer.districts import load_districts
from indexer.footage_patterns import find_pattern
from indexer.footage_roots import Discovery, Root, discover
from indexer.ledger import Fingerprint
from indexer.shard.files import ArchiveFiles
from tests.canned import at, clip, index

NOW = datetime(2025, 6, 1, 3, tzinfo=UTC)
OLD = (NOW - timedelta(hours=1)).timestamp()


def put(path: Path, data: bytes = b"x", age_s: float = 3600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (NOW.timestamp() - age_s,) * 2)
    return path


def nothing(files: Sequence[tuple[str, Fingerprint]]) -> list[bool]:
    return [False] * len(files)


def found(*roots: Path | Root, settle_s: float = 120) -> Discovery:
    whole = [
        root if isinstance(root, Root) else Root(root, (find_pattern("plain", "Asia/Seoul"),))
        for root in roots
    ]
    return discover(whole, load_districts(), nothing, settle_s, NOW)


def test_districts_in_korean_english_and_decomposed(tmp_path: Path) -> None:
    for name in ("songpa", "송파구", "Songpa-gu", unicodedata.normalize("NFD", "송파")):
        put(tmp_path / name / "SP-1" / "20250531T100000.mp4")
    done = found(tmp_path)
    assert {(each.district, each.camera) for each in done.clips} == {("songpa", "SP-1")}
    assert [each.new for each in done.roots] == [4]
    assert done.clips[0].start_ms == int(datetime(2025, 5, 31, 1, tzinfo=UTC).timestamp() * 1000)


def test_every_video_is_accounted_for(tmp_path: Path) -> None:
    put(tmp_path / "songpa" / "SP-1" / "20250531T100000.mp4")
    put(tmp_path / "songpa" / "SP-1" / "holiday.mp4")  # no pattern
    put(tmp_path / "atlantis" / "SP-1" / "20250531T100000.mp4")  # no district
    put(tmp_path / "songpa" / "SP-1" / "20250531T250000.mp4")  # no such hour
    put(tmp_path / "songpa" / ("c" * 70) / "20250531T100000.mp4")  # no camera's name
    put(tmp_path / "songpa" / "SP-1" / "20250531T100000.jpg")
    put(tmp_path / "songpa" / ".snapshots" / "20250531T100000.mp4")
    os.mkfifo(tmp_path / "songpa" / "SP-1" / "20250531T110000.mp4")
    (tmp_path / "songpa" / "SP-1" / "20250531T120000.mp4").symlink_to("gone.mp4")
    (tmp_path / "songpa" / "SP-1" / "20250531T130000.mp4").symlink_to("20250531T130000.mp4")
    (tmp_path / "songpa" / "SP-1" / "again").symlink_to(tmp_path)
    here = found(tmp_path).roots[0]
    assert (here.videos, here.known, here.new, here.growing, here.others) == (8, 0, 1, 0, 2)
    assert {Path(path).relative_to(tmp_path).as_posix()[:29]: why[:16] for path, why in here.unread} == {
        "songpa/SP-1/holiday.mp4": "no pattern of th",
        "atlantis/SP-1/20250531T100000": "unknown district",
        "songpa/SP-1/20250531T250000.m": "hour must be in ",
        "songpa/cccccccccccccccccccccc": "camera id 'ccccc",
    }
    assert (here.unread_count, here.failure_count) == (4, 3)
    assert here.videos == here.known + here.new + here.growing + here.unread_count + here.failure_count


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    put(tmp_path / "songpa" / "SP-1" / "20250531T100000.mp4")
    (tmp_path / "jongno").mkdir(mode=0)
    here = found(tmp_path).roots[0]
    (tmp_path / "jongno").chmod(0o755)
    assert (here.new, [path for path, _ in here.failures]) == (1, [str(tmp_path / "jongno")])


def test_roots_that_are_gone_or_empty_are_failures_and_stop_no_other(tmp_path: Path) -> None:
    put(tmp_path / "good" / "songpa" / "SP-1" / "20250531T100000.mp4")
    (tmp_path / "empty").mkdir()
    put(tmp_path / "pictures" / "songpa" / "SP-1" / "a.jpg")
    put(tmp_path / "file")
    roots = [tmp_path / name for name in ("gone", "empty", "pictures", "file", "good")]
    done = found(*roots)
    assert [each.failure_count for each in done.roots] == [1, 1, 1, 1, 0]
    assert "No such file" in done.roots[0].failures[0][1]
    assert "network mount" in done.roots[1].failures[0][1]
    assert len(done.clips) == 1


def test_a_mount_that_never_answers_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "good" / "songpa" / "SP-1" / "20250531T100000.mp4")
    put(tmp_path / "hung" / "songpa" / "SP-1" / "20250531T100000.mp4")
    scandir, never = os.scandir, threading.Event()

    def hanging(path: str | Path) -> object:
        if str(path).startswith(str(tmp_path / "hung")):
            never.wait()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", hanging)
    monkeypatch.setattr(footage_roots, "_ANSWER_S", 0.05)
    done = found(tmp_path / "hung", tmp_path / "good")
    never.set()
    assert ["does not answer" in why for _, why in done.roots[0].failures] == [True]
    assert len(done.clips) == 1


def test_growing_files_are_put_off(tmp_path: Path) -> None:
    put(tmp_path / "songpa" / "SP-1" / "20250531T100000.mp4", age_s=121)
    put(tmp_path / "songpa" / "SP-1" / "20250531T110000.mp4", age_s=119)
    put(tmp_path / "songpa" / "SP-1" / "20250531T120000.mp4", age_s=-600)  # the server's clock is ahead
    done = found(tmp_path)
    assert [Path(each.path).stem for each in done.clips] == ["20250531T100000"]
    assert sorted(Path(each.path).stem[9:11] for each in done.growing) == ["11", "12"]
    assert done.growing[0].waiting().start_ms is not None


def test_a_list_with_broken_lines_gives_the_others(tmp_path: Path) -> None:
    put(tmp_path / "a.mp4")
    rows = [
        "path,district,camera,start",
        "a.mp4,송파,SP-1,2025-05-31T10:00:00",
        "b.mp4,송파,SP-1,",
        "a.mp4,mars,a,",
    ]
    text = "\n".join(rows)
    (tmp_path / "list.csv").write_text(text, "utf-8")
    done = found(tmp_path / "list.csv")
    assert [(each.district, each.camera) for each in done.clips] == [("songpa", "SP-1")]
    assert [path for path, _ in done.roots[0].failures] == [str(tmp_path / "b.mp4")]
    assert "line 4" in done.roots[0].unread[0][1]


def test_names_without_a_place_take_the_root_s(tmp_path: Path) -> None:
    put(tmp_path / "NVR_ch3_main_20250531100000_20250531110000.dav")
    root = Root(tmp_path, (find_pattern("dahua", "Asia/Seoul"),), "songpa")
    assert [(each.district, each.camera) for each in found(root).clips] == [("songpa", "ch3")]


def test_of_roots_that_overlap_a_file_counts_once(tmp_path: Path) -> None:
    put(tmp_path / "songpa" / "SP-1" / "20250531T100000.mp4")
    inner = Root(tmp_path / "songpa", (find_pattern("{camera}/*", "Asia/Seoul"),), "songpa")
    assert len(found(tmp_path, inner).clips) == 1


def test_the_ledger_is_asked_without_reading_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known: unchanged since it was indexed. Changed or lost to damage: new."""
    archive = ArchiveFiles(tmp_path / "archive")
    folder = tmp_path / "footage" / "songpa" / "SP-1"
    folder.mkdir(parents=True)
    for hour in range(4):
        index(archive, clip(folder, f"20250301T0{hour}0000", "SP-1", at(hour)))
        os.utime(folder / f"20250301T0{hour}0000.mp4", (OLD, OLD))
    index(archive, *(clip(folder, f"20250301T0{hour}0000", "SP-1", at(hour)) for hour in range(4)))
    put(folder / "20250301T010000.mp4", b"changed")
    put(folder / "20250301T090000.mp4")
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was read"))
    with Catalogue(archive) as catalogue:
        lost = {each.sha256 for each in catalogue.snapshot().clips if each.path.endswith("020000.mp4")}
        root = Root(folder.parents[1], (find_pattern("plain", "Asia/Seoul"),))
        later = datetime.now(UTC) + timedelta(hours=1)
        done = discover([root], load_districts(), lambda files: catalogue.indexed(files, lost), 120, later)
    assert sorted(Path(each.path).stem[9:11] for each in done.clips) == ["01", "02", "09"]
    assert done.roots[0].known == 2


def test_what_is_kept_of_unread_names_is_bounded(tmp_path: Path) -> None:
    folder = tmp_path / "songpa" / "SP-1"
    folder.mkdir(parents=True)
    for number in range(footage_roots.SHOWN + 50):
        (folder / f"holiday{number}.mp4").touch()
    here = found(tmp_path).roots[0]
    assert (len(here.unread), here.unread_count) == (footage_roots.SHOWN, footage_roots.SHOWN + 50)
