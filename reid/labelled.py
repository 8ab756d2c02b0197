"""Labelled folders: pictures of people with who and which camera, as `reid eval` reads them.

A folder holds `manifest.csv` (file, person_id, camera_id[, condition]; further columns are left alone)
and the pictures: beside it, in `images/`, or in `images.zip`. Owns the reading and the turning into
vectors. Knows no metric; labels are opaque texts.
"""

from __future__ import annotations

import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from reid.errors import InputError, PhotoError
from reid.images import Picture, decode_photo, read_photo
from reid.quality import picture_quality
from reid.tables import read_table

MANIFEST = "manifest.csv"
ARCHIVE = "images.zip"
_REQUIRED = ("file", "person_id", "camera_id")
_OPTIONAL = ("condition",)
_SHOWN_PROBLEMS = 10
_BATCH = 128
_MAX_BYTES = 500_000_000
"""Of one picture in the zip file, unpacked; a small zip file can claim a huge one."""

SkipReason = Literal["duplicate", "outside", "missing", "unreadable"]


@dataclass(frozen=True)
class LabelledImage:
    """One line of the manifest.

    Attributes:
        file: its name, a relative path with slashes.
        person, camera: labels.
        condition: "" where none is given.
        line: of the manifest, from 1.
    """

    file: str
    person: str
    camera: str
    condition: str
    line: int


@dataclass(frozen=True)
class Skipped:
    """A line of the manifest that does not count, and why.

    `duplicate`: the same file with the same labels stood before; `outside`: the name leads out of the
    folder; `missing`; `unreadable`.
    """

    file: str
    line: int
    reason: SkipReason
    message: str


@dataclass(frozen=True)
class LabelledVectors:
    """What the protocol takes: one row a picture.

    Attributes:
        vectors: (N, D) float32 unit rows.
        people, cameras: (N,) int64; equal numbers mean the same person, the same camera.
        conditions: (N,) int64 rows of `condition_names`.
        condition_names: empty when no conditions are known.
        qualities: (N,) float32, 0..1, see `reid.quality.picture_quality`; None where no picture was at hand.
    """

    vectors: NDArray[np.float32]
    people: NDArray[np.int64]
    cameras: NDArray[np.int64]
    conditions: NDArray[np.int64]
    condition_names: tuple[str, ...] = ()
    qualities: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        count = len(self.vectors)
        if self.vectors.ndim != 2 or self.vectors.dtype != np.float32:
            raise ValueError(f"expected vectors (N, D) float32, got {self.vectors.shape}")
        for labels in (self.people, self.cameras, self.conditions):
            if labels.shape != (count,):
                raise ValueError(f"expected {count} labels, got {labels.shape}")


class Embeds(Protocol):
    """What is asked of an embedder here; see `reid.embedder.Embedder.embed`."""

    def embed(self, crops: Sequence[Picture]) -> NDArray[np.float32]:
        """(N, D) float32 unit vectors of N pictures."""
        ...


@dataclass(frozen=True)
class LabelledFolder:
    """A folder whose manifest was read; the pictures are read when they are wanted.

    Attributes:
        folder: where it lies.
        images: each file once, sorted by name, so that the order of the manifest does not matter.
        skipped: lines that repeat another.
    """

    folder: Path
    images: tuple[LabelledImage, ...]
    skipped: tuple[Skipped, ...]

    @property
    def has_conditions(self) -> bool:
        """Does any line give a condition?"""
        return any(image.condition for image in self.images)

    def pictures(self) -> Iterator[tuple[LabelledImage, Picture | Skipped]]:
        """Each image with its picture, (H, W, 3) uint8 BGR, or with why there is none.

        Raises:
            InputError: `images.zip` is there, and is no zip file.
        """
        packed = self.folder / ARCHIVE
        if not packed.is_file():
            yield from ((image, self._loose(image)) for image in self.images)
            return
        try:
            with zipfile.ZipFile(packed) as archive:
                names = {unicodedata.normalize("NFC", info.filename): info for info in archive.infolist()}
                for image in self.images:
                    info = names.get(image.file) or names.get(f"images/{image.file}")
                    yield image, self._loose(image) if info is None else _unpacked(archive, info, image)
        except (zipfile.BadZipFile, OSError) as error:
            raise InputError(
                f"{packed}: expected a zip file of the pictures ({error}); copy it again"
            ) from None

    def _loose(self, image: LabelledImage) -> Picture | Skipped:
        if not _is_inside(image.file):
            return _skip(image, "outside", "expected a relative path inside the folder, without '..'")
        # Some systems store names with composed letters, some with decomposed ones.
        names = (image.file, unicodedata.normalize("NFD", image.file))
        places = [folder / name for folder in (self.folder, self.folder / "images") for name in names]
        try:
            path = next((place for place in places if place.exists()), None)
            if path is None:
                return _skip(image, "missing", f"not in {self.folder}, its images/ or its {ARCHIVE}")
            return read_photo(path)
        except (PhotoError, OSError, ValueError) as error:
            return _skip(image, "unreadable", str(error))


