"""The models folder: adding files, finding them, refusing what does not fit."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reid.adding import add_model
from reid.embedder import load_embedder
from reid.errors import FormatError, ModelError, ReidError, UnknownNameError
from reid.models import find_model, known_models
from reid.networks.osnet import BUILDERS
from reid.registry import DEFAULT_EMBEDDER, SPECS, ModelSpec
from reid.weights import checked_paths, sha256_of

# On a busy machine two threads wait for each other far longer than these small networks compute.
torch.set_num_threads(1)

SHARED = Path(__file__).parents[2] / "shared"
MODELS = SHARED / "eval" / "models"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason="needs shared/eval/models")

DEFAULT = next(spec for spec in SPECS if spec.name == DEFAULT_EMBEDDER)
CROPS = [np.random.default_rng(seed).integers(0, 256, (80, 40, 3), np.uint8) for seed in range(2)]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "Seoul night.pth"
    torch.save({"state_dict": BUILDERS["osnet_x0_25"]().state_dict()}, path)
    return path


def test_an_added_checkpoint_is_known_found_and_runs(checkpoint: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    spec = add_model(checkpoint, models, "osnet_x0_25")
    assert (spec.name, spec.sha256, spec.dimension) == ("seoul-night", sha256_of(checkpoint), 512)
    assert known_models(models) == [*SPECS, spec]
    assert find_model("seoul-night", "embed", models) == spec
    embedder = load_embedder("seoul-night", models)
    assert embedder.spec == spec
    assert embedder.embed(CROPS).shape == (2, 512)


def test_adding_twice_changes_nothing(checkpoint: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    first = add_model(checkpoint, models, "osnet_x0_25")
    before = {path: path.read_bytes() for path in models.rglob("*") if path.is_file()}
    assert add_model(checkpoint, models, "osnet_x0_25") == first
    assert {path: path.read_bytes() for path in models.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("builder", "kind", "words"),
    [
        (None, ModelError, "name its architecture with --as"),
        ("osnet_x1_0", ModelError, "do not fit the architecture"),
        ("osnet_ain_x0_25", ModelError, "do not fit the architecture"),
        ("rnet", ModelError, "do not fit the architecture"),
        ("onnx_256x128", ModelError, "ONNX Runtime cannot load it"),
        ("osnet_x0_52", UnknownNameError, "did you mean"),
    ],
)
def test_what_does_not_fit_is_refused_and_leaves_nothing(
    builder: str | None, kind: type[ReidError], words: str, checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        add_model(checkpoint, tmp_path / "models", builder)
    assert not (tmp_path / "models").exists()


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    state = BUILDERS["osnet_x0_25"]().state_dict()
    state["fc.0.weight"][:] = torch.nan
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(ModelError, match="zero or not a number"):
        add_model(tmp_path / "bad.pth", tmp_path / "models", "osnet_x0_25")


def test_a_name_is_given_once(checkpoint: Path, tmp_path: Path) -> None:
    add_model(checkpoint, tmp_path / "models", "osnet_x0_25")
    torch.manual_seed(1)
    torch.save(BUILDERS["osnet_x0_25"]().state_dict(), checkpoint)
    with pytest.raises(ModelError, match="already called seoul-night"):
        add_model(checkpoint, tmp_path / "models", "osnet_x0_25")


@pytest.mark.parametrize("missing", ["nothing.pth", "."])
def test_a_file_that_cannot_be_read_is_named(missing: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        add_model(tmp_path / missing, tmp_path / "models")


@pytest.mark.parametrize(
    ("damage", "kind"),
    [
        (lambda record: "{", ModelError),
        (lambda record: "[]", ModelError),
        (lambda record: json.dumps({**record, "format": 2}), FormatError),
        (lambda record: json.dumps({**record, "architecture": "vgg"}), ModelError),
        (lambda record: json.dumps({**record, "sha256": "0" * 64}), ModelError),
        (lambda record: json.dumps({**record, "dimension": "many"}), ModelError),
        (lambda record: json.dumps({**record, "file": 7}), ModelError),
        (lambda record: json.dumps({k: v for k, v in record.items() if k != "name"}), ModelError),
    ],
    ids=["cut", "list", "newer", "architecture", "folder", "dimension", "file", "no name"],
)
def test_damaged_records_are_named_and_spare_built_in_models(
    damage: Callable[[dict[str, Any]], str], kind: type[ReidError], checkpoint: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    spec = add_model(checkpoint, models, "osnet_x0_25")
    path = models / spec.sha256 / "model.json"
    path.write_text(damage(json.loads(path.read_text())))
    with pytest.raises(kind, match=r"model\.json"):
        known_models(models)
    assert find_model(DEFAULT_EMBEDDER, "embed", models) == DEFAULT


def test_altered_weights_of_an_added_model_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    spec = add_model(checkpoint, models, "osnet_x0_25")
    with (models / spec.sha256 / spec.files[0].name).open("r+b") as stream:
        stream.write(b"x")
    with pytest.raises(ModelError, match="altered"):
        load_embedder(spec.name, models)


@pytest.mark.parametrize("name", ["people-rnet-d", "", "../etc"])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown embedder"):
        load_embedder(name)


def public_file(name: str) -> tuple[ModelSpec, Path]:
    return find_model(name, "embed"), MODELS


@needs_models
@pytest.mark.parametrize("suffix", [".bin", ".xml"])
def test_a_known_file_brings_its_companion(suffix: str, tmp_path: Path) -> None:
    spec, source = public_file("person-reidentification-retail-0288")
    assert add_model(source / f"{spec.name}{suffix}", tmp_path / "models") == spec
    assert [path.name for path in checked_paths(spec, tmp_path / "models")] == [f.name for f in spec.files]


@needs_models
def test_known_files_are_recognised_under_any_name_one_by_one(tmp_path: Path) -> None:
    spec, source = public_file("person-reidentification-retail-0288")
    for part in spec.files:
        shutil.copyfile(source / part.name, tmp_path / f"renamed{Path(part.name).suffix}")
        assert add_model(tmp_path / f"renamed{Path(part.name).suffix}", tmp_path / "models") == spec
    assert len(checked_paths(spec, tmp_path / "models")) == 2


@needs_models
def test_any_onnx_embedder_can_be_added(tmp_path: Path) -> None:
    original = MODELS / "osnet_x0_25_msmt17.onnx"
    # One byte more, an empty field behind the graph, makes it a file nobody knows.
    (tmp_path / "mine.onnx").write_bytes(original.read_bytes() + b"\x32\x00")
    spec = add_model(tmp_path / "mine.onnx", tmp_path / "models", "onnx_256x128")
    assert (spec.name, spec.dimension) == ("mine", 512)
    assert load_embedder("mine", tmp_path / "models").embed(CROPS).shape == (2, 512)
