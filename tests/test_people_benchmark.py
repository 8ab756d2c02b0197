"""What `benchmarks people` measures, on boxes and crops made by hand; no renderer and no model."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import seen
from benchmarks.floors import Chance, ColourHistograms
from benchmarks.seen import Truth, Wanted, look, match
from reid.boxes import Detections
from reid.evaluation import evaluate
from reid.labelled import Embeds, LabelledVectors
from tests.world import COLOURS

A, B = [0, 0, 50, 100], [200, 0, 250, 100]
NEAR_A = [5, 0, 55, 100]  # IoU with A: 4500 / 5500 = .82
BESIDE_A = [20, 0, 70, 100]  # 3000 / 7000 = .43: finds nobody, and is not false either
FAR_A = [30, 0, 80, 100]  # 2000 / 8000 = .25
SMALL = [400, 0, 430, 60]


def truth(*people: tuple[list[int], float], light: str = "sun") -> Truth:
    boxes = np.array([box for box, _ in people], np.float32).reshape(-1, 4)
    return Truth(boxes, np.array([visible for _, visible in people], np.float32), light)


def found(*pairs: tuple[list[int], float]) -> Detections:
    boxes = np.array([box for box, _ in pairs], np.float32).reshape(-1, 4)
    return Detections(boxes, np.array([score for _, score in pairs], np.float32))


@pytest.mark.parametrize(
    ("people", "boxes", "hits", "false"),
    [
        ([], [], [], 0),
        ([], [(A, 0.9)], [], 1),
        ([(A, 1.0)], [], [False], 0),
        ([(A, 1.0)], [(NEAR_A, 0.9)], [True], 0),
        ([(A, 1.0)], [(BESIDE_A, 0.9)], [False], 0),
        ([(A, 1.0)], [(FAR_A, 0.9)], [False], 1),
        ([(A, 1.0)], [(A, 0.9), (NEAR_A, 0.8)], [True], 0),  # a second box on somebody is not false
        ([(A, 1.0), (B, 1.0)], [(A, 0.9), (NEAR_A, 0.8)], [True, False], 0),  # nor does it find another
        ([(A, 0.1)], [(A, 0.9)], [True], 0),  # a box on somebody hidden is right
        ([(SMALL, 1.0)], [(SMALL, 0.9)], [True], 0),
        # One box where a hidden person stands behind a visible one: it goes to the visible one ...
        ([(A, 0.1), (NEAR_A, 0.9)], [(A, 0.9)], [False, True], 0),
        # ... and a second one to the hidden one.
        ([(A, 0.1), (NEAR_A, 0.9)], [(A, 0.9), (A, 0.8)], [True, True], 0),
    ],
)
def test_matching(
    people: list[tuple[list[int], float]],
    boxes: list[tuple[list[int], float]],
    hits: list[bool],
    false: int,
) -> None:
    hit, wrong = match(truth(*people), found(*boxes), Wanted())
    assert (hit.tolist(), wrong) == (hits, false)


def test_the_limits_are_exclusive() -> None:
    low, tall = [0, 0, 50, 80], [0, 0, 50, 81]
    who = truth((low, 1.0), (tall, 0.6), (tall, 0.61))
    assert who.wanted(Wanted()).tolist() == [False, False, True]


def test_figures_by_light_height_and_visibility() -> None:
    truths = [
        truth((A, 1.0), (B, 0.7)),
        truth((A, 1.0), (SMALL, 1.0), light="overcast"),
        truth((A, 0.2), light="sun"),
        truth((A, 1.0), light="night"),
    ]
    boxes = [found((A, 0.9), (FAR_A, 0.4)), found((SMALL, 0.9)), found((A, 0.5)), found((B, 0.5))]
    figures = seen.figures(look(truths, boxes), {"day": ("sun", "overcast"), "night": ("night",)}, "day")
    day, night = figures["by_light"]["day"], figures["by_light"]["night"]
    assert (day["people"], day["recall"], day["frames"]) == (3, pytest.approx(1 / 3), 3)
    assert day["false_per_frame"] == pytest.approx(1 / 3)
    assert (night["people"], night["recall"], night["false_per_frame"]) == (1, 0.0, 1.0)
    heights = {(band["above"], band["to"]): (band["people"], band["recall"]) for band in figures["by_height"]}
    assert heights[(40, 80)] == (1, 1.0)
    assert heights[(80, 120)] == (3, pytest.approx(1 / 3))
    assert heights[(200, 1e9)] == (0, None)
    shown = {band["above"]: (band["people"], band["recall"]) for band in figures["by_visibility"]}
    assert shown == {0.0: (1, 1.0), 0.3: (0, None), 0.6: (1, 0.0), 0.8: (2, 0.5)}


def test_no_frames_are_no_figures() -> None:
    nothing = seen.figures(look([], []), {"day": ("sun",)}, "day")["by_light"]["day"]
    assert nothing == {"people": 0, "recall": None, "false_per_frame": None, "frames": 0}


def test_colour_histograms_tell_colours_apart_and_chance_does_not() -> None:
    random = np.random.default_rng(0)
    crops, people, cameras = [], [], []
    for person, colour in enumerate(COLOURS.values()):
        for camera in range(4):
            noise = random.normal(0, 4, (60 + camera, 30, 3))
            crops.append(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))
            people.append(person)
            cameras.append(camera)
    results = {}
    embedders: dict[str, Embeds] = {"colours": ColourHistograms(), "chance": Chance()}
    for name, embedder in embedders.items():
        vectors = embedder.embed(crops)
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(crops)), abs=1e-5)
        data = LabelledVectors(vectors, np.array(people), np.array(cameras), np.zeros(len(crops), np.int64))
        results[name] = evaluate(data).plain.overall
    assert results["colours"].ranks[0] == 1
    assert results["chance"].ranks[0] < 0.6


def test_a_body_upside_down_has_other_stripes() -> None:
    crop = np.concatenate([np.full((50, 40, 3), COLOURS[name], np.uint8) for name in ("red", "blue")])
    one, other = ColourHistograms().embed([crop, crop[::-1]])
    assert one @ other < 0.1


def test_the_benchmark_names_its_definitions() -> None:
    """Figures are compared with an issue's conditions: what was counted must be written beside them."""
    text = (Path(seen.__file__).parent / "people.py").read_text("utf-8") + (seen.__doc__ or "")
    for words in ("taller than 80 pixels", "60 %", "IoU 0.5", "IoU 0.3"):
        assert words in text
