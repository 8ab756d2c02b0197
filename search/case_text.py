"""Shows a case: in words and as JSON. Owns the wording; knows no store and no search."""

from __future__ import annotations

from typing import Any

from indexer.times import from_milliseconds, to_local_iso
from search.case import Case, CaseSighting
from search.leads import Lead

LIST_HEADER = ["case", "state", "opened", "photos", "confirmed", "rejected", "new"]
SHOW_HEADER = ["decision", "local time (KST)", "district", "camera", "id", "decided"]


def summary(case: Case) -> dict[str, Any]:
    """A case without its content."""
    return {
        "id": case.id,
        "opened": _iso(case.opened_ms),
        "closed": None if case.closed_ms is None else _iso(case.closed_ms),
        "photos": len(case.photos),
        "confirmed": len(case.judged("confirmed")),
        "rejected": len(case.judged("rejected")),
        "new": len(case.new),
    }


def case_json(case: Case) -> dict[str, Any]:
    """The contract of `reid case show --json`; see docs/contracts.md."""
    return {
        **summary(case),
        "photos": [
            {
                "photo": photo.name,
                "sha256": photo.sha256,
                "person_box": list(photo.person_box),
                "added": _iso(photo.added_ms),
            }
            for photo in case.photos
        ],
        "sightings": [_sighting_json(each) for each in case.sightings],
        "leads": [lead.to_json() for lead in case.leads],
    }


def _sighting_json(sighting: CaseSighting) -> dict[str, Any]:
    record = sighting.judged.record
    return {
        "id": record.id,
        "decision": sighting.verdict,
        "history": [{"decision": step.verdict, "at": _iso(step.at_ms)} for step in sighting.history],
        "district": sighting.judged.district,
        "camera": record.camera,
        "start": _iso(record.start_ms),
        "end": _iso(record.end_ms),
        "best_time": _iso(record.best_ms),
        "box": list(record.box),
        "clip": record.path,
        "clip_sha256": record.clip,
        "clip_offset_s": record.best_offset_s,
    }


def list_row(case: Case) -> list[str]:
    """Of the table of all cases."""
    told = summary(case)
    state = "open" if case.closed_ms is None else f"closed {_short(case.closed_ms)}"
    counts = [str(told[name]) for name in ("photos", "confirmed", "rejected", "new")]
    return [case.id, state, _short(case.opened_ms), *counts]


def head_lines(case: Case) -> list[str]:
    """What stands above the table of a case."""
    state = "open" if case.closed_ms is None else f"closed at {_short(case.closed_ms)}"
    lines = [f"case {case.id}, opened {_short(case.opened_ms)} KST, {state}"]
    lines += [f"photo {photo.name} (sha256 {photo.sha256[:16]}…)" for photo in case.photos]
    lines += [_lead_line(lead) for lead in case.new]
    if case.new:
        lines.append(
            f"look at them: reid search --case {case.id} --since {_short(case.new[0].start_ms)[:10]}"
        )
    return lines


def _lead_line(lead: Lead) -> str:
    how = f"score {lead.score:.3f}" if lead.score is not None else ""
    if lead.probability is not None:
        how = f"probability {lead.probability:.0%}"
    return (
        f"new, nobody has looked at it: {_short(lead.start_ms)} KST, {lead.district}/{lead.camera}, {how}, id"
        f" {lead.tracklet}"
    )


def show_rows(case: Case) -> list[list[str]]:
    """Of the table of a case, by time of the sighting."""
    return [
        [
            each.verdict or "withdrawn", _short(each.judged.record.start_ms), each.judged.district,
            each.judged.record.camera, each.judged.record.id, _short(each.history[-1].at_ms),
        ]
        for each in case.sightings
    ]  # fmt: skip


def _iso(milliseconds: int) -> str:
    return to_local_iso(from_milliseconds(milliseconds))


def _short(milliseconds: int) -> str:
    return _iso(milliseconds)[:19].replace("T", " ")
