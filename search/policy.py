"""The rules of a search: who may ask what, in which case, how often, and when a second person must agree.

Pure: decides from what it is told, changes nothing and records nothing. The same rules bind the console, the
interface for machines and the command line, because `search.desk` asks here before every search.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from indexer.settings import Settings
from indexer.times import from_milliseconds, to_local_iso
from reid.errors import InputError
from search.accounts import Account
from search.actors import Actor
from search.case import Approval, ApprovalKind, Case
from search.filters import Filters
from search.roles import RIGHTS_OF, Right

DAY = 86_400_000
APPROVAL_MS = DAY
"""How long a second person's approval holds, from when it was given."""

_SEOUL_MS = 9 * 3_600_000  # ahead of UTC, without summer time


class NotAllowedError(InputError):
    """The rules do not allow it."""


@dataclass(frozen=True)
class Purpose:
    """Who asks, in which case and why.

    Attributes:
        actor: who. account: theirs; None for a user of the command line who has none.
        case_id: the case; None: none. reason: as given.
    """

    actor: Actor
    account: Account | None = None
    case_id: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Situation:
    """What a search is judged by.

    Attributes:
        case: the case of the purpose as it is; None: there is none yet.
        filters: what is asked.
        holding: slugs of the districts with cameras.
        footage: first and last moment of the footage, milliseconds since 1970 UTC.
        today: how many searches the person has made on this local day.
        now_ms: the present, in the same unit.
    """

    case: Case | None
    filters: Filters
    holding: frozenset[str]
    footage: tuple[int, int]
    today: int
    now_ms: int


def examine(settings: Settings, purpose: Purpose, seen: Situation) -> ApprovalKind | None:
    """Whether a search is allowed; the kind of approval it lacks, or None where it may go on.

    Raises:
        NotAllowedError: no approval could allow it; says what to do.
    """
    _check_person(settings, purpose, seen.filters)
    _check_case(settings, purpose, seen)
    approvals = [each for each in (seen.case.approvals if seen.case else ()) if _holds(each, purpose, seen)]
    grants = sum(each.kind == "daily limit" for each in approvals)
    if settings.daily_searches and seen.today >= settings.daily_searches * (1 + grants):
        return "daily limit"
    if is_wide(settings, seen) and not any(
        each.kind == "wide search" and _covers(each, seen.filters) for each in approvals
    ):
        return "wide search"
    return None


def check_right(account: Account | None, right: Right, strict: bool) -> None:
    """May the person do this?

    Args:
        account: theirs. right: what is needed.
        strict: a person without an account may do nothing; else what the operating system lets them.

    Raises:
        NotAllowedError: no.
    """
    if account is None:
        if strict:
            raise NotAllowedError(
                "this archive's rules ask for an account of your user name; an administrator makes it with:"
                " reid users add NAME --role ROLE"
            )
        return
    if account.disabled:
        raise NotAllowedError(f"account {account.name} is disabled")
    if right not in RIGHTS_OF[account.role]:
        raise NotAllowedError(f"account {account.name} ({account.role}) may not do this")


def may_open(account: Account | None, case: Case) -> bool:
    """May this person see a case? Only who may see every district that it reaches."""
    return account is None or account.may_see(case.mandate.districts)


def is_expired(case: Case, now_ms: int) -> bool:
    """Has its time run out?"""
    return case.mandate.expires_ms is not None and now_ms >= case.mandate.expires_ms


