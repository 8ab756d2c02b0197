"""Shows the audit log: as rows for people, as JSON for machines and oversight bodies. Owns the wording."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from indexer.times import from_milliseconds, to_local_iso
from search.audit import Entry
from search.audit_proof import Verification

HEADER = ["no.", "local time (KST)", "who", "by", "did", "case", "reason", "what"]

EVENTS_KO = {
    "archive created": "보관소 생성", "search": "검색", "refused": "거부됨", "alert": "경보",
    "view": "사진 열람",
    "confirm": "동일인 확인", "reject": "제외", "undo": "판단 취소",
    "export": "증거 내보내기", "erase": "삭제",
    "sign-in": "로그인", "sign-in failed": "로그인 실패", "sign-out": "로그아웃", "permission": "권한 변경",
    "case opened": "사건 개시", "case changed": "사건 변경", "case closed": "사건 종결",
    "case reopened": "사건 재개", "case deleted": "사건 삭제", "approval asked": "승인 요청",
    "approval given": "승인", "approval denied": "승인 거절", "log read": "기록 열람",
    "repaired": "끊긴 기록 표시",
}  # fmt: skip
"""Of every event."""


def entry_json(entry: Entry) -> dict[str, Any]:
    """An entry for machines; the hash is of the line in the log, see docs/contracts.md."""
    deed = entry.deed
    return {
        "number": entry.number, "at": to_local_iso(from_milliseconds(entry.at_ms)), "event": deed.event,
        "who": deed.actor.name, "way": deed.actor.way, "address": deed.actor.address,
        "case": deed.case or None, "reason": deed.reason or None, "subject": deed.subject or None,
        "scope": dict(deed.scope), "counts": dict(deed.counts), "previous": entry.previous,
        "hash": entry.hash,
    }  # fmt: skip


def verification_json(found: Verification) -> dict[str, Any]:
    """The contract of `reid audit verify --json`."""
    return {
        "sound": found.sound, "entries": found.head.entries, "hash": found.head.hash,
        "noted": found.head.note, "faults": list(found.faults), "remarks": list(found.remarks),
    }  # fmt: skip


def row(entry: Entry) -> list[str]:
    """Of the table of entries."""
    deed = entry.deed
    when = to_local_iso(from_milliseconds(entry.at_ms))[:19].replace("T", " ")
    return [
        str(entry.number), when, deed.actor.name or "-", deed.actor.way, deed.event, deed.case or "-",
        deed.reason, told(entry),
    ]  # fmt: skip


def told(entry: Entry) -> str:
    """What was done to what, in a line."""
    deed = entry.deed
    parts = [deed.subject] if deed.subject else []
    districts = deed.scope.get("districts")
    if districts:
        many = f" and {len(districts) - 3} more" if len(districts) > 3 else ""
        parts.append(", ".join(districts[:3]) + many)
    if deed.scope.get("since") or deed.scope.get("until"):
        parts.append(f"{_short(deed.scope.get('since'))} to {_short(deed.scope.get('until'))}")
    parts += [
        str(deed.scope[name]) for name in ("basis", "shown", "what", "role", "why") if deed.scope.get(name)
    ]
    parts += [f"{count} {name}" for name, count in deed.counts.items()]
    return "; ".join(parts)


def chosen(
    entries: Iterable[Entry], who: str | None, case: str | None, event: str | None, since_ms: int | None,
    until_ms: int | None,
) -> Iterator[Entry]:  # fmt: skip
    """Those of a person, a case, an event, a time; None: all."""
    for entry in entries:
        deed = entry.deed
        if who not in (None, deed.actor.name) or case not in (None, deed.case):
            continue
        if event not in (None, deed.event):
            continue
        if (since_ms is None or entry.at_ms >= since_ms) and (until_ms is None or entry.at_ms < until_ms):
            yield entry


def _short(iso: Any) -> str:
    return str(iso)[:16].replace("T", " ") if iso else "…"
