"""What an archive holds, and whether it and this machine are fit for the work. Changes nothing."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Literal

from indexer.catalogue import Catalogue
from indexer.rewriting import open_entry
from indexer.settings import load_settings
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from indexer.times import from_milliseconds, to_local_iso
from reid.errors import ArchiveError, DamagedError, ReidError
from reid.models import find_model
from reid.registry import ModelSpec, Task
from reid.runtimes import Wanted
from reid.runtimes.choice import kept_choice, openvino_version
from reid.weights import checked_paths

State = Literal["ok", "warning", "failed"]

_LITTLE_SPACE = 5 << 30  # bytes
_EARLIEST_SANE_YEAR = 2025


@dataclass(frozen=True)
class Check:
    """One thing looked at: what it is, how it stands, and what to do if it is not well."""

    name: str
    state: State
    detail: str


def examine(archive: ArchiveFiles, deep: bool = False) -> Iterator[Check]:
    """Look at machine, models and archive, one check after the other.

    Args:
        deep: also read every byte of every segment and compare checksums.
    """
    yield _python()
    yield _clock()
    yield from _extras()
    yield from _models(archive)
    yield _space(archive)
    yield from _archive(archive, deep)


def _python() -> Check:
    versions = ", ".join(
        f"{name} {metadata.version(name)}"
        for name in ("torch", "torchvision", "faiss-cpu", "opencv-python", "av")
    )
    cores = len(os.sched_getaffinity(0))
    return Check("machine", "ok", f"Python {sys.version.split()[0]}, {cores} cores, {versions}")


def _clock() -> Check:
    now = datetime.now(UTC)
    if now.year < _EARLIEST_SANE_YEAR:
        return Check("clock", "failed", f"the clock says {now:%Y-%m-%d}; set it, or footage counts as future")
    return Check("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def _extras() -> Iterator[Check]:
    uses = (
        ("onnxruntime", "onnx", "only needed for such models"),
        ("openvino", "openvino", "needed for such models, and mostly the faster one for the embedded models"),
    )
    for module, extra, use in uses:
        if importlib.util.find_spec(module):
            yield Check(f"extra {extra}", "ok", f"{module} {metadata.version(module)}")
        else:
            hint = f"not installed; {use}: pip install 'reid-search[{extra}]'"
            yield Check(f"extra {extra}", "ok", hint)


def _models(archive: ArchiveFiles) -> Iterator[Check]:
    try:
        settings = load_settings(archive)
    except ReidError as error:
        yield Check("settings", "failed", str(error))
        return
    yield Check("settings", "ok", str(archive.settings) if archive.settings.exists() else "defaults")
    wanted: list[tuple[Task, str]] = [("detect", settings.detector), ("embed", settings.embedder)]
    for task, name in wanted:
        try:
            spec = find_model(name, task, archive.models)
            if spec.describer:
                wanted.append(("describe", spec.describer))
            checked_paths(spec, archive.models)
            yield Check(f"model {name}", "ok", f"sha256 {spec.sha256[:12]}… as registered")
            yield Check(f"runtime of {name}", "ok", _runtime(spec, settings.runtime))
        except ReidError as error:
            yield Check(f"model {name}", "failed", str(error))


def _runtime(spec: ModelSpec, wanted: Wanted) -> str:
    """What runs a model here, and how fast it was tried to be."""
    if spec.backend != "torch":
        return f"{spec.backend}, which its file is made for"
    if wanted != "auto":
        return f"{wanted}, as the setting runtime says"
    if openvino_version() is None:
        return "torch: openvino is not installed"
    choice = kept_choice(spec)
    if choice is None:
        return "not chosen yet: whoever loads it first tries torch and openvino (without a GPU), in seconds"
    tried = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in choice.seconds.items())
    why = f"; openvino is no choice: {choice.note}" if choice.note else ""
    return f"{choice.runtime} (a batch on one thread took {tried}; {choice.measured_at}{why})"


def _space(archive: ArchiveFiles) -> Check:
    folder = archive.home
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    state: State = "warning" if free < _LITTLE_SPACE else "ok"
    if not os.access(folder, os.W_OK):
        return Check("disk", "failed", f"{folder}: no permission to write; check who owns it")
    return Check("disk", state, f"{free / 1e9:.1f} GB free at {folder}")


def _archive(archive: ArchiveFiles, deep: bool) -> Iterator[Check]:
    if not archive.catalogue.exists():
        yield Check("archive", "warning", f"none at {archive.home}; create one with: reid init")
        return
    try:
        with Catalogue(archive) as catalogue:
            snapshot = catalogue.snapshot()
    except ArchiveError as error:
        yield Check("archive", "failed", str(error))
        return
    yield Check(
        "archive", "ok", f"{archive.home}: {len(snapshot.clips)} clips, {len(snapshot.segments)} segments"
    )
    yield _segments(archive, snapshot, deep)
    if snapshot.waiting:
        told = f"{len(snapshot.waiting)} not yet indexed, e.g. {snapshot.waiting[0].path}"
        yield Check("waiting clips", "warning", f"{told}; index them again if no run goes on")
    if snapshot.failures:
        newest = snapshot.failures[-1]
        yield Check(
            "clips", "warning", f"{len(snapshot.failures)} could not be indexed, e.g. {newest.message}"
        )


def _segments(archive: ArchiveFiles, snapshot: Snapshot, deep: bool) -> Check:
    bad = []
    for entry in snapshot.segments:
        try:
            if entry.quarantined is not None:
                raise DamagedError(f"{entry.segment} of {entry.district}/{entry.day}: {entry.quarantined}")
            segment = open_entry(archive, entry)
            if deep:
                segment.verify()
        except ArchiveError as error:
            bad.append(str(error))
    how = "every checksum compared" if deep else "manifests and lengths compared; --deep compares all"
    if bad:
        return Check("segments", "failed", f"{len(bad)} of {len(snapshot.segments)} damaged: {bad[0]}")
    return Check("segments", "ok", f"{len(snapshot.segments)} sound ({how})")


def archive_figures(archive: ArchiveFiles, snapshot: Snapshot | None = None) -> dict[str, Any]:
    """The contract of `reid stats --json`; see docs/contracts.md.

    Args:
        snapshot: of its catalogue, if this process has that open: LMDB opens a file once.

    Raises:
        ArchiveError: there is none, or its catalogue cannot be read.
    """
    if snapshot is None:
        with Catalogue(archive) as catalogue:
            snapshot = catalogue.snapshot()
    newest = max((snapshot.clocks.clip(clip).end_ms for clip in snapshot.clips), default=None)
    return {
        "home": str(archive.home),
        "districts": len({district for district, _ in snapshot.cameras}),
        "cameras": len(snapshot.cameras),
        "clips": len(snapshot.clips),
        "failed_clips": len(snapshot.failures),
        "waiting_clips": len(snapshot.waiting),
        "segments": len(snapshot.segments),
        "quarantined": sum(entry.quarantined is not None for entry in snapshot.segments),
        "coded": sum(entry.codebook is not None for entry in snapshot.segments),
        "codebook": snapshot.codebook,
        "erasures": len(snapshot.erasures),
        "tracklets": sum(entry.tracklets for entry in snapshot.segments),
        "vectors": sum(entry.vectors for entry in snapshot.segments),
        "bytes": sum(entry.bytes for entry in snapshot.segments),
        "footage_s": round(sum(clip.footage_s for clip in snapshot.clips), 1),
        "newest": to_local_iso(from_milliseconds(newest)) if newest is not None else None,
    }
