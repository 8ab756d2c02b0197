"""A night over a city of 19 districts with ten bad clips among 200, and the night after it.

Clips are those of the demo, shown by other cameras at other hours; models and workers are the real ones, one
frame a second is looked at. Says what each night told, its exit code and what is in the ledger, and whether
that is what was laid out. `--quick` has 40 clips, ten of them bad.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from indexer.catalogue import Catalogue
from indexer.decisions import RunOptions
from indexer.districts import load_districts
from indexer.night_record import NightRecord
from indexer.nightly import Work
from indexer.pipeline import PipelineChoice, PipelineOptions
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from indexer.times import SEOUL, milliseconds
from indexer.workers import fitting_workers, local_executor
from reid.detector import load_detector
from reid.embedder import load_embedder
from reid.images import photo_bytes
from search import demo
from search.case import CasePhoto
from search.cases import Cases
from search.night import run_nightly
from search.query import read_query

_CLIPS, _QUICK_CLIPS = 200, 40
_CASE = "2026-BENCH-1"
_SETTLE_S = 5.0


@dataclass(frozen=True)
class Bad:
    """A bad clip: what is wrong with it, and where a night has to tell it."""

    what: str
    told: str


BAD = (
    Bad("cut off in the middle", "no_frames"), Bad("random bytes", "not_video"), Bad("no bytes", "empty"),
    Bad("a text", "not_video"), Bad("begins tomorrow", "future_start"), Bad("still written to", "put off"),
    Bad("named holiday", "name"), Bad("in a district nobody knows", "name"), Bad("a pipe", "discover"),
    Bad("a link to nothing", "discover"),
)  # fmt: skip


def run(quick: bool) -> dict[str, Any]:
    """Lay the city out, do two nights, print and return what they told."""
    with tempfile.TemporaryDirectory(prefix="reid-night-") as folder:
        footage, archive = Path(folder, "footage"), ArchiveFiles(Path(folder, "archive"))
        growing = _lay_out(footage, _QUICK_CLIPS if quick else _CLIPS)
        _open_case(archive)
        nightly = {"roots": [str(footage)], "settle_s": _SETTLE_S, "lead_probability": 0.5}
        tables: dict[str, Any] = {"frames_per_second": 1, "nightly": nightly}
        settings = Settings(**tables)
        with _written_to(growing):
            first, first_s = _night(archive, settings)
        ledger = _ledger(archive)
        second, second_s = _night(archive, settings)
        expected = _CLIPS if not quick else _QUICK_CLIPS
        figures = {
            "clips": expected, "bad": [bad.what for bad in BAD], "seconds": round(first_s, 1),
            "first": first.to_json(), "ledger": ledger, "second": second.to_json(),
            "second_seconds": round(second_s, 1), "as_laid_out": _as_laid_out(first, expected),
        }  # fmt: skip
    for title, record in (("first night", first), ("the night after", second)):
        print(f"\n{title}, exit code {record.exit_code}:")
        print("\n".join(f"  {line}" for line in record.lines()))
    print(f"\nledger after the first: {ledger}\nas it was laid out: {figures['as_laid_out']}")
    return figures


def _lay_out(footage: Path, clips: int) -> Path:
    """The city's footage of yesterday; returns the clip that is still written to."""
    sources = sorted(demo.FOOTAGE.rglob("*.mp4"))
    slugs = [district.slug for district in load_districts().active]
    day = datetime.now(SEOUL).replace(hour=6, minute=0, second=0, microsecond=0) - timedelta(days=1)
    growing = footage
    for number in range(clips):
        slug, start = slugs[number % len(slugs)], day + timedelta(minutes=5 * number)
        camera = footage / slug / f"{slug[:2].upper()}-{number // len(slugs) % 4 + 1:02d}"
        camera.mkdir(parents=True, exist_ok=True)
        path = camera / f"{start:%Y%m%dT%H%M%S}.mp4"
        note = f"{slug}/{camera.name}/{number}".encode()
        box = (8 + len(note)).to_bytes(4, "big") + b"free" + note  # other bytes, the same film
        data = sources[number % len(sources)].read_bytes() + box
        if number % (clips // len(BAD)) == 0:
            path = _spoil(path, data, BAD[number * len(BAD) // clips])
            growing = path if BAD[number * len(BAD) // clips].told == "put off" else growing
        else:
            path.write_bytes(data)
        if path.is_file():
            os.utime(path, (time.time() - 3600,) * 2)
    return growing


def _spoil(path: Path, data: bytes, bad: Bad) -> Path:
    if bad.what == "named holiday":
        path = path.with_name("holiday.mp4")
    elif bad.what == "in a district nobody knows":
        path = path.parents[2] / "atlantis" / "AT-01" / path.name
        path.parent.mkdir(parents=True)
    elif bad.what == "begins tomorrow":
        path = path.with_name(f"{datetime.now(SEOUL) + timedelta(days=1):%Y%m%dT%H%M%S}.mp4")
    if bad.what == "a pipe":
        os.mkfifo(path)
    elif bad.what == "a link to nothing":
        path.symlink_to(path.with_name("gone"))
    else:
        contents = {
            "cut off in the middle": data[: len(data) // 2], "no bytes": b"", "a text": b"not a film\n" * 99,
            "random bytes": np.random.default_rng(7).bytes(len(data)),
        }  # fmt: skip
        path.write_bytes(contents.get(bad.what, data))
    return path


@contextmanager
def _written_to(path: Path) -> Iterator[None]:
    """Somebody writes to the file as long as this is open."""
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.5):
            with path.open("ab") as stream:
                stream.write(b"\0\0\0\10free")

    thread = threading.Thread(target=write)
    with path.open("ab") as stream:
        stream.write(b"\0\0\0\10free")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        os.utime(path, (time.time() - 3600,) * 2)


def _open_case(archive: ArchiveFiles) -> None:
    """A case that looks for the missing person of the demo."""
    with Catalogue(archive, "create"):
        pass
    detector, embedder = _models(archive, Settings(**{}))
    box = read_query(demo.PHOTO, detector, embedder).person_box
    photo = CasePhoto(demo.PHOTO.name, photo_bytes(demo.PHOTO), box, milliseconds(datetime.now(UTC)))
    with Cases(archive) as cases:
        cases.record(_CASE, photo.added_ms, [photo])


def _models(archive: ArchiveFiles, settings: Settings) -> Any:
    return (
        load_detector(settings.detector, archive.models, runtime=settings.runtime),
        load_embedder(settings.embedder, archive.models, settings.runtime),
    )


def _night(archive: ArchiveFiles, settings: Settings) -> tuple[NightRecord, float]:
    looking = PipelineOptions(settings.frames_per_second, settings.whole_look_seconds)
    choice = PipelineChoice(settings.detector, settings.embedder, archive.models, looking, settings.runtime)
    work = Work(
        lambda clips: local_executor(choice, fitting_workers("auto", clips), settings.worker_memory_mb),
        RunOptions(),
    )
    begun = time.monotonic()
    models = partial(_models, archive, settings)
    return run_nightly(archive, settings, load_districts(), work, models), time.monotonic() - begun


def _ledger(archive: ArchiveFiles) -> dict[str, Any]:
    with Catalogue(archive) as catalogue:
        snapshot = catalogue.snapshot()
    return {
        "done": len(snapshot.clips),
        "failed": dict(sorted(Counter(each.reason for each in snapshot.failures).items())),
        "waiting": len(snapshot.waiting),
        "segments": len(snapshot.segments),
    }


def _as_laid_out(record: NightRecord, clips: int) -> bool:
    """Was each bad clip told for what it is, and every other one indexed?"""
    reasons = Counter(reason for _, reason, _ in record.failed)
    wanted = Counter(bad.told for bad in BAD)
    names, discovered, put_off = wanted.pop("name"), wanted.pop("discover"), wanted.pop("put off")
    told = (record.unread, sum(root.failure_count for root in record.roots), record.put_off_count)
    good = record.done == clips - len(BAD) and record.exit_code == 1
    return good and reasons == wanted and told == (names, discovered, put_off)
