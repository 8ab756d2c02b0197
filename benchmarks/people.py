"""Synthetic people: do models made for real people see them, and how fast are they rendered?

- Detectors: the share of rendered people taller than 80 pixels and visible by more than 60 % who are found
  at IoU 0.5, and false boxes a frame, in clips as a camera would record them, at the score from which the
  pipeline takes a box; by light, and by day also by height and by visibility. The definitions: `seen.py`.
- Embedders: rank-1 and mAP of the cross-camera protocol (`reid eval`) on crops of the same people before
  four cameras drawn like those of a city, beside colour histograms and chance.
- Speed: crops a second, one process and two, and frames of footage a second.

Needs the extra `synthetic`; the other models' files are taken from `../shared/eval/models` where present.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks import seen
from benchmarks.floors import Chance, ColourHistograms
from benchmarks.known_peers import at_hand, peers_folder
from benchmarks.seen import Truth
from indexer.video import open_clip
from reid.boxes import Detections
from reid.detector import Detector, load_detector
from reid.embedder import load_embedder
from reid.evaluation import evaluate
from reid.images import Picture
from reid.labelled import Embeds, LabelledVectors
from reid.looks import DetectorOptions
from reid.people.crops import Subject, make_crops, make_subjects
from reid.people.footage import TruthBox, film
from reid.people.labels import CropLabel
from reid.people.motion import Walk, Walker
from reid.people.view import View, make_view
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER, Task

SEED = 7
DAY = ("sun", "overcast")
GROUPS = {
    "day": DAY, "dusk": ("dusk",), "night": ("night",), "infrared": ("infrared",), "indoor": ("indoor",),
}  # fmt: skip
_OUTDOORS = ("street", "alley", "park", "crossing", "plaza")
_INDOORS = ("station", "shop")
_YOLOX, _OSNET = "yolox-nano", "osnet-x0.25-msmt17-onnx"
_BATCH = 8


@dataclass(frozen=True)
class Size:
    """How much is rendered.

    Attributes:
        views: cameras filmed in each light. seconds: of each clip. walkers: people in each clip.
        people, sets: before each set of four cameras.
        speed_s: about how long each speed is measured.
    """

    views: int
    seconds: float
    walkers: int
    people: int
    sets: int
    speed_s: float


QUICK = Size(views=2, seconds=3, walkers=6, people=40, sets=1, speed_s=4)
WHOLE = Size(views=20, seconds=6, walkers=6, people=200, sets=3, speed_s=20)
_RATE = 2  # frames a second: every frame is looked at, and more of them would be alike
_CAMERAS = 4
_DRAWS, _ROOM_M = 4, 1.0  # ways drawn for each person; a gap beyond this is as good as any


def run(quick: bool) -> dict[str, Any]:
    """Render, measure, print; the figures.

    Raises:
        MissingExtraError: the extra `synthetic` is not installed.
    """
    size = QUICK if quick else WHOLE
    with tempfile.TemporaryDirectory() as folder:
        models = peers_folder(Path(folder) / "models")
        detection = measure_detectors(size, models, Path(folder))
        recognition = measure_embedders(size, models)
        speed = measure_speed(size, Path(folder))
    held = must_hold(detection, recognition)
    _print(detection, recognition, speed, held)
    return {
        "seed": SEED, "size": vars(size), "score": DetectorOptions().min_score, "overlap": seen.OVERLAP,
        "touch": seen.TOUCH, "detection": detection, "recognition": recognition, "speed": speed,
        "must_hold": held,
    }  # fmt: skip


def measure_detectors(size: Size, models: Path, folder: Path) -> dict[str, Any]:
    """Recall and false boxes of each detector on the same clips."""
    detectors = [load_detector(name, models) for name in _present("detect", _YOLOX, DEFAULT_DETECTOR)]
    truths: list[Truth] = []
    found: dict[str, list[Detections]] = {detector.spec.name: [] for detector in detectors}
    for pictures, here in _clips(size, folder / "clip.mp4"):
        truths += here
        for detector in detectors:
            found[detector.spec.name] += _detect(detector, pictures)
    return {name: seen.figures(seen.look(truths, boxes), GROUPS, "day") for name, boxes in found.items()}


def measure_embedders(size: Size, models: Path) -> dict[str, Any]:
    """Rank-1 and mAP of each embedder, the mean over the sets of cameras and each set."""
    sets = [_crop_set(size, number) for number in range(size.sets)]
    embedders: dict[str, Embeds] = {
        name: load_embedder(name, models) for name in _present("embed", _OSNET, DEFAULT_EMBEDDER)
    }
    embedders |= {"colour histograms": ColourHistograms(), "chance": Chance()}
    rows = {name: [recognised(embedder, *each) for each in sets] for name, embedder in embedders.items()}
    return {
        name: {
            **{key: float(np.mean([each[key] for each in found])) for key in found[0] if key != "lights"},
            "sets": found,
        }
        for name, found in rows.items()
    }


def recognised(embedder: Embeds, crops: Sequence[Picture], labels: Sequence[CropLabel]) -> dict[str, Any]:
    """The protocol's figures for one set of crops."""
    count = len(labels)
    data = LabelledVectors(
        embedder.embed(crops),
        np.array([label.person_id for label in labels], np.int64),
        np.array([label.camera_id for label in labels], np.int64),
        np.zeros(count, np.int64),
    )
    found = evaluate(data, SEED)
    plain, means = found.plain.overall, found.camera_means.overall
    cameras = {label.camera_id: f"{label.place}, {label.light}" for label in labels}
    return {
        "rank1": plain.ranks[0], "mAP": plain.mean_ap, "rank1_means_off": means.ranks[0],
        "mAP_means_off": means.mean_ap, "queries": plain.queries, "images": count,
        "lights": [cameras[number] for number in sorted(cameras)],
    }  # fmt: skip


