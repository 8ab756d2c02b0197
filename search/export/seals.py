"""What the files of an export are known by. Light: comparing an export loads no network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from reid.weights import sha256_of

FORMAT, VERSION = "reid-export", 1
MANIFEST, SUMS = "manifest.json", "SHA256SUMS"


@dataclass(frozen=True)
class Seal:
    """What a file is known by.

    Attributes:
        bytes: its length.
        sha256: of it, hex.
    """

    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Seal:
        """Of a file, read now."""
        return cls(path.stat().st_size, sha256_of(path))


def sums_text(seals: dict[str, Seal]) -> str:
    """SHA256SUMS as `sha256sum -c` reads it."""
    return "".join(f"{seal.sha256}  {name}\n" for name, seal in sorted(seals.items()))
