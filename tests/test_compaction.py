"""Merging a day changes nothing that a search can see, whatever happens to the day before and afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from indexer import compaction
from indexer.clips import ClipRequest
from indexer.codes import Codebook
from indexer.compaction import compact
from indexer.coverage import QUARANTINED, Footage
from indexer.rewriting import open_entry
from indexer.shard.files import ArchiveFiles
from indexer.verification import verify
from search.engine import Engine
from search.filters import Filters
from tests.canned import KnownPipeline, at, clip, holding, index, litter, snapshot, use
from tests.crowd import embedder, fill, people

BOTH = ("songpa", "nowon")
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def codebooks() -> list[Codebook]:
    random = np.random.default_rng(3)
    return [Codebook.train(people(random, 1500, 32), embedder().sha256) for _ in range(2)]


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFiles:
    """Two districts, two days, two cameras, two clips each."""
    archive = ArchiveFiles(tmp_path / "archive")
    fill(archive, BOTH, days=2, cameras=2, tracklets=5)
    return archive


def answer(archive: ArchiveFiles) -> list[tuple[str, bytes, float]]:
    with Engine(archive, embedder()) as engine:
        found = engine.search(people(np.random.default_rng(1), 2, 32), Filters(BOTH), 400, exact=True)
    assert not found.damaged
    shown = zip(found.contents, found.hits, strict=True)
    return [(each.record.id, each.thumbnail, round(hit.score, 5)) for each, hit in shown]


def days(archive: ArchiveFiles) -> list[tuple[str, str]]:
    return sorted((entry.district, entry.day) for entry in snapshot(archive).segments)


def damaged_hours(archive: ArchiveFiles) -> float:
    coverage = Footage(snapshot(archive)).measure(BOTH, (), at(0), at(48), at(48))
    return sum(gap.camera_hours or 0.0 for gap in coverage.missing if gap.reason == QUARANTINED)


def test_the_same_content_in_one_segment_a_day(archive: ArchiveFiles) -> None:
    before, asked = holding(archive), answer(archive)
    means = snapshot(archive).camera_means(32).of([("songpa", "S-0"), ("nowon", "N-1")])
    assert len(days(archive)) == 16
    told: list[tuple[int, int]] = []
    done = compact(archive, lambda number, of: told.append((number, of)))
    wanted = [(district, day) for district in ("nowon", "songpa") for day in ("2025-02-18", "2025-02-19")]
    assert days(archive) == wanted
    assert done.days == tuple("/".join(each) for each in wanted)
    assert (done.merged, done.segments, done.failed) == (16, 4, ())
    assert told == [(number, 4) for number in range(4)]
    assert holding(archive) == before
    assert answer(archive) == asked
    after = snapshot(archive).camera_means(32).of([("songpa", "S-0"), ("nowon", "N-1")])
    np.testing.assert_allclose(after, means, atol=1e-6)
    assert litter(archive) == []
    assert verify(archive, deep=True).damaged == ()


def test_a_second_run_writes_nothing(
    archive: ArchiveFiles, codebooks: list[Codebook], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "CODED_ROWS", 1000)
    compact(archive)
    for _ in range(2):
        before = {path: path.stat().st_mtime_ns for path in (archive.home / "shards").rglob("*")}
        done = compact(archive)
        assert (done.days, done.merged, done.segments) == ((), 0, 4)
        assert {path: path.stat().st_mtime_ns for path in (archive.home / "shards").rglob("*")} == before
        use(archive, codebooks[0])  # too few rows here to be worth codes


def test_days_are_coded_once_for_each_codebook(
    archive: ArchiveFiles, codebooks: list[Codebook], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "CODED_ROWS", 1)
    before = holding(archive)
    for codebook in codebooks:
        use(archive, codebook)
        assert len(compact(archive).days) == 4
        assert compact(archive).days == ()
        assert {entry.codebook for entry in snapshot(archive).segments} == {codebook.name}
        assert holding(archive) == before
        assert verify(archive, deep=True).damaged == ()


def test_later_clips_are_merged_into_their_day(archive: ArchiveFiles, tmp_path: Path) -> None:
    compact(archive)
    index(archive, clip(tmp_path, "late", "S-7", at(20)))
    before = holding(archive)
    assert len(days(archive)) == 5
    done = compact(archive)
    assert (done.days, done.merged, done.segments) == (("songpa/2025-02-18",), 2, 4)
    assert holding(archive) == before


def test_a_damaged_segment_leaves_its_day_as_it_is(archive: ArchiveFiles) -> None:
    entry = next(each for each in snapshot(archive).segments if each.district == "songpa")
    path = archive.segment(entry.district, entry.day, entry.segment).vectors
    data = path.read_bytes()
    path.write_bytes(data[:-2] + bytes([data[-2] ^ 1, data[-1]]))
    before = holding_without(archive, entry.segment)
    done = compact(archive)
    assert [day for day, _ in done.failed] == ["songpa/2025-02-18"]
    assert entry.segment in done.failed[0][1]
    assert (len(done.days), done.segments) == (3, 7)
    assert holding_without(archive, entry.segment) == before
    assert len(verify(archive, deep=True).damaged) == 1
    done = compact(archive)  # without the one in quarantine
    assert (done.days, done.merged, done.failed) == (("songpa/2025-02-18",), 3, ())
    assert holding_without(archive, entry.segment) == before
    assert damaged_hours(archive) == 1
    path.write_bytes(data)
    assert verify(archive).restored == (entry.segment,)
    assert compact(archive).merged == 2
    assert len(holding(archive).tracklets) == len(before) + entry.tracklets
    assert len(days(archive)) == 4


def holding_without(archive: ArchiveFiles, segment: str) -> set[str]:
    entries = [entry for entry in snapshot(archive).segments if entry.segment != segment]
    return {one.id for entry in entries for one in open_entry(archive, entry).stored()}


@pytest.fixture
def merged(tmp_path: Path) -> ArchiveFiles:
    """Three clips of a day and one over its midnight, merged."""
    archive = ArchiveFiles(tmp_path / "archive")
    index(archive, *requests(tmp_path))
    assert len(compact(archive).days) == 1
    return archive


def requests(folder: Path) -> list[ClipRequest]:
    return [
        clip(folder, "a", "S-1", at(9)), clip(folder, "b", "S-2", at(9)), clip(folder, "c", "S-1", at(10)),
        clip(folder, "n", "S-1", at(24) - 15_000),
    ]  # fmt: skip


def test_replacing_a_clip_takes_only_its_own_people(merged: ArchiveFiles, tmp_path: Path) -> None:
    before = holding(merged).tracklets
    moved = replace(requests(tmp_path)[0], camera="S-9")
    assert len(index(merged, moved, replace=True).done) == 1
    after = holding(merged).tracklets
    own = {name for name, one in before.items() if one[2] == "S-1" and one[3] < at(9.5)}
    assert len(own) == 4
    assert {name: one for name, one in after.items() if one[2] != "S-9"} == {
        name: one for name, one in before.items() if name not in own
    }
    assert sorted(one[8] for one in after.values()) == sorted(one[8] for one in before.values())
    assert litter(merged) == []
    expected = ArchiveFiles(tmp_path / "expected")
    index(expected, moved, *requests(tmp_path)[1:])
    assert compact(merged).segments == 2
    compact(expected)
    assert holding(merged) == holding(expected)


def test_replacing_one_clip_of_a_day_does_not_index_the_others(merged: ArchiveFiles, tmp_path: Path) -> None:
    first, *others = requests(tmp_path)
    report = index(merged, replace(first, camera="S-9"), *others, replace=True)
    assert [Path(done.path).name for done in report.done] == [first.path.name]
    assert len(report.skipped) == 3


def test_over_midnight_a_clip_leaves_both_days(merged: ArchiveFiles, tmp_path: Path) -> None:
    assert [entry.tracklets for entry in snapshot(merged).segments] == [14, 2]
    moved = replace(requests(tmp_path)[3], camera="S-9")
    index(merged, moved, replace=True)
    expected = ArchiveFiles(tmp_path / "expected")
    index(expected, *requests(tmp_path)[:3], moved)
    assert holding(merged) == holding(expected)


def test_a_lost_day_is_mended_clip_by_clip(merged: ArchiveFiles, tmp_path: Path) -> None:
    whole = holding(merged)
    [day, _] = snapshot(merged).segments
    folder = merged.segment(day.district, day.day, day.segment).folder
    shutil.copytree(folder, tmp_path / "backup")
    shutil.rmtree(folder)
    clips = requests(tmp_path)
    pipeline = KnownPipeline()
    for number, each in enumerate(clips, start=1):
        assert len(verify(merged).damaged) == 1
        index(merged, each, pipeline=pipeline)
        again = index(merged, each, pipeline=pipeline)
        assert (len(again.done), len(again.skipped)) == (0, 1)  # what was mended is not mended again
        if number == 1:
            shutil.copytree(tmp_path / "backup", folder)  # half a day is mended when the backup comes
            assert len(verify(merged, deep=True).damaged) == 1
            shutil.rmtree(folder)
    assert pipeline.calls == ["a", "b", "c", "n"]
    assert holding(merged) == whole
    assert verify(merged, deep=True).damaged == ()
    assert compact(merged).segments == 2
    assert holding(merged) == whole


def test_a_day_mended_while_its_backup_lies_there_holds_nobody_twice(
    merged: ArchiveFiles, tmp_path: Path
) -> None:
    whole = holding(merged)
    [day, _] = snapshot(merged).segments
    files = merged.segment(day.district, day.day, day.segment)
    data = files.vectors.read_bytes()
    os.truncate(files.vectors, 10)
    first, *others = requests(tmp_path)
    index(merged, first)
    files.vectors.write_bytes(data)
    index(merged, *others, replace=True)
    moved = replace(others[0], camera="S-9")
    index(merged, moved, replace=True)  # rewrites what is left of the day
    found = holding(merged)
    assert len(found.tracklets) == len(whole.tracklets)
    assert sorted(one[8] for one in found.tracklets.values()) == sorted(
        one[8] for one in whole.tracklets.values()
    )


READER = """
import json, sys
from dataclasses import fields
from pathlib import Path
import numpy as np
from indexer.shard.files import ArchiveFiles
from search import planner
from search.engine import Engine
from search.filters import Filters
from search.planner import Costs
from tests.crowd import embedder, people
planner.AFFORDABLE_MS = 0.0
costs = Costs(**{each.name: 1e6 if each.name == "exact_us" else 0.0 for each in fields(Costs)})
Engine.costs = lambda engine, view: costs
query = people(np.random.default_rng(1), 1, 32)
views, kinds, wrong, searches, right = set(), set(), [], 0, None
with Engine(ArchiveFiles(Path(sys.argv[1])), embedder()) as engine:
    print("ready", flush=True)
    while searches < 3 or not Path(sys.argv[2]).exists():
        found = engine.search(query, Filters(("songpa", "nowon")), 400, exact=searches % 3 == 0)
        shown = [each.record.id for each in found.contents]
        right = right or shown
        if found.damaged or shown != right or not engine.view().snapshot.segments:
            wrong.append([len(shown), dict(found.damaged)])
        searches += 1
        kinds.add(found.plan.kind)
        views.add(found.view.snapshot.version)
