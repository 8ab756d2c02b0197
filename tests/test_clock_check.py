"""Clocks told by people who walk: a small town whose clocks are known to be wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from cli import app
from indexer.cameras import Camera
from indexer.catalogue import Catalogue, writer_lock
from indexer.clock_check import ClockCheck, apply_check, check_clocks
from indexer.clock_links import Apart, Passages, clocks_apart
from indexer.clock_network import ClockEstimate, ClockLink, Key, solve
from indexer.distances import distance_m
from indexer.ledger import ClipDone, Fingerprint
from indexer.shard.files import ArchiveFiles
from indexer.shard.records import Record, Stored, Tracklet
from indexer.shard.writer import SegmentOrigin, seal_segment
from indexer.snapshot import Sealed
from reid.camera_means import tally
from tests.canned import copy_of, snapshot
from tests.crowd import DAY, HOUR, embedder, midnight, people

PLACES = {
    "S-1": (37.5000, 127.1000), "S-2": (37.5000, 127.1020), "S-3": (37.5016, 127.1000),
    "S-4": (37.5016, 127.1020), "S-5": (37.5008, 127.1038), "S-6": (37.5030, 127.1010),
}  # fmt: skip
AHEAD = {"S-1": 0.0, "S-2": 90.0, "S-3": 1.5, "S-4": -3600.0, "S-5": -2.0, "S-6": 0.5}
SIZE = 96  # of a vector: as many directions in it are told apart as in those of real people


def seen_again(
    random: np.random.Generator, vectors: NDArray[np.float32], noise: float
) -> NDArray[np.float32]:
    rows = vectors + noise * random.normal(size=vectors.shape) / np.sqrt(vectors.shape[1])
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def town(
    archive: ArchiveFiles, walkers: int, strangers: int, ahead: Mapping[str, float] = AHEAD, seed: int = 1,
    places: bool = True,
) -> ArchiveFiles:  # fmt: skip
    """Six hours of a town: walkers pass three cameras each, strangers one; of these a fifth look like one."""
    random = np.random.default_rng(seed)
    passed: dict[str, list[tuple[float, NDArray[np.float32]]]] = {name: [] for name in PLACES}
    everybody = people(random, walkers, SIZE) if walkers else np.empty((0, SIZE), np.float32)
    for person in everybody:
        at, here = random.uniform(0, 6 * 3600), str(random.choice(list(PLACES)))
        speed = random.uniform(0.8, 1.6)
        for _ in range(3):
            passed[here].append((at, seen_again(random, person[None], 0.6)))
            metres = {name: distance_m(*PLACES[here], *PLACES[name]) for name in PLACES if name != here}
            there = str(random.choice(sorted(metres, key=lambda name: metres[name])[:3]))
            at += metres[there] * random.uniform(1.0, 1.3) / speed
            here = there
    for name, held in passed.items():
        for _ in range(strangers):
            alike = walkers and random.random() < 0.2
            one = everybody[int(random.integers(walkers))][None] if alike else people(random, 1, SIZE)
            held.append((random.uniform(0, 6 * 3600), seen_again(random, one, 0.9 if alike else 0.1)))
        place = PLACES[name] if places else (None, None)
        write(archive, Camera(name, "", "songpa", *place), ahead.get(name, 0.0), held)
    return archive


def write(
    archive: ArchiveFiles, camera: Camera, ahead: float, held: list[tuple[float, NDArray[np.float32]]]
) -> None:
    """A clip that shows these people, timed by a clock that is ahead."""
    begin, clip = midnight(DAY) + 12 * HOUR, camera.id.encode().hex().ljust(64, "0")
    stored = []
    for number, (at, vectors) in enumerate(sorted(held, key=lambda each: each[0])):
        start = begin + round((at + ahead) * 1000)
        record = Record(
            id=f"{int(camera.id[2:]) * 10_000 + number:016x}", clip=clip, path="a.mp4", camera=camera.id,
            start_ms=start - 4000, end_ms=start + 4000, best_ms=start, best_offset_s=1.0, box=(0, 0, 9, 9),
            frame=(32, 18), quality=0.5, detections=4,
        )  # fmt: skip
        stored.append(Stored.of(Tracklet(record, vectors, b"\xff\xd8")))
    stored.sort(key=lambda one: (one.start_ms, one.id))
    spec = embedder(SIZE)
    origin = SegmentOrigin("songpa", DAY.isoformat(), spec.sha256, ("d" * 64,), SIZE, (clip,))
    with Catalogue(archive, "create") as catalogue, writer_lock(archive):
        seen = {camera.id: tally([one.vectors.astype(np.float32) for one in stored])}
        sealed = Sealed(seal_segment(archive, origin, stored), seen)
        end = begin + 8 * HOUR
        done = ClipDone(
            clip, f"/footage/{camera.id}.mp4", "songpa", camera.id, begin, end, ((begin, end),), "given",
            "d" * 64, spec.sha256, 5.0, 9, 9, 0, len(stored), sealed.manifest.vectors, (), 1.0,
        )  # fmt: skip
        catalogue.record_done(done, Fingerprint(1, 1), camera, [sealed])


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> ArchiveFiles:
    return town(ArchiveFiles(tmp_path_factory.mktemp("busy") / "archive"), walkers=150, strangers=80)


@pytest.fixture(scope="module")
def check(busy: ArchiveFiles) -> ClockCheck:
    return check_clocks(busy)


def found(check: ClockCheck) -> dict[str, ClockEstimate]:
    return {camera.id: estimate for camera, estimate in check.cameras}


def test_wrong_clocks_are_found_within_what_is_stated(check: ClockCheck) -> None:
    for name, each in found(check).items():
        assert each.verdict == "estimated"
        assert each.ahead_s is not None
        assert each.uncertainty_s is not None
        assert abs(each.ahead_s - AHEAD[name]) <= each.uncertainty_s
        assert each.uncertainty_s < 30
        assert each.people > 20
    assert check.passages == 6 * 80 + 3 * 150
    assert not check.unreadable
    told = check.to_json()
    assert json.loads(json.dumps(told)) == told
    assert {row["camera"] for row in told["cameras"]} == set(PLACES)


def test_what_was_found_is_applied_and_a_second_check_agrees(
    busy: ArchiveFiles, check: ClockCheck, tmp_path: Path
) -> None:
    archive = copy_of(busy, tmp_path)
    meanwhile = replace(snapshot(archive).cameras["songpa", "S-1"], clock_offset_s=7.0)
    with Catalogue(archive, "write") as catalogue:
        catalogue.put_cameras([meanwhile])
    changed = apply_check(archive, check)
    assert {camera.id for camera in changed} == set(PLACES) - {"S-1"}  # registered anew since it was checked
    cameras = {camera.id: camera for camera in snapshot(archive).cameras.values()}
    assert cameras.pop("S-1") == meanwhile
    for name, camera in cameras.items():
        assert camera.clock_uncertainty_s is not None
        assert abs(camera.clock_offset_s - AHEAD[name]) <= camera.clock_uncertainty_s
        assert (camera.clock_offset_s != 0) == (name in ("S-2", "S-4"))  # those that agree keep theirs
    progress: list[tuple[int, int]] = []
    again = check_clocks(archive, progress=lambda *at: progress.append(at))
    assert progress == [(k, len(progress)) for k in range(len(progress))]
    for name, each in found(again).items():
        assert each.ahead_s is not None
        assert each.uncertainty_s is not None
        assert abs(each.ahead_s + (7 if name == "S-1" else 0)) <= 1.5 * each.uncertainty_s


def test_a_clock_known_better_than_it_can_be_told_here_stays(check: ClockCheck) -> None:
    cases = [
        # (registered uncertainty, seconds ahead, stated uncertainty, offset and uncertainty to be written)
        (None, 3.0, 10.0, (0.0, 13.0)),
        (20.0, 3.0, 10.0, (0.0, 13.0)),
        (5.0, 3.0, 10.0, None),
        (5.0, -90.0, 10.0, (-90.0, 10.0)),
        (None, None, None, None),
    ]
    camera, _ = check.cameras[0]
    for known, ahead, uncertainty, written in cases:
        estimate = ClockEstimate(key("S-1"), "estimated", ahead, uncertainty, 30.0)
        one = replace(check, cameras=((replace(camera, clock_uncertainty_s=known), estimate),))
        told = [(each.clock_offset_s, each.clock_uncertainty_s) for each in one.corrected()]
        assert told == ([] if written is None else [written])


def test_where_nobody_walks_from_camera_to_camera_nothing_is_told(tmp_path: Path) -> None:
    archive = town(ArchiveFiles(tmp_path / "archive"), walkers=0, strangers=120)
    check = check_clocks(archive)
    assert {each.verdict for each in found(check).values()} == {"too little to tell"}
    assert check.links == ()
    assert check.corrected() == apply_check(archive, check) == ()
    assert any("too little to tell" in note for note in check.notes())


def test_without_places_nobody_knows_who_are_neighbours(tmp_path: Path) -> None:
    archive = town(ArchiveFiles(tmp_path / "archive"), walkers=30, strangers=0, places=False)
    check = check_clocks(archive)
    assert {each.verdict for each in found(check).values()} == {"too little to tell"}
    assert (check.days, check.passages) == ((), 0)  # and nothing was read for it


def walk(count: int, forward: float, ahead: float, seed: int) -> tuple[Passages, Passages]:
    """Walkers alone, 180 m."""
    random = np.random.default_rng(seed)
    vectors = people(random, count, SIZE)
    begin = random.uniform(0, 6 * 3600, count)
    taken = 180 / random.uniform(0.8, 1.6, count) * np.where(random.random(count) < forward, 1, -1)
    return Passages(vectors, begin), Passages(seen_again(random, vectors, 0.5), begin + taken + ahead)


def test_walks_both_ways_cancel_and_walks_one_way_do_not() -> None:
    both, one_way = (clocks_apart(*walk(60, forward, 90.0, 4), 180) for forward in (0.5, 1.0))
    assert both is not None
    assert abs(both.seconds - 90) <= 2 * both.error_s
    assert both.error_s < 15
    assert one_way is not None
    assert abs(one_way.seconds - 90) <= 2 * one_way.error_s
    assert one_way.error_s > 100


def test_too_few_people_tell_nothing() -> None:
    for count in (0, 1, 4):
        assert clocks_apart(*walk(count, 0.5, 0.0, 5), 180) is None


def key(name: str) -> Key:
    return "songpa", name


def link(first: str, second: str, apart: float, error: float = 3.0, told_by: float = 30.0) -> ClockLink:
    return ClockLink(key(first), key(second), 100.0, Apart(apart, error, told_by))


def solved(names: str, links: list[ClockLink], reference: str | None = None) -> dict[str, object]:
    estimates, marked = solve([key(name) for name in names], links, key(reference) if reference else None)
    told = {each.key[1]: each.ahead_s if each.verdict == "estimated" else each.verdict for each in estimates}
    return told | {"out": [f"{each.first[1]}{each.second[1]}" for each in marked if not each.used]}


def test_two_clocks_that_differ_say_not_which_is_wrong() -> None:
    assert solved("AB", [link("A", "B", 90)]) == {"A": "only relative", "B": "only relative", "out": []}
    assert solved("AB", [link("A", "B", 90)], "B") == {"A": -90.0, "B": "reference", "out": []}
    assert solved("AB", [link("A", "B", 2)]) == {"A": -1.0, "B": 1.0, "out": []}


def test_the_majority_is_right_and_what_hangs_apart_is_told_apart() -> None:
    chain = [link("A", "B", 0), link("B", "C", 3600), link("D", "E", 50)]
    told = {"A": 0.0, "B": 0.0, "C": 3600.0, "D": "only relative", "E": "only relative"}
    assert solved("ABCDEF", chain) == {**told, "F": "too little to tell", "out": []}


def test_a_link_that_the_others_contradict_is_left_out() -> None:
    ring = [link("A", "B", 0), link("B", "C", 0), link("C", "D", 0), link("D", "A", 0), link("A", "C", 500)]
    assert solved("ABCD", ring) == {"A": 0.0, "B": 0.0, "C": 0.0, "D": 0.0, "out": ["AC"]}


def test_of_a_ring_that_does_not_close_the_weakest_goes_or_none_is_believed() -> None:
    ring = [link("A", "B", 0), link("B", "C", 0, told_by=6), link("A", "C", 400)]
    assert solved("ABC", ring) == {"A": 0.0, "B": 0.0, "C": 400.0, "out": ["BC"]}
    ring = [link("A", "B", 0), link("B", "C", 0, told_by=20), link("A", "C", 400)]
    nothing = dict.fromkeys("ABC", "too little to tell")
    assert solved("ABC", ring) == {**nothing, "out": ["AB", "BC", "AC"]}


def test_least_squares_against_a_dense_solution() -> None:
    random = np.random.default_rng(6)
    names = "ABCDEFG"
    truth = dict(zip(names, random.normal(0, 2, len(names)), strict=True))
    pairs = [(a, b) for a in names for b in names if a < b]
    errors = random.uniform(1, 2, len(pairs)).tolist()
    links = [
        link(a, b, truth[b] - truth[a] + random.normal(0, 1), error)
        for (a, b), error in zip(pairs, errors, strict=True)
    ]
    estimates, _ = solve([key(name) for name in names], links, key("A"))
    rows = np.zeros((len(links), len(names)))
    for k, each in enumerate(links):
        rows[k, names.index(each.second[1])], rows[k, names.index(each.first[1])] = 1, -1
    weight = np.array([1 / each.apart.error_s for each in links])
    apart = np.array([each.apart.seconds for each in links])
    scaled = weight[:, None] * rows[:, 1:]
    others = np.linalg.lstsq(scaled, weight * apart, rcond=None)[0]
    assert [each.ahead_s for each in estimates[1:]] == pytest.approx(others, abs=0.06)
    spread = np.sqrt(np.diag(np.linalg.inv(scaled.T @ scaled)))
    stated = np.array([each.uncertainty_s for each in estimates[1:]])
    assert (stated >= np.maximum(2 * spread, 1) - 0.06).all()  # more, where links agree worse than they say


def test_the_command(busy: ArchiveFiles, check: ClockCheck, tmp_path: Path) -> None:
    """S-2 is 90 s ahead; whoever takes it for right finds the others 90 s behind."""
    archive = copy_of(busy, tmp_path)
    call = ["cameras", "check", "--home", str(archive.home)]

    def run(*more: str) -> Result:
        return CliRunner().invoke(app, [*call, *more])

    told = json.loads(run("--district", "송파", "--reference", "S-2", "--json", "--apply").stdout)
    assert told["reference"] == "songpa/S-2"
    by_name = {row["camera"]: row for row in told["cameras"]}
    assert by_name.pop("S-2")["verdict"] == "reference"
    for name, row in by_name.items():
        assert abs(row["estimated_offset_s"] - (AHEAD[name] - 90)) <= row["estimated_uncertainty_s"]
        kept = snapshot(archive).cameras["songpa", name]
        assert (kept.clock_offset_s, kept.clock_uncertainty_s) == (
            row["estimated_offset_s"], row["estimated_uncertainty_s"],
        )  # fmt: skip
    assert set(told["applied"]) == {f"songpa/{name}" for name in by_name}
    assert len(told["links"]) == len(check.links)
    for more, words in (
        (["--district", "nowhere"], "unknown district 'nowhere'"),
        (["--district", "nowon"], "no camera in nowon"),
        (["--reference", "S-9"], "--reference S-9: no such camera"),
    ):
        failed = run(*more)
        assert (failed.exit_code, failed.stdout) == (2, "")
        assert words in failed.stderr


def test_words(check: ClockCheck) -> None:
    rows = {row[0]: row for row in check.rows()}
    assert all(len(row) == len(check.header) for row in rows.values())
    assert rows["S-4"][2:4] == ["estimated", f"{found(check)['S-4'].ahead_s:.1f}"]
    assert any("--reference" in note for note in check.notes())  # nobody said which clock is right
