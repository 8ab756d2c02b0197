"""Accuracy: every embedder side by side on labelled sets, with the detectors' AP and the trackers' IDF1.

All that can be loaded here: the models of the package, peers whose files lie in `../shared/eval/models`, and
as floors colour histograms and chance. Sets are labelled folders as `reid eval` reads them; without `--set`
CUHK01 beside the repository and synthetic people nobody was trained on. The protocol: `reid/evaluation.py`.
Detection and tracking: the benchmarks of those names, `--quick`. With `--quick` the embedders only, on 100
people of CUHK01.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import detection, tracking
from benchmarks.floors import Chance, ColourHistograms
from benchmarks.footage import EVAL
from benchmarks.known_peers import at_hand, peers_folder
from reid.embedder import load_embedder
from reid.errors import InputError
from reid.evaluation import evaluate
from reid.labelled import Embeds, LabelledFolder, embed_folder, read_folder
from reid.people.crops import make_crops, make_subjects, write_crops
from reid.people.view import make_view

_CUHK = EVAL / "cuhk01"
_QUICK_PEOPLE = 100
_SYNTHETIC_SEED, _SYNTHETIC_PEOPLE, _SYNTHETIC_CAMERAS = 770_007, 150, 4


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--set", type=Path, action="append", help="a labelled folder; may be repeated")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure, print; the figures.

    Raises:
        InputError: no set to measure on, or a folder that is no labelled folder.
    """
    with tempfile.TemporaryDirectory() as scratch:
        sets = _sets(options, Path(scratch))
        models = peers_folder(Path(scratch) / "models")
        embedders: dict[str, Embeds] = {
            spec.name: load_embedder(spec.name, models) for spec in at_hand("embed")
        }
        embedders |= {"colour histograms": ColourHistograms(), "chance": Chance()}
        rows = [_measure(name, embedder, sets) for name, embedder in embedders.items()]
    _print(rows, list(sets))
    figures: dict[str, Any] = {"embedders": rows}
    if not options.quick and EVAL.is_dir():
        figures |= {"detection": detection.run(True), "tracking": tracking.run(True)}
    return figures


def _sets(options: argparse.Namespace, scratch: Path) -> dict[str, LabelledFolder]:
    if options.set:
        return {folder.name: read_folder(folder) for folder in options.set}
    found = {}
    if _CUHK.is_dir():
        found["cuhk01"] = _few(read_folder(_CUHK)) if options.quick else read_folder(_CUHK)
    elif options.quick:
        raise InputError(f"{_CUHK}: expected the labelled pictures there; name a folder with --set")
    if not options.quick:
        subjects = make_subjects(_SYNTHETIC_SEED, _SYNTHETIC_PEOPLE)
        views = [make_view(_SYNTHETIC_SEED + camera) for camera in range(_SYNTHETIC_CAMERAS)]
        write_crops(scratch / "synthetic", make_crops(subjects, views, 1, _SYNTHETIC_SEED), subjects)
        found["synthetic"] = read_folder(scratch / "synthetic")
    return found


def _few(folder: LabelledFolder) -> LabelledFolder:
    people = sorted({image.person for image in folder.images})[:_QUICK_PEOPLE]
    return replace(folder, images=tuple(image for image in folder.images if image.person in people))


def _measure(name: str, embedder: Embeds, sets: dict[str, LabelledFolder]) -> dict[str, Any]:
    row: dict[str, Any] = {"embedder": name, "sets": {}}
    images, seconds = 0, 0.0
    for set_name, folder in sets.items():
        begun = time.perf_counter()
        labelled, _ = embed_folder(folder, embedder)
        seconds += time.perf_counter() - begun
        images += len(labelled.vectors)
        row["sets"][set_name] = evaluate(labelled).to_json()
    return row | {"images_per_s": images / seconds}


def _print(rows: list[dict[str, Any]], sets: list[str]) -> None:
    heads = [f"{name}: rank-1 / mAP (means off)" for name in sets]
    table = Table("embedder", *heads, "images a second, decoding included", title="Across cameras")
    best = {name: np.max([row["sets"][name]["rank1"] for row in rows]) for name in sets}
    for row in rows:
        cells = []
        for name in sets:
            plain, off = row["sets"][name], row["sets"][name]["camera_means"]
            text = f"{plain['rank1']:.3f} / {plain['mAP']:.3f} ({off['rank1']:.3f} / {off['mAP']:.3f})"
            cells.append(f"[bold]{text}[/bold]" if plain["rank1"] == best[name] else text)
        table.add_row(row["embedder"], *cells, f"{row['images_per_s']:.0f}")
    Console().print(table)
