"""Reads a frozen TensorFlow graph (a serialized `GraphDef`) without TensorFlow.

Owns the protobuf wire format as far as such a file needs it: nodes with their inputs and attributes,
tensors as numpy arrays. Knows no network and runs nothing. The field numbers are those of TensorFlow's
graph.proto, node_def.proto, attr_value.proto and tensor.proto.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid.errors import ModelError

Tensor = NDArray[np.generic]
Attribute = int | float | bool | bytes | tuple[int, ...] | Tensor

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DT_HALF, _DT_BFLOAT16 = 19, 14
# DataType number -> (numpy type, field of TensorProto that holds single values)
_TYPES: dict[int, tuple[type[np.generic], int]] = {
    1: (np.float32, 5),
    2: (np.float64, 6),
    3: (np.int32, 7),
    4: (np.uint8, 7),
    5: (np.int16, 7),
    6: (np.int8, 7),
    9: (np.int64, 10),
    10: (np.bool_, 11),
    _DT_BFLOAT16: (np.float32, 13),
    _DT_HALF: (np.float16, 13),
}
_MAX_ELEMENTS = 1 << 26


class _WireError(ValueError):
    """The bytes are not what the wire format allows."""


@dataclass(frozen=True)
class Node:
    """One operation of a graph.

    Attributes:
        op: its kind, such as "Const" or "Conv2D".
        inputs: names of the nodes it reads, as written ("name", "name:1", "^name").
        attributes: its numbers, byte strings, lists of integers and tensors; other kinds are left out.
    """

    op: str
    inputs: tuple[str, ...]
    attributes: dict[str, Attribute]


def read_graph(path: Path) -> dict[str, Node]:
    """The nodes of a frozen graph by name, in the file's order.

    Raises:
        ModelError: the file cannot be read or is not a serialized GraphDef.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); check the file") from None
    try:
        return parse_graph(data)
    except ValueError as error:
        raise ModelError(
            f"{path}: expected a frozen TensorFlow graph, {error}; the file is damaged or of another kind:"
            " replace it"
        ) from None


def parse_graph(data: bytes) -> dict[str, Node]:
    """The nodes of a serialized GraphDef; `read_graph` with the bytes at hand.

    Raises:
        ValueError: not a serialized GraphDef.
    """
    nodes: dict[str, Node] = {}
    for field, value in _fields(data):
        if field == 1:
            name, node = _node(_chunk(value))
            if name in nodes:
                raise _WireError(f"node {name!r} comes twice")
            nodes[name] = node
    if not nodes:
        raise _WireError("it holds no nodes")
    return nodes


def constants(nodes: dict[str, Node]) -> dict[str, Tensor]:
    """The tensors of all `Const` nodes by node name."""
    found: dict[str, Tensor] = {}
    for name, node in nodes.items():
        value = node.attributes.get("value")
        if node.op == "Const" and isinstance(value, np.ndarray):
            found[name] = value
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that starts at `at`, and where the next thing starts."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise _WireError("it ends inside a number")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number & 0xFFFF_FFFF_FFFF_FFFF, at
    raise _WireError("a number is longer than ten bytes")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value) of a message: an int for varints, else the raw bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == _VARINT:
            number, at = _varint(data, at)
            yield field, number
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in (_FIXED32, _FIXED64):
            size = 4 if wire == _FIXED32 else 8
        else:
            raise _WireError(f"wire type {wire} at byte {at} is not one that is used")
        if at + size > len(data):
            raise _WireError(f"it ends inside field {field}: {size} bytes announced, {len(data) - at} left")
        yield field, data[at : at + size]
        at += size


