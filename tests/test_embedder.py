"""The embedder on every backend, and the embedded weights."""

import csv
import importlib.util
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reid.attributes import BY_NAME, COLUMNS
from reid.embedder import Embedder, load_embedder
from reid.errors import ModelError, UnknownNameError
from reid.images import Picture, decode_photo, resize
from reid.models import find_model
from reid.networks.checkpoints import fold_batch_norms, load_strictly
from reid.networks.peoplenet import BUILDERS
from reid.networks.rnet import RNet
from reid.registry import DEFAULT_EMBEDDER, SPECS
from reid.runtimes.onnx import OnnxRuntime
from reid.runtimes.openvino import OpenVinoRuntime, read_pair
from reid.runtimes.pytorch import TorchRuntime
from reid.vectors import unit_rows
from reid.weights import checked_paths

# On a busy machine two threads wait for each other far longer than these small networks compute.
torch.set_num_threads(1)

SHARED = Path(__file__).parents[2] / "shared"
PUBLIC = [
    "osnet-x0.25-msmt17-onnx",
    "person-reidentification-retail-0277",
    "person-reidentification-retail-0286",
    "person-reidentification-retail-0287",
    "person-reidentification-retail-0288",
]
needs_models = pytest.mark.skipif(
    not (SHARED / "eval" / "models").is_dir(), reason="needs shared/eval/models"
)
needs_prototype = pytest.mark.skipif(not (SHARED / "prototype").is_dir(), reason="needs shared/prototype")
needs_people = pytest.mark.skipif(
    not (SHARED / "eval" / "cuhk01").is_dir(), reason="needs shared/eval/cuhk01"
)

DEFAULT = next(spec for spec in SPECS if spec.name == DEFAULT_EMBEDDER)
TINY = replace(
    DEFAULT, input_height=4, input_width=2, mean=(10, 20, 30), std=(1, 2, 4), dimension=3, mirror=False
)


