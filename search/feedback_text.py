"""Says in words and as JSON which confirmed and rejected sightings refined a search."""

from __future__ import annotations

from typing import Any

from search.judged import Verdict
from search.request import Request

DECISIONS_KO = {"confirmed": "확인됨", "rejected": "제외됨"}


def decision_words(decision: Verdict | None) -> str:
    """`confirmed 확인됨`, or nothing."""
    return f"{decision} {DECISIONS_KO[decision]}" if decision else ""


def feedback_notes(request: Request, model: str) -> list[str]:
    """What a reader must know of the sightings that refined a search; nothing when there were none.

    Args:
        request: what was asked. model: sha256 of the embedder.
    """
    asked = request.feedback
    if not asked.ids:
        return []
    whose = f"case {asked.case}" if asked.case else "this search"
    notes = [
        f"refined by {len(asked.confirmed)} confirmed and {len(asked.rejected)} rejected sightings of"
        f" {whose}; rejected ones are not listed"
    ]
    gone = _gone(request)
    if gone:
        notes.append(
            f"no longer in the archive, used from the copy that the case keeps: {', '.join(gone)}; what has"
            " expired is not listed"
        )
    other = _other_model(request, model)
    if other:
        notes.append(
            f"not used, for their vectors are of another model: {', '.join(other)}; judge them anew where the"
            " archive still shows them"
        )
    return notes


def feedback_json(request: Request, model: str) -> dict[str, Any]:
    """The contract of `feedback` in a result; see docs/contracts.md."""
    asked = request.feedback
    return {
        "case": asked.case,
        "confirmed": list(asked.confirmed),
        "rejected": list(asked.rejected),
        "not_in_archive": _gone(request),
        "not_used": _other_model(request, model),
    }


def _gone(request: Request) -> list[str]:
    return [each.record.id for each in request.judged if not each.in_archive]


def _other_model(request: Request, model: str) -> list[str]:
    return [each.record.id for each in request.judged if each.embedder != model]
