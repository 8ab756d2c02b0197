"""`python -m benchmarks vectors`: fits the model of `vectors.py` to people rendered and embedded for it.

The people are of another seed than those any network was trained on. An analysis of variance takes apart what
a person, a camera, a passage and a picture add to a vector; the table shows how near samples of the model
come to the crops: cosines of the same and of different people, and in how many directions vectors differ.
`--crops` takes a cache that is rendered already (two crops of each person in each camera).
"""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.cluster.vq import kmeans2
from scipy.optimize import least_squares

from benchmarks.vectors import MODEL_FILE, Crowd, VectorModel
from reid.attributes import BY_NAME, COLOURS
from reid.embedder import load_embedder
from reid.errors import InputError
from reid.training.cropset import CropSet, open_crops
from reid.training.recipe import Data
from reid.training.rendering import render

F32 = NDArray[np.float32]
Wide = NDArray[np.float64]
Ints = NDArray[np.int64]

_PEOPLE = Data(people=1200, cameras=8, crops=2, block=50, seed=4711)
_KEPT = 0.998  # of the variance: the directions left out tell nobody apart
_CHUNK = 256
_PAIRS = 200_000
_LOOKS = 128


@dataclass(frozen=True)
class Cells:
    """Embedded crops: B blocks of P people, seen by the same C cameras, V times each.

    Attributes:
        vectors: (B, P, C, V, D) float64 unit rows.
        colours: (B, P) int64, of the upper clothing, a row of `COLOURS`.
    """

    vectors: Wide
    colours: Ints


