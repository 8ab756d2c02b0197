"""Fills a cache with synthetic people, one block of people and cameras after the other, on all cores.

A block is `Data.block` people seen by the same `Data.cameras` cameras; block k is shard k and follows from
the seed and k alone, so the number of processes changes nothing, and a killed run goes on where it was.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reid.errors import InputError
from reid.images import Picture, resize, resize_labels
from reid.people.crops import Mask, Subject, make_masked_crops, make_subjects
from reid.people.labels import CropLabel, attributes
from reid.people.light import LIGHTS
from reid.people.view import make_view
from reid.training.cropset import Labels, missing_shards, write_manifest, write_shard
from reid.training.recipe import Data
from reid.training.targets import Targets, crop_targets, person_targets

Progress = Callable[[int, int], None]


def render(
    data: Data, folder: Path, workers: int | None = None, progress: Progress = lambda done, of: None
) -> Path:
    """Make the crops of `data` in `folder/<digest>`, or what is missing of them; the cache's folder.

    Args:
        data: what to make.
        folder: of caches; each is named by all its settings.
        workers: processes; by default one a core.
        progress: told (shards there, shards wanted).

    Raises:
        StorageError: the disk refused.
        MissingExtraError: the extra `synthetic` is not installed.
        InputError: fewer than one worker.
    """
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    if workers < 1:
        raise InputError(f"workers: expected 1 or more, got {workers}")
    target = folder / data.digest
    shards = -(-data.people // data.block)
    about = {**dataclasses.asdict(data), "made_of": "synthetic people"}
    write_manifest(target, shards, (data.height, data.width), LIGHTS, about)
    missing = missing_shards(target)
    progress(shards - len(missing), shards)
    if workers == 1 or len(missing) == 1:
        for done, shard in enumerate(missing, shards - len(missing) + 1):
            render_shard(data, target, shard)
            progress(done, shards)
        return target
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, max(1, len(missing))), mp_context=context) as pool:
        jobs = [pool.submit(render_shard, data, target, shard) for shard in missing]
        try:
            for done, job in enumerate(as_completed(jobs), shards - len(missing) + 1):
                job.result()
                progress(done, shards)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return target


def render_shard(data: Data, folder: Path, shard: int) -> None:
    """Render one block and write it as shard `shard` of the cache in `folder`."""
    people = min(data.block, data.people - shard * data.block)
    seed = int(np.random.SeedSequence([data.seed, shard]).generate_state(1, np.uint32)[0])
    subjects = make_subjects(seed, people, lookalikes=data.lookalikes, outfits=data.outfits)
    views = [make_view((seed << 8) + number) for number in range(data.cameras)]
    pictures: list[Picture] = []
    masks: list[Mask] = []
    labels: list[CropLabel] = []
    for picture, mask, label in make_masked_crops(subjects, views, data.crops, seed, shard * data.cameras):
        pictures.append(resize(picture, data.width, data.height))
        masks.append(resize_labels(mask, data.width, data.height))
        labels.append(replace(label, person_id=label.person_id + shard * data.block))
    none = np.empty((0, data.height, data.width), np.uint8)
    write_shard(
        folder, shard, np.stack(pictures) if pictures else none[..., None].repeat(3, 3),
        np.stack(masks) if masks else none, _labels(data, labels, subjects, shard * data.block),
    )  # fmt: skip


def _labels(data: Data, labels: list[CropLabel], subjects: list[Subject], first: int) -> Labels:
    known: dict[tuple[int, int], Targets] = {
        (first + s.person_id, s.outfit_id): person_targets(attributes(s.person, s.outfit)) for s in subjects
    }
    rows = [
        crop_targets(known[label.person_id, label.outfit_id], label)
        for label in labels
    ]  # fmt: skip
    numbers: Any = [
        (label.person_id * data.outfits + label.outfit_id, label.camera_id, LIGHTS.index(label.light))
        for label in labels
    ]
    columns = np.array(numbers, np.int64).reshape(-1, 3).T
    targets = np.stack(rows) if rows else np.empty((0, len(next(iter(known.values())))), np.int8)
    return Labels(columns[0].copy(), columns[1].copy(), columns[2].copy(), targets)
