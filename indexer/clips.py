"""Which clips to index: from files, folder trees and CSV lists, each with district, camera and start.

Owns how a clip's origin is found out. Decides nothing about pixels and writes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from indexer.cameras import check_camera_id
from indexer.districts import Districts
from indexer.times import parse_local
from reid.errors import FootageError, InputError, UnknownNameError
from reid.tables import read_table

VIDEO_ENDINGS = frozenset(
    f".{ending}"
    for ending in (
        *("mp4", "avi", "mkv", "mov", "m4v", "ts", "mts", "m2ts", "mpg", "mpeg", "wmv", "flv", "webm"),
        *("3gp", "dav", "h264", "h265", "264", "265"),
    )
)

StartSource = Literal["given", "name", "container"]


@dataclass(frozen=True)
class ClipRequest:
    """One clip to index.

    Attributes:
        path: absolute.
        district: slug; None when nothing tells it.
        camera: id; None when nothing tells it.
        start: start on the camera's own clock, aware UTC; None: read from the name or the container.
    """

    path: Path
    district: str | None
    camera: str | None
    start: datetime | None

    def origin(self) -> tuple[str, str]:
        """District and camera.

        Raises:
            FootageError: one of them is unknown.
        """
        if self.district is None or self.camera is None:
            what = "district" if self.district is None else "camera"
            raise FootageError(
                f"no_{what}",
                f"{self.path}: no {what} known; give --{what}, or keep clips as <district>/<camera>/<clip>",
            )
        return self.district, self.camera


@dataclass(frozen=True)
class Given:
    """What the caller said of all clips: overrides what folders say."""

    district: str | None = None
    camera: str | None = None
    start: datetime | None = None


def find_clips(paths: Sequence[Path], given: Given, districts: Districts) -> list[ClipRequest]:
    """The clips named by `paths`: a file is a clip, a folder is searched for videos, a .csv is a list.

    Lists have the columns path, district, camera, start (the last three may be empty); relative paths
    start at the list's folder.

    Raises:
        InputError: a path does not exist, a list is malformed, nothing is found, a start is given for
            several clips.
        UnknownNameError: a district nobody knows.
    """
    found: dict[Path, ClipRequest] = {}
    for path in paths:
        for request in _expand(_real(path), given, districts):
            before = found.setdefault(request.path, request)
            if before != request:
                raise InputError(f"{request.path}: given twice, with different districts, cameras or starts")
    if not found:
        endings = ", ".join(sorted(VIDEO_ENDINGS))
        raise InputError(f"no clips found under {', '.join(map(str, paths))}; known endings: {endings}")
    if given.start is not None and len(found) > 1:
        raise InputError(f"--start fits one clip, but {len(found)} were found; give a CSV list with starts")
    return list(found.values())


def _expand(path: Path, given: Given, districts: Districts) -> Iterator[ClipRequest]:
    if path.is_dir():
        for file in _videos_below(path):
            yield _from_layout(file, given, districts)
    elif path.suffix.lower() == ".csv":
        for _, request in listed(path, given, districts):
            if isinstance(request, InputError):
                raise request
            yield request
    elif path.exists():
        yield _from_layout(path, given, districts)
    else:
        raise InputError(f"{path}: no such file or folder; check the path")


def _real(path: Path) -> Path:
    """Absolute; links are kept where possible, for their place in the tree says district and camera."""
    try:
        whole = path.expanduser().absolute()
        return whole.resolve() if ".." in whole.parts else whole
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError(f"{path}: no such file or folder ({error}); check the path") from None


def _videos_below(folder: Path) -> Iterator[Path]:
    """Videos in the tree, sorted, and folders that cannot be listed, so that these fail and are told.

    Links are followed; hidden files and folders (snapshots, thumbnails) are left out.
    """
    refused: list[Path] = []
    seen: set[tuple[int, int]] = set()
    walk = os.walk(folder, onerror=lambda error: refused.append(Path(error.filename)), followlinks=True)
    for parent, folders, files in walk:
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in VIDEO_ENDINGS:
                yield Path(parent, name)
    yield from refused


def parse_start(text: str) -> datetime:
    """The start of a clip, aware UTC.

    Raises:
        InputError: no such moment, or a day without a time: midnight would be a guess.
    """
    if ":" not in text:
        raise InputError(f"expected a start with its time, like 2025-02-18T12:34:00, got {text!r}")
    return parse_local(text)


def _from_layout(path: Path, given: Given, districts: Districts) -> ClipRequest:
    """`<district>/<camera>/<clip>`: trusted only where the outer folder is a district's name."""
    outer = _district_or_none(path.parent.parent.name, districts)
    district, camera = given.district or outer, given.camera
    if camera is None and outer is not None and outer == district:
        with suppress(InputError):  # a folder that cannot be a camera's name: that clip fails, not the run
            camera = check_camera_id(path.parent.name)
    return ClipRequest(path, district, camera, given.start)


def _district_or_none(name: str, districts: Districts) -> str | None:
    try:
        return districts.find(name).slug
    except UnknownNameError:
        return None


def listed(path: Path, given: Given, districts: Districts) -> Iterator[tuple[int, ClipRequest | InputError]]:
    """Each line of a CSV list with the clip it names, or with what is wrong with it.

    Raises:
        InputError: the list itself cannot be read.
    """
    for line, row in read_table(path, ("path",), ("district", "camera", "start")):
        try:
            yield line, _from_row(path.parent, row, given, districts)
        except InputError as error:
            yield line, InputError(f"{path}, line {line}: {error}")


def _from_row(folder: Path, row: dict[str, str], given: Given, districts: Districts) -> ClipRequest:
    if not row["path"]:
        raise InputError("expected a path, got nothing")
    clip = _from_layout(_real(folder / row["path"]), given, districts)
    return ClipRequest(
        path=clip.path,
        district=districts.find(row["district"]).slug if row["district"] else clip.district,
        camera=check_camera_id(row["camera"]) if row["camera"] else clip.camera,
        start=parse_start(row["start"]) if row["start"] else given.start,
    )
