"""The synthetic city: its plan holds together, a killed run goes on to the same bytes, bad input is told."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import json
import math
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.__main__ import main
from benchmarks.city.crowd import bystanders, everybody
from benchmarks.city.members import FIRST_BYSTANDER, Member, Pattern, WalkPlan
from benchmarks.city.paths import Points, lay_walk
from benchmarks.city.plan import CityPlan, make_plan
from benchmarks.city.render import claim_folder, render_city
from benchmarks.city.settings import DEMO, QUICK, CitySettings, Mix, city_settings
from benchmarks.city.sites import PLACES
from indexer.cameras import read_cameras
from indexer.clips import Given, find_clips
from indexer.districts import load_districts
from indexer.times import moment_in_name
from indexer.video import open_clip
from reid.errors import DamagedError, FormatError, InputError, StorageError
from reid.images import read_photo
from search.demo.files import CLIP_ENDING, CityFiles
from search.demo.truth import read_truth
from tests import studio

ROOT = Path(__file__).parents[1]
SMALL = studio.SMALL
CITIES = [CitySettings(), QUICK, DEMO, SMALL, CitySettings(cameras=(3,) * 4, seconds=3600, missing=30)]


@pytest.fixture(scope="module")
def small() -> CityPlan:
    return make_plan(SMALL)


@pytest.fixture(scope="module")
def made(small: CityPlan, tmp_path_factory: pytest.TempPathFactory) -> CityFiles:
    """The small city, made in one go."""
    files = CityFiles(tmp_path_factory.mktemp("city") / "small")
    render_city(small, files, studio.FakeStudio, "fake")
    return files


RUN = """
import sys
from pathlib import Path
from benchmarks.city.plan import make_plan
from benchmarks.city.render import render_city
from reid.images import read_photo
from search.demo.files import CityFiles
from tests import studio
files = CityFiles(Path(sys.argv[1]))
render_city(make_plan(studio.SMALL), files, studio.SlowStudio, "fake", int(sys.argv[2]))
"""


def fingerprint(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


# The plan


def test_the_same_seed_gives_the_same_city() -> None:
    plan, again = make_plan(SMALL), make_plan(SMALL)
    assert plan == again
    assert plan.digest == again.digest
    assert [bystanders(clip, SMALL) for clip in plan.clips] == [
        bystanders(clip, SMALL) for clip in again.clips
    ]


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(SMALL, seed=4),
        dataclasses.replace(SMALL, seconds=21.0),
        dataclasses.replace(SMALL, missing=2),
        dataclasses.replace(SMALL, size=(640, 360)),
        dataclasses.replace(SMALL, mix=Mix(clothes_change=1.0)),
    ],
)
def test_other_settings_give_another_city(small: CityPlan, other: CitySettings) -> None:
    assert make_plan(other).digest != small.digest


@pytest.mark.parametrize("settings", CITIES)
def test_nobody_is_faster_than_on_foot_or_by_bus(settings: CitySettings) -> None:
    """From the middle of each passage to that of the next; straight lines, so real speeds are higher."""
    plan = make_plan(settings)
    assert len(plan.journeys) == len(plan.missing) + len(plan.lookalikes)
    legs = 0
    for person, stops in plan.journeys.items():
        clips = [plan.clips[stop.clip] for stop in stops]
        walks = [next(walk for walk in clip.walks if walk.member.id == person) for clip in clips]
        moments = [clip.start.timestamp() + walk.at_s for clip, walk in zip(clips, walks, strict=True)]
        assert stops[0].by == "start"
        for index in range(1, len(stops)):
            metres = math.dist(clips[index - 1].site.position_m, clips[index].site.position_m)
            seconds = moments[index] - moments[index - 1]
            assert seconds > 0
            limit = {"foot": 1.6, "bus": 4.5}[stops[index].by]
            assert metres / seconds <= limit, (person, stops[index])
            legs += 1
    assert legs >= len(plan.missing) or settings is not CITIES[0]


@pytest.mark.parametrize("settings", CITIES)
def test_who_walks_where(settings: CitySettings) -> None:
    plan = make_plan(settings)
    fewest, most = settings.mix.passages
    walked = Counter(walk.member.id for clip in plan.clips for walk in clip.walks)
    homes = {each.member.id: each.home for each in plan.missing}
    for each in plan.missing:
        assert min(fewest, 2) <= walked[each.member.id] <= most
        visited = [plan.clips[stop.clip] for stop in plan.journeys[each.member.id]]
        assert homes[each.member.id] in {clip.site.camera.district for clip in visited}
        assert len({clip.number for clip in visited}) == len(visited)
        assert each.member.age_group in ("child", "elder")
    for alike in plan.lookalikes:
        assert alike.original is not None
        assert alike.original.id in homes
        theirs = {stop.clip for stop in plan.journeys[alike.id]}
        assert theirs
        assert theirs.isdisjoint(stop.clip for stop in plan.journeys[alike.original.id])
    for clip in plan.clips:
        for walk in clip.walks:
            assert 0 < walk.at_s < clip.seconds


def test_everybody_has_an_id_of_their_own(small: CityPlan) -> None:
    ids = [walk.member.id for clip in small.clips for walk in bystanders(clip, SMALL)]
    assert len(set(ids)) == len(ids)
    assert min(ids) >= FIRST_BYSTANDER > max(small.journeys)
    for clip in small.clips:
        assert len(everybody(clip, SMALL)) == len(clip.walks) + len(bystanders(clip, SMALL))


def test_the_whole_city_is_varied() -> None:
    plan = make_plan(CitySettings())
    lights = Counter(clip.light for clip in plan.clips)
    assert set(lights) == {"sun", "overcast", "dusk", "night", "infrared", "indoor"}
    assert min(lights.values()) >= 5
    assert {site.place for site in plan.sites} == set(PLACES)
    patterns: Counter[Pattern] = Counter(walk.pattern for clip in plan.clips for walk in clip.walks)
    assert set(patterns) == {"direct", "random", "pacing", "lapping", "running"}
    assert {each.photo_kind for each in plan.missing} == {"phone", "cctv", "upper"}
    assert 0.1 < np.mean([each.clothes_change for each in plan.missing]) < 0.4
    crowds = [len(bystanders(clip, plan.settings)) for clip in plan.clips]
    assert 2 < np.mean(crowds) < 8
    assert {walk.member.uniform for clip in plan.clips for walk in bystanders(clip, plan.settings)} == {
        None, "school", "work vest", "black padded coat",
    }  # fmt: skip
    assert sum(site.camera.clock_offset_s != 0 for site in plan.sites) > 0


def test_cameras_stand_apart_in_their_districts() -> None:
    plan = make_plan(CitySettings(cameras=(50, 4), missing=1, seconds=10))
    for district in {site.camera.district for site in plan.sites}:
        places = [site.position_m for site in plan.sites if site.camera.district == district]
        gaps = [math.dist(a, b) for i, a in enumerate(places) for b in places[:i]]
        assert min(gaps) > 100
        assert max(gaps) < 3100
    assert plan.sites[0].camera.district == "songpa"
    assert len({site.camera.id for site in plan.sites}) == len(plan.sites)


@pytest.mark.parametrize(
    ("minutes", "clips", "seconds"),
    [(0.05, 1, 3), (0.2, 1, 12), (1, 4, 15), (2, 4, 30), (10, 5, 120), (60, 30, 120), (1440, 720, 120)],
)
def test_footage_is_cut_into_clips_that_never_overlap(minutes: float, clips: int, seconds: float) -> None:
    plan = make_plan(city_settings(1, 1, 2, minutes, 1))
    for site in plan.sites:
        own = [clip for clip in plan.clips if clip.site == site]
        assert len(own) == clips
        assert {clip.seconds for clip in own} == {seconds}
        starts = [clip.start.timestamp() for clip in own]
        assert all(gap >= seconds for gap in np.diff(starts))
        assert len({clip.start.date() for clip in own}) == 1


# Walks in a scene


def walk_plan(**changes: object) -> WalkPlan:
    member = Member(1, "missing", 1, "elder", 2)
    plan = WalkPlan(member, 10.0, 0, False, 0.5, "direct", 0.8, 5)
    return dataclasses.replace(plan, **changes)  # type: ignore[arg-type]


PATTERNS: list[Pattern] = ["direct", "random", "pacing", "lapping", "running"]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("best_at_m", [-2.0, 0.0, 3.0])
def test_a_walk_is_seen_best_when_it_was_planned(pattern: Pattern, reverse: bool, best_at_m: float) -> None:
    def shown(points: Points) -> Points:
        return np.asarray(np.maximum(80 - 30 * np.abs(points[:, 0] - best_at_m), 0), np.float64)

    walk = walk_plan(pattern=pattern, reverse=reverse)
    laid = lay_walk(walk, [studio.ROUTE], studio.everywhere, shown)
    place = studio.place_at(walk, laid, walk.at_s)
    assert place is not None
    assert place[0] == pytest.approx(best_at_m, abs=0.6)
    length = np.linalg.norm(np.diff(laid.path, axis=0), axis=1).sum()
    assert np.linalg.norm(np.diff(laid.path, axis=0), axis=1).max() < 1.5  # no jumps
    ends = laid.path[[0, -1]]
    assert ends[:, 0] == pytest.approx([6, -6] if reverse else [-6, 6], abs=0.3)
    assert laid.path[0, 1] == pytest.approx(8.5 if reverse else 7.5, abs=0.2)  # to the right of the route
    assert length > (11.9 if pattern in ("direct", "running") else 13)


def test_a_walk_nobody_sees_is_half_done_when_it_was_planned() -> None:
    walk = walk_plan()
    laid = lay_walk(walk, [studio.ROUTE], studio.everywhere, lambda points: np.zeros(len(points)))
    place = studio.place_at(walk, laid, walk.at_s)
    assert place is not None
    assert place[0] == pytest.approx(0, abs=0.5)


def test_who_would_walk_into_a_wall_keeps_to_the_route() -> None:
    def narrow(points: Points) -> NDArray[np.bool_]:
        return np.asarray(np.abs(points[:, 1] - 8) < 0.3)

    free = lay_walk(walk_plan(right_m=0.9), [studio.ROUTE], studio.everywhere, studio.middle_best).path
    held = lay_walk(walk_plan(right_m=0.9), [studio.ROUTE], narrow, studio.middle_best).path
    assert np.abs(free[:, 1] - 8).max() > 0.7
    assert np.abs(held[:, 1] - 8).max() < 0.3


def test_a_bent_route_is_followed_without_leaving_it() -> None:
    bent = np.array([[-6.0, 4.0], [0.0, 4.0], [0.0, 12.0]])
    path = lay_walk(walk_plan(right_m=0.4), [bent], studio.everywhere, studio.middle_best).path
    to_first = np.hypot(path[:, 0] - path[:, 0].clip(-6, 0), path[:, 1] - 4)
    to_second = np.hypot(path[:, 0], path[:, 1] - path[:, 1].clip(4, 12))
    assert np.minimum(to_first, to_second).max() < 0.65
    assert np.linalg.norm(np.diff(path, axis=0), axis=1).max() < 0.8


# The city on disk


def test_the_truth_is_that_of_the_plan(small: CityPlan, made: CityFiles) -> None:
    truth = read_truth(made.root)
    assert truth.made_from["digest"] == small.digest
    planned = {(walk.member.id, clip.name + ".mp4") for clip in small.clips for walk in clip.walks}
    assert {(row.person, row.clip) for row in truth.passages} == planned
    for row in truth.passages:
        clip = truth.clips[row.clip]
        assert 0 <= row.first_frame <= row.best_frame <= row.last_frame < clip.frames
        shown = truth.frame(row.clip, row.best_frame)
        box = shown.boxes[list(shown.people).index(row.person)]
        assert box[3] - box[1] == pytest.approx(row.height_px, abs=0.2)
        plan = next(each for each in small.clips if each.name + ".mp4" == row.clip)
        walk = next(each for each in plan.walks if each.member.id == row.person)
        middle = truth.frame(row.clip, round(walk.at_s * clip.frame_rate))
        assert row.person in middle.people  # they are there when the plan says so
    assert [row.person for row in truth.missing] == [1, 2, 3]
    assert all((made.root / row.photo).exists() for row in truth.missing)
    assert {row.looks_like for row in truth.people if row.role == "lookalike"} == {1, 2, 3}


def test_the_boxes_lie_where_the_pixels_are(small: CityPlan, made: CityFiles) -> None:
    truth = read_truth(made.root)
    row = truth.passages[0]
    with open_clip(made.clip(row.clip)) as clip:
        picture = clip.frame_at(row.best_frame / truth.clips[row.clip].frame_rate).picture
    shown = truth.frame(row.clip, row.best_frame)
    box = shown.boxes[list(shown.people).index(row.person)].astype(int)
    member = next(each.member for each in small.missing if each.member.id == row.person)
    inside = picture[box[1] + 4 : box[3] - 4, box[0] + 4 : box[2] - 4].reshape(-1, 3)
    near = (np.abs(inside.astype(int) - studio.colour_of(member)) < 40).all(axis=1)
    assert near.mean() > 0.5  # somebody may walk in front


def test_the_footage_is_what_indexing_reads(small: CityPlan, made: CityFiles) -> None:
    districts = load_districts()
    cameras = read_cameras(made.cameras, districts)
    assert [camera.id for camera in cameras] == [site.camera.id for site in small.sites]
    offsets = {(camera.district, camera.id): camera for camera in cameras}
    requests = find_clips([made.footage], Given(), districts)
    assert len(requests) == len(small.clips)
    by_name = {clip.name: clip for clip in small.clips}
    for request in requests:
        district, camera = request.origin()
        plan = by_name["/".join([district, camera, request.path.stem])]
        shown = moment_in_name(request.path.name)
        assert shown is not None
        assert offsets[district, camera].true_time(shown) == plan.start


def test_a_rerun_changes_nothing(small: CityPlan, made: CityFiles) -> None:
    before = fingerprint(made.root)
    told: list[str] = []
    render_city(small, made, studio.FullDiskStudio, "fake", told=lambda done, total, name: told.append(name))
    assert told == []
    assert fingerprint(made.root) == before


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_to_the_same_bytes(
    small: CityPlan, made: CityFiles, tmp_path: Path, sign: signal.Signals, workers: int
) -> None:
    files = CityFiles(tmp_path / "city")
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(files.root), str(workers)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list((files.root / "truth").rglob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    run.send_signal(sign)
    assert run.wait(20) != 0
    assert not files.truth.exists()
    done = list((files.root / "truth").rglob("*.json"))
    assert 0 < len(done) < len(small.clips)
    time.sleep(0.5)  # what is left of its processes must have ended by now
    told: list[str] = []
    render_city(small, files, studio.FakeStudio, "fake", told=lambda done, total, name: told.append(name))
    assert fingerprint(files.root) == fingerprint(made.root)
    assert len([name for name in told if not name.endswith(".jpg")]) == len(small.clips) - len(done)


def test_what_a_killed_write_left_is_cleared(small: CityPlan, made: CityFiles, tmp_path: Path) -> None:
    files = CityFiles(tmp_path / "city")
    files.root.mkdir()
    (files.root / ".city.json.697.tmp").write_bytes(b"half")
    boxes = files.boxes(f"{small.clips[0].name}{CLIP_ENDING}")
    claim_folder(small, files, "fake")
    boxes.parent.mkdir(parents=True)
    (boxes.parent / f".{boxes.name}.697.tmp").write_bytes(b"half")
    render_city(small, files, studio.FakeStudio, "fake")
    assert fingerprint(files.root) == fingerprint(made.root)


def test_processes_make_the_same_city(small: CityPlan, made: CityFiles, tmp_path: Path) -> None:
    render_city(small, CityFiles(tmp_path / "city"), studio.FakeStudio, "fake", workers=3)
    assert fingerprint(tmp_path / "city") == fingerprint(made.root)


def test_a_killed_process_is_told(small: CityPlan, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="fewer --workers"):
        render_city(small, CityFiles(tmp_path / "city"), studio.KilledStudio, "fake", workers=2)


def test_a_full_disk_leaves_no_half_clip(small: CityPlan, tmp_path: Path) -> None:
    files = CityFiles(tmp_path / "city")
    with pytest.raises(StorageError, match="disk is full"):
        render_city(small, files, studio.FullDiskStudio, "fake")
    assert not list(files.footage.rglob("*.mp4"))
    render_city(small, files, studio.FakeStudio, "fake")
    assert read_truth(files.root).clips


def test_folders_that_cannot_be_used(small: CityPlan, made: CityFiles, tmp_path: Path) -> None:
    other = make_plan(dataclasses.replace(SMALL, seed=4))
    with pytest.raises(InputError, match="holds another city \\(seed 3, not 4\\)"):
        render_city(other, made, studio.FakeStudio, "fake")
    with pytest.raises(InputError, match="another version of the renderer"):
        render_city(small, made, studio.FakeStudio, "newer")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(InputError, match="no city"):
        render_city(small, CityFiles(tmp_path / "letters"), studio.FakeStudio, "fake")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="not a folder"):
        render_city(small, CityFiles(tmp_path / "file"), studio.FakeStudio, "fake")
    with pytest.raises(StorageError):
        render_city(small, CityFiles(Path("/proc/city")), studio.FakeStudio, "fake")


def test_one_run_at_a_time(small: CityPlan, made: CityFiles) -> None:
    import fcntl

    with made.lock.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match="another run"):
            render_city(small, made, studio.FakeStudio, "fake")


def test_truth_that_is_none(made: CityFiles, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no truth\.json"):
        read_truth(tmp_path)
    values = json.loads(made.truth.read_text("utf-8"))
    for broken, error in (
        ("{", DamagedError),
        (json.dumps({**values, "format": 9}), FormatError),
        (json.dumps({**values, "clips": [{}]}), DamagedError),
        (json.dumps({key: value for key, value in values.items() if key != "missing"}), DamagedError),
    ):
        (tmp_path / "truth.json").write_text(broken)
        with pytest.raises(error):
            read_truth(tmp_path)


# The command

BAD = [
    # (options, what the line says)
    (["--districts", "1000"], "1 to 19 districts, got 1000"),
    (["--districts", "0"], "1 to 19 districts, got 0"),
    (["--cameras", "0"], "1 to 50 cameras a district, got 0"),
    (["--minutes", "-3"], "0.05 to 1440 minutes of footage a camera, got -3"),
    (["--minutes", "nan"], "minutes of footage a camera, got nan"),
    (["--minutes", "0"], "minutes of footage a camera, got 0"),
    (["--missing", "0"], "1 to 2000 missing people, got 0"),
    (["--missing", "1999"], "do not fit"),
    (["--districts", "1", "--cameras", "1", "--minutes", "0.1", "--missing", "9"], "do not fit"),
    (["--seed", "-1"], "a seed, got -1"),
    (["--workers", "0"], "at least 1 worker"),
]


@pytest.mark.parametrize(("options", "line"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_settings_that_cannot_be(
    options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["city", str(tmp_path / "out"), *options]) == 2
    told = capsys.readouterr().err
    assert line in told
    assert told.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith(("reid.people", "benchmarks.city.stage"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    assert main(["city", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "reid-search[synthetic]" in told
    assert told.count("\n") == 1


# With the real renderer


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("anny", "numba")),
    reason="the extra synthetic is not installed",
)
def test_a_real_clip_shows_people_where_the_truth_says(tmp_path: Path) -> None:
    """One camera, three seconds; made twice, because the same seed must give the same pictures."""
    options = ["--districts", "1", "--cameras", "1", "--minutes", "0.05", "--missing", "1", "--workers", "1"]
    for name in ("city", "again"):
        assert main(["city", str(tmp_path / name), *options]) == 0
    assert fingerprint(tmp_path / "city") == fingerprint(tmp_path / "again")
    truth = read_truth(tmp_path / "city")
    [passage] = truth.passages_of(1)
    clip = truth.clips[passage.clip]
    with open_clip(truth.files.clip(clip.clip)) as opened:
        pictures = np.stack([frame.picture for frame in opened.frames()]).astype(np.int16)
    assert pictures.shape == (clip.frames, clip.height, clip.width, 3)
    shown = truth.frame(clip.clip, passage.best_frame)
    left, top, right, bottom = shown.boxes[list(shown.people).index(1)].astype(int)
    still = np.median(pictures, axis=0)
    changed = np.abs(pictures[passage.best_frame] - still).max(axis=2) > 25
    inside = changed[top:bottom, left:right].mean()
    assert inside > 0.15
    assert inside > 5 * changed.mean()
    assert min(read_photo(tmp_path / "city" / truth.missing[0].photo).shape[:2]) >= 100
