"""Where the original of a sighting is now, and whether it is still the clip that was indexed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from indexer.ledger import Fingerprint, clip_sha256
from reid.errors import FootageError
from search.export.sheet import Confirmed

State = Literal["present", "moved", "missing", "changed", "unreadable"]


@dataclass(frozen=True)
class Footage:
    """An original.

    Attributes:
        state: "present" where it was when it was indexed, "moved" to where the ledger saw it last; "missing";
            "changed": another file of its name; "unreadable".
        path: where it is, or was looked for.
        detail: why it is unreadable.
        fingerprint: of the file that was compared; None unless it can be used.
    """

    state: State
    path: Path
    detail: str = ""
    fingerprint: Fingerprint | None = None

    @property
    def usable(self) -> bool:
        """Is it the clip that was indexed?"""
        return self.fingerprint is not None

    def unchanged(self) -> bool:
        """Is it still the file that was compared?"""
        try:
            return Fingerprint.of(self.path) == self.fingerprint
        except FootageError:
            return False


def find_footage(sighting: Confirmed) -> Footage:
    """The original, compared with the indexed clip by sha256, which takes as long as reading it.

    Looks where it was indexed, then where the ledger saw it last.
    """
    record = sighting.record
    first = _look(Path(record.path), record.clip, "present")
    if first.usable or sighting.clip is None or sighting.clip.path == record.path:
        return first
    moved = _look(Path(sighting.clip.path), record.clip, "moved")
    return moved if moved.usable or first.state == "missing" else first


def _look(path: Path, sha256: str, found: Literal["present", "moved"]) -> Footage:
    try:
        before = Fingerprint.of(path)
        if clip_sha256(path) == sha256:
            return Footage(found, path, fingerprint=before)
    except FootageError as error:
        if error.reason == "missing":
            return Footage("missing", path)
        return Footage("unreadable", path, error.reason)
    return Footage("changed", path)
