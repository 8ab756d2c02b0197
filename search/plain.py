"""Frozen dataclasses as plain JSON values and back, by their type hints.

Owns the translation and the refusal of what does not fit; knows no meaning.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from reid.errors import InputError

T = TypeVar("T")

_SCALARS: tuple[type, ...] = (bool, int, float, str)


def to_plain(value: object) -> Any:
    """What `json` can write of a value made of dataclasses, tuples, sets, mappings, numbers, texts and None.

    Raises:
        TypeError: anything else, such as an array: keep what it was made from instead.
    """
    if value is None or isinstance(value, _SCALARS):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in _kept(type(value))}
    if isinstance(value, Mapping):
        return {str(key): to_plain(each) for key, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(to_plain(each) for each in value)
    if isinstance(value, tuple):
        return [to_plain(each) for each in value]
    raise TypeError(f"expected a value that JSON can hold, got {type(value).__name__}")


def from_plain(kind: type[T], value: object, where: str) -> T:
    """A value of this type, from what `to_plain` made of one; fields that are absent have their defaults.

    Args:
        kind: a dataclass, or any type `to_plain` knows.
        value: as read from JSON.
        where: for messages: which part of which file.

    Raises:
        InputError: it does not fit the type, or has fields this release does not know; and whatever the
            dataclasses themselves refuse.
        TypeError: a type `to_plain` does not know.
    """
    return cast(T, _read(kind, value, where))


def _kept(kind: type) -> list[Field[Any]]:
    return [field for field in fields(kind) if field.init]


def _read(kind: Any, value: object, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value, where)
    if origin is Literal:
        if value in get_args(kind):
            return value
        raise _unfit(where, " or ".join(map(repr, get_args(kind))), value)
    if is_dataclass(kind):
        return _read_dataclass(cast(type, kind), value, where)
    if origin in (tuple, frozenset):
        return origin(_read_items(origin, get_args(kind), value, where))
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _unfit(where, "an object", value)
        return {str(key): _read(get_args(kind)[1], each, f"{where}.{key}") for key, each in value.items()}
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in _SCALARS:
        if type(value) is kind:
            return value
        raise _unfit(where, kind.__name__, value)
    raise TypeError(f"{where}: no plain form of {kind}; see search/plain.py")


def _read_union(kinds: tuple[Any, ...], value: object, where: str) -> Any:
    others = [kind for kind in kinds if kind is not types.NoneType]
    if value is None and len(others) < len(kinds):
        return None
    if len(others) != 1:
        raise TypeError(f"{where}: which of several types is meant cannot be told; see search/plain.py")
    return _read(others[0], value, where)


def _read_items(origin: type, kinds: tuple[Any, ...], value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _unfit(where, "a list", value)
    if origin is tuple and (len(kinds) < 2 or kinds[1] is not Ellipsis):
        if len(value) != len(kinds):
            raise _unfit(where, f"{len(kinds)} values", value)
    else:
        kinds = (kinds[0],) * len(value)
    return [
        _read(kind, each, f"{where}[{number}]")
        for number, (kind, each) in enumerate(zip(kinds, value, strict=True))
    ]


def _read_dataclass(kind: type, value: object, where: str) -> Any:
    if not isinstance(value, dict):
        raise _unfit(where, "an object", value)
    hints = get_type_hints(kind)
    known = {field.name: field for field in _kept(kind)}
    strange = sorted(value.keys() - known.keys())
    if strange:
        raise InputError(
            f"{where}: {', '.join(strange)}: not known to this release; use the one that wrote the file"
        )
    for name, field in known.items():
        if name not in value and field.default is MISSING and field.default_factory is MISSING:
            raise _unfit(f"{where}.{name}", "a value", None)
    return kind(**{name: _read(hints[name], each, f"{where}.{name}") for name, each in value.items()})


def _unfit(where: str, expected: str, value: object) -> InputError:
    return InputError(f"{where}: expected {expected}, got {str(value)[:60]!r}")
