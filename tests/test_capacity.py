"""`reid plan`: each figure follows from its own numbers, and what is measured is what was done."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from math import ceil, exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import cli
from indexer.rewriting import open_entry
from indexer.settings import Settings, load_settings
from indexer.shard.files import ArchiveFiles
from reid.boxes import Boxes, Detections
from reid.errors import InputError
from reid.images import Picture
from search import planning, trial, trial_clips
from search.capacity import Density, Load, capacity
from search.planning import density_of
from search.trial import Rates
from tests import world
from tests.crowd import fill, snapshot

RATES = Rates(
    "1280 x 720", 60.0, 30, 900, 300, 0.01, 0.001, 0.1, 0.04, 0.008, 0.004, 0.002, "a processor", 4, 16 << 30,
    "d", "e", 256, 5.0, 20.0, 9000.0, 1.5, 1 << 30, 60.0, 8.0, 40.0, 1000.0, 2000.0,
    "2026-01-01T00:00:00+00:00",
)  # fmt: skip
DENSITY = Density(8000.0, 2.0, 10.0, "by hand")
LOADS = [
    Load(100, 24, 40, 30, 2),
    Load(81_700, 24, 41.7, 30, 19, 6, 15),
    Load(1, 0.5, 0.1, 1),
    Load(10, 24, 100_000, 1),
]


@pytest.mark.parametrize("load", LOADS)
def test_every_value_is_that_of_its_numbers(load: Load) -> None:
    found = capacity(load, RATES, DENSITY)
    assert len({step.name for step in found.steps}) == len(found.steps)
    for step in found.steps:
        worked_out = eval(step.numbers, {"ceil": ceil, "max": max, "min": min, "exp": exp})
        assert step.value == pytest.approx(worked_out, rel=1e-4), step
        assert not any(sign in step.formula for sign in "{}"), step


def test_a_small_load_by_hand() -> None:
    """100 cameras, 24 h, 40 people an hour, 30 days."""
    found = capacity(LOADS[0], RATES, DENSITY)
    assert found["footage"] == 2400
    assert found["tracklets kept"] == 2400 * 40 * 30
    assert found["vectors kept"] == 5_760_000
    assert found["segments"] == pytest.approx(2_880_000 * 8000 / 1e9)
    assert found["codes on disk"] == pytest.approx(5_760_000 * 32 / 1e9)
    assert found["catalogue"] == pytest.approx(72_000 * 1000 / 1e9)
    assert found["nobody in view"] == pytest.approx(0.01 + 5 * 0.001 + 0.1 / 20)
    in_view = 40 * 10 / 3600
    occupied = 1 - exp(-in_view)
    assert found["looking at people"] == pytest.approx(4.95 * (occupied * 0.04 + in_view * 0.008))
    core_hours = 2400 * (0.02 + 4.95 * (occupied * 0.04 + in_view * 0.008) + 40 * 50 * 0.006 / 3600)
    assert found["processor"] == pytest.approx(core_hours)
    assert found["machines to index"] == ceil(core_hours / 96) == 2
    assert found["memory to index"] == pytest.approx(4 * (1 << 30) / 1e9)
    assert found["to compare a district and day"] == pytest.approx(5_760_000 / 60 / 1e6 * 60)
    assert found["to scan all codes"] == pytest.approx(5.76 * 8 / 4)
    told = " ".join(found.assumptions)
    assert "GPU: not measured" in told
    assert "by hand" in told


def test_more_of_anything_never_needs_less() -> None:
    least = capacity(LOADS[0], RATES, DENSITY)
    for change in ({"cameras": 200}, {"people_per_hour": 80}, {"days": 60}, {"index_hours": 6}):
        more = capacity(replace(LOADS[0], **change), RATES, DENSITY)
        for name in ("disk", "processor", "machines", "codes in memory"):
            assert more[name] >= least[name]


def test_all_of_every_frame_costs_the_same_whoever_is_there() -> None:
    every = replace(RATES, whole_look_s=0.0)
    for people_per_hour in (0.1, 40, 100_000):
        found = capacity(replace(LOADS[0], people_per_hour=people_per_hour), every, DENSITY)
        assert found["nobody in view"] == pytest.approx(0.01 + 5 * (0.001 + 0.1))
        assert found["looking at people"] == 0


@pytest.mark.parametrize(("whole_look_s", "looks"), [(0.0, 5), (0.1, 5), (0.5, 2), (15.0, 1 / 15)])
def test_no_more_whole_looks_than_frames(whole_look_s: float, looks: float) -> None:
    found = capacity(LOADS[0], replace(RATES, whole_look_s=whole_look_s), DENSITY)
    assert found["whole looks"] == pytest.approx(looks)


def test_a_crowd_costs_a_look_at_all_of_every_frame_and_no_more() -> None:
    crowd = capacity(replace(LOADS[0], people_per_hour=100_000), RATES, DENSITY)
    every = capacity(replace(LOADS[0], people_per_hour=100_000), replace(RATES, whole_look_s=0.0), DENSITY)
    assert crowd["processor"] == pytest.approx(every["processor"])


@pytest.mark.parametrize("people_per_hour", [1e-9, 1e-3, 1, 40, 1000, 1e6])
def test_the_time_with_somebody_is_that_of_people_who_come_at_random(people_per_hour: float) -> None:
    found = capacity(replace(LOADS[0], people_per_hour=people_per_hour), RATES, DENSITY)
    assert 0 < found["occupied"] <= min(1, found["people in view"])
    if people_per_hour == 1000:
        come = np.sort(np.random.default_rng(0).uniform(0, 36_000, 10_000))  # in ten hours
        empty = np.maximum(0, np.diff(come) - DENSITY.seconds_in_view).sum()
        assert found["occupied"] == pytest.approx(1 - empty / 36_000, abs=0.01)


@pytest.mark.parametrize(
    "wrong",
    [{"cameras": 0}, {"hours": 25}, {"hours": 0}, {"people_per_hour": -1}, {"days": 0}, {"districts": 0},
     {"index_hours": 24.5}, {"clip_minutes": float("nan")}],
)  # fmt: skip
def test_loads_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="expected more than 0"):
        replace(LOADS[0], **wrong)


def test_a_passage_is_measured_in_an_archive_that_holds_enough(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    fill(archive, ("songpa",), days=2, cameras=3, hours=(9, 13), tracklets=90)
    seen = snapshot(archive)
    found = density_of(archive, seen, RATES)
    stored = [one for entry in seen.segments for one in open_entry(archive, entry).stored()]
    assert len(stored) == 1080
    assert found.seconds_in_view == pytest.approx(
        sum(one.end_ms - one.start_ms for one in stored) / 1000 / len(stored)
    )
    assert found.vectors_per_tracklet == pytest.approx(sum(len(one.vectors) for one in stored) / 1080)
    files = [path for path in (archive.home / "shards").rglob("*") if path.suffix not in (".json", "")]
    assert found.bytes_per_tracklet == pytest.approx(sum(path.stat().st_size for path in files) / 1080)
    assert found.source == "the archive's 1,080 tracklets"
    assert density_of(archive, seen, RATES, 7.5).seconds_in_view == 7.5
    few = replace(seen, segments=seen.segments[:3])
    assert density_of(archive, few, RATES).bytes_per_tracklet == 9000
    assert "assumed" in density_of(archive, None, RATES).source


class Clock:
    """Of the processor: it runs while a model or a film is at work."""

    now_s = 0.0

    def process_time(self) -> float:
        return self.now_s


class SlowDetector(world.FakeDetector):
    """100 ms for all of a picture; for parts of it 20 ms and 5 ms for each person in them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def detect(
        self, pictures: Sequence[Picture], regions: Sequence[Boxes | None] | None = None
    ) -> list[Detections]:
        found = super().detect(pictures, regions)
        for people, parts in zip(found, regions or [None] * len(pictures), strict=True):
            if parts is None:
                self._clock.now_s += 0.1
            elif len(people):
                self._clock.now_s += 0.02 + 0.005 * len(people)
        return found


