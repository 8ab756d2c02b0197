"""The GraphDef reader on hand-made bytes, and the SSDLite port against TensorFlow's own outputs."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from reid.errors import ModelError
from reid.models import find_model
from reid.networks.graphdef import constants, parse_graph, read_graph
from reid.networks.ssdlite import FineSsdLite, SsdLite, anchors, fine_anchors, load_ssdlite
from reid.registry import DEFAULT_DETECTOR
from reid.weights import checked_paths

FIXTURE = Path(__file__).parent / "fixtures" / "ssdlite_reference.npz"
EVAL = Path(__file__).parents[2] / "shared" / "eval"
BIAS = b"BoxPredictor_5/ClassPredictor/biases"

# --- a protobuf writer of a few lines


def varint(number: int) -> bytes:
    number &= 0xFFFF_FFFF_FFFF_FFFF
    done = bytearray()
    while number >= 0x80:
        done.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*done, number])


def chunk(field: int, data: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(data)) + data


def integer(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def tensor(kind: int, shape: tuple[int, ...], values: bytes) -> bytes:
    sizes = b"".join(chunk(2, integer(1, size)) for size in shape)
    return integer(1, kind) + chunk(2, sizes) + values


def node(name: str, op: str, inputs: tuple[str, ...] = (), **attributes: bytes) -> bytes:
    data = chunk(1, name.encode()) + chunk(2, op.encode())
    data += b"".join(chunk(3, source.encode()) for source in inputs)
    data += b"".join(chunk(5, chunk(1, key.encode()) + chunk(2, value)) for key, value in attributes.items())
    return chunk(1, data)


def constant(name: str, kind: int, shape: tuple[int, ...], values: bytes) -> bytes:
    return node(name, "Const", value=chunk(8, tensor(kind, shape, values)))


@pytest.mark.parametrize(
    ("kind", "shape", "values", "expected"),
    [
        # raw memory
        (1, (2, 2), chunk(4, struct.pack("<4f", 1, 2, 3, 4)), np.array([[1, 2], [3, 4]], np.float32)),
        (3, (2,), chunk(4, struct.pack("<2i", -1, 7)), np.array([-1, 7], np.int32)),
        (19, (2,), chunk(4, np.array([0.5, -2], "<f2").tobytes()), np.array([0.5, -2], np.float16)),
        (14, (1,), chunk(4, b"\xc0\x3f"), np.array([1.5], np.float32)),
        # packed values
        (1, (3,), chunk(5, struct.pack("<3f", 1, 2, 3)), np.array([1, 2, 3], np.float32)),
        (2, (1,), chunk(6, struct.pack("<d", 0.1)), np.array([0.1])),
        (9, (2,), chunk(10, varint(-5) + varint(300)), np.array([-5, 300])),
        (10, (2,), chunk(11, b"\x01\x00"), np.array([True, False])),
        (19, (1,), chunk(13, varint(0x3800)), np.array([0.5], np.float16)),
        # one value, not packed; a scalar
        (3, (), integer(7, -3), np.array(-3, np.int32)),
        (1, (), varint(5 << 3 | 5) + struct.pack("<f", 2.5), np.array(2.5, np.float32)),
        # the last value stands for those that follow; none at all for zeros
        (1, (2, 2), chunk(5, struct.pack("<2f", 1, 9)), np.array([[1, 9], [9, 9]], np.float32)),
        (3, (3,), b"", np.zeros(3, np.int32)),
        (1, (0, 4), b"", np.zeros((0, 4), np.float32)),
    ],
)
def test_tensors(kind: int, shape: tuple[int, ...], values: bytes, expected: NDArray[np.generic]) -> None:
    found = constants(parse_graph(constant("c", kind, shape, values)))["c"]
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_nodes_inputs_and_attributes() -> None:
    strides = chunk(1, chunk(3, varint(1) + varint(2)))
    attributes = {
        "strides": strides,
        "epsilon": varint(4 << 3 | 5) + struct.pack("<f", 0.25),
        "training": integer(5, 0),
        "count": integer(3, -2),
        "padding": chunk(2, b"SAME"),
        "T": integer(6, 1),  # a type: left out
    }
    library = chunk(2, b"\x0a\x00")  # another field of GraphDef, skipped
    graph = parse_graph(node("a", "Placeholder") + library + node("b", "Conv2D", ("a", "^a"), **attributes))
    assert list(graph) == ["a", "b"]
    assert graph["b"].op == "Conv2D"
    assert graph["b"].inputs == ("a", "^a")
    assert graph["b"].attributes == {
        "strides": (1, 2), "epsilon": 0.25, "training": False, "count": -2, "padding": b"SAME",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "no nodes"),
        (b"\x12\x00", "no nodes"),
        (b"version https://git-lfs.github.com/spec/v1\n", "wire type|ends inside|number stands"),
        (b"\x89PNG\r\n\x1a\n", "wire type|ends inside"),
        (b"\xff" * 12, "longer than ten bytes"),
        (b"\x0a\x05ab", "5 bytes announced, 2 left"),
        (node("a", "Const") * 2, "'a' comes twice"),
        (integer(1, 5), "number stands where a message"),
        (chunk(1, chunk(1, b"\xff\xfe")), "not UTF-8"),
        (constant("c", 1, (3,), chunk(4, b"\x00" * 8)), "shape .3,. with 8 bytes"),
        (constant("c", 1, (1,), chunk(5, b"\x00" * 8)), "shape .1,. with 2 values"),
        (constant("c", 1, (1,), chunk(5, b"\x00" * 7)), "."),
        (constant("c", 1, (-1,), b""), "tensor of shape"),
        (constant("c", 1, (1 << 20, 1 << 20), b""), "tensor of shape"),  # would not fit in memory
    ],
)
def test_files_that_are_no_graph_are_refused(data: bytes, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=complaint) as caught:
        read_graph(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        read_graph(tmp_path / "none.pb")


def test_a_graph_cut_or_altered_anywhere_gives_no_traceback(tmp_path: Path) -> None:
    whole = node("a", "Placeholder") + constant("c", 1, (2,), chunk(5, struct.pack("<2f", 1, 2)))
    whole += constant("d", 9, (2,), chunk(10, varint(-5) + varint(300)))
    random = np.random.default_rng(0)
    broken = [whole[:end] for end in range(len(whole))]
    for _ in range(1500):
        altered = bytearray(whole)
        altered[random.integers(len(whole))] = random.integers(256)
        broken.append(bytes(altered))
    refused = 0
    for data in broken:
        try:
            parse_graph(data)
        except ValueError:
            refused += 1
    assert refused > len(broken) / 3


# --- the network


@pytest.fixture(scope="module")
def graph_file() -> Path:
    return checked_paths(find_model(DEFAULT_DETECTOR, "detect"), None)[0]


@pytest.fixture(scope="module")
def network(graph_file: Path) -> SsdLite:
    return load_ssdlite(graph_file)


def run(network: SsdLite, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    pixels = np.ascontiguousarray(pictures[..., ::-1].transpose(0, 3, 1, 2), np.float32) / 127.5 - 1
    with torch.inference_mode():
        boxes, classes = network(torch.from_numpy(pixels))
    return boxes.numpy(), classes.numpy()


@pytest.mark.parametrize(
    "path",
    [FIXTURE, EVAL / "ssdlite_reference_synthetic.npz", EVAL / "ssdlite_reference_real.npz"],
    ids=lambda path: path.stem,
)
def test_outputs_are_tensorflows(path: Path, network: SsdLite) -> None:
    if not path.exists():
        pytest.skip(f"{path} is not there")
    with np.load(path) as reference:
        boxes, classes = run(network, reference["images_bgr"])
        np.testing.assert_allclose(boxes, reference["box_encodings"], rtol=0, atol=1e-3)
        np.testing.assert_allclose(classes, reference["class_logits"], rtol=0, atol=1e-3)


def test_anchors_are_tensorflows() -> None:
    with np.load(FIXTURE) as reference:
        corners = reference["anchors_yxyx"] * 300
    centres, sides = (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
    np.testing.assert_allclose(anchors(), np.concatenate([centres, sides], 1), atol=1e-3)


@pytest.mark.parametrize("size", [(33, 33), (577, 769), (300, 300), (97, 1025), (50, 81)])
def test_every_fine_output_has_an_anchor(size: tuple[int, int], network: SsdLite) -> None:
    with torch.inference_mode():
        boxes, classes = FineSsdLite(network)(torch.zeros(1, 3, *size))
    assert boxes.shape == (1, len(fine_anchors(*size)), 4)
    assert classes.shape == (1, len(fine_anchors(*size)), 2)


def test_fine_anchors_stay_near_the_trained_ones() -> None:
    fine = fine_anchors(300, 300)
    # The trained anchors are 300 / 19 and 30 pixels apart, the cells they belong to 16 and 32.
    for level, tolerance in ((slice(0, 19 * 19 * 3), 2.0), (slice(19 * 19 * 3, None), 9.1)):
        trained = anchors()[: len(fine)][level]
        np.testing.assert_array_equal(fine[level][:, 2:], trained[:, 2:])
        assert np.abs(fine[level][:, :2] - trained[:, :2]).max() <= tolerance
        assert np.abs((fine[level][:, :2] - trained[:, :2]).mean(0)).max() < 0.01


def test_fine_outputs_move_with_the_picture(network: SsdLite) -> None:
    """Shifted by the coarser stride, far from the borders, the same comes out one cell further."""
    random = np.random.default_rng(0)
    noise = torch.from_numpy(random.standard_normal((1, 3, 65, 1089), np.float32))
    with torch.inference_mode():
        _, here = FineSsdLite(network)(noise[..., :1025])
        _, there = FineSsdLite(network)(noise[..., 64:])
    maps = [logits[0, : 5 * 65 * 3].reshape(5, 65, 6).numpy() for logits in (here, there)]
    np.testing.assert_allclose(maps[0][:, 30:38], maps[1][:, 26:34], atol=1e-3)
    assert np.abs(maps[0][:, 30:38] - maps[1][:, 30:38]).max() > 0.1


@pytest.mark.parametrize(
    ("alter", "complaint"),
    [
        # a weight is missing
        (lambda data: data.replace(BIAS, BIAS[:-1] + b"z"), "ClassPredictor/BatchNorm/gamma.* is missing"),
        # one is left over
        (lambda data: data + constant("BoxPredictor_9/weights", 1, (2,), b""), "BoxPredictor_9/weights"),
        # another shape: a second definition replaces nothing, the graph is refused
        (lambda data: data + constant(BIAS.decode(), 1, (2,), b""), "comes twice"),
        # no batch normalization where one belongs
        (
            lambda data: data.replace(b"MobilenetV2/Conv/BatchNorm/FusedBatchNorm", b"M" * 41),
            "FusedBatchNorm with an epsilon",
        ),
        # cut in half
        (lambda data: data[: len(data) // 2], "announced"),
        # a graph of something else
        (lambda data: node("x", "Placeholder"), "expected weight FeatureExtractor/MobilenetV2/Conv/weights"),
    ],
)
def test_another_networks_graph_is_refused(alter, complaint: str, graph_file: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "graph.pb"
    path.write_bytes(alter(graph_file.read_bytes()))
    with pytest.raises(ModelError, match=complaint):
        load_ssdlite(path)


def test_a_weight_of_another_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(constant("FeatureExtractor/MobilenetV2/Conv/weights", 1, (3, 3, 3, 16), b""))
    with pytest.raises(ModelError, match=r"of shape \(3, 3, 3, 32\), it has shape \(3, 3, 3, 16\)"):
        load_ssdlite(path)