def _chunk(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise _WireError("a number stands where a message was expected")
    return value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise _WireError("a message stands where a number was expected")
    return value


def _signed(number: int) -> int:
    return number - (1 << 64) if number >= 1 << 63 else number


def _text(value: int | bytes) -> str:
    try:
        return _chunk(value).decode()
    except UnicodeDecodeError:
        raise _WireError("a name is not UTF-8") from None


def _integers(value: int | bytes) -> list[int]:
    """A repeated integer field: one value, or packed ones."""
    if isinstance(value, int):
        return [_signed(value)]
    numbers, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        numbers.append(_signed(number))
    return numbers


def _node(data: bytes) -> tuple[str, Node]:
    name, op = "", ""
    inputs: list[str] = []
    attributes: dict[str, Attribute] = {}
    for field, value in _fields(data):
        if field == 1:
            name = _text(value)
        elif field == 2:
            op = _text(value)
        elif field == 3:
            inputs.append(_text(value))
        elif field == 5:
            entry = dict(_fields(_chunk(value)))
            attribute = _attribute(_chunk(entry.get(2, b"")))
            if attribute is not None:
                attributes[_text(entry.get(1, b""))] = attribute
    return name, Node(op, tuple(inputs), attributes)


def _attribute(data: bytes) -> Attribute | None:
    """An AttrValue; None for kinds that no reader here needs (types, shapes, functions)."""
    for field, value in _fields(data):
        if field == 1:
            lists = [n for kind, part in _fields(_chunk(value)) if kind == 3 for n in _integers(part)]
            return tuple(lists)
        if field == 2:
            return _chunk(value)
        if field == 3:
            return _signed(_number(value))
        if field == 4:
            return _unpack_float(_chunk(value))
        if field == 5:
            return bool(_number(value))
        if field == 8:
            return _tensor(_chunk(value))
    return None


def _unpack_float(data: bytes) -> float:
    if len(data) != 4:
        raise _WireError(f"a float of {len(data)} bytes")
    return float(struct.unpack("<f", data)[0])


def _shape(data: bytes) -> tuple[int, ...]:
    sizes = []
    for field, value in _fields(data):
        if field == 2:
            sizes.append(_signed(_number(dict(_fields(_chunk(value))).get(1, 0))))
    if any(size < 0 for size in sizes) or math.prod(sizes) > _MAX_ELEMENTS:
        raise _WireError(f"a tensor of shape {tuple(sizes)}")
    return tuple(sizes)


def _tensor(data: bytes) -> Tensor | None:
    """A TensorProto; None for types without a numpy counterpart here (strings, resources)."""
    fields = list(_fields(data))
    kinds = [_number(value) for field, value in fields if field == 1]
    shapes = [_shape(_chunk(value)) for field, value in fields if field == 2]
    if not kinds or kinds[-1] not in _TYPES:
        return None
    kind, shape = kinds[-1], shapes[-1] if shapes else ()
    content = b"".join(_chunk(value) for field, value in fields if field == 4)
    if content:
        return _from_content(content, kind, shape)
    singles = [value for field, value in fields if field == _TYPES[kind][1]]
    return _from_singles(singles, kind, shape)


def _from_content(content: bytes, kind: int, shape: tuple[int, ...]) -> Tensor:
    """Values that lie as raw little-endian memory."""
    stored = np.dtype(np.uint16) if kind == _DT_BFLOAT16 else np.dtype(_TYPES[kind][0])
    if len(content) != math.prod(shape) * stored.itemsize:
        raise _WireError(f"a tensor of shape {shape} with {len(content)} bytes of {stored}")
    values = np.frombuffer(content, stored.newbyteorder("<")).reshape(shape)
    return _widen(values) if kind == _DT_BFLOAT16 else values.astype(stored)


def _from_singles(singles: list[int | bytes], kind: int, shape: tuple[int, ...]) -> Tensor:
    """Values that lie one by one; the last stands for all that follow, none at all for zeros."""
    target = np.dtype(_TYPES[kind][0])
    if kind in (1, 2):
        values: Tensor = np.frombuffer(b"".join(_chunk(value) for value in singles), target.newbyteorder("<"))
    else:
        integers = np.array([n for value in singles for n in _integers(value)], np.int64)
        if kind in (_DT_HALF, _DT_BFLOAT16):
            bits = integers.astype(np.uint16)
            values = bits.view(np.float16) if kind == _DT_HALF else _widen(bits)
        else:
            values = integers.astype(target)
    count = math.prod(shape)
    if len(values) > count:
        raise _WireError(f"a tensor of shape {shape} with {len(values)} values")
    filled = np.zeros(count, target)
    filled[: len(values)] = values
    if len(values):
        filled[len(values) :] = values[-1]
    return filled.reshape(shape)


def _widen(bits: NDArray[np.uint16]) -> Tensor:
    """bfloat16 as float32: its bits are the upper half."""
    return (bits.astype(np.uint32) << 16).view(np.float32)
