"""Labelled crops on disk: rendered once, read as memory-mapped arrays by every run after.

A cache is a folder of shards and `crops.json`. Shard k is `crops-k.npy`, (N, H, W, 3) uint8 BGR,
`masks-k.npy`, (N, H, W) uint8, and `labels-k.npz`, written last: a shard exists when its labels do, so
rendering may be killed at any time.
Knows no renderer and no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reid.attributes import COLUMNS
from reid.durable import make_folder, write_file, write_npz
from reid.errors import DamagedError, FormatError, InputError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 3
MANIFEST = "crops.json"

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Labels:
    """Labels of N crops.

    Attributes:
        identities: (N,) int64; equal for the same person in the same outfit.
        cameras: (N,) int64.
        conditions: (N,) int64, rows of `CropSet.condition_names` (the light).
        targets: (N, COLUMNS) int8, see `targets.Targets`.
    """

    identities: Ints
    cameras: Ints
    conditions: Ints
    targets: NDArray[np.int8]

    def __post_init__(self) -> None:
        count = len(self.identities)
        for labels in (self.identities, self.cameras, self.conditions):
            if labels.shape != (count,) or labels.dtype != np.int64:
                raise ValueError(f"expected {count} int64 labels, got {labels.shape} {labels.dtype}")
        if self.targets.shape != (count, COLUMNS) or self.targets.dtype != np.int8:
            raise ValueError(f"expected targets ({count}, {COLUMNS}) int8, got {self.targets.shape}")

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """By name, as a shard holds them."""
        return dict(vars(self))


class Crops(Protocol):
    """What a run learns from.

    Attributes:
        labels: of the N crops there are.
        people: identities are numbers below this.
    """

    @property
    def labels(self) -> Labels:
        """See the class."""
        ...

    @property
    def people(self) -> int:
        """See the class."""
        ...

    def __len__(self) -> int: ...

    def gather(self, rows: Ints) -> NDArray[np.uint8] | Tensor:
        """(B, H, W, 3) uint8 BGR crops `rows` (B,), in that order."""
        ...

    def gather_masks(self, rows: Ints) -> NDArray[np.uint8] | Tensor | None:
        """(B, H, W) uint8 masks of `rows`; None where they are not known."""
        ...


@dataclass(frozen=True)
class CropSet:
    """Crops with labels, the pixels left where they lie.

    Attributes:
        pictures: arrays (n, H, W, 3) uint8 BGR whose rows, one array after the other, are the N crops.
        labels: of all N.
        condition_names: what `labels.conditions` counts.
        about: what the manifest says of their making.
        masks: arrays (n, H, W) uint8 beside `pictures`: what each pixel shows, `reid.people.labels.PERSON`;
            empty where that is not known.
    """

    pictures: Sequence[NDArray[np.uint8]]
    labels: Labels
    condition_names: tuple[str, ...]
    about: Mapping[str, Any]
    masks: Sequence[NDArray[np.uint8]] = ()

    def __post_init__(self) -> None:
        if sum(map(len, self.pictures)) != len(self.labels.identities):
            raise ValueError("expected as many crops as labels")
        if self.masks and [each.shape for each in self.masks] != [each.shape[:3] for each in self.pictures]:
            raise ValueError("expected a mask for every crop")

    def __len__(self) -> int:
        return len(self.labels.identities)

    @property
    def people(self) -> int:
        """How many identities there are; they are numbered from 0 without a gap."""
        return int(self.labels.identities.max()) + 1

    def gather(self, rows: Ints) -> NDArray[np.uint8]:
        """(B, H, W, 3) uint8 BGR crops `rows` (B,), in that order."""
        return _gathered(self.pictures, rows)

    def gather_masks(self, rows: Ints) -> NDArray[np.uint8] | None:
        """(B, H, W) uint8 masks of `rows`; None where they are not known."""
        return _gathered(self.masks, rows) if self.masks else None


def _gathered(parts: Sequence[NDArray[np.uint8]], rows: Ints) -> NDArray[np.uint8]:
    ends = np.cumsum([len(each) for each in parts])
    shards = np.searchsorted(ends, rows, "right")
    out = np.empty((len(rows), *parts[0].shape[1:]), np.uint8)
    for shard in np.unique(shards):
        here = shards == shard
        first = ends[shard] - len(parts[shard])
        out[here] = parts[shard][rows[here] - first]
    return out


def _crops_path(folder: Path, shard: int) -> Path:
    return folder / f"crops-{shard:05d}.npy"


def _masks_path(folder: Path, shard: int) -> Path:
    return folder / f"masks-{shard:05d}.npy"


def _labels_path(folder: Path, shard: int) -> Path:
    return folder / f"labels-{shard:05d}.npz"


def write_manifest(
    folder: Path, shards: int, size: tuple[int, int], conditions: Sequence[str], about: Mapping[str, Any]
) -> None:
    """Begin a cache of `shards` shards of crops of `size` (height, width); `about` says how they are made.

    Raises:
        StorageError: the disk refused.
    """
    make_folder(folder)
    table = {
        "format": FORMAT, "shards": shards, "height": size[0], "width": size[1],
        "conditions": list(conditions), "about": dict(about),
    }  # fmt: skip
    write_file(folder / MANIFEST, json.dumps(table, indent=1).encode())


def write_shard(
    folder: Path, shard: int, pictures: NDArray[np.uint8], masks: NDArray[np.uint8], labels: Labels
) -> None:
    """Put one shard into a cache; it exists when this returns, and not before.

    Args:
        folder, shard: where. pictures, masks: see `CropSet`. labels: of the crops.

    Raises:
        StorageError: the disk refused.
    """
    for path, array in ((_crops_path(folder, shard), pictures), (_masks_path(folder, shard), masks)):
        stream = BytesIO()
        np.save(stream, array, allow_pickle=False)
        write_file(path, stream.getvalue())
    write_npz(_labels_path(folder, shard), labels.arrays())


def missing_shards(folder: Path) -> list[int]:
    """Numbers of the shards that are not there yet, by the manifest of `folder`."""
    shards = range(_manifest(folder)["shards"])
    return [shard for shard in shards if not _labels_path(folder, shard).is_file()]


def finished_shards(folder: Path) -> list[int]:
    """Numbers of the shards that are there, by the manifest of `folder`; none before it is written."""
    if not (folder / MANIFEST).is_file():
        return []
    missing = set(missing_shards(folder))
    return [shard for shard in range(_manifest(folder)["shards"]) if shard not in missing]


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        table = json.loads(path.read_text("utf-8"))
        version = table["format"]
    except FileNotFoundError:
        raise InputError(f"{folder}: expected a cache of crops with {MANIFEST}; check the path") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path}: cannot be read ({error}); remove the folder, it is made again") from None
    if version != FORMAT:
        raise FormatError(f"{path}: format {version}, this release reads {FORMAT}; remove the folder")
    return dict(table)


def open_crops(folder: Path) -> CropSet:
    """Open a finished cache.

    Raises:
        InputError: no cache, not finished, or without any crop.
        FormatError: another format version.
        DamagedError: a shard that is not what it should be; names it.
    """
    table = _manifest(folder)
    missing = missing_shards(folder)
    if missing:
        raise InputError(f"{folder}: {len(missing)} of {table['shards']} shards are not rendered yet")
    size = (table["height"], table["width"])
    shards = [read_shard(folder, shard, size) for shard in range(table["shards"])]
    full = [shard for shard in shards if len(shard[0])]
    if not full:
        raise InputError(f"{folder}: no crop in it")
    pictures, masks, labels = zip(*full, strict=True)
    return CropSet(pictures, _joined(labels), tuple(table["conditions"]), table["about"], masks)


def _joined(parts: Sequence[Labels]) -> Labels:
    """All labels, identities numbered from 0 without a gap."""
    names = ("identities", "cameras", "conditions", "targets")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    identities = np.unique(columns.pop("identities"), return_inverse=True)[1]
    return Labels(identities.astype(np.int64), **columns)


def read_shard(
    folder: Path, shard: int, size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Labels]:
    """Pictures and masks, memory-mapped, and labels of one finished shard; `size` (height, width) of a crop.

    Raises:
        DamagedError: it is not what it should be; names it.
    """
    path = _labels_path(folder, shard)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            labels = Labels(**{name: arrays[name] for name in arrays.files})
    except Exception as error:  # noqa: BLE001  a damaged zip file raises errors of every kind
        raise DamagedError(_again(folder, shard, f"{path.name} cannot be read ({error})")) from None
    shape = (len(labels.identities), *size)
    pictures = _open_array(folder, shard, _crops_path(folder, shard), (*shape, 3))
    return pictures, _open_array(folder, shard, _masks_path(folder, shard), shape), labels


def _open_array(folder: Path, shard: int, path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    try:
        array: NDArray[np.uint8] = np.load(path, mmap_mode="r" if shape[0] else None, allow_pickle=False)
    except Exception as error:  # noqa: BLE001  numpy tells a damaged file in several ways
        raise DamagedError(_again(folder, shard, f"{path.name} cannot be read ({error})")) from None
    if array.shape != shape or array.dtype != np.uint8:
        found = f"expected {path.name} {shape} uint8, got {array.shape} {array.dtype}"
        raise DamagedError(_again(folder, shard, found))
    return array


def _again(folder: Path, shard: int, problem: str) -> str:
    name = _labels_path(folder, shard).name
    return f"{folder}: shard {shard} is damaged: {problem}; remove {name} and run again to have it rendered"
