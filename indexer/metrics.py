"""The status of an archive as Prometheus metrics, in the text format that scrapers and node_exporter read.

Owns names, units and the format. What is not known has no sample: absence is not zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from indexer.expiry import midnight_ms
from indexer.status import DistrictStatus, Status
from reid.durable import write_file
from reid.errors import InputError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of `metrics_text`, for whoever serves it."""


class _Metric(NamedTuple):
    """One gauge: its name, what it says, and (labels, value) of each sample."""

    name: str
    meaning: str
    samples: Iterable[tuple[Mapping[str, str], float | None]]


def metrics_text(status: Status) -> str:
    """The metrics of a status, in the text format 0.0.4; times are seconds since 1970 UTC."""
    return "".join(_lines(each) for each in (*_of_districts(status.districts), *_of_archive(status)))


def write_metrics(path: Path, status: Status) -> None:
    """Put the metrics where node_exporter's textfile collector finds them, in one step.

    Args:
        path: ends in .prom, or the collector would not read it; its folder exists.

    Raises:
        InputError: another name.
        StorageError: no such folder, or the disk refuses; the old file is untouched.
    """
    if path.suffix != ".prom":
        raise InputError(f"{path}: expected a name that ends in .prom, which node_exporter reads")
    write_file(path.expanduser().absolute(), metrics_text(status).encode())


def _of_districts(districts: Iterable[DistrictStatus]) -> Iterator[_Metric]:
    labelled = [({"district": each.district}, each) for each in districts]

    def gauge(name: str, meaning: str, value: Callable[[DistrictStatus], float | None]) -> _Metric:
        return _Metric(name, meaning, [(labels, value(each)) for labels, each in labelled])

    yield gauge("newest_footage_timestamp_seconds", "End of the newest indexed clip.", _newest)
    yield gauge("cameras", "Registered cameras.", lambda each: each.cameras)
    yield gauge("clips", "Indexed clips in the ledger.", lambda each: each.clips)
    yield gauge("tracklets", "Tracklets in the archive.", lambda each: each.tracklets)
    yield gauge("vectors", "Vectors in the archive.", lambda each: each.vectors)
    yield gauge("segments", "Sealed segments.", lambda each: each.segments)
    yield gauge("quarantined_segments", "Segments that no search reads.", lambda each: each.quarantined)
    yield gauge("segment_bytes", "Bytes of the segments.", lambda each: each.bytes)
    yield gauge("retention_days", "Days that are kept.", lambda each: each.keeps_days)
    yield gauge(
        "growth_bytes_per_day", "Bytes of segments of a day of footage, the mean of the last whole days.",
        lambda each: each.growth.bytes_a_day if each.growth else None,
    )  # fmt: skip
    for state, what in (("waiting", "not yet indexed"), ("failed", "that could not be indexed")):
        backlogs = [(labels, getattr(each, state)) for labels, each in labelled]
        yield _Metric(f"{state}_clips", f"Clips {what}.", [(at, each.clips) for at, each in backlogs])
        yield _Metric(
            f"{state}_camera_seconds", f"Camera-time {what}, of clips whose length is known.",
            [(at, each.camera_hours * 3600) for at, each in backlogs],
        )  # fmt: skip
        yield _Metric(
            f"{state}_unmeasured_clips", f"Clips {what}, of unknown length.",
            [(at, each.unmeasured) for at, each in backlogs],
        )  # fmt: skip


def _of_archive(status: Status) -> Iterator[_Metric]:
    def gauge(name: str, meaning: str, value: float | None) -> _Metric:
        return _Metric(name, meaning, [({}, value)])

    disk, night = status.disk, status.last_night or {}
    yield gauge("status_timestamp_seconds", "When this was counted.", _seconds(status.at))
    yield gauge("unplaced_clips", "Clips not indexed whose district nobody knows.", status.elsewhere.clips)
    yield gauge("disk_bytes", "Size of the archive's disk.", disk.total)
    yield gauge("disk_free_bytes", "Free bytes of it.", disk.free)
    yield gauge("catalogue_bytes", "Bytes of the catalogue.", disk.catalogue)
    yield gauge(
        "disk_full_timestamp_seconds", "When the disk is full, absent when unknown or not foreseen.",
        None if disk.full_on is None else midnight_ms(datetime.fromisoformat(disk.full_on).date()) / 1000,
    )  # fmt: skip
    yield gauge("last_purge_timestamp_seconds", "When retention last ran.", _seconds(status.last_purge))
    yield gauge("proofs", "Proofs of what retention removed.", status.proofs)
    yield gauge("night_started_timestamp_seconds", "Of the last night.", _seconds(night.get("started")))
    yield gauge("night_ended_timestamp_seconds", "Of the last night.", _seconds(night.get("ended")))
    yield gauge("night_exit_code", "Of the last night, absent while it runs.", night.get("exit_code"))
    for name, what in (("done", "indexed"), ("failed", "failed"), ("not_reached", "left for the next")):
        yield gauge(f"night_{name}_clips", f"Clips {what} in the last night.", night.get(name))


def _newest(status: DistrictStatus) -> float | None:
    return _seconds(status.newest)


def _seconds(moment: str | None) -> float | None:
    return datetime.fromisoformat(moment).timestamp() if moment else None


def _lines(metric: _Metric) -> str:
    samples = [(labels, value) for labels, value in metric.samples if value is not None]
    if not samples:
        return ""
    name = f"reid_{metric.name}"
    lines = [f"# HELP {name} {metric.meaning}", f"# TYPE {name} gauge"]
    return "\n".join(lines + [f"{name}{_labels(labels)} {value:.15g}" for labels, value in samples]) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return "{" + ",".join(pairs) + "}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