def add_options(parser: argparse.ArgumentParser) -> None:
    """The tool's options."""
    parser.add_argument("--crops", type=Path, help="a cache of rendered crops; default: rendered now")
    parser.add_argument("--out", type=Path, default=MODEL_FILE, help="where the model is written")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Render, embed, fit, write, compare; the figures.

    Raises:
        MissingExtraError: the extra `synthetic` is not installed.
        InputError: the crops are not two of each person in each camera.
    """
    if options.crops:
        return _run(open_crops(options.crops), options.out)
    with tempfile.TemporaryDirectory() as folder:
        return _run(open_crops(render(_PEOPLE, Path(folder))), options.out)


def _run(crops: CropSet, out: Path) -> dict[str, Any]:
    vectors, embedder = embed(crops)
    colours = BY_NAME["upper_colours"].columns
    cells = arrange(vectors, crops.labels.identities, crops.labels.cameras, crops.labels.targets[:, colours])
    model = fit(cells, embedder)
    model.save(out)
    figures = compare(cells, VectorModel.load(out))
    table = Table("figure", "crops", "model", title=f"{len(crops)} crops and samples of the model fitted")
    for name, (crop, sampled) in figures.items():
        table.add_row(name, f"{crop:.3f}", f"{sampled:.3f}")
    Console().print(table)
    return {"crops": len(crops), "bytes": out.stat().st_size, "crops_and_model": figures}


def embed(crops: CropSet) -> tuple[F32, str]:
    """(N, D) vectors of all crops by the default embedder, and its sha256."""
    embedder = load_embedder()

    def part(rows: Ints) -> F32:
        return embedder.embed(list(crops.gather(rows)))

    chunks = np.array_split(np.arange(len(crops)), -(-len(crops) // _CHUNK))
    with ThreadPoolExecutor(2) as pool:
        return np.concatenate(list(pool.map(part, chunks))), embedder.spec.sha256


def arrange(vectors: F32, people: Ints, cameras: Ints, colours: NDArray[np.int8]) -> Cells:
    """Crops as cells; people of whom a crop is missing are left out, and blocks brought to one size.

    Args:
        vectors: (N, D) unit rows.
        people, cameras: (N,).
        colours: (N, 11), 1 where the person wears the colour, negative where the crop cannot tell.

    Raises:
        InputError: fewer than two blocks of two people are whole.
    """
    order = np.lexsort((cameras, people))
    first = np.unique(people[order], return_index=True, return_counts=True)
    most = int(first[2].max())
    blocks: dict[tuple[int, ...], list[Ints]] = {}
    for start, count in zip(first[1], first[2], strict=True):
        rows = order[start : start + count]
        seen, times = np.unique(cameras[rows], return_counts=True)
        if count == most and len(seen) > 1 and times.min() == times.max() == 2:
            blocks.setdefault(tuple(map(int, seen)), []).append(rows)
    whole = [people for people in blocks.values() if len(people) > 1]
    if len(whole) < 2:
        raise InputError("expected two crops of each person in each of two cameras or more, in two blocks")
    size = min(len(people) for people in whole)
    chosen = np.array([people[:size] for people in whole])
    worn = np.maximum(colours[chosen], 0).sum(axis=2).argmax(axis=-1)
    shape = (*chosen.shape[:2], -1, 2, vectors.shape[1])
    return Cells(vectors[chosen].astype(np.float64).reshape(shape), worn)


def fit(cells: Cells, embedder: str, sampled: int = 1000) -> VectorModel:
    """Take apart what person, camera, passage and picture add, by their mean squares.

    Args:
        cells: embedded crops.
        embedder: its sha256.
        sampled: people drawn to compare how near samples are to each other and how near crops are.
    """
    x = cells.vectors
    blocks, people, cameras, views, _ = x.shape
    seen = x.mean(axis=3)
    of_person, of_camera, of_block = (seen.mean(axis=axes, keepdims=True) for axes in ((2,), (1,), (1, 2)))
    view = _scatter(x - seen[:, :, :, None], blocks * people * cameras * (views - 1))
    passage = _scatter(seen - of_person - of_camera + of_block, blocks * (people - 1) * (cameras - 1))
    person = _scatter(of_person - of_block, blocks * (people - 1))
    camera = _scatter(of_camera - of_block, blocks * (cameras - 1))
    looks, shares, colours = _looks(cells)
    apart = looks - shares @ looks
    model = VectorModel(
        looks=looks.astype(np.float32), shares=shares.astype(np.float32), colours=colours.astype(np.float32),
        person=_factor(person - passage / cameras - (apart.T * shares) @ apart),
        camera=_factor(camera - passage / people),
        passage=_factor(passage - view / views), view=_factor(view),
        spreads=np.array([0.3, 0.3], np.float32), embedder=np.array([embedder]),
    )  # fmt: skip
    return _matched(model, _closeness(x[:, :, :, 0], x[:, :, :, 1]), sampled)


def _looks(cells: Cells) -> tuple[Wide, Wide, Wide]:
    """(K, D) means of people who look alike, (K,) their shares, (K, 11) shares of colours in each."""
    people = cells.vectors.mean(axis=(2, 3)).reshape(-1, cells.vectors.shape[-1])
    count = max(1, min(_LOOKS, len(people) // 8))
    start = people[np.linspace(0, len(people) - 1, count).astype(int)]
    means, chosen = kmeans2(people, start, minit="matrix", missing="warn")
    worn = np.zeros((count, len(COLOURS)))
    np.add.at(worn, (chosen, cells.colours.ravel()), 1)
    held = worn.sum(axis=1)
    kept = held > 0
    return means[kept], held[kept] / held.sum(), worn[kept] / held[kept, None]


def _matched(model: VectorModel, wanted: Wide, people: int) -> VectorModel:
    """The model with strengths of passages and views that make its samples as close as crops are."""

    def changed(settings: Wide) -> VectorModel:
        scales = np.abs(settings[:2]).astype(np.float32)
        spreads = np.abs(settings[2:]).astype(np.float32)
        return replace(model, passage=model.passage * scales[0], view=model.view * scales[1], spreads=spreads)

    def missed(settings: Wide) -> Wide:
        pairs = Crowd(changed(settings), people, 1, 0).pairs(people)
        return _closeness(*(each.astype(np.float64) for each in pairs)) - wanted

    start = np.array([1.0, 1.0, *model.spreads])
    return changed(least_squares(missed, start, diff_step=0.05, max_nfev=25).x)


def _closeness(first: Wide, second: Wide) -> Wide:
    """(6,) mean, deviation and twentieth of cosines of the same person: in one passage, in two cameras.

    Args:
        first, second: (..., P, C, D) unit rows, two views of P people's passages before C cameras.
    """
    one_passage = np.einsum("...d,...d->...", first, second)
    two_cameras = np.einsum("...d,...d->...", first[..., :-1, :], second[..., 1:, :])
    parts = [(v.mean(), v.std(), np.quantile(v, 0.05)) for v in (one_passage, two_cameras)]
    return np.array(parts).ravel()


def _scatter(values: Wide, freedom: int) -> Wide:
    flat = values.reshape(-1, values.shape[-1])
    return flat.T @ flat / freedom


def _factor(covariance: Wide) -> F32:
    """(D, R), the directions that hold `_KEPT` of the variance."""
    strengths, directions = np.linalg.eigh(covariance)
    strengths = np.maximum(strengths[::-1], 0)
    held = np.cumsum(strengths) / strengths.sum()
    kept = int(np.searchsorted(held, _KEPT)) + 1
    return np.asarray(directions[:, ::-1][:, :kept] * np.sqrt(strengths[:kept]), np.float32)


def compare(cells: Cells, model: VectorModel, seed: int = 1) -> dict[str, tuple[float, float]]:
    """Figures of the crops and of as many samples of the model, seen by as many cameras."""
    _, people, cameras, _, dimension = cells.vectors.shape
    count = int(np.prod(cells.vectors.shape[:3]))
    crowd = Crowd(model, count // cameras, count // people, seed)
    sample = crowd.sample(0, count)
    flat = cells.vectors.reshape(-1, dimension).astype(np.float32)
    which = np.arange(len(flat)) // cells.vectors.shape[3]  # the passage of each crop
    numbers = np.arange(count).reshape(cells.vectors.shape[:3])
    block = np.repeat(np.arange(len(numbers)), people * cameras)
    crop = _figures(flat, which, numbers.ravel() // cameras, block * cameras + numbers.ravel() % cameras)
    sampled = _figures(sample.vectors, sample.tracklets, sample.people, sample.cameras)
    return {name: (crop[name], sampled[name]) for name in crop}


def _figures(vectors: F32, passages: Ints, person: Ints, camera: Ints) -> dict[str, float]:
    """Of (N, D) unit rows; row i is of passage p = `passages[i]`, of `person[p]` before `camera[p]`."""
    who, where = person[passages], camera[passages]
    rng = np.random.default_rng(0)
    one, other = rng.integers(len(vectors), size=(2, _PAIRS * 4))
    different = np.einsum("nd,nd->n", vectors[one], vectors[other])[who[one] != who[other]]
    near = rng.integers(1, 60, size=_PAIRS * 8)
    by_person = np.argsort(who, kind="stable")
    place = rng.integers(len(vectors), size=len(near))
    one, other = by_person[place], by_person[np.minimum(place + near, len(vectors) - 1)]
    same = who[one] == who[other]
    apart = same & (where[one] != where[other])
    together = same & (passages[one] == passages[other]) & (one != other)
    cosines = {
        "another camera": np.einsum("nd,nd->n", vectors[one[apart]], vectors[other[apart]]),
        "same passage": np.einsum("nd,nd->n", vectors[one[together]], vectors[other[together]]),
    }
    table = {
        "different people: mean": float(different.mean()),
        "different people: deviation": float(different.std()),
        "different people: 99 %": float(np.quantile(different, 0.99)),
        "different people: 99.99 %": float(np.quantile(different, 0.9999)),
    }
    for name, values in cosines.items():
        table |= {
            f"same person, {name}: mean": float(values.mean()),
            f"same person, {name}: deviation": float(values.std()),
            f"same person, {name}: 5 %": float(np.quantile(values, 0.05)),
        }
    strengths = np.linalg.eigvalsh(np.cov(vectors.T))
    table["directions (effective)"] = float(strengths.sum() ** 2 / np.square(strengths).sum())
    table["directions that hold 90 %"] = float(
        np.searchsorted(np.cumsum(strengths[::-1]) / strengths.sum(), 0.9) + 1
    )
    best = _nearest_stranger(vectors[:6000], who[:6000])
    table["nearest of 6,000 vectors, another person: mean"] = float(best.mean())
    table["nearest of 6,000 vectors, another person: 95 %"] = float(np.quantile(best, 0.95))
    return table


def _nearest_stranger(vectors: F32, who: Ints) -> F32:
    cosines = vectors @ vectors.T
    cosines[who[:, None] == who[None]] = -1
    return np.asarray(cosines.max(axis=1))
