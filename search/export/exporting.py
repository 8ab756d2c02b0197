"""The one entry to an export: from a sheet to a finished folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reid.detector import Detector
from reid.durable import make_folder, write_file
from reid.errors import InputError
from search.export.feed import SCHEMA, feed_json, schema_bytes
from search.export.folder import whole_folder
from search.export.footage import Footage, find_footage
from search.export.manifest import Export, manifest_json, missing_lines
from search.export.media import AROUND_S, Exhibit, make_media
from search.export.page import page_html
from search.export.seals import MANIFEST, SUMS, Seal, sums_text
from search.export.sheet import Sheet

FEED, SIGHTINGS, PAGE = "feed.json", "sightings.json", "index.html"


@dataclass(frozen=True)
class Exported:
    """A finished export.

    Attributes:
        folder: where.
        files: how many there are, `bytes` together.
        sightings: how many; `clips`, `stills`: how many of them have one.
        manifest: sha256 of its manifest, which stands for all of it.
        missing: what could not be exported, a line each.
    """

    folder: str
    files: int
    bytes: int
    sightings: int
    clips: int
    stills: int
    manifest: str
    missing: tuple[str, ...]


def export_case(
    sheet: Sheet,
    out: Path,
    made_ms: int,
    blurrer: Detector | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Exported:
    """Write the evidence of a case to a new folder.

    Args:
        sheet: the case.
        out: a folder that does not exist or is empty.
        made_ms: now, milliseconds since 1970 UTC.
        blurrer: the archive's detector, to hide bystanders; None: nobody is hidden.
        progress: told the seconds of footage done, and of how many.

    Raises:
        InputError: no confirmed sighting, or `out` is in use.
        StorageError: the disk refuses; then nothing is left.
    """
    if not sheet.confirmed:
        raise InputError(f"case {sheet.case}: no sighting is confirmed, so there is nothing to export")
    with whole_folder(out) as folder:
        exhibits = _exhibits(sheet, folder, blurrer, progress)
        export = Export(sheet, exhibits, made_ms, blurrer.spec.sha256 if blurrer else None)
        seals = {file.name: Seal.of(folder / file.name) for each in exhibits for file in each.files}
        feed = _json(feed_json(export, seals))
        for name, data in (
            (FEED, feed), (SIGHTINGS, feed), (SCHEMA, schema_bytes()),
            (PAGE, page_html(export, seals).encode(errors="replace")),
        ):  # fmt: skip
            write_file(folder / name, data)
            seals[name] = Seal.of(folder / name)
        write_file(folder / MANIFEST, _json(manifest_json(export, seals)))
        seals[MANIFEST] = Seal.of(folder / MANIFEST)
        write_file(folder / SUMS, sums_text(seals).encode())
    return Exported(
        str(out), len(seals) + 1, sum(seal.bytes for seal in seals.values()), len(exhibits),
        sum(each.cut is not None for each in exhibits), sum(bool(each.scene) for each in exhibits),
        seals[MANIFEST].sha256, tuple(missing_lines(exhibits)),
    )  # fmt: skip


def _exhibits(
    sheet: Sheet, folder: Path, blurrer: Detector | None, progress: Callable[[int, int], None]
) -> tuple[Exhibit, ...]:
    lengths = [one.interval_s[1] - one.interval_s[0] + 2 * AROUND_S for one in sheet.confirmed]
    compared: dict[tuple[str, str], Footage] = {}
    exhibits = []
    for number, one in enumerate(sheet.confirmed):
        done = sum(lengths[:number])

        def advanced(seconds: float) -> None:
            nonlocal done
            done += seconds
            progress(round(done), round(sum(lengths)))

        advanced(0.0)
        key = (one.record.clip, one.record.path)
        if key not in compared:
            compared[key] = find_footage(one)
        name = f"media/{number + 1:03d}-{one.record.id}"
        make_folder(folder / name)
        exhibits.append(make_media(one, compared[key], folder, name, blurrer, advanced))
    return tuple(exhibits)


def _json(value: dict[str, Any]) -> bytes:
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    return (text + "\n").encode(errors="replace")