class SlowEmbedder(world.FakeEmbedder):
    """3 ms for a crop; how many there were."""

    crops = 0

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def embed(self, crops: Sequence[Picture]) -> NDArray[np.float32]:
        SlowEmbedder.crops += len(crops)
        self._clock.now_s += 0.003 * len(crops)
        return super().embed(crops)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(trial_clips, "time", clock)
    monkeypatch.setattr(trial, "load_detector", lambda *_, **__: SlowDetector(clock))
    monkeypatch.setattr(trial, "load_embedder", lambda *_: SlowEmbedder(clock))
    monkeypatch.setattr(trial, "_scans", lambda folder, dimension: (60.0, 8.0, 40.0))
    monkeypatch.setattr(trial, "_alone", lambda work, *given: work(*given))


def test_a_trial_counts_what_it_saw(tmp_path: Path, fakes: None) -> None:
    walks = [world.Walk("red", 10, 60), world.Walk("blue", 30, 90, 1)]
    clips = [world.write_scene(tmp_path / f"{number}.mp4", walks, frames=100) for number in range(2)]
    world.write_scene(clips[1], [world.Walk("green", 0, 29)])
    settings: Settings = load_settings(ArchiveFiles(tmp_path))
    SlowEmbedder.crops = 0
    found = trial.measure(tmp_path, settings, clips)
    embedded = SlowEmbedder.crops / 2  # clips are gone through twice
    assert found.people == 3
    assert found.footage == "320 x 192, 10 frames a second"
    assert found.footage_s == pytest.approx(12.8)
    assert found.crops == pytest.approx(26 + 31 + 15, abs=2)  # at 5 frames a second
    assert found.peopled == pytest.approx(41 + 15, abs=2)
    assert found.crowd == pytest.approx(found.crops / found.peopled)
    assert (found.decode_core_s, found.motion_core_s, found.rest_core_s) == pytest.approx((0, 0, 0))
    assert found.whole_look_core_s == pytest.approx(0.1)
    assert (found.somebody_core_s, found.person_core_s) == pytest.approx((0.02, 0.005))
    assert found.embed_core_s == pytest.approx(0.003 * embedded / found.crops)
    assert 3 <= embedded < found.crops / 2
    assert (found.frames_per_second, found.whole_look_s) == (5.0, 15.0)
    assert 200 < found.ledger_disk_bytes < 5000
    assert 200 < found.ledger_memory_bytes < 5000
    assert found.bytes_per_tracklet > found.vectors_per_tracklet * 16
    empty = world.write_scene(tmp_path / "empty.mp4", [])
    with pytest.raises(InputError, match="nobody is in"):
        trial.measure(tmp_path, settings, [empty])
    with pytest.raises(InputError):
        trial.measure(tmp_path, settings, [tmp_path / "absent.mp4"])


