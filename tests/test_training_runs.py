"""Runs of training: caches, recipes, resuming, that something is learned, the command."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import cli
from reid.attributes import BY_NAME, COLUMNS
from reid.errors import DamagedError, FormatError, InputError, ReidError
from reid.networks.checkpoints import fold_batch_norms, load_strictly
from reid.networks.peoplenet import BUILDERS, VARIANTS, NetConfig, PeopleNet, Tone
from reid.registry import IMAGENET_MEAN, IMAGENET_STD
from reid.training.augment import prepare
from reid.training.checkpoint import load, save
from reid.training.cropset import (
    CropSet,
    missing_shards,
    open_crops,
)
from reid.training.export import Made, export, round_weights
from reid.training.recipe import (
    Augment,
    Data,
    Loss,
    Network,
    Schedule,
    built_in_recipes,
    load_recipe,
    parse_recipe,
)
from reid.training.trainer import Trainer, learning_rate
from reid.training.validation import ValidationSet, fit_reduction, held_out, measure
from reid.weights import read_tensors
from tests.coloured import CPU, light_work, made_crops, small, write_cache  # noqa: F401

# Cache


def test_a_cache_gives_back_what_was_written(tmp_path: Path) -> None:
    crops = made_crops()
    write_cache(tmp_path, crops)
    opened = open_crops(tmp_path)
    rows = np.random.default_rng(0).permutation(len(crops))
    assert np.array_equal(opened.gather(rows), crops.gather(rows))
    for one, two in zip(opened.masks, np.array_split(crops.masks[0], 3), strict=True):
        assert np.array_equal(one, two)
    assert opened.gather_masks(rows).shape == (24, 64, 32)  # type: ignore[union-attr]
    for name, value in vars(crops.labels).items():
        assert np.array_equal(getattr(opened.labels, name), value), name
    assert (opened.people, opened.condition_names) == (6, ("sun",))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


DAMAGE = [  # what is done to a cache, the error, a word of it
    (lambda f: (f / "crops.json").unlink(), InputError, "crops.json"),
    (lambda f: (f / "crops.json").write_text("{"), DamagedError, "remove the folder"),
    (lambda f: (f / "crops.json").write_text('{"format": 9}'), FormatError, "format 9"),
    (lambda f: (f / "crops.json").write_text('{"format": 1}'), FormatError, "format 1"),  # without masks
    (lambda f: (f / "labels-00001.npz").unlink(), InputError, "1 of 3 shards"),
    (lambda f: cut(f / "labels-00001.npz"), DamagedError, "labels-00001.npz"),
    (lambda f: cut(f / "crops-00001.npy"), DamagedError, "shard 1"),
    (lambda f: (f / "crops-00002.npy").unlink(), DamagedError, "shard 2"),
    (lambda f: (f / "masks-00002.npy").unlink(), DamagedError, "shard 2"),
    (lambda f: np.save(f / "masks-00000.npy", np.zeros((8, 64, 9), np.uint8)), DamagedError, "masks-00000"),
    (lambda f: (f / "crops-00002.npy").write_bytes(b"\x93NUMPY"), DamagedError, "shard 2"),
    (lambda f: np.save(f / "crops-00002.npy", np.zeros((8, 2, 2, 3), np.uint8)), DamagedError, "shard 2"),
]  # fmt: skip


@pytest.mark.parametrize(("harm", "error", "word"), DAMAGE)
def test_a_damaged_cache_is_told(tmp_path: Path, harm: Any, error: type[ReidError], word: str) -> None:
    write_cache(tmp_path, made_crops())
    harm(tmp_path)
    with pytest.raises(error, match=word):
        open_crops(tmp_path)


def test_an_unfinished_cache_knows_what_is_missing(tmp_path: Path) -> None:
    write_cache(tmp_path, made_crops())
    (tmp_path / "labels-00001.npz").unlink()  # as when killed between the two files of a shard
    assert missing_shards(tmp_path) == [1]


# Recipes

WRONG_RECIPES = [
    ("[data", "TOML"),
    ("people = 3", "unknown setting 'people'"),
    ("[data]\npepole = 3", "data.people"),
    ("[data]\npeople = 'many'", "data.people: expected int"),
    ("[data]\npeople = true", "data.people: expected int"),
    ("[data]\npeople = 1", "2 to 1e"),
    ("[batch]\ncrops = 1", "batch.crops"),
    ("data = 3", "expected a table"),
    ("[loss]\nmetric = 'tripel'", "triplet"),
    ("[schedule]\nsizes = '0.5:96'", "schedule.sizes"),
    ("[schedule]\nsizes = '0:100'", "schedule.sizes"),
    ("[validation]\nseed = 1", "held out"),
    ("[network]\nkeep = 0.5", "network.keep"),
]


@pytest.mark.parametrize(("text", "word"), WRONG_RECIPES)
def test_a_wrong_recipe_is_told(text: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        parse_recipe(text, "mine")


def test_the_recipes_that_come_along_are_sound() -> None:
    assert {"cpu", "gpu", "tiny"} <= set(built_in_recipes())
    for name in built_in_recipes():
        recipe = load_recipe(name)
        assert recipe.network.variant in BUILDERS
        assert recipe.schedule.minutes or recipe.schedule.steps
    with pytest.raises(ReidError, match="did you mean cpu"):
        load_recipe("cpuu")
    with pytest.raises(InputError, match="cannot be read"):
        load_recipe("nowhere.toml")


def test_digests_change_with_what_decides_the_result() -> None:
    assert Data(seed=1).digest != Data(seed=2).digest
    assert small().digest == small(steps=99, minutes=3.0).digest
    assert small().digest != small(rate=1e-3).digest


def test_the_learning_rate_rises_and_falls() -> None:
    schedule = Schedule(rate=1.0, warmup=0.1, floor=0.01)
    assert learning_rate(schedule, 0.0) == pytest.approx(0.05)
    assert learning_rate(schedule, 0.1) == pytest.approx(1.0)
    assert learning_rate(schedule, 0.55) == pytest.approx(0.505)
    assert learning_rate(schedule, 1.0) == pytest.approx(0.01)
    assert Schedule(sizes="0:96 0.5:128").size_at(0.49) == (96, 48)
    assert Schedule(sizes="0:96 0.5:128").size_at(0.5) == (128, 64)


# Network


@pytest.mark.parametrize("more", [{}, {"tone": 0.5, "gate": True}], ids=["plain", "gated"])
def test_folding_changes_no_output(more: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = PeopleNet(NetConfig((8, 8, 16, 16), (1, 1, 1), **more))
    for _ in range(3):
        network(torch.randn(8, 3, 64, 32))  # statistics other than 0 and 1
    x = torch.randn(4, 3, 64, 32)
    with torch.no_grad():
        before = network.eval()(x)
        after = fold_batch_norms(network)(x)
    for one, two in zip(before, after, strict=True):
        assert torch.allclose(one, two, atol=1e-4)
    assert before[0].shape == (4, 256)
    assert before[1].shape == (4, COLUMNS)


def test_variants_fit_the_package() -> None:
    for name in VARIANTS:
        assert sum(p.numel() for p in BUILDERS[name]().parameters()) * 2 < 10_000_000  # kept in float16


def test_the_tone_brings_every_crop_to_one_brightness() -> None:
    dark, middle, light = (
        torch.rand(1, 3, 32, 16) * high + low for high, low in ((0.7, 0.02), (1, 0), (0.7, 0.28))
    )
    given = torch.cat([dark, middle, light])
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) / 255 for v in (IMAGENET_MEAN, IMAGENET_STD))
    told = Tone(0.5)((given - mean) / deviation) * deviation + mean
    torch.testing.assert_close(told.mean((1, 2, 3)), torch.full((3,), 0.5), atol=1e-3, rtol=0)
    for before, after in zip(given, told, strict=True):
        order = before.flatten().argsort()
        assert float(after.flatten()[order].diff().min()) > -1e-5  # what is lighter stays lighter
    assert 0 <= float(told.min()) <= float(told.max()) <= 1
    black = (torch.zeros(1, 3, 8, 4) - mean) / deviation
    torch.testing.assert_close(Tone(0.5)(black), black)


def test_a_closed_gate_lets_nothing_through() -> None:
    network = PeopleNet(NetConfig((8, 8, 16, 16), (1, 1, 1), gate=True)).eval()
    assert network.gate is not None
    one, two = torch.randn(2, 1, 3, 64, 32)
    with torch.no_grad():
        assert not torch.allclose(network(one)[0], network(two)[0])
        network.gate.bias.fill_(-99)  # type: ignore[union-attr]
        torch.testing.assert_close(network(one), network(two))


# Runs


def weights_of(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        **trainer.averaged.state_dict(),
        **{f"live.{k}": v for k, v in trainer.network.state_dict().items()},
    }


def test_a_resumed_run_gives_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    crops, path = made_crops(), tmp_path / "checkpoint.pt"
    undisturbed, first, second = (Trainer(small(), crops, CPU) for _ in range(3))
    for step in range(5):
        undisturbed.step(step / 5)
    for step in range(3):
        first.step(step / 5)
    save(path, first, 4.5, [{"step": 3}])
    torch.manual_seed(99)  # another process
    assert load(path, second) == (4.5, [{"step": 3}])
    for step in range(3, 5):
        second.step(step / 5)
    ours, theirs = weights_of(second), weights_of(undisturbed)
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


def test_checkpoints_that_do_not_fit_are_told(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    trainer = Trainer(small(), made_crops(), CPU)
    with pytest.raises(InputError, match="no run to resume"):
        load(path, trainer)
    save(path, trainer, 0.0, [])
    with pytest.raises(InputError, match="another recipe"):
        load(path, Trainer(small(rate=1e-3), made_crops(), CPU))
    with pytest.raises(InputError, match="other crops"):
        load(path, Trainer(small(), made_crops(people=7), CPU))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DamagedError, match="not a checkpoint"):
        load(path, trainer)


@pytest.mark.parametrize(
    ("loss", "variant"),
    [
        (Loss(), "peoplenet_test"),
        (Loss(classifier="cosine", metric="circle"), "peoplenet_test"),
        (Loss(stripes=0.5, balanced=True), "peoplenet_test_gated"),
    ],
    ids=["triplet", "circle", "gated"],
)
def test_a_small_run_learns_to_tell_people_apart(loss: Loss, variant: str) -> None:
    crops, others = made_crops(), made_crops(cameras=6, seed=8)
    recipe = dataclasses.replace(
        small(steps=120, ema=0.95), loss=loss, network=Network(variant),
        augment=dataclasses.replace(Augment(), hue=0),
    )  # fmt: skip
    trainer = Trainer(recipe, crops, CPU)
    chosen: ValidationSet = dataclasses.replace(held_out(others), targets=others.labels.targets)
    before = measure(trainer.averaged, chosen, (64, 32))
    for step in range(120):
        trainer.step(step / 120)
    after = measure(trainer.averaged, chosen, (64, 32))
    assert before["mAP"] < 0.75
    assert after["mAP"] > 0.95
    assert after["attributes"]["coat"] > 0.9


def test_the_output_keeps_what_the_joined_vectors_tell() -> None:
    """Before the fit the embedding alone is passed on; after it the larger directions of the crops."""
    trainer = Trainer(small(), made_crops(), CPU)
    network = trainer.averaged
    pixels = prepare(made_crops().gather(np.arange(24)), (64, 32), CPU)
    with torch.no_grad():
        joined = network.joined(network.features(pixels))
        size = network.config.dimension
        torch.testing.assert_close(network(pixels)[0], joined[:, :size])
        fit_reduction(network, made_crops(), (64, 32))
        told = network(pixels)[0]
    weight = network.reduce.weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(size), atol=1e-4, rtol=0)
    mirrored = pixels.flip(3)
    with torch.no_grad():
        whole = joined + network.joined(network.features(mirrored))
        both = told + network(mirrored)[0]
    # Fewer crops than directions: nothing is lost of how they differ, and they lie around nothing.
    apart = [torch.cdist(vectors, vectors) for vectors in (both, whole)]
    torch.testing.assert_close(apart[0], apart[1], atol=0.01, rtol=0.02)
    assert float(both.mean(0).norm()) < 1e-3


def test_what_is_exported_loads_strictly_and_gives_the_same(tmp_path: Path) -> None:
    trainer = Trainer(small(), made_crops(), CPU)
    trainer.step(0.0)
    round_weights(trainer.averaged)
    figures = measure(trainer.averaged, held_out(made_crops()), (64, 32))
    made = export(tmp_path, trainer.recipe, trainer.averaged, Made(24, 6, 4, 1, 0.1, "a test", [figures]))
    assert made.weights.stat().st_size < 10_000_000
    again = load_strictly(BUILDERS["peoplenet_test"](), made.weights).eval()
    x = torch.randn(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.allclose(again(x)[0], trainer.averaged(x)[0], atol=1e-5)
        assert (
            float(again(x)[1][:, BY_NAME["gender"].columns].abs().max()) == 0
        )  # not asked for: says nothing
    card = made.card.read_text()
    assert made.sha256 in card
    assert f"{figures['rank1']:.3f}" in card
    assert json.loads((tmp_path / "figures.json").read_text())[0]["set"] == "synthetic"


def test_measuring_takes_the_mirrored_crop_too() -> None:
    """A crop and its mirror image are one to the measured vectors."""
    trainer = Trainer(small(), made_crops(), CPU)
    crops = made_crops()
    mirrored = CropSet([crops.pictures[0][:, :, ::-1].copy()], crops.labels, ("sun",), {})
    plain, other = (measure(trainer.averaged, held_out(each), (64, 32)) for each in (crops, mirrored))
    assert plain["mAP"] == pytest.approx(other["mAP"], abs=1e-6)


# The command

runner = CliRunner()


def reid(*arguments: object) -> Any:
    return runner.invoke(cli.app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Caches under the names the recipe below asks for, filled with flat people: nothing is rendered."""
    pytest.importorskip("numba", reason="needs the extra `synthetic`")
    folder = tmp_path_factory.mktemp("caches")
    (folder / "mine.toml").write_text(RECIPE)
    recipe = load_recipe(str(folder / "mine.toml"))
    for data, cameras, seed in ((recipe.data, 4, 0), (recipe.validation, 3, 7)):
        write_cache(folder / data.digest, made_crops(6, cameras, seed), shards=1)
    return folder