print(json.dumps({"searches": searches, "views": len(views), "kinds": sorted(kinds), "wrong": wrong,
                  "shown": len(right)}))
"""


def test_another_process_searches_while_days_are_merged(
    archive: ArchiveFiles, codebooks: list[Codebook], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "CODED_ROWS", 1)
    use(archive, codebooks[0])
    stop = tmp_path / "stop"
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(archive.home), str(stop)], stdout=subprocess.PIPE, text=True,
        cwd=Path(__file__).parents[1], env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        written = 0
        for _, codebook in zip(range(4), cycle(reversed(codebooks)), strict=False):
            written += len(compact(archive, lambda number, of: time.sleep(0.05)).days)
            use(archive, codebook)
        stop.touch()
        told = json.loads(process.stdout.read())
    assert process.returncode == 0
    assert told["wrong"] == []
    assert told["shown"] == len(holding(archive).tracklets) == 80
    assert told["kinds"] == ["codes", "exact"]
    assert told["views"] >= 3
    assert written == 16


def test_workers_end_with_a_compaction_that_is_killed() -> None:
    code = (
        "import multiprocessing, os, time; from concurrent.futures import ProcessPoolExecutor\n"
        "from indexer.compaction import _begin\n"
        "pool = ProcessPoolExecutor(2, multiprocessing.get_context('spawn'), _begin, (None,))\n"
        "jobs = [pool.submit(time.sleep, 0.2) for _ in range(4)]\n"
        "print(*pool._processes, flush=True); [job.result() for job in jobs]\n"
        "print('ready', flush=True); time.sleep(60)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert killed.stdout is not None
    workers = [int(number) for number in killed.stdout.readline().split()]
    assert len(workers) == 2
    assert killed.stdout.readline() == "ready\n"
    killed.kill()
    killed.wait()
    until = time.monotonic() + 20
    while (left := [each for each in workers if is_running(each)]) and time.monotonic() < until:
        time.sleep(0.05)
    for each in left:
        os.kill(each, signal.SIGKILL)
    assert left == []


def is_running(pid: int) -> bool:
    """Not even as a process that has ended and that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