class Probe:
    """A runtime that keeps what it was fed and answers with `answer(batch)`."""

    def __init__(self, answer: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> None:
        self.batches: list[NDArray[np.float32]] = []
        self._answer = answer

    def __call__(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        self.batches.append(batch)
        return (self._answer(batch),)


def channel_means(batch: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(batch.mean((2, 3)), np.float32)


def crops_of(count: int, seed: int = 0) -> list[Picture]:
    """Pictures of many sizes with large coloured areas, as people have."""
    rng = np.random.default_rng(seed)
    coarse = [rng.integers(0, 256, (6, 3, 3), np.uint8) for _ in range(count)]
    return [resize(picture, int(rng.integers(20, 90)), int(rng.integers(40, 200))) for picture in coarse]


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((unit_rows(a) * unit_rows(b)).sum(1), np.float32)


def test_logits_become_evidence_as_the_model_says() -> None:
    """One group is trusted by half and shifted, all else is as it was."""

    def both(batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        return np.zeros((len(batch), 3), np.float32), np.full((len(batch), COLUMNS), 0.5, np.float32)

    shifts = (-3.1, 0.1, 0.9, 1.2, 0.9)
    plain = Embedder(replace(TINY, attribute_evidence=()), both).attributes(crops_of(2))
    shifted = Embedder(replace(TINY, attribute_evidence=(("aid", 0.5, shifts),)), both).attributes(
        crops_of(2)
    )
    assert plain is not None
    assert shifted is not None
    aid = BY_NAME["aid"].columns
    assert (shifted - plain / 2)[1, aid].tolist() == pytest.approx(list(shifts), abs=1e-5)
    np.testing.assert_array_equal(np.delete(shifted, aid, axis=1), np.delete(plain, aid, axis=1))


def test_a_describer_tells_attributes_in_the_embedders_stead_and_is_opened_when_it_is_asked() -> None:
    def both(batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
        return channel_means(batch), np.full((len(batch), COLUMNS), 1.5, np.float32)

    opened: list[str] = []

    def describer() -> Embedder:
        opened.append("now")
        return Embedder(replace(TINY, attribute_evidence=(("hat", 2.0, (0.0,)),)), both)

    embedder = Embedder(TINY, Probe(channel_means), describer)
    vectors = embedder.embed(crops_of(2))
    assert not opened
    told = embedder.attributes(crops_of(2))
    assert opened
    assert told is not None
    assert told[0, BY_NAME["hat"].start] == pytest.approx(3.0)
    assert told[0, BY_NAME["bag"].start] == pytest.approx(1.5)
    np.testing.assert_array_equal(vectors, Embedder(TINY, Probe(channel_means)).embed(crops_of(2)))


def test_every_describer_that_is_named_is_there() -> None:
    for spec in SPECS:
        if spec.describer:
            assert find_model(spec.describer, "describe").location == "package"
    with pytest.raises(UnknownNameError, match="describer"):
        find_model("people-net-3", "describe")


def test_no_crops_give_no_vectors() -> None:
    probe = Probe(channel_means)
    assert Embedder(TINY, probe).embed([]).shape == (0, 3)
    assert probe.batches == []


@pytest.mark.parametrize(
    ("channels", "fed"),
    [
        ("RGB", [(30 - 10) / 1, (20 - 20) / 2, (10 - 30) / 4]),  # BGR 10, 20, 30 turned round
        ("BGR", [(10 - 10) / 1, (20 - 20) / 2, (30 - 30) / 4]),
    ],
)
def test_pixels_are_ordered_and_normalized_as_the_row_says(channels: Any, fed: list[float]) -> None:
    probe = Probe(channel_means)
    Embedder(replace(TINY, channels=channels), probe).embed([np.full((9, 5, 3), (10, 20, 30), np.uint8)])
    (batch,) = probe.batches
    assert batch.shape == (1, 3, 4, 2)
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    assert np.allclose(batch[0], np.array(fed, np.float32)[:, None, None])


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33])
def test_order_is_kept_over_batches(count: int) -> None:
    spec = replace(TINY, mean=(0, 0, 0), std=(1, 1, 1))
    crops = [np.full((4, 2, 3), (1, row + 1, 0), np.uint8) for row in range(count)]
    found = Embedder(spec, Probe(channel_means)).embed(crops)
    assert np.allclose(found[:, 1] / found[:, 2], np.arange(count) + 1)


def test_mirroring_adds_the_flipped_crops_vector() -> None:
    left = Probe(lambda batch: batch[:, :, 0, 0])
    crop = np.zeros((4, 2, 3), np.uint8)
    crop[:, 0], crop[:, 1] = (3, 2, 1), (30, 10, 40)
    spec = replace(TINY, mean=(0, 0, 0), std=(1, 1, 1), mirror=True)
    found = Embedder(spec, left).embed([crop])
    assert np.allclose(found, unit_rows(np.array([[41, 12, 33]], np.float32)), atol=1e-6)


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((4, 4), np.uint8),  # grey
        np.zeros((4, 4, 4), np.uint8),  # with transparency
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
)
def test_what_is_no_picture_is_refused(crop: Any) -> None:
    with pytest.raises(ValueError, match="crop 1: expected"):
        Embedder(TINY, Probe(channel_means)).embed([np.zeros((4, 4, 3), np.uint8), crop])


def test_another_output_is_refused() -> None:
    with pytest.raises(ModelError, match=r"expected output \(1, 3\), the network gave \(1, 7\)"):
        Embedder(TINY, Probe(lambda b: np.zeros((len(b), 7), np.float32))).embed(crops_of(1))


@pytest.mark.parametrize(
    ("raw", "unit"),
    [
        ([3, 0, 4], [0.6, 0, 0.8]),
        ([0, 0, 0], [1, 0, 0]),
        ([np.nan, 1, 0], [1, 0, 0]),
        ([np.inf, 1, 0], [1, 0, 0]),
        ([0, -np.inf, 0], [1, 0, 0]),
        ([0, 3e38, 3e38], [0, 0.5**0.5, 0.5**0.5]),  # its square is no float32
        ([0, 1e-6, 0], [0, 1, 0]),
    ],
)
def test_rows_always_become_finite_and_unit(raw: list[float], unit: list[float]) -> None:
    assert np.allclose(unit_rows(np.array([raw], np.float32)), [unit])


@pytest.fixture(scope="module")
def default() -> Embedder:
    return load_embedder()


@pytest.mark.parametrize(
    "crop",
    [
        np.zeros((128, 64, 3), np.uint8),
        np.full((128, 64, 3), 255, np.uint8),
        np.full((1, 1, 3), 7, np.uint8),
        np.full((1, 900, 3), 90, np.uint8),
        np.full((2000, 3, 3), 90, np.uint8),
    ],
    ids=["black", "white", "one pixel", "one row", "sliver"],
)
def test_odd_crops_give_finite_unit_vectors(crop: Picture, default: Embedder) -> None:
    found = default.embed([crop])
    assert found.shape == (1, 256)
    assert found.dtype == np.float32
    assert np.isclose(np.linalg.norm(found), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_its_neighbours(default: Embedder) -> None:
    crops = crops_of(37)
    together = default.embed(crops)
    alone = np.concatenate([default.embed([crop]) for crop in crops])
    backwards = default.embed(crops[::-1])[::-1]
    assert (together * alone).sum(1).min() > 0.999
    assert (together * backwards).sum(1).min() > 0.999


def test_a_mirrored_crop_has_the_same_vector(default: Embedder) -> None:
    crops = [resize(crop, 64, 128) for crop in crops_of(8)]
    flipped = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops]
    assert (default.embed(crops) * default.embed(flipped)).sum(1).min() > 0.9999


def default_in(bfloat16: bool) -> Embedder:
    (path,) = checked_paths(DEFAULT, None)
    builders: dict[str, Callable[[], torch.nn.Module]] = {"rnet": RNet, **BUILDERS}
    network = fold_batch_norms(load_strictly(builders[DEFAULT.builder](), path))
    return Embedder(DEFAULT, TorchRuntime(network, bfloat16=bfloat16))


def test_bfloat16_keeps_the_vectors_of_made_up_crops() -> None:
    crops = crops_of(24)
    assert (default_in(True).embed(crops) * default_in(False).embed(crops)).sum(1).min() >= 0.999


@needs_people
def test_bfloat16_keeps_the_vectors_of_people() -> None:
    crops = [picture for picture, _, _ in people(80)]
    assert (default_in(True).embed(crops) * default_in(False).embed(crops)).sum(1).min() >= 0.999


@needs_prototype
def test_the_clean_network_is_the_prototype() -> None:
    spot = importlib.util.spec_from_file_location("prototype_rnet", SHARED / "prototype" / "rnet.py")
    assert spot is not None
    assert spot.loader is not None
    prototype = importlib.util.module_from_spec(spot)
    spot.loader.exec_module(prototype)
    original = prototype.RNet(ncls=1)
    tensors = torch_tensors(SHARED / "weights" / "people-rnet-c.safetensors")
    missing, unexpected = original.load_state_dict(tensors, strict=False)
    assert (missing, unexpected) == (["cls.weight"], [])
    (path,) = checked_paths(find_model("people-rnet-c", "embed"), None)
    ours = load_strictly(RNet(), path).eval()
    batch = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 3, 128, 64)).astype(np.float32))
    with torch.inference_mode():
        found = cosines(ours(batch).numpy(), original.eval()(batch).numpy())
    assert found.min() >= 0.9999


