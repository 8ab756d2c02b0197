"""Seals pictures of missing people, so that who reads the archive's files without the key sees nothing.

AES-256-GCM, a key of 32 random bytes in a file outside the archive that only its owner may read. The only
module that imports cryptography. Knows no case.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from indexer.settings import load_settings
from indexer.shard.files import ArchiveFiles
from reid.durable import make_folder, sync_folder
from reid.errors import DamagedError, InputError, StorageError, storage_errors

_KEY_BYTES, _NONCE_BYTES = 32, 12


@dataclass(frozen=True)
class PhotoKey:
    """A key and where it lies."""

    path: Path
    secret: bytes

    @property
    def id(self) -> str:
        """Tells keys apart and gives nothing away: the first digits of a sha256 of it."""
        return hashlib.sha256(b"reid photo key " + self.secret).hexdigest()[:16]

    def seal(self, data: bytes, place: str) -> bytes:
        """The data sealed; it opens only with this key and for this place."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self.secret).encrypt(nonce, data, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """What was sealed for this place.

        Raises:
            DamagedError: altered, moved, or sealed with another key.
        """
        try:
            nonce, rest = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return AESGCM(self.secret).decrypt(nonce, rest, place.encode())
        except (InvalidTag, ValueError):
            raise DamagedError(
                f"the photo {place} cannot be opened with the key in {self.path}: it is altered, or was"
                " sealed with another key; put the right key there, or restore the cases from a backup"
            ) from None


def key_path(archive: ArchiveFiles) -> Path:
    """Where the key of an archive's photos lies: the setting `photo_key`, else in the user's own settings.

    Raises:
        InputError: inside the archive, where it would protect from nobody.
    """
    try:
        written_ns = archive.settings.stat().st_mtime_ns
    except OSError:
        written_ns = 0
    chosen = _chosen(archive, written_ns, os.environ.get("REID_PHOTO_KEY"))
    folder = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    path = (Path(chosen) if chosen else folder / "reid" / "photos.key").expanduser().absolute()
    if path.resolve().is_relative_to(archive.home.resolve()):
        raise InputError(
            f"photo_key {path}: lies inside the archive, where it protects from nobody who reads the archive;"
            f" set another place in {archive.settings}"
        )
    return path


@lru_cache(16)
def _chosen(archive: ArchiveFiles, written_ns: int, variable: str | None) -> str:
    """The setting; reading all settings for every photo of every search would take longer than the search."""
    return load_settings(archive).photo_key


def photo_key(archive: ArchiveFiles, known: str | None) -> PhotoKey:
    """The key of an archive's photos; made when no photo was sealed yet and there is none.

    Args:
        known: `PhotoKey.id` of the key that photos were sealed with; None: none was.

    Raises:
        StorageError: absent though photos were sealed, readable for others, or the disk refuses.
        DamagedError: no key, or another one.
    """
    path = key_path(archive)
    with storage_errors(path):
        if not path.exists():
            if known is not None:
                raise StorageError(
                    f"{path}: the key of the case photos is not there (it is the one of id {known}); put it"
                    f" back, or say where it lies with photo_key in {archive.settings}"
                )
            _make(path)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
            raise StorageError(
                f"{path}: expected a key file that only its owner may read; run: chmod 600 {path}"
            )
        text = path.read_text("ascii", errors="replace").strip()
    try:
        key = PhotoKey(path, bytes.fromhex(text))
    except ValueError:
        key = PhotoKey(path, b"")
    if len(key.secret) != _KEY_BYTES:
        raise DamagedError(f"{path}: expected a key of {2 * _KEY_BYTES} digits 0-9 and a-f; put it back")
    if known not in (None, key.id):
        raise DamagedError(
            f"{path}: holds key {key.id}, the case photos were sealed with {known}; put that one back"
        )
    return key


def _make(path: Path) -> None:
    """A new key, whole or not at all; of several processes one makes it."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, os.urandom(_KEY_BYTES).hex().encode() + b"\n")
        os.fsync(descriptor)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
    finally:
        os.close(descriptor)
        temporary.unlink()
    sync_folder(path.parent)
