"""OSNet: torchreid's names, shapes and numbers; strict and safe loading of checkpoints."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reid.errors import ModelError
from reid.networks.checkpoints import fold_batch_norms, load_strictly, read_checkpoint
from reid.networks.osnet import BUILDERS
from reid.runtimes.onnx import OnnxRuntime

# On a busy machine two threads wait for each other far longer than these small networks compute.
torch.set_num_threads(1)

ONNX = Path(__file__).parents[2] / "shared" / "eval" / "models" / "osnet_x0_25_msmt17.onnx"

# Parameters without the classifier as torchreid prints them. It counts the gates, which four streams share
# in each block, once per stream; the extra is three times the gates' own parameters.
PUBLISHED = [("osnet_x1_0", 2_193_616), ("osnet_x0_25", 203_568)]


def names(prefix: str, *rows: tuple[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {f"{prefix}.{name}": shape for name, shape in rows}


def norm(prefix: str, channels: int, *, instance: bool = False) -> dict[str, tuple[int, ...]]:
    fields = ("weight", "bias") if instance else ("weight", "bias", "running_mean", "running_var")
    return {f"{prefix}.{field}": (channels,) for field in fields}


def conv(
    prefix: str, inputs: int, outputs: int, kernel: int = 1, kind: str = "batch"
) -> dict[str, tuple[int, ...]]:
    rows = names(prefix, ("conv.weight", (outputs, inputs, kernel, kernel)))
    return rows if kind == "none" else rows | norm(f"{prefix}.bn", outputs, instance=kind == "instance")


def light(prefix: str, channels: int) -> dict[str, tuple[int, ...]]:
    shapes = ("conv1.weight", (channels, channels, 1, 1)), ("conv2.weight", (channels, 1, 3, 3))
    return names(prefix, *shapes) | norm(f"{prefix}.bn", channels)


def block(
    prefix: str, inputs: int, outputs: int, *, adaptive: bool, instance: bool
) -> dict[str, tuple[int, ...]]:
    middle, narrow = outputs // 4, outputs // 64
    rows = conv(f"{prefix}.conv1", inputs, middle)
    for depth in range(1, 5):
        for step in range(depth):
            letter = "abcd"[depth - 1]
            plain = f"{prefix}.conv2{letter}" + (f".{step}" if depth > 1 else "")
            rows |= light(f"{prefix}.conv2.{depth - 1}.layers.{step}" if adaptive else plain, middle)
    rows |= names(
        f"{prefix}.gate",
        ("fc1.weight", (narrow, middle, 1, 1)), ("fc1.bias", (narrow,)),
        ("fc2.weight", (middle, narrow, 1, 1)), ("fc2.bias", (middle,)),
    )  # fmt: skip
    rows |= conv(f"{prefix}.conv3", middle, outputs, kind="none" if adaptive and instance else "batch")
    if inputs != outputs:
        rows |= conv(f"{prefix}.downsample", inputs, outputs)
    if instance:
        rows |= norm(f"{prefix}.IN", outputs, instance=True)
    return rows


def expected(channels: tuple[int, ...], variant: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes as torchreid's source gives them, without classifier and step counters."""
    adaptive = variant == "ain"
    stages = {"plain": ("", "", ""), "ibn": ("11", "", ""), "ain": ("11", "01", "10")}[variant]
    rows = conv("conv1", 3, channels[0], 7, "batch" if variant == "plain" else "instance")
    for number, flags in zip((2, 3, 4), stages, strict=True):
        inputs, outputs = channels[number - 2], channels[number - 1]
        for index in range(2):
            source = inputs if index == 0 else outputs
            instance = flags[index : index + 1] == "1"
            rows |= block(f"conv{number}.{index}", source, outputs, adaptive=adaptive, instance=instance)
        if number < 4:
            rows |= conv(f"pool{number}.0" if adaptive else f"conv{number}.2.0", outputs, outputs)
    rows |= conv("conv5", channels[3], channels[3])
    rows |= names("fc", ("0.weight", (512, channels[3])), ("0.bias", (512,))) | norm("fc.1", 512)
    return rows


