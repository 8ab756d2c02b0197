"""Learning from crops while others are still being rendered."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reid.errors import InputError
from reid.networks.peoplenet import BUILDERS
from reid.training.augment import augment, normalized, to_tensor
from reid.training.cropset import finished_shards
from reid.training.export import tensors_of
from reid.training.quality import sharpen
from reid.training.recipe import Augment, Data
from reid.training.stream import Rendering, Stream
from reid.training.trainer import Trainer
from reid.weights import write_tensors
from tests.coloured import CPU, light_work, made_crops, small, write_cache  # noqa: F401
from tests.test_training_runs import RECIPE, caches, reid  # noqa: F401

DATA = Data(people=6, cameras=4, height=64, width=32)


def hidden(folder: Path, shard: int) -> Path:
    """Take a shard's labels away, as if it were still being made."""
    there = folder / f"labels-{shard:05d}.npz"
    return there.rename(folder / f"later-{shard}")


def test_a_stream_takes_in_what_has_been_finished(tmp_path: Path) -> None:
    crops = made_crops()
    assert finished_shards(tmp_path) == []
    stream = Stream(tmp_path, DATA, CPU)
    assert not stream.grow()
    write_cache(tmp_path, crops)
    later = hidden(tmp_path, 0)
    assert stream.grow()
    assert not stream.grow()
    assert len(stream) == 16
    assert set(stream.labels.identities) == {2, 3, 4, 5}  # numbered as they will be at the end
    later.rename(tmp_path / "labels-00000.npz")
    assert stream.grow()
    order = np.r_[8:24, 0:8]  # of the whole, in the order of arrival
    rows = np.random.default_rng(0).permutation(24)
    assert np.array_equal(stream.gather(rows), crops.gather(order[rows]))
    assert np.array_equal(stream.gather_masks(rows), crops.gather_masks(order[rows]))  # type: ignore[arg-type]
    for name, value in vars(crops.labels).items():
        assert np.array_equal(getattr(stream.labels, name), value[order]), name


def test_a_trainer_learns_from_those_who_came_later(tmp_path: Path) -> None:
    write_cache(tmp_path, made_crops())
    later = hidden(tmp_path, 2)
    stream = Stream(tmp_path, DATA, CPU)
    stream.grow()
    with pytest.raises(InputError, match=r"batch\.people"):
        Trainer(small(), stream, CPU)
    later.rename(tmp_path / "labels-00002.npz")
    stream.grow()
    trainer = Trainer(small(), stream, CPU)
    assert trainer.classifier.get_parameter("weight").shape[0] == 6
    trainer.step(0.0)
    trainer.look_again()
    trainer.step(0.1)
    assert trainer.steps == 2


def test_a_classifier_begins_with_the_people_who_are_there(tmp_path: Path) -> None:
    write_cache(tmp_path, made_crops())
    hidden(tmp_path, 0)  # of people 0 and 1
    stream = Stream(tmp_path, DATA, CPU)
    stream.grow()
    weights = tmp_path / "start.safetensors"
    write_tensors(weights, tensors_of(BUILDERS["peoplenet_test"]()))
    recipe = small()
    network = dataclasses.replace(recipe.network, start=str(weights))
    batch = dataclasses.replace(recipe.batch, people=4)
    trainer = Trainer(dataclasses.replace(recipe, network=network, batch=batch), stream, CPU)
    length = trainer.classifier.get_parameter("weight").detach().norm(dim=1)
    assert float(length[:2].max()) < 0.05
    assert float(length[2:].min()) > 0.1


def test_reid_train_streams_what_another_run_renders(caches: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "run"
    result = reid(
        "train", caches / "mine.toml", "--data", caches, "--out", out, "--stream", "--workers", 0, "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["figures"][0]["set"] == "synthetic"


def test_rendering_can_be_stopped_and_goes_on_another_time(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="needs the extra `synthetic`")
    data = Data(people=1000, cameras=2, block=2, height=64, width=32)
    rendering = Rendering(data, tmp_path, 1)
    assert rendering.running
    rendering.check()
    rendering.close()
    assert not rendering.running
    with pytest.raises(InputError, match="1 or more"):
        Rendering(data, tmp_path, 0)


def test_a_sharpening_camera_makes_edges_steeper_and_nothing_of_flat_walls() -> None:
    x = torch.full((2, 3, 32, 32), 0.4)
    generator = torch.Generator().manual_seed(1)
    assert torch.allclose(sharpen(x, generator), x, atol=1e-5)
    x[..., 16:] = 0.6
    sharp = sharpen(x, generator)
    assert float(sharp.amax()) > 0.62
    assert float(sharp.amin()) < 0.38


def test_creases_change_clothes_and_nothing_around_them() -> None:
    crops = made_crops(2, 2)
    rows = np.arange(4)
    none: dict[str, Any] = dict.fromkeys(vars(Augment()), 0.0)
    masks = crops.gather_masks(rows)
    changed = augment(
        crops.gather(rows), crops.labels.cameras, (64, 32), Augment(**{**none, "crease_p": 1.0}),
        torch.Generator().manual_seed(3), masks,
    )  # fmt: skip
    plain = augment(
        crops.gather(rows), crops.labels.cameras, (64, 32), Augment(**none), torch.Generator().manual_seed(3),
        masks,
    )  # fmt: skip
    away = (changed.pixels - plain.pixels).abs().amax(1, keepdim=True)
    assert changed.person is not None
    assert float(away[changed.person == 0].max()) < 1e-4
    assert float(away[changed.person == 1].mean()) > 0.05
    assert normalized(to_tensor(crops.gather(rows), CPU)).shape == (4, 3, 64, 32)