def must_hold(detection: dict[str, Any], recognition: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions under which these people can stand for real ones; absent models are left out."""
    rows = []
    for name, least in ((_YOLOX, 0.92), (DEFAULT_DETECTOR, 0.80)):
        if name in detection:
            day = detection[name]["by_light"]["day"]
            rows.append(_held(f"{name}: recall by day", day["recall"], least, 1.0))
            if name == DEFAULT_DETECTOR:
                rows.append(_held(f"{name}: false boxes a frame by day", day["false_per_frame"], 0.0, 0.2))
    if _OSNET in recognition:
        rows.append(_held(f"{_OSNET}: rank-1 across cameras", recognition[_OSNET]["rank1"], 0.5, 0.9))
    return rows


def _held(what: str, value: float | None, least: float, most: float) -> dict[str, Any]:
    holds = value is not None and least <= value <= most
    return {"what": what, "value": value, "least": least, "most": most, "holds": holds}


def measure_speed(size: Size, folder: Path) -> dict[str, Any]:
    """Crops a second in one process and in two, and frames of 720p footage a second in one."""
    alone = crop_rate(0, size.speed_s)
    context = multiprocessing.get_context("spawn")  # numba's and torch's threads do not survive a fork
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        spans = list(pool.map(crop_rate, (1, 2), (size.speed_s,) * 2))
    view = make_view(SEED, place="street", light="sun")
    walks = walks_through(view, make_subjects(SEED, size.walkers), size.seconds, SEED)
    film(folder / "warm.mp4", view, walks, 1.0, SEED)
    started = time.perf_counter()
    film(folder / "speed.mp4", view, walks, size.seconds, SEED)
    frames = round(size.seconds * Fraction(view.electronics.frame_rate).limit_denominator(1000))
    return {
        "crops_per_s": alone[0] / (alone[2] - alone[1]),
        "crops_per_s_two_processes": sum(span[0] for span in spans)
        / (max(span[2] for span in spans) - min(span[1] for span in spans)),
        "frames_per_s": frames / (time.perf_counter() - started),
        "people_in_footage": size.walkers,
    }


def crop_rate(worker: int, seconds: float) -> tuple[int, float, float]:
    """Crops made in about `seconds`, and when that began and ended, on the machine's clock.

    People, cameras and compiled code are ready before; different workers make different crops.
    """
    subjects = make_subjects(SEED + worker, 40)
    views = [make_view(SEED + worker * 10 + number) for number in range(2)]
    for _ in make_crops(subjects[:3], views, 1, SEED):
        pass
    made, started = 0, time.monotonic()
    for _ in make_crops(subjects, views, 50, SEED):
        made += 1
        if time.monotonic() - started > seconds:
            break
    return made, started, time.monotonic()


def walks_through(view: View, subjects: Sequence[Subject], seconds: float, seed: int) -> list[Walk]:
    """Everybody walks along a route of the scene, a little beside it, and is somewhere on it at half time.

    Of some ways drawn for each the one is taken that keeps farthest from those before: people do not walk
    through each other where there is room.
    """
    random = np.random.default_rng([seed, 31])
    moments = np.arange(0, seconds + 0.5, 0.5)
    chosen: list[Walk] = []
    places: list[NDArray[np.float64]] = []
    for subject in subjects:
        drawn = [_walk(view, subject, seconds, random) for _ in range(_DRAWS)]
        ways = [_way(walk, moments) for walk in drawn]
        gaps = [min((_gap(way, other) for other in places), default=np.inf) for way in ways]
        best = int(np.argmax(np.minimum(gaps, _ROOM_M)))
        chosen.append(drawn[best])
        places.append(ways[best])
    return chosen


def _walk(view: View, subject: Subject, seconds: float, random: np.random.Generator) -> Walk:
    route = view.scene.routes[int(random.integers(len(view.scene.routes)))]
    route = np.asarray(route[:: random.choice([-1, 1])], np.float64)
    beside = route + random.normal(0, 0.3, 2)
    path = beside if view.scene.walkable(beside).all() else route
    walk = Walk(subject.person_id + 1, subject.person, subject.outfit, path, 0.0)
    share = float(random.uniform(0.15, 0.85))
    return replace(walk, start_s=seconds / 2 - Walker(walk).seconds * share)


def _way(walk: Walk, moments: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M, 2) where somebody is at each moment, NaN when not there."""
    walker = Walker(walk)
    places = [walker.place(float(moment)) for moment in moments]
    return np.array([(np.nan, np.nan) if place is None else place for place in places])


def _gap(way: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """The least distance of two people, metres; infinite when they are never there together."""
    away = np.hypot(*(way - other).T)
    return float(np.nanmin(away)) if np.isfinite(away).any() else np.inf


def _clips(size: Size, path: Path) -> Iterator[tuple[list[Picture], list[Truth]]]:
    """The decoded frames of a clip from each camera in each light, with the truth."""
    for light in (light for group in GROUPS.values() for light in group):
        for number in range(size.views):
            seed = SEED * 1000 + number
            places = _INDOORS if light == "indoor" else _OUTDOORS
            view = make_view(seed, place=places[number % len(places)], light=light)
            view = replace(view, electronics=replace(view.electronics, frame_rate=_RATE))
            walks = walks_through(view, make_subjects(seed, size.walkers), size.seconds, seed)
            rows = film(path, view, walks, size.seconds, seed)
            with open_clip(path) as clip:
                frames = list(clip.frames())
            yield [frame.picture for frame in frames], [_truth(rows, frame.index, light) for frame in frames]


def _truth(rows: Sequence[TruthBox], frame: int, light: str) -> Truth:
    here = [row for row in rows if row.frame == frame]
    boxes = np.array([[row.x1, row.y1, row.x2, row.y2] for row in here], np.float32)
    return Truth(boxes.reshape(-1, 4), np.array([row.visibility for row in here], np.float32), light)


def _detect(detector: Detector, pictures: Sequence[Picture]) -> list[Detections]:
    found: list[Detections] = []
    for start in range(0, len(pictures), _BATCH):
        found += detector.detect(pictures[start : start + _BATCH])
    return found


def _crop_set(size: Size, number: int) -> tuple[list[Picture], list[CropLabel]]:
    """One crop of everybody from each of four cameras, place and light drawn."""
    seed = SEED + 100 * number
    views = [make_view(seed + camera) for camera in range(_CAMERAS)]
    made = list(islice(make_crops(make_subjects(seed, size.people), views, 1, seed), size.people * _CAMERAS))
    return [picture for picture, _ in made], [label for _, label in made]


def _present(task: Task, *names: str) -> list[str]:
    """Those of these models that can be loaded here."""
    known = {spec.name for spec in at_hand(task)}
    return [name for name in names if name in known]


def _print(
    detection: dict[str, Any], recognition: dict[str, Any], speed: dict[str, Any], held: list[dict[str, Any]]
) -> None:
    console = Console()
    table = Table("detector", *GROUPS, title="Found at IoU .5 (people; false boxes a frame)")
    for name, row in detection.items():
        cells = [
            f"{_share(each['recall'])} ({each['people']}; {_share(each['false_per_frame'])})"
            for each in row["by_light"].values()
        ]
        table.add_row(name, *cells)
    console.print(table)
    for key, unit in (("by_height", "px"), ("by_visibility", "")):
        first = next(iter(detection.values()))[key]
        heads = [f"{band['above']:g}-{band['to']:g}{unit}".replace("-1e+09", "+") for band in first]
        table = Table("detector", *heads, title=f"By day, {key.replace('_', ' ')}")
        for name, row in detection.items():
            table.add_row(name, *(f"{_share(each['recall'])} ({each['people']})" for each in row[key]))
        console.print(table)
    table = Table("embedder", "rank-1", "mAP", "camera means off", "rank-1 of each set")
    for name, row in recognition.items():
        off = f"{row['rank1_means_off']:.3f}/{row['mAP_means_off']:.3f}"
        each = " ".join(f"{found['rank1']:.2f}" for found in row["sets"])
        table.add_row(name, f"{row['rank1']:.3f}", f"{row['mAP']:.3f}", off, each)
    console.print(table)
    console.print(", ".join(f"{name.replace('_', ' ')}: {value:.1f}" for name, value in speed.items()))
    for row in held:
        console.print(
            f"{'holds' if row['holds'] else 'FAILS'}: {row['what']} {_share(row['value'])}"
            f" (wanted {row['least']} to {row['most']})"
        )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
