"""Which clips to index: from files, folder trees and CSV lists, each with district, camera and start.

Owns how a clip's origin is found out. Decides nothing about pixels and writes nothing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from indexer.cameras import check_camera_id
from indexer.districts import Districts
from indexer.times import parse_local
from reid.errors import FootageError, InputError, UnknownNameError, storage_errors

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
        StorageError: a folder that may not be read.
    """
    found: dict[Path, ClipRequest] = {}
    for path in paths:
        with storage_errors(path):
            for request in _expand(path.expanduser().resolve(), given, districts):
                found.setdefault(request.path, request)
    if not found:
        endings = ", ".join(sorted(VIDEO_ENDINGS))
        raise InputError(f"no clips found under {', '.join(map(str, paths))}; known endings: {endings}")
    if given.start is not None and len(found) > 1:
        raise InputError(f"--start fits one clip, but {len(found)} were found; give a CSV list with starts")
    return list(found.values())


def _expand(path: Path, given: Given, districts: Districts) -> Iterator[ClipRequest]:
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in VIDEO_ENDINGS and not file.name.startswith("."):
                yield _from_layout(file, given, districts)
    elif path.suffix.lower() == ".csv":
        yield from _from_list(path, given, districts)
    elif path.exists():
        yield _from_layout(path, given, districts)
    else:
        raise InputError(f"{path}: no such file or folder; check the path")


def _from_layout(path: Path, given: Given, districts: Districts) -> ClipRequest:
    """`<district>/<camera>/<clip>`: trusted only where the outer folder is a district's name."""
    outer = _district_or_none(path.parent.parent.name, districts)
    district, camera = given.district, given.camera
    if district is None:
        district = outer
    if camera is None and outer is not None and outer == district:
        camera = check_camera_id(path.parent.name)
    return ClipRequest(path, district, camera, given.start)


def _district_or_none(name: str, districts: Districts) -> str | None:
    try:
        return districts.find(name).slug
    except UnknownNameError:
        return None


def _from_list(path: Path, given: Given, districts: Districts) -> Iterator[ClipRequest]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: expected a CSV list in UTF-8 ({error})") from None
    if not reader.fieldnames or "path" not in reader.fieldnames:
        raise InputError(f"{path}: expected the columns path,district,camera,start, got {reader.fieldnames}")
    for number, row in enumerate(rows, start=2):
        try:
            yield _from_row(path.parent, row, given, districts)
        except InputError as error:
            raise InputError(f"{path}, line {number}: {error}") from None


def _from_row(folder: Path, row: dict[str, str], given: Given, districts: Districts) -> ClipRequest:
    name = (row.get("path") or "").strip()
    if not name:
        raise InputError("expected a path, got nothing")
    district = (row.get("district") or "").strip()
    camera = (row.get("camera") or "").strip()
    start = (row.get("start") or "").strip()
    clip = _from_layout((folder / name).resolve(), given, districts)
    return ClipRequest(
        path=clip.path,
        district=districts.find(district).slug if district else clip.district,
        camera=check_camera_id(camera) if camera else clip.camera,
        start=parse_local(start) if start else given.start,
    )
