"""Is an export still what it was when it was written?"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from reid.errors import FormatError, InputError, storage_errors
from search.export.seals import FORMAT, MANIFEST, SUMS, VERSION, Seal

_SUM = re.compile(r"([0-9a-f]{64})  (.+)")


@dataclass(frozen=True)
class Checked:
    """What a check found; names are relative to the export's folder.

    Attributes:
        folder: the export.
        manifest: sha256 of its manifest as it is now: compare it with the one that was noted at the export.
        files: how many were compared; `bytes` together.
        missing, altered: of these.
        unexpected: files that the export did not have.
    """

    folder: str
    manifest: str
    files: int
    bytes: int
    missing: tuple[str, ...]
    altered: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Is everything there, and as it was?"""
        return not (self.missing or self.altered or self.unexpected)


def check_export(folder: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> Checked:
    """Compare every file with the manifest, and the manifest with SHA256SUMS.

    Who alters a file, the manifest and SHA256SUMS together is found out only by the manifest's sha256, noted
    elsewhere when the export was made.

    Raises:
        InputError: no export there.
        FormatError: of another version.
        StorageError: the disk refuses.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{folder}: no export there; expected a folder with {MANIFEST}, made by reid export")
    with storage_errors(folder):
        data = manifest.read_bytes()
        listed = _listed(data, manifest)
        sums = _sums(folder / SUMS)
        names = sorted({*(listed or {}), *sums, MANIFEST})
        missing, altered, total = [], [], 0
        for number, name in enumerate(names):
            progress(number, len(names))
            path = folder / name
            if not path.is_file() or path.is_symlink():
                missing.append(name)
                continue
            seal = Seal.of(path)
            total += seal.bytes
            noted = (listed or {}).get(name, seal)
            if seal != noted or sums.get(name, "") != seal.sha256 or (name == MANIFEST and listed is None):
                altered.append(name)
        if not (folder / SUMS).is_file():
            missing.append(SUMS)
        known = {*names, SUMS}
        present = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
        unexpected = sorted(name for name in present if name not in known)
    return Checked(
        str(folder), hashlib.sha256(data).hexdigest(), len(names), total, tuple(missing), tuple(altered),
        tuple(unexpected),
    )  # fmt: skip


def _listed(data: bytes, path: Path) -> Mapping[str, Seal] | None:
    """What the manifest says of each file; None when it is damaged."""
    try:
        value = json.loads(data)
        form, version = value["format"], value["version"]
        files = {
            _inside(file["path"]): Seal(int(file["bytes"]), str(file["sha256"])) for file in value["files"]
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if (form, version) != (FORMAT, VERSION):
        raise FormatError(
            f"{path}: {form} version {version}, this release reads {FORMAT} {VERSION}; use the release that"
            " wrote it"
        )
    return files


def _sums(path: Path) -> Mapping[str, str]:
    """sha256 by name; lines that say nothing are left out, and their files are then found altered."""
    if not path.is_file():
        return {}
    matches = (_SUM.fullmatch(line) for line in path.read_text("utf-8", "replace").splitlines())
    return {match[2]: match[1] for match in matches if match and _is_inside(match[2])}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _inside(name: str) -> str:
    if not _is_inside(name):
        raise ValueError(f"expected a name below the export, got {name!r}")
    return name