@pytest.mark.parametrize(
    ("builder", "channels", "variant"),
    [
        ("osnet_x1_0", (64, 256, 384, 512), "plain"),
        ("osnet_x0_75", (48, 192, 288, 384), "plain"),
        ("osnet_x0_5", (32, 128, 192, 256), "plain"),
        ("osnet_x0_25", (16, 64, 96, 128), "plain"),
        ("osnet_ibn_x1_0", (64, 256, 384, 512), "ibn"),
        ("osnet_ain_x1_0", (64, 256, 384, 512), "ain"),
        ("osnet_ain_x0_75", (48, 192, 288, 384), "ain"),
        ("osnet_ain_x0_5", (32, 128, 192, 256), "ain"),
        ("osnet_ain_x0_25", (16, 64, 96, 128), "ain"),
    ],
)
def test_names_and_shapes_are_torchreids(builder: str, channels: tuple[int, ...], variant: str) -> None:
    state = BUILDERS[builder]().state_dict()
    found = {n: tuple(t.shape) for n, t in state.items() if not n.endswith("num_batches_tracked")}
    assert found == expected(channels, variant)


@pytest.mark.parametrize(("builder", "published"), PUBLISHED)
def test_parameter_count_is_the_published_one(builder: str, published: int) -> None:
    network = BUILDERS[builder]()
    gates = sum(p.numel() for n, p in network.named_parameters() if ".gate." in n)
    assert sum(p.numel() for p in network.parameters()) + 3 * gates == published


def checkpoint(builder: str) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return dict(BUILDERS[builder]().state_dict())


