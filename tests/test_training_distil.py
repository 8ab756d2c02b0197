"""One network learns what several say together."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reid.errors import InputError, ReidError
from reid.networks.peoplenet import BUILDERS, PeopleNet
from reid.training.augment import prepare
from reid.training.distil import goals, load_teachers
from reid.training.export import tensors_of
from reid.training.recipe import Loss, Network, parse_recipe
from reid.training.start import start_from
from reid.training.trainer import Trainer
from reid.vectors import unit_rows
from reid.weights import write_tensors
from tests.coloured import CPU, light_work, made_crops, small  # noqa: F401
from tests.test_training_runs import RECIPE, caches, reid  # noqa: F401

SIZE = (64, 32)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder with weights of two networks, `0.safetensors` and `1.safetensors`."""
    for seed in range(2):
        torch.manual_seed(seed)
        write_tensors(tmp_path / f"{seed}.safetensors", tensors_of(BUILDERS["peoplenet_test"]()))
    return tmp_path


def text(weights: Path) -> str:
    return f"peoplenet_test:{weights}/0.safetensors peoplenet_test:{weights}/1.safetensors"


@torch.inference_mode()
def joined(network: PeopleNet, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    pixels = prepare(pictures, SIZE, CPU)
    both = [network.joined(network.features(each)) for each in (pixels, pixels.flip(3))]
    return unit_rows((both[0] + both[1]).numpy())


def test_goals_keep_how_alike_people_are(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reid.training.distil.cpu_has_bfloat16", lambda: False)
    crops = made_crops()
    teachers = load_teachers(text(weights), CPU)
    found = goals(teachers, crops, SIZE, lambda done, of: None).astype(np.float32)
    assert found.shape == (24, 256)
    whole = np.concatenate([joined(each, crops.pictures[0]) for each in teachers], 1)
    whole -= whole.mean(0)
    of_person = whole.reshape(6, 4, -1).mean(1).repeat(4, 0)  # four cameras each
    whole = 0.3 * whole + 0.7 * of_person
    assert np.allclose(found @ found.T, whole @ whole.T, atol=2e-3)  # none is lost: fewer crops than 256


def test_a_pupil_comes_nearer_to_what_its_teachers_say(weights: Path) -> None:
    crops = made_crops()
    wanted = goals(load_teachers(text(weights), CPU), crops, SIZE, lambda done, of: None)
    network = Network("peoplenet_test", mixstyle=0.0, teachers=text(weights))
    loss = Loss(identity=0.0, metric="none", distil=1.0, attributes=0.0)
    recipe = dataclasses.replace(small(rate=3e-3), network=network, loss=loss)
    trainer = Trainer(recipe, crops, CPU, wanted)
    first, *others = [trainer.step(0.1).taught for _ in range(25)]
    assert np.mean(others[-5:]) < 0.8 * first
    found = trainer.step(0.5)
    assert (found.identity, found.metric) == (0.0, 0.0)


def test_an_output_for_other_parts_begins_anew(weights: Path) -> None:
    wide = PeopleNet(dataclasses.replace(BUILDERS["peoplenet_test"]().config, means=3, soft=True))
    before = wide.reduce.weight.clone()
    start_from(wide, str(weights / "1.safetensors"))
    assert torch.equal(wide.reduce.weight, before)
    kept = BUILDERS["peoplenet_test"]()
    start_from(kept, str(weights / "1.safetensors"))
    assert torch.allclose(wide.stem.weight, kept.stem.weight)


WRONG = [
    ("peoplenet_test", "variant:weights"),
    ("resnet:0.safetensors", "unknown network"),
    ("peoplenet_test:nowhere", "unknown embedder"),
]


@pytest.mark.parametrize(("teachers", "word"), WRONG)
def test_wrong_teachers_are_told(teachers: str, word: str) -> None:
    with pytest.raises(ReidError, match=word):
        load_teachers(teachers, CPU)


def test_teachers_and_the_loss_go_together() -> None:
    with pytest.raises(InputError, match=r"loss\.distil"):
        parse_recipe('[network]\nteachers = "a:b"', "x")
    with pytest.raises(InputError, match=r"loss\.distil"):
        parse_recipe("[loss]\ndistil = 1.0", "x")


def test_reid_train_with_teachers(caches: Path, weights: Path, tmp_path: Path) -> None:  # noqa: F811
    recipe = weights / "pupil.toml"
    taught = f'teachers = "{text(weights)}"\n[loss]\ndistil = 1.0\nidentity = 0.0\nmetric = "none"'
    recipe.write_text(RECIPE.replace('variant = "peoplenet_test"', f'variant = "peoplenet_test"\n{taught}'))
    arguments = ("train", recipe, "--data", caches, "--out", tmp_path / "run", "--json")
    result = reid(*arguments)
    assert result.exit_code == 0, result.stderr
    assert np.load(tmp_path / "run" / "goals.npy").shape == (24, 256)
    assert reid(*arguments, "--resume", "--steps", 4).exit_code == 0
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [each["step"] for each in history] == [3, 4]
    streamed = reid(*arguments[:-1], "--resume", "--stream", "--workers", 0)
    assert streamed.exit_code == 2
    assert "--stream" in streamed.stderr
