"""What is erased is gone: from every file, every answer, every camera's mean, and it does not come back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import cli
from indexer.codes import Codebook
from indexer.coverage import DAMAGED_SEGMENT, ERASED, EXPIRED, QUARANTINED, Footage
from indexer.erasure import Erased, erase_time, erase_tracklet
from indexer.indexing import index_clips
from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from indexer.verification import verify
from reid.camera_means import Tally, tally
from reid.errors import InputError, StorageError
from search.engine import Engine
from search.filters import Filters
from tests import test_indexing as footage
from tests import world
from tests.canned import (
    NOW,
    at,
    clip,
    copy_of,
    holding,
    index,
    litter,
    merged_and_coded,
    snapshot,
    traces,
)  # fmt: skip
from tests.crowd import embedder, fill, people

BOTH = ("songpa", "nowon")
DAY_2 = (at(24), at(48))
Tracklets = Mapping[str, tuple[Any, ...]]
runner = CliRunner()


@pytest.fixture(scope="module")
def codebook() -> Codebook:
    return Codebook.train(people(np.random.default_rng(3), 1500, 32), embedder().sha256)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, codebook: Codebook) -> ArchiveFiles:
    """Two days in two districts before two cameras each, merged and coded; thumbnails are told apart."""
    archive = ArchiveFiles(tmp_path_factory.mktemp("full"))
    fill(archive, BOTH, days=2, cameras=2, hours=(9, 13), tracklets=6)
    return merged_and_coded(archive, codebook, 4)


@pytest.fixture
def archive(full: ArchiveFiles, tmp_path: Path) -> ArchiveFiles:
    return copy_of(full, tmp_path)


def touching(held: Tracklets, district: str, since: int, until: int, *cameras: str) -> set[str]:
    """Ids of those of whom any part lies in a time."""
    return {
        name for name, one in held.items()
        if one[0] == district and one[3] < until and one[4] >= since and (not cameras or one[2] in cameras)
    }  # fmt: skip


def some_time(held: Tracklets) -> tuple[int, int]:
    """A minute that begins inside one tracklet of S-1 and ends inside another."""
    first, last = sorted((one[3], one[4]) for one in held.values() if one[2] == "S-1")[1:4:2]
    return first[1], last[0] + 1


def is_gone(archive: ArchiveFiles, before: Tracklets, gone: set[str]) -> None:
    """Nothing else is gone, nothing is left of it in any file, and means are those of who is left."""
    after = holding(archive)
    assert after.tracklets == {name: one for name, one in before.items() if name not in gone}
    assert after.damaged == frozenset()
    lost = {name: before[name] for name in gone}
    marked = {
        name: (*one[:10], one[8], one[11]) for name, one in lost.items()
    }  # thumbnails too short to tell
    assert traces(archive, marked) == []
    assert litter(archive) == []
    assert verify(archive, deep=True).damaged == ()
    expected = tallies(after.tracklets)
    kept = snapshot(archive).tallies
    assert kept.keys() == expected.keys()
    for key, each in kept.items():
        assert each.count == expected[key].count
        np.testing.assert_allclose(each.total, expected[key].total, atol=1e-4)
    with Engine(archive, embedder()) as engine:
        found = engine.search(people(np.random.default_rng(1), 1, 32), Filters(BOTH), 400)
    assert {each.record.id for each in found.contents} == after.tracklets.keys()


def tallies(held: Tracklets) -> dict[tuple[str, str], Tally]:
    clips: dict[tuple[str, str, str], list[Any]] = {}
    for name, one in sorted(held.items(), key=lambda pair: (pair[1][3], pair[0])):
        assert name
        rows = np.frombuffer(one[8], np.float16).reshape(-1, 32).astype(np.float32)
        clips.setdefault((one[0], one[2], one[1]), []).append(rows)
    found: dict[tuple[str, str], Tally] = {}
    for (district, camera, _), seen in clips.items():
        key = (district, camera)
        found[key] = found[key] + tally(seen) if key in found else tally(seen)
    return found


def lost(archive: ArchiveFiles, reason: str) -> float:
    """Camera-hours of all footage that are missing for this reason."""
    coverage = Footage(snapshot(archive)).measure(BOTH, (), at(0), at(48), at(48))
    return sum(gap.camera_hours or 0.0 for gap in coverage.missing if gap.reason == reason)


def test_a_day(archive: ArchiveFiles) -> None:
    before = holding(archive).tracklets
    done = erase_time(archive, "songpa", *DAY_2, now=lambda: NOW)
    gone = touching(before, "songpa", *DAY_2)
    assert len(gone) == 24
    is_gone(archive, before, gone)
    assert (done.erasure.tracklets, done.erasure.removed) == (24, done.erasure.removed[:1])
    assert not (archive.home / "shards" / "songpa" / "2025-02-19").exists()
    assert lost(archive, ERASED) == pytest.approx(4)
    assert lost(archive, EXPIRED) == 0  # a day is a request


def test_everything_before_a_moment(archive: ArchiveFiles) -> None:
    before = holding(archive).tracklets
    done = erase_time(archive, "nowon", 0, at(24 + 10), now=lambda: NOW)
    gone = touching(before, "nowon", 0, at(24 + 10))
    assert len(gone) == 36
    is_gone(archive, before, gone)
    assert len(done.erasure.removed) == 2
    assert len(done.erasure.replaced) == 1
    assert lost(archive, EXPIRED) == pytest.approx(6)
    assert lost(archive, ERASED) == 0


def test_a_time_before_one_camera_takes_those_who_only_touch_it(archive: ArchiveFiles) -> None:
    before = holding(archive).tracklets
    since, until = some_time(before)
    done = erase_time(archive, "songpa", since, until, ("S-1",), now=lambda: NOW)
    gone = touching(before, "songpa", since, until, "S-1")
    inside = {name for name in gone if since <= before[name][3] and before[name][4] < until}
    assert len(gone - inside) >= 2
    is_gone(archive, before, gone)
    assert done.erasure.vectors == sum(len(before[name][8]) // 64 for name in gone)
    assert snapshot(archive).segments[0].codebook is not None
    assert erase_time(archive, "songpa", since, until, ("S-1",), now=lambda: NOW).erasure.tracklets == 0


@pytest.mark.parametrize("spelled", [str, str.upper, lambda name: f" 0x{name}"])
def test_one_tracklet_however_its_id_is_spelled(archive: ArchiveFiles, spelled: Any) -> None:
    before = holding(archive).tracklets
    [name] = [name for name in before if any(letter in name for letter in "abcdef")][:1]
    done = erase_tracklet(archive, spelled(name), now=lambda: NOW)
    is_gone(archive, before, {name})
    assert (done.erasure.tracklet, done.erasure.tracklets) == (name, 1)
    assert lost(archive, ERASED) == 0
    with pytest.raises(InputError, match="no tracklet"):
        erase_tracklet(archive, name)


def test_the_proof_tells_what_went(archive: ArchiveFiles) -> None:
    seen = snapshot(archive)
    [first] = [entry for entry in seen.segments if entry.district == "songpa" and entry.day == "2025-02-18"]
    done = erase_time(archive, "songpa", at(9), at(10), ("S-0",), now=lambda: NOW)
    [entry] = [e for e in snapshot(archive).segments if e.district == "songpa" and e.day == "2025-02-18"]
    assert done.proof == (
        "erased songpa/S-0 from 2025-02-18T09:00:00+09:00 to 2025-02-18T10:00:00+09:00: 6 tracklets,"
        f" {first.vectors - entry.vectors} vectors, {first.bytes - entry.bytes} bytes;"
        f" manifests gone: {first.seal[:16]}; in their place: {entry.seal[:16]};"
        " at 2025-06-01T09:00:00+09:00"
    )
    [kept] = snapshot(archive).erasures
    assert kept == done.erasure
    assert json.loads(json.dumps(asdict(done)))["bytes"] == done.bytes > 0


def test_a_camera_of_whom_nobody_is_left_has_no_mean(archive: ArchiveFiles) -> None:
    erase_time(archive, "songpa", 0, at(48), ("S-1",), now=lambda: NOW)
    assert ("songpa", "S-1") not in snapshot(archive).tallies
    assert ("songpa", "S-0") in snapshot(archive).tallies


def test_a_sound_segment_outlives_a_damaged_codebook(archive: ArchiveFiles) -> None:
    """Without its codebook a segment cannot be coded again; that is no reason to lose or keep anything."""
    name = snapshot(archive).codebook
    assert name is not None
    for altered in (True, False):
        archive.codebook(name).write_bytes(b"no codebook")
        if not altered:
            archive.codebook(name).unlink()
        before = holding(archive).tracklets
        victim = next(iter(before))
        done = erase_tracklet(archive, victim, now=lambda: NOW)
        assert done.unreadable == ()
        assert holding(archive).tracklets == {key: one for key, one in before.items() if key != victim}


def test_what_cannot_be_read_goes_as_a_whole_and_stays_told(archive: ArchiveFiles, tmp_path: Path) -> None:
    before = holding(archive).tracklets
    [entry] = [e for e in snapshot(archive).segments if e.district == "songpa" and e.day == "2025-02-18"]
    files = archive.segment("songpa", entry.day, entry.segment)
    shutil.copytree(files.folder, tmp_path / "backup")
    os.truncate(files.records, 100)
    damaged_hours = lost(archive, DAMAGED_SEGMENT)
    with pytest.raises(InputError, match="1 segments cannot be read"):
        erase_tracklet(archive, min(touching(before, "songpa", at(9), at(10))))
    done = erase_time(archive, "songpa", at(9), at(10), ("S-0",), now=lambda: NOW)
    assert done.unreadable == (entry.segment,)
    assert entry.seal in done.erasure.removed
    assert not files.folder.exists()
    gone = touching(before, "songpa", at(0), at(24))
    assert holding(archive).tracklets == {name: one for name, one in before.items() if name not in gone}
    assert damaged_hours == 0
    assert lost(archive, QUARANTINED) == pytest.approx(3)
    assert lost(archive, ERASED) == pytest.approx(1)
    shutil.copytree(tmp_path / "backup", files.folder)  # a backup holds what was erased
    assert [name for name, _, _ in verify(archive, deep=True).damaged] == [entry.segment]
    assert verify(archive).restored == ()
    again = erase_time(archive, "songpa", at(9), at(10), ("S-0",), now=lambda: NOW + timedelta(hours=1))
    assert (again.unreadable, again.erasure.removed) == ((), ())
    assert not files.folder.exists()
    assert len(holding(archive).tracklets) == len(before) - len(gone)


@pytest.mark.parametrize(
    ("since", "until", "cameras", "message"),
    [
        (at(9), at(9), (), "ends after it begins"),
        (at(10), at(9), (), "ends after it begins"),
        (at(9), at(10), ("S-0", "N-0"), "songpa/N-0 is not registered"),
    ],
)
def test_what_makes_no_sense_erases_nothing(
    archive: ArchiveFiles, since: int, until: int, cameras: tuple[str, ...], message: str
) -> None:
    before = holding(archive)
    with pytest.raises(InputError, match=message):
        erase_time(archive, "songpa", since, until, cameras)
    for wrong in ("", "nobody", "f" * 16, "-1"):
        with pytest.raises(InputError, match="no tracklet"):
            erase_tracklet(archive, wrong)
    assert holding(archive) == before


def test_no_archive_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no archive there"):
        erase_time(ArchiveFiles(tmp_path / "absent"), "songpa", 0, 1)


def test_people_of_an_erased_night_are_erased_over_midnight(tmp_path: Path) -> None:
    """A tracklet lies in the segment of the day it begins in, and goes with the day it ends in."""
    archive = ArchiveFiles(tmp_path / "archive")
    index(archive, clip(tmp_path, "night", "S-1", at(24) - 15_000))
    before = holding(archive).tracklets
    over = {name for name, one in before.items() if one[3] < at(24) <= one[4]}
    assert len(over) == 1
    done = erase_time(archive, "songpa", *DAY_2, now=lambda: NOW)
    after = holding(archive).tracklets
    assert after.keys() == before.keys() - touching(before, "songpa", *DAY_2)
    assert len(after) == 1
    assert done.erasure.tracklets == 3
    assert traces(archive, {name: before[name] for name in before.keys() - after.keys()}) == []


def test_indexing_again_does_not_bring_it_back(tmp_path: Path) -> None:
    """Real footage, in which fakes of both models see coloured rectangles."""
    archive = ArchiveFiles(tmp_path / "archive")
    path = world.write_scene(tmp_path / "clip.mp4", footage.RED_AND_BLUE)
    footage.run(archive, footage.request(path))
    before = holding(archive).tracklets
    assert len(before) == 2
    first = min(before, key=lambda name: before[name][3])
    erase_tracklet(archive, first, now=lambda: world.NOW)
    shutil.rmtree(archive.home / "shards")
    [warning] = [w for w in footage.run(archive, footage.request(path)).warnings if "erased" in w]
    assert "1 tracklets lie in a time that was erased" in warning
    assert holding(archive).tracklets.keys() == before.keys() - {first}
    start = milliseconds(footage.START)
    done: Erased = erase_time(archive, "songpa", start - 1000, start + 60_000, now=lambda: world.NOW)
    assert done.erasure.tracklets == 1
    later = footage.request(path, start=footage.START + timedelta(seconds=30))
    report = index_clips(archive, [later], world.fake_pipeline(), now=lambda: world.NOW, replace=True)
    assert [each.tracklets for each in report.done] == [0]
    assert holding(archive).tracklets == {}
    assert traces(archive, before) == []
    elsewhere = footage.request(path, start=footage.START + timedelta(hours=2))
    index_clips(archive, [elsewhere], world.fake_pipeline(), now=lambda: world.NOW, replace=True)
    assert len(holding(archive).tracklets) == 1  # the time was erased, and the one tracklet, not the other


def reid(*arguments: object) -> Result:
    return runner.invoke(cli.app, [str(argument) for argument in arguments])


def one_object(result: Result) -> dict[str, Any]:
    assert result.exit_code in (0, 1), result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_command_asks_first(archive: ArchiveFiles) -> None:
    before = holding(archive)
    day = ("-d", "송파구", "--day", "2025-02-19", "--home", archive.home)
    for answer, code in (("n\n", 2), ("", 1)):
        refused = runner.invoke(cli.app, ["erase", *map(str, day)], input=answer)
        assert refused.exit_code == code
        assert "erased songpa" not in refused.stdout
    assert holding(archive) == before
    done = one_object(reid("erase", *day, "--yes", "--json"))
    assert done["erasure"]["tracklets"] == 24
    assert done["proof"].startswith("erased songpa from 2025-02-19T00:00:00+09:00 to 2025-02-20T00:00:00")
    again = reid("erase", *day, "--yes")
    assert (again.exit_code, again.stdout.count("\n")) == (0, 1)
    assert again.stdout.startswith("erased songpa from ")


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("-d", "songpa"),
        ("-d", "songpa", "--since", "2025-02-18"),
        ("-d", "songpa", "--day", "2025-02-18", "--until", "2025-02-18"),
        ("-d", "nowhere", "--day", "2025-02-18"),
        ("-d", "songpa", "--day", "2025-02-18", "-c", "N-0"),
        ("-d", "songpa", "--day", "yesterday"),
        ("--tracklet", "f" * 16),
        ("--tracklet", "f" * 16, "--day", "2025-02-18"),
    ],
)
def test_wrong_use_is_one_line_and_erases_nothing(archive: ArchiveFiles, given: tuple[str, ...]) -> None:
    before = holding(archive)
    result = reid("erase", *given, "--yes", "--home", archive.home, "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.strip()
    assert "Traceback" not in result.stderr
    assert holding(archive) == before


def test_the_other_commands_on_a_small_archive(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    home = ("--home", archive.home, "--json")
    assert reid("verify", *home).exit_code == 3
    fill(archive, ("songpa",), days=1, cameras=4, hours=(9, 13), tracklets=100)
    assert one_object(reid("migrate", *home)) == {"steps": []}
    assert reid("codebook", "check", *home).exit_code == 2
    trained = one_object(reid("codebook", "train", *home))
    assert trained["sampled"] == sum(entry.vectors for entry in snapshot(archive).segments)
    checked = reid("codebook", "check", *home)
    assert (checked.exit_code, one_object(checked)["fits"]) == (0, True)
    assert one_object(checked)["codebook"] == trained["codebook"]
    merged = one_object(reid("compact", *home))
    assert (merged["days"], merged["merged"], merged["segments"]) == (["songpa/2025-02-18"], 8, 1)
    assert [entry.codebook for entry in snapshot(archive).segments] == [trained["codebook"]]
    sound = reid("verify", "--deep", *home)
    assert (sound.exit_code, one_object(sound)["damaged"]) == (0, [])
    [entry] = snapshot(archive).segments
    path = archive.segment(entry.district, entry.day, entry.segment).records
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    told = reid("verify", "--deep", *home)
    assert told.exit_code == 1
    assert one_object(told)["damaged"][0][0] == entry.segment
    assert len(one_object(told)["clips"]) == 8
    shown = reid("verify", "--deep", "--home", archive.home)
    assert shown.stdout.startswith(f"damaged: {entry.segment} of songpa/2025-02-18: ")
    erased = reid("erase", "-d", "songpa", "--day", "2025-02-18", "-c", "S-0", "--yes", *home)
    assert erased.exit_code == 1
    assert one_object(erased)["unreadable"] == [entry.segment]
    archive.codebook(trained["codebook"]).unlink()
    missing = reid("verify", *home)
    assert missing.exit_code == 1
    assert "missing" in one_object(missing)["codebook"]