def is_wide(settings: Settings, seen: Situation) -> bool:
    """Does it ask most of the districts that have cameras, over more days than one person may alone?"""
    if not settings.wide_days:
        return False
    asked = seen.holding & set(seen.filters.districts)
    since, until = seen.filters.since_ms, seen.filters.until_ms
    begin = seen.footage[0] if since is None else max(since, seen.footage[0])
    end = seen.footage[1] if until is None else min(until, seen.footage[1])
    return len(asked) > max(1, len(seen.holding) // 2) and end - begin > settings.wide_days * DAY


def pending(kind: ApprovalKind, purpose: Purpose, seen: Situation) -> Approval | None:
    """The same, asked already and not decided."""
    for each in seen.case.approvals if seen.case else ():
        same = each.kind == kind and each.asked_by == purpose.actor.name and each.decided_ms is None
        if same and seen.now_ms < each.asked_ms + APPROVAL_MS and _covers(each, seen.filters):
            return each
    return None


def check_second(approval: Approval, actor: Actor, account: Account | None, strict: bool) -> None:
    """May this person decide it?

    Raises:
        NotAllowedError: they asked for it themselves, may not approve, or it is decided.
    """
    check_right(account, "approve", strict)
    if actor.name == approval.asked_by:
        raise NotAllowedError("who asks may not approve; a second person must")
    if approval.decided_ms is not None:
        raise NotAllowedError(f"this was decided by {approval.decided_by} already")
    if account is not None and not account.may_see(approval.districts):
        raise NotAllowedError(f"account {account.name} may not see all districts of this search")


def local_midnight(now_ms: int) -> int:
    """When the local day of a moment began, milliseconds since 1970 UTC."""
    return (now_ms + _SEOUL_MS) // DAY * DAY - _SEOUL_MS


def due(cases: Iterable[Case], settings: Settings, now_ms: int) -> tuple[Case, ...]:
    """Cases that were closed, or expired, so long ago that what they keep must go."""
    if not settings.closed_case_days:
        return ()
    ended = [(case, _ended_ms(case)) for case in cases]
    return tuple(
        case for case, at in ended if at is not None and now_ms >= at + settings.closed_case_days * DAY
    )


def _ended_ms(case: Case) -> int | None:
    ends = [at for at in (case.closed_ms, case.mandate.expires_ms) if at is not None]
    return min(ends, default=None)


def _check_person(settings: Settings, purpose: Purpose, filters: Filters) -> None:
    check_right(purpose.account, "search", settings.require_case)
    account = purpose.account
    if account is not None and not account.may_see(filters.districts):
        foreign = sorted(set(filters.districts) - set(account.districts or ()))
        raise NotAllowedError(
            f"account {account.name} may not search {', '.join(foreign)}; name its own districts"
        )


def _check_case(settings: Settings, purpose: Purpose, seen: Situation) -> None:
    case = seen.case
    if case is not None:
        if not may_open(purpose.account, case):
            raise NotAllowedError(f"account {purpose.actor.name} may not see case {case.id}")
        if is_expired(case, seen.now_ms):
            when = to_local_iso(from_milliseconds(case.mandate.expires_ms or 0))
            raise NotAllowedError(f"case {case.id} expired at {when}; open another with its own legal basis")
        if case.mandate.districts is not None and not set(seen.filters.districts) <= set(
            case.mandate.districts
        ):
            raise NotAllowedError(f"case {case.id} reaches {', '.join(case.mandate.districts)} only")
    if not settings.require_case:
        return
    if case is None or not case.mandate.basis:
        raise NotAllowedError(
            "this archive is searched only inside an open case with a legal basis: reid case open ID --basis"
            " TEXT, then reid search ... --case ID --reason TEXT"
        )
    if not purpose.reason.strip():
        raise NotAllowedError("this archive is searched only for a stated reason: --reason TEXT")


def _holds(approval: Approval, purpose: Purpose, seen: Situation) -> bool:
    if approval.decided_ms is None or not approval.granted or approval.asked_by != purpose.actor.name:
        return False
    if approval.kind == "daily limit":
        return approval.decided_ms >= local_midnight(seen.now_ms)
    return seen.now_ms < approval.decided_ms + APPROVAL_MS


def _covers(approval: Approval, filters: Filters) -> bool:
    """Is what is asked within what was asked to be approved?"""
    early = approval.since_ms is None or (
        filters.since_ms is not None and filters.since_ms >= approval.since_ms
    )
    late = approval.until_ms is None or (
        filters.until_ms is not None and filters.until_ms <= approval.until_ms
    )
    return early and late and set(filters.districts) <= set(approval.districts)
