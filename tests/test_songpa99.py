"""Found at k against cases worked out by hand, and the whole benchmark with fakes in place of models."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import found, songpa99
from benchmarks.__main__ import main
from benchmarks.city.plan import make_plan
from benchmarks.city.render import render_city
from benchmarks.city.settings import CitySettings, Mix
from benchmarks.found import Best, Case
from indexer.shard.records import Record
from reid.images import read_photo
from search.demo.files import CityFiles
from search.demo.truth import (
    ClipTruth,
    MissingTruth,
    PassageTruth,
    PersonTruth,
    Truth,
    mot_text,
    read_truth,
    truth_json,
)
from tests import studio
from tests.world import FakeDetector, FakeEmbedder

CLIP = "songpa/SP-01/20251103T120000.mp4"
HAND_MADE = CitySettings(seed=5, cameras=(2, 2), seconds=20.0, missing=4, mix=Mix(lookalikes=0.0))


def record(
    box: tuple[float, float, float, float], offset_s: float = 0.2, clip: str = CLIP, name: str = "a"
) -> Record:
    return Record(
        name, "0" * 64, f"/cache/footage/{clip}", "SP-01", 0, 900, 200, offset_s, box, (320, 192), 0.9, 5
    )


@pytest.fixture
def truth(tmp_path: Path) -> Truth:
    """One clip of ten frames at 5 a second. Person 1 stands at 100..130, 2 (a lookalike) beside, 3 is far."""
    files = CityFiles(tmp_path)
    rows = [
        (frame, person, left, 50.0, left + 30.0, 150.0, 1.0)
        for frame in range(10)
        for person, left in ((1, 100.0), (2, 115.0), (3, 200.0 + 8 * frame))
    ]
    files.boxes(CLIP).parent.mkdir(parents=True)
    files.boxes(CLIP).write_text(mot_text(rows))
    made = Truth(
        files,
        {"settings": {"seed": 1}},
        (
            PersonTruth(1, "missing", "elder", "", {}),
            PersonTruth(2, "lookalike", "elder", "", {}, looks_like=1),
            PersonTruth(3, "missing", "child", "", {}),
        ),
        (MissingTruth(1, "songpa", "photos/0001.jpg", "phone", False),),
        {CLIP: ClipTruth(CLIP, "2025-11-03T12:00:00+09:00", "street", "sun", 320, 192, 5.0, 10, 3)},
        tuple(PassageTruth(person, CLIP, "direct", 0, 9, 4, 100.0, 1.0) for person in (1, 3)),
    )
    files.truth.write_text(json.dumps(truth_json(made)))
    return read_truth(tmp_path)


@pytest.mark.parametrize(
    ("box", "offset_s", "person"),
    [
        ((100, 50, 130, 150), 0.2, 1),
        ((115, 50, 145, 150), 0.2, 2),
        ((106, 50, 136, 150), 0.2, 1),  # 24 of 36 with 1, 21 of 39 with 2
        ((109, 50, 139, 150), 0.2, 2),
        ((200, 50, 230, 150), 0.0, 3),
        ((200, 50, 230, 150), 0.4, None),  # two frames later 3 is 16 pixels on: 14 of 46
        ((216, 50, 246, 150), 0.4, 3),
        ((216, 50, 246, 150), 0.41, 3),  # rounded to the nearest frame
        ((100, 50, 130, 90.1), 0.2, 1),  # IoU .401
        ((100, 50, 130, 89.9), 0.2, None),  # IoU .399
        ((0, 0, 30, 30), 0.2, None),
        ((100, 50, 130, 150), 7.0, None),  # after the clip
    ],
)
def test_whom_a_box_shows(
    truth: Truth, box: tuple[float, float, float, float], offset_s: float, person: int | None
) -> None:
    assert truth.person_in(record(box, offset_s)) == person


def test_a_clip_of_another_city_shows_nobody(truth: Truth) -> None:
    assert truth.person_in(record((100, 50, 130, 150), clip="songpa/SP-02/20251103T120000.mp4")) is None


def case(person: int, ranks: tuple[int, ...] = (), **changes: object) -> Case:
    best = Best(CLIP, 4, 100.0, "sun", "street")
    made = Case(person, "elder", "phone", False, 0, best, (CLIP,), (CLIP,), ranks, (), None, 10.0)
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


CASES = [
    case(1, (1, 2)),
    case(2, (3, 30), age_group="child", lookalike_rank=2),
    case(3, (10,), clothes_change=True),
    case(4, (21,), best=Best(CLIP, 0, 59.9, "night", "street")),
    case(5, (), tracked=(), lookalikes=1, lookalike_rank=1),
    case(6, (), passages=(), tracked=(), best=None),
]


def test_found_at_k() -> None:
    """Ranks 1, 3, 10, 21 and two never: counted by hand."""
    assert [found.found(CASES, k) for k in (1, 2, 3, 9, 10, 20, 21, 50)] == [1, 1, 2, 2, 3, 3, 4, 4]
    curve = found.curve(CASES)
    assert len(curve) == 50
    assert curve[0] == 1
    assert curve[-1] == 4
    assert curve == sorted(curve)


def test_where_people_were_lost() -> None:
    summary = found.summary(CASES)
    assert summary["people"] == 6
    assert summary["found_at"] == {"1": 1, "5": 2, "10": 3, "20": 3}
    assert summary["bound"] == 4
    assert summary["never_to_be_seen"] == 1
    assert summary["missed_at_20_never_tracked"] == 2
    assert summary["missed_at_20_by_ranking"] == 1
    assert summary["lookalike_before_the_person"] == 2
    assert (summary["passages"], summary["passages_tracked"]) == (5, 4)


def test_splits_cover_everybody_once() -> None:
    rows = found.splits(CASES)
    for name in {row["split"] for row in rows}:
        assert sum(row["people"] for row in rows if row["split"] == name) == len(CASES)
    by_group = {(row["split"], row["group"]): row for row in rows}
    assert by_group["age", "child"]["found_at"] == {"1": 0, "5": 1, "10": 1, "20": 1}
    assert by_group["clothes", "other clothes in the photo"]["found_at"]["10"] == 1
    distances = [row["group"] for row in rows if row["split"].startswith("distance")]
    assert distances == ["below 60 px", "100 to 160 px", "never to be seen"]


@pytest.mark.parametrize(
    ("height", "group"),
    [
        (0, "below 60 px"),
        (59.9, "below 60 px"),
        (60, "60 to 100 px"),
        (239, "160 to 240 px"),
        (240, "240 px and more"),
    ],
)
def test_distance_groups(height: float, group: str) -> None:
    assert found.distance(height) == group


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CitySettings:
    """The benchmark with a small city, a studio without a renderer, and models that see colours."""

    def make_city(settings: CitySettings, out: Path, workers: int) -> Truth:
        return render_city(make_plan(settings), CityFiles(out), studio.FakeStudio, "fake")

    monkeypatch.setattr(songpa99, "QUICK", HAND_MADE)
    monkeypatch.setattr(songpa99, "make_city", make_city)
    monkeypatch.setattr(songpa99, "find_renderer", lambda: (studio.FakeStudio, "fake"))
    monkeypatch.setattr(songpa99, "load_detector", lambda *_, **__: FakeDetector())
    monkeypatch.setattr(songpa99, "load_embedder", lambda *_: FakeEmbedder())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return HAND_MADE


def test_the_whole_benchmark(faked: CitySettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each missing person has a colour of their own, so a perfect system finds them all at rank 1."""
    target = tmp_path / "figures.json"
    assert main(["songpa99", "--quick", "--json", str(target)]) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert "67 of 99" in printed
    assert "Not the same" in printed
    figures = json.loads(target.read_text("utf-8"))
    assert figures["machine"]["cores"] >= 1
    outcome = figures["songpa99"]
    assert outcome["seed"] == faked.seed
    assert outcome["people"] == 4
    assert outcome["found_at"] == {"1": 4, "5": 4, "10": 4, "20": 4}
    assert outcome["bound"] == 4
    assert outcome["passages"] == outcome["passages_tracked"] == outcome["passages_in_first_20"]
    assert outcome["curve"] == [4] * 50
    assert outcome["indexing"]["failed"] == 0
    assert outcome["answer_ms"]["p95"] >= outcome["answer_ms"]["median"] > 0
    curve = (tmp_path / "figures-found.svg").read_text()
    assert curve.startswith("<svg")
    assert "67 of 99" in curve
    assert not (tmp_path / "figures-failures.jpg").exists()
    assert main(["songpa99", "--quick", "--json", str(target)]) == 0
    again = json.loads(target.read_text("utf-8"))["songpa99"]
    assert again["indexing"]["done"] == 0
    assert [each["ranks"] for each in again["cases"]] == [each["ranks"] for each in outcome["cases"]]


