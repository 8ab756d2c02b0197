"""The names inside a segment's folder and inside the archive; no other module spells a path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reid.durable import unfinished


@dataclass(frozen=True)
class SegmentFiles:
    """The files of one segment folder; which of them there are, the manifest says."""

    folder: Path
    MANIFEST = "manifest.json"
    VECTORS = "vectors.f16"
    COLUMNS = "columns.bin"
    RECORDS = "records.bin"
    CODES = "index.faiss"

    @property
    def manifest(self) -> Path:
        """Counts and checksums, written last."""
        return self.folder / self.MANIFEST

    @property
    def vectors(self) -> Path:
        """(N, D) float16 rows."""
        return self.folder / self.VECTORS

    @property
    def columns(self) -> Path:
        """What is known of each row and of each tracklet."""
        return self.folder / self.COLUMNS

    @property
    def records(self) -> Path:
        """Tracklet records and thumbnails."""
        return self.folder / self.RECORDS

    @property
    def codes(self) -> Path:
        """The rows' codes, for scanning many."""
        return self.folder / self.CODES


@dataclass(frozen=True)
class ArchiveFiles:
    """The files of an archive, `$REID_HOME`."""

    home: Path

    @property
    def settings(self) -> Path:
        """The operator's settings."""
        return self.home / "reid.toml"

    @property
    def catalogue(self) -> Path:
        """Cameras, clips, failures, segments."""
        return self.home / "catalogue.lmdb"

    @property
    def cases(self) -> Path:
        """Cases: photos and judged sightings."""
        return self.home / "cases.lmdb"

    @property
    def cases_lock(self) -> Path:
        """Held by the one process that has the cases open."""
        return self.home / "cases.lock"

    @property
    def accounts(self) -> Path:
        """Who may use the console, their tokens and sessions."""
        return self.home / "accounts.lmdb"

    @property
    def audit(self) -> Path:
        """What was done and by whom."""
        return self.home / "audit"

    @property
    def lock(self) -> Path:
        """Held by the one process that writes."""
        return self.home / "writer.lock"

    @property
    def nightly_lock(self) -> Path:
        """Held by the one night that runs; tells who and since when."""
        return self.home / "nightly.lock"

    def night(self, name: str) -> Path:
        """What became of the night of this name."""
        return self.home / "nights" / f"{name}.json"

    def unfinished_nights(self) -> list[Path]:
        """What a night that was killed while it wrote its summary left of that."""
        return unfinished(self.home / "nights")

    def log(self, day: str) -> Path:
        """Events of the nights that began on this day, one JSON object a line."""
        return self.home / "logs" / f"{day}.jsonl"

    def dated(self) -> Iterator[Path]:
        """Every log and every night; their names begin with the day."""
        yield from self.nights()
        yield from (self.home / "logs").glob("*.jsonl")

    @property
    def models(self) -> Path:
        """Models the operator added."""
        return self.home / "models"

    def calibration(self, model: str) -> Path:
        """Probabilities fitted on the operator's own pictures, for the embedder of this sha256."""
        return self.home / "calibration" / f"{model}.json"

    def codebook(self, name: str) -> Path:
        """The codebook of this name; it never changes."""
        return self.home / "codebooks" / f"{name}.npz"

    def unfinished_files(self) -> list[Path]:
        """What a run that was stopped left of codebooks and proofs."""
        return unfinished(self.home / "codebooks") + unfinished(self.proofs)

    @property
    def next(self) -> ArchiveFiles:
        """The archive that is being made beside this one, with another embedder."""
        return ArchiveFiles(self.home / "next")

    def trial(self, key: str) -> Path:
        """What was measured on a machine with certain models."""
        return self.home / "trials" / f"{key}.json"

    @property
    def proofs(self) -> Path:
        """Proofs of what retention removed."""
        return self.home / "proofs"

    def nights(self) -> Iterator[Path]:
        """Summaries of nights; their names begin with the day."""
        yield from (self.home / "nights").glob("*.json")

    @property
    def staging(self) -> Path:
        """Unfinished segments; whatever lies here belongs to a run that was stopped."""
        return self.home / "staging"

    def segment(self, district: str, day: str, segment: str) -> SegmentFiles:
        """The folder of a sealed segment."""
        return SegmentFiles(self.home / "shards" / district / day / segment)

    def segment_folders(self) -> Iterator[Path]:
        """Every segment's folder on disk, in the catalogue or not."""
        yield from (self.home / "shards").glob("*/*/*")

    def shard_folders(self) -> Iterator[Path]:
        """Every folder above segments: those of the days, then those of the districts."""
        yield from list((self.home / "shards").glob("*/*"))
        yield from list((self.home / "shards").glob("*"))