def vectors(network: nn.Module) -> Tensor:
    torch.manual_seed(5)
    with torch.inference_mode():
        out: Tensor = network.eval()(torch.randn(2, 3, 64, 32))
    return out


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,  # a bare state dict
        lambda state: {"state_dict": state, "epoch": 3},
        # as torchreid's trainer saves it: data-parallel names, its score a numpy scalar
        lambda state: {
            "state_dict": {f"module.{name}": tensor for name, tensor in state.items()},
            "rank1": np.float32(0.5), "mAP": np.float64(0.25), "optimizer": {"state": {}, "param_groups": []},
        },
        lambda state: {**state, "classifier.weight": torch.zeros(7, 512), "classifier.bias": torch.zeros(7)},
        # written before torch counted steps
        lambda state: {n: t for n, t in state.items() if not n.endswith("num_batches_tracked")},
    ],
    ids=["bare", "wrapped", "trainer", "classifier", "no counters"],
)  # fmt: skip
def test_every_form_of_public_checkpoint_loads(wrap, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    state = checkpoint("osnet_x0_25")
    torch.save(wrap(state), tmp_path / "weights.pth.tar")
    loaded = load_strictly(BUILDERS["osnet_x0_25"](), tmp_path / "weights.pth.tar")
    original = BUILDERS["osnet_x0_25"]()
    original.load_state_dict(state)
    assert torch.equal(vectors(loaded), vectors(original))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("fc.0.bias"), ["1 missing", "fc.0.bias"]),
        (lambda s: s.update(extra=torch.zeros(1)), ["1 unexpected", "extra"]),
        (lambda s: s.update({"fc.0.bias": torch.zeros(9)}), ["fc.0.bias (9,) instead of (512,)"]),
        (lambda s: s.clear(), ["missing: ", "more"]),
    ],
    ids=["missing", "unexpected", "shape", "empty"],
)
def test_what_does_not_fit_is_named(change, words: list[str], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    state = checkpoint("osnet_x0_25")
    change(state)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(ModelError) as caught:
        load_strictly(BUILDERS["osnet_x0_25"](), tmp_path / "weights.pth")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_another_width_is_refused(tmp_path: Path) -> None:
    torch.save(checkpoint("osnet_x0_5"), tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="of another shape"):
        load_strictly(BUILDERS["osnet_x0_25"](), tmp_path / "weights.pth")


class Bomb:
    """Unpickling it would run a command."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._mark,)


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "ran")}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="expected a torch checkpoint"):
        read_checkpoint(tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    "content", [b"", b"\0", b"not a model", b"PK\x03\x04" + bytes(60), b"\x80\x02" + bytes(40)]
)
def test_damaged_files_are_model_errors(content: bytes, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"weights{suffix}").write_bytes(content)
    with pytest.raises(ModelError):
        read_checkpoint(tmp_path / f"weights{suffix}")


def test_a_cut_off_checkpoint_is_a_model_error(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(checkpoint("osnet_x0_25"), path)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(ModelError):
        read_checkpoint(path)


@pytest.mark.parametrize("held", [[1, 2], {"a": 3}, torch.zeros(2)], ids=["list", "number", "tensor"])
def test_other_content_is_a_model_error(held: object, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="expected a state dict"):
        read_checkpoint(tmp_path / "weights.pth")


@pytest.mark.parametrize("builder", ["osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x0_25"])
def test_folding_batch_norms_keeps_the_output(builder: str) -> None:
    torch.manual_seed(1)
    network = BUILDERS[builder]()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    before = vectors(network)
    folded = fold_batch_norms(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert torch.nn.functional.cosine_similarity(before, vectors(folded)).min() > 0.99999
    assert torch.allclose(before, vectors(folded), rtol=1e-2, atol=1e-3 * float(before.abs().max()))


# A reader of the few protobuf fields the numerical oracle needs; the package onnx is no dependency.


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 127) << shift, shift + 7, at + 1
        if byte < 128:
            return value, at


def fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
            yield key >> 3, value
        else:
            size, at = {5: (4, at), 1: (8, at), 2: varint(data, at) if key & 7 == 2 else (0, at)}[key & 7]
            yield key >> 3, data[at : at + size]
            at += size


def texts(message: bytes, number: int) -> list[str]:
    return [
        value.decode() for field, value in fields(message) if field == number and isinstance(value, bytes)
    ]


def module_path(node: str) -> str:
    """ "/conv2/conv2.0/conv2b/conv2b.0/conv2/Conv" to "conv2.0.conv2b.0.conv2"."""
    path: list[str] = []
    for part in node.strip("/").split("/")[:-1]:
        if path and part.startswith(f"{path[-1]}."):
            path.pop()
        path.append(part)
    return ".".join(path)


def exported_state(path: Path) -> dict[str, Tensor]:
    """The state dict behind an exported OSNet; folded batch norms come back as a scale of 1 and a bias."""
    graph = next(v for field, v in fields(path.read_bytes()) if field == 7 and isinstance(v, bytes))
    messages = [(field, v) for field, v in fields(graph) if field in (1, 5) and isinstance(v, bytes)]
    tensors: dict[str, Tensor] = {}
    for field, message in messages:
        if field == 5:
            shape = [v for number, v in fields(message) if number == 1 and isinstance(v, int)]
            raw = next(v for number, v in fields(message) if number == 9 and isinstance(v, bytes))
            values = np.array(struct.unpack(f"<{len(raw) // 4}f", raw), np.float32).reshape(shape)
            tensors[texts(message, 8)[0]] = torch.from_numpy(values)
    state = {name: tensor for name, tensor in tensors.items() if not name.startswith("onnx::")}
    for field, message in messages:
        if field == 1 and texts(message, 4) == ["Conv"] and texts(message, 1)[1].startswith("onnx::"):
            where = module_path(texts(message, 3)[0])
            _, weight, bias = texts(message, 1)
            bn = f"{where.rpartition('.')[0]}.bn"
            state[f"{where}.weight"], state[f"{bn}.bias"] = tensors[weight], tensors[bias]
            state[f"{bn}.weight"] = torch.ones_like(tensors[bias])
            state[f"{bn}.running_mean"] = torch.zeros_like(tensors[bias])
            state[f"{bn}.running_var"] = torch.full_like(tensors[bias], 1 - 1e-5)
    return state


@pytest.mark.skipif(not ONNX.exists(), reason="needs shared/eval/models/osnet_x0_25_msmt17.onnx")
def test_real_weights_give_the_vectors_of_the_exported_file(tmp_path: Path) -> None:
    torch.save(exported_state(ONNX), tmp_path / "weights.pth")
    network = load_strictly(BUILDERS["osnet_x0_25"](), tmp_path / "weights.pth").eval()
    batch = np.random.default_rng(0).normal(size=(4, 3, 256, 128)).astype(np.float32)
    reference = torch.from_numpy(OnnxRuntime(ONNX, threads=1)(batch)[0])
    with torch.inference_mode():
        plain = network(torch.from_numpy(batch))
        folded = fold_batch_norms(network)(torch.from_numpy(batch))
    for ours in (plain, folded):
        assert torch.nn.functional.cosine_similarity(ours, reference).min() >= 0.9999