def test_failures_are_drawn(
    faked: CitySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(songpa99, "_FIRST_PAGE", 0)
    target = tmp_path / "figures.json"
    assert main(["songpa99", "--quick", "--city", str(tmp_path / "city"), "--json", str(target)]) == 0
    sheet = read_photo(tmp_path / "figures-failures.jpg")
    assert sheet.shape == (4 * 234, 7 * 112, 3)
    for row in (1, 2, 3):  # the last tile is cut from the footage by the truth, and shows the person
        tile = sheet[row * 234 + 34 : row * 234 + 226, -108:-4].reshape(-1, 3).astype(int)
        assert (np.abs(tile - studio.COLOURS[row]).max(axis=1) < 60).mean() > 0.08
    assert capsys.readouterr().out.count("drawn:") == 2


def test_a_seed_that_is_not_the_citys(
    faked: CitySettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    render_city(make_plan(faked), CityFiles(tmp_path / "city"), studio.FakeStudio, "fake")
    options = ["songpa99", "--quick", "--city", str(tmp_path / "city"), "--seed", "9"]
    assert main(options) == 2
    assert "is of seed 5" in capsys.readouterr().err


def test_benchmarks_load_only_what_they_need(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackers", None)
    monkeypatch.delitem(sys.modules, "benchmarks.tracking", raising=False)
    assert main(["tracking", "--quick"]) == 2
    assert "needs the package trackers" in capsys.readouterr().err
    assert main(["city", str(tmp_path / "a"), "--cameras", "0"]) == 2  # loads all the same
    assert main(["songpa99", "--json", str(tmp_path / "none" / "a.json")]) == 2
    assert "does not exist" in capsys.readouterr().err
    assert main([]) == 2
