"""Proofs of what retention removed: a JSON file a run, numbered, each with the sha256 of the one before.

Owns their names, their chain and how they are checked. Knows not what they say.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from indexer.expiry import Retained
from indexer.shard.files import ArchiveFiles
from reid.durable import make_folder, write_file
from reid.errors import storage_errors


@dataclass(frozen=True)
class ProofCheck:
    """How the proofs stand.

    Attributes:
        proofs: how many there should be.
        missing: names of files that are not there. altered: of those that are not what was written.
        unexpected: of files that no run wrote.
    """

    proofs: int
    missing: tuple[str, ...]
    altered: tuple[str, ...]
    unexpected: tuple[str, ...]

    @property
    def is_sound(self) -> bool:
        """Is every proof there as it was written?"""
        return not (self.missing or self.altered or self.unexpected)


def next_proof(before: Retained, content: Mapping[str, Any], looked_ms: int) -> Retained:
    """The proof of one more run, not yet written."""
    number = before.number + 1
    told = {"format": "reid-purge", "version": 1, "number": number, "previous": before.sha256 or None}
    text = json.dumps({**told, **content}, ensure_ascii=False, indent=2) + "\n"
    return Retained(looked_ms, number, hashlib.sha256(text.encode()).hexdigest(), text)


def proof_path(archive: ArchiveFiles, number: int) -> Path:
    """Where a proof lies."""
    return archive.proofs / f"{number:06d}.json"


def write_proof(archive: ArchiveFiles, retained: Retained) -> Retained:
    """Put the last proof into its file, if it is not there yet.

    Raises:
        StorageError: the disk refused; the next run writes it.
    """
    if retained.unwritten is not None:
        make_folder(archive.proofs)
        write_file(proof_path(archive, retained.number), retained.unwritten.encode())
    return replace(retained, unwritten=None)


def check_proofs(archive: ArchiveFiles, retained: Retained) -> ProofCheck:
    """Compare the proofs with their chain, from the last one back: its sha256 is in the catalogue.

    Raises:
        StorageError: one cannot be read.
    """
    missing: list[str] = []
    altered: list[str] = []
    wanted: str | None = retained.sha256 or None
    with storage_errors(archive.proofs):
        there = {path.name for path in archive.proofs.glob("*.json")}
        for number in range(retained.number, 0, -1):
            data = _data(archive, retained, number)
            name = proof_path(archive, number).name
            if data is None:
                missing.append(name)
            elif wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
                altered.append(name)
            wanted = _previous(data or b"")
    expected = {proof_path(archive, number).name for number in range(1, retained.number + 1)}
    return ProofCheck(
        retained.number, tuple(sorted(missing)), tuple(sorted(altered)), tuple(sorted(there - expected))
    )


def _data(archive: ArchiveFiles, retained: Retained, number: int) -> bytes | None:
    """A proof's bytes; None when it is not there."""
    if number == retained.number and retained.unwritten is not None:
        return retained.unwritten.encode()
    path = proof_path(archive, number)
    return path.read_bytes() if path.exists() else None


def _previous(data: bytes) -> str | None:
    """The sha256 that a proof states of the one before; None when it cannot be told."""
    try:
        stated = json.loads(data)["previous"]
    except (ValueError, KeyError, TypeError):
        return None
    return stated if isinstance(stated, str) else None