RECIPE = """
[data]
people = 6
height = 64
width = 32
[validation]
people = 6
height = 64
width = 32
seed = 2
[network]
variant = "peoplenet_test"
[batch]
people = 4
crops = 2
[schedule]
steps = 3
sizes = "0:64"
"""


def test_reid_train_runs_stops_and_goes_on(caches: Path, tmp_path: Path) -> None:
    arguments = ("train", caches / "mine.toml", "--data", caches, "--out", tmp_path / "run", "--json")
    result = reid(*arguments)
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["recipe"] == "mine"
    assert answer["figures"][0]["set"] == "synthetic"
    assert Path(answer["weights"]).stat().st_size == answer["bytes"]
    assert reid(*arguments).exit_code == 2  # there is a run already
    left = tmp_path / "run" / ".checkpoint.pt.697.tmp"
    left.write_bytes(b"half")  # of a run that was killed while it wrote
    more = reid(*arguments, "--resume", "--steps", 5)
    assert not left.exists()
    assert more.exit_code == 0, more.stderr
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [each["step"] for each in history] == [3, 5]


def test_a_run_can_be_finished_with_the_mean_of_states_that_it_kept(caches: Path, tmp_path: Path) -> None:
    arguments = ("train", caches / "mine.toml", "--data", caches, "--out", tmp_path / "run")
    assert reid(*arguments).exit_code == 0
    assert reid(*arguments, "--resume", "--steps", 6).exit_code == 0
    first, last = (tmp_path / "run" / f"averaged-{step}.safetensors" for step in (3, 6))
    result = reid(*arguments, "--states", first, "--states", last, "--json")
    assert result.exit_code == 0, result.stderr
    answer = json.loads(result.stdout)
    one, other, made = (read_tensors(path) for path in (first, last, Path(answer["weights"])))
    name = next(name for name, value in one.items() if value.ndim == 4)
    assert np.abs(one[name] - other[name]).max() > 1e-3
    assert np.allclose(made[name], (one[name] + other[name]) / 2, atol=1e-3)
    assert "6 steps" in Path(answer["card"]).read_text()
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [each["step"] for each in history] == [3, 6]  # it was measured, and not trained further


WRONG_USE = [
    (("--states", "averaged-3.safetensors"), "expected a state that a run kept"),
    (("--resume",), "no run to resume"),
    (("--measure", "nowhere"), "expected a folder"),
    (("--crops", "nowhere"), "people.json"),
]


@pytest.mark.parametrize(("more", "word"), WRONG_USE)
def test_wrong_use_is_one_line(caches: Path, tmp_path: Path, more: tuple[str, ...], word: str) -> None:
    result = reid("train", caches / "mine.toml", "--data", caches, "--out", tmp_path, *more)
    assert result.exit_code == 2
    assert word in result.stderr
    assert "Traceback" not in result.stderr


def test_without_the_extra_the_command_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = ("reid.people", "reid.training.session", "reid.training.rendering")
    for name in [each for each in sys.modules if each.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    result = reid("train", "tiny", "--out", tmp_path)
    assert result.exit_code == 2
    assert "synthetic" in result.stderr