def test_looks_are_shared_out_over_frames_and_people() -> None:
    def spent(looks: list[trial_clips.Look]) -> float:
        somebody, person = trial_clips.share_out(looks)
        assert min(somebody, person) >= 0
        return sum(look.peopled * somebody + look.people * person for look in looks)

    exact = [trial_clips.Look(f, n, 0.04 * f + 0.01 * n) for f, n in ((8, 8), (3, 9), (5, 6), (0, 0))]
    assert trial_clips.share_out(exact) == pytest.approx((0.04, 0.01))
    behind = [*exact, trial_clips.Look(0, 0, 0.8)]  # nobody found: of those who were there a moment before
    assert trial_clips.share_out(behind) == pytest.approx((0.04 + 0.8 / 16, 0.01))
    crowds_cost_less = [trial_clips.Look(8, 8, 0.9), trial_clips.Look(8, 40, 0.5)]
    assert trial_clips.share_out(crowds_cost_less)[1] == 0
    only_people = [trial_clips.Look(1, 1, 0.0), trial_clips.Look(1, 9, 1.0)]
    assert trial_clips.share_out(only_people) == pytest.approx((0.0, 0.1))
    for looks in (exact, behind, crowds_cost_less, only_people, [trial_clips.Look(2, 4, 0.3)]):
        assert spent(looks) == pytest.approx(sum(look.core_s for look in looks))
    assert trial_clips.share_out([]) == trial_clips.share_out([trial_clips.Look(0, 0, 0.1)]) == (0, 0)


def test_what_was_measured_is_kept_for_machine_and_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = ArchiveFiles(tmp_path / "archive")
    fill(archive, ("songpa",), days=1, cameras=1, hours=(9,))
    calls: list[str] = []

    def measured(work: Any, home: Path, settings: Settings, clips: Any) -> Rates:
        calls.append(settings.embedder)
        return replace(RATES, embedder=settings.embedder)

    monkeypatch.setattr(trial, "_alone", measured)
    settings = load_settings(archive)
    first = trial.rates_of(archive, settings, [])
    assert trial.rates_of(archive, settings, []) == first
    assert len(calls) == 1
    trial.rates_of(archive, settings, [], again=True)
    other = settings.model_copy(update={"embedder": "people-net-1"})
    assert trial.rates_of(archive, other, []).embedder == "people-net-1"
    assert len(calls) == 3
    for path in (archive.home / "trials").glob("*.json"):
        path.write_text('{"old": 1}')
    assert trial.rates_of(archive, settings, []) == first
    nowhere = ArchiveFiles(tmp_path / "absent")
    assert trial.rates_of(nowhere, settings, []) == first
    assert not nowhere.home.exists()


def test_scans_are_of_what_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the rows that were written; a code of 32 dimensions takes 4 bytes and its id 8."""
    tried = {}
    for rows in (1 << 12, 1 << 14):
        monkeypatch.setattr(trial, "_TRIAL_ROWS", rows)
        tried[rows] = trial._scans(tmp_path, 32)
    for exact_ms, codes_ms, code_bytes in tried.values():
        assert exact_ms > 0
        assert codes_ms > 0
        assert code_bytes == 4 + 8
    assert (tmp_path / "vectors.f16").stat().st_size == (1 << 14) * 32 * 2


def told() -> tuple[str | None, ...]:
    return tuple(os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"))


def test_it_is_measured_on_one_thread_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = told()
    assert trial._alone(told) == ("1", "")  # type: ignore[comparison-overlap, arg-type]
    assert told() == before


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "rates_of", lambda *given, **more: RATES)
    line = ["plan", "--cameras", "100", "--hours", "24", "--people-per-hour", "40", "--days", "30"]
    home = ["--home", str(tmp_path / "absent")]
    runner = CliRunner()
    result = runner.invoke(cli.app, [*line, "--json", *home])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["rates"] == asdict(RATES)
    assert {"load", "density", "steps", "assumptions"} <= found.keys()
    shown = runner.invoke(cli.app, [*line, *home])
    assert "machines to index" in shown.stdout
    assert "assumed: GPU: not measured" in shown.stdout
    assert runner.invoke(cli.app, [*line[:-1], "0", *home]).exit_code == 2
