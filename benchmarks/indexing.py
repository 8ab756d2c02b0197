"""How fast footage becomes tracklets, beside what a user would write, and whether speed costs people.

The same models look in every way of going about it: the plain loop (every frame converted, searched for
people all over, everybody embedded, as the examples of detector libraries do it), the product with all of
every sampled frame searched, and the product as it is. Beside them decoding alone, the bound of them all.
Each way runs in as many processes as there are cores, a thread each, over copies of the same clip; the
product once before it is timed, for a night meets each size of a part once. Ratios are of core-seconds.
Sparse footage is made of a clip with people in it, and for the rest of the time of what its camera shows when
nobody passes, with fresh noise.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.embedding_peers import crops_a_second
from benchmarks.footage import TruthFrame, read_truth, sequences
from benchmarks.indexing_ways import DECODING, PLAIN, PRODUCT, WAYS, Passed, memory_over, together
from benchmarks.sparse_footage import RATE, empty_before, lengthen, make_copy, make_sparse
from indexer.tracklets import TrackSummary
from indexer.video import open_clip
from reid.boxes import iou
from reid.errors import InputError

_SAME = 0.3  # IoU of a person in the truth and a tracklet's best box
_ALIKE = 0.8  # cosine of two tracklets of one person
_QUICK_S = 8.0
_CODECS = {"H.264": "libx264", "H.265": "libx265"}
_SIZES = {"720p": 1.0, "1080p": 1.5}
_STEPS = 10
_STAGES = ("decoding", "motion", "colours", "detecting", "embedding", "rest")


@dataclass(frozen=True)
class Footage:
    """A clip with who is where in it, by frame; nothing where nobody knows."""

    name: str
    clip: Path
    truth: dict[int, TruthFrame]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The benchmark's options."""
    parser.add_argument("--clip", type=Path, action="append", help="a clip of one's own; repeats")
    parser.add_argument("--city", type=Path, help="a city of `benchmarks city`, to make sparse footage of")
    parser.add_argument("--profile", action="store_true", help="also by size, codec and processes (city)")
    parser.add_argument("--hours", type=float, default=0.0, help="also so long a clip in one go (city)")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every way on every clip; prints tables and returns the figures.

    Raises:
        InputError: no footage at hand, or no such clip.
    """
    if (options.profile or options.hours) and not options.city:
        raise InputError("--profile and --hours make their footage of a city; give --city DIR")
    cores = len(os.sched_getaffinity(0))
    figures: dict[str, Any] = {"cores": cores}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures["rows"] = [row for each in _footage(options, folder) for row in _measure(each, cores)]
        _print_ways(figures["rows"])
        figures["crops_a_second"] = crops_a_second(folder, options.quick)
        _print_embedding(figures["crops_a_second"])
        if options.profile:
            figures["profile"] = _profile(options.city, folder, cores)
            _print_profile(figures["profile"])
        if options.hours:
            sparse = make_sparse(_calmest(options.city), folder / "day.mp4")
            figures["memory"] = memory_over(lengthen(sparse, folder / "long.mp4", options.hours), _STEPS)
            _print_memory(figures["memory"])
    return figures


def _footage(options: argparse.Namespace, folder: Path) -> Iterator[Footage]:
    given = [Footage(path.stem, path, {}) for path in options.clip or ()]
    if options.city:
        calmest, busiest = _calmest(options.city), _busiest(options.city)
        sparse = make_sparse(calmest, folder / "sparse.mp4")
        given += [
            Footage("city, busiest", busiest, _truth_of(options.city, busiest)),
            Footage("city, sparse", sparse, _sparse_truth(options.city, calmest)),
        ]
    real = sequences()[: 1 if options.quick else None] if not given or not options.quick else []
    shortened = {each.name for each in real} if options.quick else set()
    for footage in [*given, *(Footage(each.name, each.clip, each.truth) for each in real)]:
        if not footage.clip.exists():
            raise InputError(f"{footage.clip}: no such clip")
        if footage.name in shortened:
            short = make_copy(footage.clip, folder / f"{footage.name}.mp4", _QUICK_S)
            yield Footage(footage.name, short, footage.truth)
        else:
            yield footage


def _clips(city: Path) -> list[Path]:
    """Those of a city, the smallest files first."""
    clips = sorted((city / "footage").rglob("*.mp4"))
    if not clips:
        raise InputError(f"{city}: no city; make one with: python -m benchmarks city")
    return sorted(clips, key=lambda path: path.stat().st_size)


def _calmest(city: Path) -> Path:
    clips = _clips(city)
    return next((path for path in clips if _rate(path) >= RATE), clips[0])


def _busiest(city: Path) -> Path:
    return _clips(city)[-1]


def _truth_of(city: Path, clip: Path) -> dict[int, TruthFrame]:
    truth = city / "truth" / clip.relative_to(city / "footage").with_suffix(".txt")
    return read_truth(truth) if truth.exists() else {}


def _sparse_truth(city: Path, clip: Path) -> dict[int, TruthFrame]:
    """The truth of the clip as `make_sparse` shows it; empty where frames were left out of it."""
    with open_clip(clip) as opened:
        if round(opened.average_rate) != RATE:
            return {}
        before = empty_before(sum(1 for _ in opened.frames()))
    return {before + frame: people for frame, people in _truth_of(city, clip).items()}


def _rate(path: Path) -> float:
    with open_clip(path) as clip:
        return clip.average_rate


def _measure(footage: Footage, cores: int) -> list[dict[str, Any]]:
    """A row for each way."""
    rows: list[dict[str, Any]] = []
    plain: tuple[TrackSummary, ...] = ()
    for way in WAYS:
        passed = together(way, footage.clip, cores)
        first = passed[0]
        if way == PLAIN:
            plain = first.people
        rows.append(
            {
                "footage": footage.name, "way": way, **_costs(passed),
                "memory_mb": max(each.memory_mb for each in passed), "tracklets": len(first.people),
                "of_the_plain_loops": found_again(footage, plain, first.people) if plain else None,
                "people_in_truth": _in_truth(footage, first.people) if footage.truth else None,
            }
        )  # fmt: skip
    cost = {row["way"]: row["core_s_per_s"] for row in rows}
    for row in rows:
        row["times_the_plain_loop"] = cost[PLAIN] / row["core_s_per_s"]
        row["share_of_decoding"] = cost[DECODING] / row["core_s_per_s"]
    return rows


def _costs(passed: Sequence[Passed]) -> dict[str, Any]:
    """What processes took for their footage."""
    first = passed[0]
    return {
        "times_real_time": sum(each.footage_s for each in passed) / max(each.seconds for each in passed),
        "core_s_per_s": float(np.mean([each.core_s / each.footage_s for each in passed])),
        "stages_s_per_s": {name: seconds / first.footage_s for name, seconds in first.stages.items()},
    }


def _profile(city: Path, folder: Path, cores: int) -> list[dict[str, Any]]:
    """The product and decoding alone on sparse and crowded footage of each size and codec."""
    rows = []
    for codec, encoder in _CODECS.items():
        for size, scale in _SIZES.items():
            sparse, crowded = (folder / f"{name}{size}{codec}.mp4" for name in ("sparse", "crowded"))
            clips = {
                "sparse": make_sparse(_calmest(city), sparse, encoder, scale),
                "crowded": make_copy(_busiest(city), crowded, codec=encoder, scale=scale),
            }
            for name, clip in clips.items():
                for processes in sorted({1, cores}):
                    alone, all_of_it = (_costs(together(way, clip, processes)) for way in (DECODING, PRODUCT))
                    share = alone["core_s_per_s"] / all_of_it["core_s_per_s"]
                    head = {"footage": name, "size": size, "codec": codec, "processes": processes}
                    rows.append(head | all_of_it | {"decoding_alone": alone, "share_of_decoding": share})
    return rows


def found_again(footage: Footage, wanted: Sequence[TrackSummary], found: Sequence[TrackSummary]) -> float:
    """The share of the tracklets `wanted` that are among `found`: at one time, of one person in the truth or
    as one person looks.
    """
    rate = _rate(footage.clip)
    named = [(other, _person(footage.truth, rate, other)) for other in found]

    def is_among(one: TrackSummary) -> bool:
        person = _person(footage.truth, rate, one)
        return any(
            min(one.end_s, other.end_s) >= max(one.start_s, other.start_s)
            and (
                (person is not None and person == other_person)
                or float((one.vectors @ other.vectors.T).max()) >= _ALIKE
            )
            for other, other_person in named
        )

    return sum(map(is_among, wanted)) / len(wanted)


def _in_truth(footage: Footage, people: Sequence[TrackSummary]) -> int:
    """How many of the people in the truth have a tracklet whose best box is theirs."""
    rate = _rate(footage.clip)
    return len({_person(footage.truth, rate, each) for each in people} - {None})


def _person(truth: dict[int, TruthFrame], rate: float, tracklet: TrackSummary) -> int | None:
    """Who of the truth a tracklet's best box shows; `rate` is the clip's, frames a second."""
    row = truth.get(round(tracklet.best.time_s * rate))
    if row is None or not len(row.people):
        return None
    overlaps = iou(row.boxes, tracklet.best.box[None])[:, 0]
    return int(row.people[overlaps.argmax()]) if overlaps.max() >= _SAME else None


def _print_ways(rows: list[dict[str, Any]]) -> None:
    table = Table(
        "footage", "way", "x real time", "core-s a s", "x plain loop", "of decoding", "tracklets",
        "of the plain loop's", "people in truth", "memory MB",
    )  # fmt: skip
    for row in rows:
        share, truth = row["of_the_plain_loops"], row["people_in_truth"]
        table.add_row(
            row["footage"], row["way"], f"{row['times_real_time']:.2f}", f"{row['core_s_per_s']:.4f}",
            f"{row['times_the_plain_loop']:.2f}", f"{row['share_of_decoding']:.2f}",
            str(row["tracklets"]), "" if share is None else f"{share:.3f}",
            "" if truth is None else str(truth), f"{row['memory_mb']:.0f}",
        )  # fmt: skip
    Console().print(table)
    table = Table("core-ms a second of footage", "way", *_STAGES)
    for row in rows:
        table.add_row(row["footage"], row["way"], *_stages(row))
    Console().print(table)


def _stages(row: dict[str, Any]) -> list[str]:
    return [f"{1000 * row['stages_s_per_s'].get(name, 0.0):.1f}" for name in _STAGES]


def _print_embedding(embedding: dict[str, float]) -> None:
    table = Table("embedding, one process on all cores", "crops/s", "times the first")
    first = next(iter(embedding.values()), 1.0)
    for name, rate in embedding.items():
        table.add_row(name, f"{rate:.0f}", f"{rate / first:.2f}")
    Console().print(table)


def _print_profile(rows: list[dict[str, Any]]) -> None:
    table = Table(
        "footage", "size", "codec", "processes", "x real time", "core-ms a s", *_STAGES, "decoding alone",
        "of its speed",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row["footage"], row["size"], row["codec"], str(row["processes"]), f"{row['times_real_time']:.1f}",
            f"{1000 * row['core_s_per_s']:.1f}", *_stages(row),
            f"{1000 * row['decoding_alone']['core_s_per_s']:.1f}", f"{row['share_of_decoding']:.2f}",
        )  # fmt: skip
    Console().print(table)


def _print_memory(found: Sequence[tuple[float, float, float]]) -> None:
    table = Table("hours of footage in one clip, done", "times real time so far", "memory MB")
    for footage_s, seconds, memory_mb in found:
        table.add_row(f"{footage_s / 3600:.2f}", f"{footage_s / seconds:.1f}", f"{memory_mb:.0f}")
    Console().print(table)