def read_folder(folder: Path) -> LabelledFolder:
    """Read the manifest of a labelled folder.

    Raises:
        InputError: no such folder or manifest, not the expected columns, no line, lines without a label,
            or one file with two different labels; all such lines are listed.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise InputError(f"{folder}: expected a folder with {MANIFEST} and the pictures; check the path")
    found: dict[str, LabelledImage] = {}
    skipped: list[Skipped] = []
    problems: list[str] = []
    for line, row in read_table(path, _REQUIRED, _OPTIONAL, others=True):
        name = str(PurePosixPath(row["file"])) if row["file"] else ""  # ./a.png is a.png
        image = LabelledImage(name, row["person_id"], row["camera_id"], row["condition"], line)
        empty = [name for name in _REQUIRED if not row[name]]
        before = found.setdefault(image.file, image)
        if empty:
            problems.append(f"line {line}: {', '.join(empty)} is empty")
        elif before is not image:
            if _labels(before) == _labels(image):
                skipped.append(_skip(image, "duplicate", f"the same as line {before.line}"))
            else:
                problems.append(f"line {line}: {image.file} has other labels in line {before.line}")
    if problems:
        more = [f"and {len(problems) - _SHOWN_PROBLEMS} more"] if len(problems) > _SHOWN_PROBLEMS else []
        head = f"{path}: correct {len(problems)} line(s), then try again"
        raise InputError("\n  ".join([head, *problems[:_SHOWN_PROBLEMS], *more]))
    if not found:
        raise InputError(f"{path}: expected one picture a line after the header, got none")
    return LabelledFolder(folder, tuple(found[name] for name in sorted(found)), tuple(skipped))


def embed_folder(
    labelled: LabelledFolder, embedder: Embeds, progress: Callable[[int, int], None] = lambda done, of: None
) -> tuple[LabelledVectors, tuple[Skipped, ...]]:
    """The vectors of all pictures that can be read, and all lines that do not count.

    Args:
        labelled: the folder.
        embedder: turns pictures into vectors.
        progress: told (pictures looked at, pictures there are) after each batch.

    Raises:
        InputError: not one picture can be read.
    """
    kept: list[LabelledImage] = []
    skipped = list(labelled.skipped)
    parts: list[NDArray[np.float32]] = []
    qualities: list[float] = []
    looked_at = 0
    source = labelled.pictures()
    while batch := list(islice(source, _BATCH)):
        good = [(image, picture) for image, picture in batch if not isinstance(picture, Skipped)]
        skipped += [picture for _, picture in batch if isinstance(picture, Skipped)]
        if good:
            parts.append(embedder.embed([picture for _, picture in good]))
            qualities += [picture_quality(picture) for _, picture in good]
            kept += [image for image, _ in good]
        looked_at += len(batch)
        progress(looked_at, len(labelled.images))
    if not kept:
        first = next(skip for skip in skipped if skip.reason != "duplicate")
        raise InputError(
            f"{labelled.folder}: none of {len(labelled.images)} pictures can be read;"
            f" the first: {first.file}: {first.message}"
        )
    skipped.sort(key=lambda skip: skip.line)
    rows = label_rows(np.concatenate(parts), kept, labelled.has_conditions)
    return replace(rows, qualities=np.array(qualities, np.float32)), tuple(skipped)


def label_rows(
    vectors: NDArray[np.float32], images: Sequence[LabelledImage], has_conditions: bool
) -> LabelledVectors:
    """`vectors` (N, D) float32 with the labels of their N images, as numbers by the labels' sorted order."""
    people = np.unique([image.person for image in images], return_inverse=True)[1]
    cameras = np.unique([image.camera for image in images], return_inverse=True)[1]
    given = [image.condition or "not stated" for image in images] if has_conditions else [""] * len(images)
    names, conditions = np.unique(given, return_inverse=True)
    return LabelledVectors(
        vectors, people.astype(np.int64), cameras.astype(np.int64), conditions.astype(np.int64),
        tuple(str(name) for name in names) if has_conditions else (),
    )  # fmt: skip


def _labels(image: LabelledImage) -> tuple[str, str, str]:
    return image.person, image.camera, image.condition


def _skip(image: LabelledImage, reason: SkipReason, message: str) -> Skipped:
    return Skipped(image.file, image.line, reason, message)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo, image: LabelledImage) -> Picture | Skipped:
    if not _is_inside(image.file):
        return _skip(image, "outside", "expected a relative path inside the folder, without '..'")
    if info.file_size > _MAX_BYTES:
        return _skip(image, "unreadable", f"{info.file_size:,} bytes, at most {_MAX_BYTES:,} are accepted")
    try:
        return decode_photo(archive.read(info), f"{ARCHIVE}: {info.filename}")
    except Exception as error:  # noqa: BLE001  a damaged zip file raises errors of every kind
        return _skip(image, "unreadable", str(error) or type(error).__name__)
