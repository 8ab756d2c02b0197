"""An export by people: allowed first, and recorded before it is made. See `search.casebook`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from indexer.districts import Districts
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from indexer.times import milliseconds
from reid.detector import Detector
from search.audit import Deed, record
from search.casebook import permitted
from search.export.exporting import Exported, export_case
from search.export.sheet import sheet_of
from search.policy import Purpose


def export_recorded(
    archive: ArchiveFiles, settings: Settings, purpose: Purpose, snapshot: Snapshot, table: Districts,
    out: Path, load: Callable[[], Detector] | None, progress: Callable[[int, int], None], whither: str = "",
) -> Exported:  # fmt: skip
    """Write the evidence of a case to a new folder; see `export_case`.

    Args:
        load: gives the detector that hides bystanders; None: nobody is hidden.
        whither: for the log; empty: the folder.
    """
    case = permitted(archive, settings, purpose, "search")
    sheet = sheet_of(case, snapshot, table)
    blurrer = load() if load and sheet.confirmed else None
    counts = {"sightings": len(sheet.confirmed)}
    told = {"sightings": [each.record.id for each in sheet.confirmed], "bystanders hidden": load is not None}
    record(archive, Deed("export", purpose.actor, case.id, purpose.reason, whither or str(out), told, counts))
    return export_case(sheet, out, milliseconds(datetime.now(UTC)), blurrer, progress)
