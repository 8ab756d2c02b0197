"""What people do with cases: open, decide, approve, close, delete; allowed first, recorded before done.

A deed is on the disk before it is done: the log may name something that a failure then prevented, never the
other way round. The command line and the console both come through here.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from reid.errors import InputError, UnknownNameError
from search.accounts import Account
from search.actors import Actor
from search.audit import Deed, Event, record
from search.case import Approval, Case, Mandate
from search.cases import Cases, check_case_id
from search.judged import Verdict
from search.policy import DAY, NotAllowedError, Purpose, check_right, check_second, due, may_open
from search.roles import Right
from search.travel import AgeGroup


def visible(archive: ArchiveFiles, account: Account | None) -> tuple[Case, ...]:
    """The cases that somebody may see, without pictures, newest first."""
    with Cases(archive) as cases:
        found = [cases.get(each) for each in cases.ids()]
    return tuple(
        sorted(
            (case for case in found if may_open(account, case)),
            key=lambda case: (case.closed_ms is not None, -case.opened_ms),
        )
    )


def permitted(
    archive: ArchiveFiles, settings: Settings, purpose: Purpose, right: Right, pictures: bool = False
) -> Case:
    """The case of a purpose, if the person may do this with it.

    Raises:
        UnknownNameError: no such case, or one that the person may not see, which they are not told.
        NotAllowedError: their role does not allow it.
    """
    check_right(purpose.account, right, settings.require_case)
    case_id = check_case_id(purpose.case_id or "")
    with Cases(archive) as cases:
        case = cases.get(case_id, pictures)
    if not may_open(purpose.account, case):
        raise UnknownNameError("case", case_id, [])
    return case


def open_case(
    archive: ArchiveFiles, settings: Settings, purpose: Purpose, basis: str, *,
    days: int | None = None, districts: tuple[str, ...] | None = None, age: AgeGroup | None = None,
    description: str = "",
) -> None:  # fmt: skip
    """Open a new case.

    Args:
        purpose: with the new case's id. basis: its legal basis.
        days: after which it expires; None: as the settings say. districts: it reaches; None: all of the
            person's own. age, description: of the person looked for.

    Raises:
        InputError: taken, or no basis where the rules demand one.
        NotAllowedError: the person may not, or not in these districts.
    """
    check_right(purpose.account, "search", settings.require_case)
    case_id = check_case_id(purpose.case_id or "")
    if settings.require_case and not basis.strip():
        raise InputError("expected the legal basis of the case: --basis TEXT")
    own = purpose.account.districts if purpose.account else None
    districts = own if districts is None else districts
    if purpose.account and not purpose.account.may_see(districts):
        raise NotAllowedError(f"account {purpose.actor.name} may not open a case in these districts")
    now_ms, days = _now_ms(), settings.case_days if days is None else days
    if settings.case_days and not 0 < days <= settings.case_days:
        raise InputError(f"a case lasts 1 to {settings.case_days} days in this archive, got {days}")
    expires_ms = now_ms + days * DAY if days else None
    mandate = Mandate(basis.strip(), expires_ms, purpose.actor.name, districts, age, description.strip())
    with Cases(archive) as cases:
        if case_id in cases.ids():
            raise InputError(f"case {case_id} is there already; choose another id, or use that case")
        told = {"basis": mandate.basis, "districts": None if districts is None else list(districts)}
        record(archive, Deed("case opened", purpose.actor, case_id, purpose.reason, scope=told))
        cases.open_case(case_id, now_ms, mandate)


def undo(archive: ArchiveFiles, settings: Settings, purpose: Purpose, sighting: str) -> Verdict:
    """Withdraw what was decided of a sighting; raises as `Cases.undo` and `permitted`."""
    case = permitted(archive, settings, purpose, "search")
    record(archive, _deed("undo", purpose, case, sighting))
    with Cases(archive) as cases:
        return cases.undo(case.id, sighting, _now_ms(), purpose.actor.name)


def close(archive: ArchiveFiles, settings: Settings, purpose: Purpose, reopen: bool = False) -> None:
    """Close a case, or open it again, which is a supervisor's; raises as `permitted`."""
    case = permitted(archive, settings, purpose, "approve" if reopen else "search")
    record(archive, _deed("case reopened" if reopen else "case closed", purpose, case))
    with Cases(archive) as cases:
        cases.close_case(case.id, None if reopen else _now_ms())


def delete(archive: ArchiveFiles, settings: Settings, purpose: Purpose) -> tuple[int, int]:
    """Delete a case for good; tells how many photos and sightings went; raises as `permitted`."""
    case = permitted(archive, settings, purpose, "delete")
    _record_deletion(archive, purpose.actor, case, purpose.reason)
    with Cases(archive) as cases:
        return cases.delete(case.id)


def delete_due(archive: ArchiveFiles, settings: Settings, actor: Actor) -> tuple[str, ...]:
    """Delete the cases that were closed or expired long enough ago; their ids."""
    if not archive.cases.exists():
        return ()
    gone = due(visible(archive, None), settings, _now_ms())
    for case in gone:
        reason = f"closed or expired {settings.closed_case_days} days ago"
        _record_deletion(archive, actor, case, reason)
        with Cases(archive) as cases:
            cases.delete(case.id)
    return tuple(case.id for case in gone)


def decide(
    archive: ArchiveFiles, settings: Settings, purpose: Purpose, approval_id: str, granted: bool
) -> Approval:
    """Allow, or refuse, what a second person was asked.

    Raises:
        UnknownNameError: no such case or approval.
        NotAllowedError: who asks may not approve, nor may most roles.
    """
    case = permitted(archive, settings, purpose, "approve")
    asked = {each.id: each for each in case.approvals}
    if approval_id not in asked:
        raise UnknownNameError("approval", approval_id, asked)
    approval = asked[approval_id]
    check_second(approval, purpose.actor, purpose.account, settings.require_case)
    decided = replace(approval, decided_by=purpose.actor.name, decided_ms=_now_ms(), granted=granted)
    told = {"asked_by": approval.asked_by, "kind": approval.kind, "districts": list(approval.districts)}
    event: Event = "approval given" if granted else "approval denied"
    record(archive, Deed(event, purpose.actor, case.id, purpose.reason, approval.id, told))
    with Cases(archive) as cases:
        cases.put_approval(case.id, decided)
    return decided


def _record_deletion(archive: ArchiveFiles, actor: Actor, case: Case, reason: str) -> None:
    counts = {"photos": len(case.photos), "sightings": len(case.sightings)}
    record(archive, Deed("case deleted", actor, case.id, reason, counts=counts))


def _deed(event: Event, purpose: Purpose, case: Case, subject: str = "") -> Deed:
    return Deed(event, purpose.actor, case.id, purpose.reason, subject)


def _now_ms() -> int:
    return milliseconds(datetime.now(UTC))
