"""A night to be tried: a footage tree of canned clips, settings, and a clock that the test moves."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from indexer.catalogue import Catalogue
from indexer.deadline import Clock
from indexer.districts import load_districts
from indexer.executors import InProcess
from indexer.night_record import NightRecord
from indexer.nightly import Work
from indexer.pipeline import Pipeline
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from search.night import NightOptions, run_nightly
from tests.canned import KnownPipeline

ONE_AM = datetime(2025, 2, 19, 16, tzinfo=UTC)
"""01:00 of 20 February 2025 in Seoul."""


@dataclass
class Hands:
    """A clock that only moves when it is told to, or asked to sleep."""

    moment: datetime = ONE_AM
    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def move(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
        self.seconds += seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.move(seconds)

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.moment, lambda: self.seconds, self.sleep)


@dataclass
class Place:
    """An archive and the footage that comes to it."""

    folder: Path
    hands: Hands = field(default_factory=Hands)

    def __post_init__(self) -> None:
        self.archive = ArchiveFiles(self.folder / "archive")
        self.footage = self.folder / "footage"
        self.footage.mkdir(exist_ok=True)
        with Catalogue(self.archive, "create"):
            pass

    def put(
        self, start: str, district: str = "songpa", camera: str = "SP-1", age_s: float = 3600,
        data: bytes | None = None,
    ) -> Path:  # fmt: skip
        """A clip named by its start (20250219T100000), last written so many seconds ago."""
        path = self.footage / district / camera / f"{start}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"{district}/{camera}/{start}".encode() if data is None else data)
        self.age(path, age_s)
        return path

    def age(self, path: Path, seconds: float) -> None:
        os.utime(path, (self.hands.moment.timestamp() - seconds,) * 2)

    def settings(self, notify: dict[str, Any] | None = None, **nightly: Any) -> Settings:
        tables: dict[str, Any] = {
            "nightly": {"roots": [str(self.footage)], **nightly},
            "notify": notify or {},
        }
        return Settings(**tables)

    def night(
        self, pipeline: Pipeline | None = None, settings: Settings | None = None, work: Work | None = None,
        **options: Any,
    ) -> NightRecord:  # fmt: skip
        used = pipeline or KnownPipeline()
        work = work or Work(lambda clips: InProcess(used))
        return run_nightly(
            self.archive, settings or self.settings(), load_districts(), work,
            lambda: (used.detector, used.embedder), NightOptions(**options), clock=self.hands.clock,
        )  # fmt: skip

    def known(self) -> list[str]:
        with Catalogue(self.archive) as catalogue:
            return sorted(Path(clip.path).stem for clip in catalogue.snapshot().clips)