def torch_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read independently of the product: a header of JSON, then plain bytes."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    kinds = {"F32": np.float32, "I64": np.int64}
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            flat = np.frombuffer(data[start:end], kinds[entry["dtype"]])
            tensors[name] = torch.from_numpy(flat.reshape(entry["shape"]).copy())
    return tensors


def people(count: int) -> list[tuple[Picture, str, str]]:
    """The first `count` crops of the development set with person and camera."""
    folder = SHARED / "eval" / "cuhk01"
    with (folder / "manifest.csv").open() as stream, zipfile.ZipFile(folder / "images.zip") as images:
        inside = {Path(name).name: name for name in images.namelist()}
        rows = list(csv.DictReader(stream))[:count]
        return [
            (decode_photo(images.read(inside[row["file"]]), row["file"]), row["person_id"], row["camera_id"])
            for row in rows
        ]


@needs_people
def test_it_tells_real_people_apart(default: Embedder) -> None:
    # Chance puts the right one first in 2 of 158. Measured .469; with red and blue swapped .413.
    crops, persons, cameras = zip(*people(160), strict=True)
    person, camera = np.array(persons), np.array(cameras)
    vectors = default.embed(crops)
    scores = vectors @ vectors.T
    scores[(person[:, None] == person) & (camera[:, None] == camera)] = -1
    rank1 = (person[scores.argmax(1)] == person).mean()
    assert rank1 > 0.44


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A models folder with the public embedders."""
    for name in PUBLIC:
        for part in find_model(name, "embed").files:
            target = tmp_path / "models" / part.sha256 / part.name
            target.parent.mkdir(parents=True)
            target.symlink_to(SHARED / "eval" / "models" / part.name)
    return tmp_path / "models"


@needs_models
@pytest.mark.parametrize("name", PUBLIC)
def test_public_files_give_their_own_vectors(name: str, filled: Path) -> None:
    embedder = load_embedder(name, filled)
    spec, crops = embedder.spec, crops_of(5)
    pixels = np.stack([resize(crop, 128, 256) for crop in crops]).astype(np.float32)
    paths = checked_paths(spec, filled)
    if spec.backend == "onnx":
        mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
        batch = ((pixels[..., ::-1] - mean) / std).transpose(0, 3, 1, 2).astype(np.float32)
        direct = OnnxRuntime(paths[0], threads=1)(np.ascontiguousarray(batch))[0]
    else:
        batch = pixels.transpose(0, 3, 1, 2)
        direct = OpenVinoRuntime(read_pair(*paths), threads=1)(np.ascontiguousarray(batch))[0]
    found = embedder.embed(crops)
    assert found.shape == (5, spec.dimension)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert cosines(found, direct).min() >= 0.999


def test_a_missing_file_says_how_to_add_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="reid models add FILE"):
        load_embedder("osnet-x0.25-msmt17-onnx", tmp_path)
