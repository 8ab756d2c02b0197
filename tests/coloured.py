"""People of two colours each, a network that is quick to train, and recipes for both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reid.attributes import BY_NAME, COLUMNS
from reid.networks.peoplenet import BUILDERS, NetConfig, PeopleNet
from reid.training.cropset import (
    CropSet,
    Labels,
    write_manifest,
    write_shard,
)
from reid.training.recipe import (
    Batch,
    Network,
    Recipe,
    Schedule,
)
from reid.training.targets import UNKNOWN

CPU = torch.device("cpu")


def made_crops(people: int = 6, cameras: int = 4, seed: int = 0) -> CropSet:
    """People of two colours each, before grey backgrounds that differ between cameras."""
    rng = np.random.default_rng(seed)
    looks = np.random.default_rng(5).integers(30, 226, (people, 2, 3))
    pictures, rows = [], []
    for person in range(people):
        for camera in range(cameras):
            picture = np.full((64, 32, 3), 60 + 30 * camera, np.float64)
            picture[8:34, 8:24], picture[34:60, 8:24] = looks[person]
            picture = picture * rng.uniform(0.8, 1.2) + rng.normal(0, 6, picture.shape)
            pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
            rows.append((person, camera, 0))
    columns = np.array(rows, np.int64).T
    targets = np.full((len(rows), COLUMNS), UNKNOWN, np.int8)
    targets[:, BY_NAME["coat"].columns] = (columns[0] % 2)[:, None]
    labels = Labels(columns[0].copy(), columns[1].copy(), columns[2].copy(), targets)
    masks = np.zeros((len(rows), 64, 32), np.uint8)
    masks[:, 8:60, 8:24] = 255
    return CropSet([np.stack(pictures)], labels, ("sun",), {}, [masks])


@pytest.fixture(autouse=True)
def light_work(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A network of a fiftieth of the size, and one thread: two that wait for each other are slower."""
    plain = NetConfig((8, 16, 24, 32), (1, 1, 1))
    gated = replace(plain, tone=0.5, gate=True)
    for name, config in (("peoplenet_test", plain), ("peoplenet_test_gated", gated)):
        monkeypatch.setitem(BUILDERS, name, partial(PeopleNet, config))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(**schedule: Any) -> Recipe:
    times: dict[str, Any] = {"steps": 12, "sizes": "0:64", "seed": 3, **schedule}
    network = Network("peoplenet_test")
    return Recipe("small", network=network, batch=Batch(6, 3, 2), schedule=Schedule(**times))


def write_cache(folder: Path, crops: CropSet, shards: int = 3) -> None:
    write_manifest(folder, shards, crops.pictures[0].shape[1:3], crops.condition_names, {"seed": 1})
    for shard, rows in enumerate(np.array_split(np.arange(len(crops)), shards)):
        parts = {name: value[rows] for name, value in vars(crops.labels).items()}
        masks = crops.gather_masks(rows)
        assert masks is not None
        write_shard(folder, shard, crops.gather(rows), masks, Labels(**parts))
