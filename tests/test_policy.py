"""The rules of a search, for every person, case and time; and that nothing passes them by."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from reid.errors import InputError, StorageError, UnknownNameError
from search import desk as desk_module
from search.accounts import Account
from search.actors import Actor
from search.audit import log_path, read_log
from search.audit_proof import verify
from search.case import Approval, Case, Mandate
from search.casebook import close, decide, delete_due, open_case, permitted, undo, visible
from search.cases import Cases
from search.desk import ApprovalNeededError, Desk, GivenPhoto, Question
from search.filters import Filters
from search.policy import (
    APPROVAL_MS,
    DAY,
    NotAllowedError,
    Purpose,
    Situation,
    due,
    examine,
    local_midnight,
)
from tests.crowd import DAY as FIRST_DAY
from tests.crowd import fill, midnight
from tests.world import FakeDetector, FakeEmbedder

POLICE = Settings(require_case=True, case_days=30, closed_case_days=30, wide_days=3, daily_searches=5)  # type: ignore[call-arg]
PLAIN = Settings()  # type: ignore[call-arg]
NOW = 1_740_000_000_000
BASIS = "실종아동법 제9조"
HOLDING = frozenset({"songpa", "nowon", "jung", "mapo"})
KIM = Account("kim", "analyst", None, False, 0)
CASE = Case("c-1", NOW, None, (), (), Mandate(BASIS, NOW + DAY, "kim"))
PURPOSE = Purpose(Actor("kim", "console"), KIM, "c-1", "a child, five years old")


def seen(
    *districts: str, days: float = 1, today: int = 0, case: Case | None = CASE, now_ms: int = NOW
) -> Situation:
    filters = Filters(districts or ("songpa",), (), NOW - round(days * DAY), NOW)
    return Situation(case, filters, HOLDING, (NOW - 30 * DAY, NOW), today, now_ms)


def test_what_is_allowed() -> None:
    assert examine(POLICE, PURPOSE, seen()) is None
    assert examine(POLICE, PURPOSE, seen("songpa", "nowon", days=30)) is None
    assert examine(POLICE, PURPOSE, seen(*HOLDING, days=3)) is None
    assert examine(PLAIN, Purpose(Actor("root", "command line")), seen(*HOLDING, days=30, case=None)) is None


@pytest.mark.parametrize(
    ("purpose", "situation", "told"),
    [
        (replace(PURPOSE, account=None), seen(), "account of your user name"),
        (replace(PURPOSE, account=replace(KIM, disabled=True)), seen(), "disabled"),
        (replace(PURPOSE, account=replace(KIM, role="auditor")), seen(), "auditor.* may not"),
        (replace(PURPOSE, account=replace(KIM, role="admin")), seen(), "admin.* may not"),
        (replace(PURPOSE, account=replace(KIM, districts=("nowon",))), seen(), "may not search songpa"),
        (replace(PURPOSE, account=replace(KIM, districts=("songpa",))), seen("songpa", "jung"), "jung"),
        (replace(PURPOSE, account=replace(KIM, districts=("songpa",))), seen(), "may not see case"),
        (replace(PURPOSE, reason="  "), seen(), "stated reason"),
        (PURPOSE, seen(case=None), "open case with a legal basis"),
        (PURPOSE, seen(case=replace(CASE, mandate=Mandate())), "open case with a legal basis"),
        (PURPOSE, seen(now_ms=NOW + DAY), "expired at 2025"),
        (PURPOSE, seen(case=replace(CASE, mandate=replace(CASE.mandate, districts=("jung",)))), "jung only"),
    ],
)
def test_what_is_not(purpose: Purpose, situation: Situation, told: str) -> None:
    with pytest.raises(NotAllowedError, match=told):
        examine(POLICE, purpose, situation)


def approved(kind: str, by: str = "park", **changes: object) -> Approval:
    asked = Approval("a1", kind, "kim", NOW - 9, "why", tuple(HOLDING), None, None, by, NOW - 5, True)  # type: ignore[arg-type]
    return replace(asked, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("approval", "still_lacks"),
    [
        (None, "wide search"),
        (approved("wide search"), None),
        (approved("daily limit"), "wide search"),
        (approved("wide search", granted=False), "wide search"),
        (approved("wide search", decided_ms=None, granted=False), "wide search"),
        (approved("wide search", asked_by="lee"), "wide search"),
        (approved("wide search", decided_ms=NOW - APPROVAL_MS), "wide search"),
        (approved("wide search", districts=("songpa",)), "wide search"),
        (approved("wide search", since_ms=NOW - 3 * DAY), "wide search"),
        (approved("wide search", since_ms=NOW - 4 * DAY, until_ms=NOW), None),
        (approved("wide search", until_ms=NOW - 1), "wide search"),
    ],
)
def test_a_second_person_allows_what_was_asked_and_no_more(
    approval: Approval | None, still_lacks: str | None
) -> None:
    case = replace(CASE, approvals=(approval,) if approval else ())
    assert examine(POLICE, PURPOSE, seen("songpa", "nowon", "jung", days=3.5, case=case)) == still_lacks


def test_a_daily_limit_is_lifted_by_as_much_again() -> None:
    assert examine(POLICE, PURPOSE, seen(today=4)) is None
    assert examine(POLICE, PURPOSE, seen(today=5)) == "daily limit"
    case = replace(CASE, approvals=(approved("daily limit"),))
    assert examine(POLICE, PURPOSE, seen(today=9, case=case)) is None
    assert examine(POLICE, PURPOSE, seen(today=10, case=case)) == "daily limit"
    old = replace(CASE, approvals=(approved("daily limit", decided_ms=local_midnight(NOW) - 1),))
    assert examine(POLICE, PURPOSE, seen(today=5, case=old)) == "daily limit"
    assert local_midnight(midnight(FIRST_DAY) + 5) == midnight(FIRST_DAY)
    assert local_midnight(midnight(FIRST_DAY) - 1) == midnight(FIRST_DAY) - DAY


def test_what_is_due_to_be_deleted() -> None:
    ages = {"open": (None, None), "just": (NOW - 29 * DAY, None), "closed": (NOW - 30 * DAY, None),
            "expired": (None, NOW - 31 * DAY), "both": (NOW, NOW - 30 * DAY)}  # fmt: skip
    cases = [Case(name, 0, at, (), (), Mandate(expires_ms=ends)) for name, (at, ends) in ages.items()]
    assert [case.id for case in due(cases, POLICE, NOW)] == ["closed", "expired", "both"]
    assert due(cases, PLAIN, NOW) == ()


@pytest.fixture
def archive(tmp_path: Path) -> ArchiveFiles:
    made = ArchiveFiles(tmp_path / "archive")
    fill(made, ("songpa", "nowon", "jung"), days=5, cameras=1, hours=(9,), tracklets=4, dimension=8)
    return made


def a_desk(archive: ArchiveFiles, settings: Settings = POLICE) -> Desk:
    made = Desk(archive, settings, lambda: (FakeDetector(), FakeEmbedder()))  # type: ignore[arg-type, return-value]
    assert made.models[1].spec.dimension == 8
    return made


def a_photo() -> GivenPhoto:
    path = Path(__file__).parents[1] / "search/demo/data/photos/0001.jpg"
    return GivenPhoto(str(path), path.read_bytes(), box=(1.0, 2.0, 60.0, 120.0))


def question(*districts: str, **more: object) -> Question:
    return Question(Filters(districts or ("songpa",)), (a_photo(),), **more)  # type: ignore[arg-type]


def opened(archive: ArchiveFiles, purpose: Purpose = PURPOSE) -> None:
    open_case(archive, POLICE, purpose, BASIS)


def events(archive: ArchiveFiles) -> list[str]:
    return [entry.deed.event for entry in read_log(archive)]


def test_a_search_is_recorded_with_who_why_where_and_what_was_shown(archive: ArchiveFiles) -> None:
    opened(archive)
    with a_desk(archive) as desk:
        answer = desk.search(question(), PURPOSE)
    *_, last = read_log(archive)
    deed = last.deed
    assert (deed.event, deed.actor.name, deed.case, deed.reason) == ("search", "kim", "c-1", PURPOSE.reason)
    assert deed.scope["districts"] == ["songpa"]
    assert deed.scope["photos"] == [answer.result.request.queries[0].sha256]
    assert deed.counts["sightings"] == len(answer.result.sightings) > 0
    assert events(archive) == ["case opened", "case changed", "search"]
    with Cases(archive) as cases:
        assert cases.get("c-1").mandate.basis == BASIS
        assert cases.get("c-1", pictures=True).photos[0].data == a_photo().data


def test_what_was_refused_is_recorded_and_changes_nothing(archive: ArchiveFiles) -> None:
    with a_desk(archive) as desk:
        for purpose in (PURPOSE, replace(PURPOSE, account=None)):
            with pytest.raises(NotAllowedError):
                desk.search(question(), purpose)
    assert events(archive) == ["refused", "refused"]
    with Cases(archive) as cases:
        assert cases.ids() == ()


def test_nothing_is_shown_that_cannot_be_recorded(
    archive: ArchiveFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(archive)
    with a_desk(archive) as desk:
        [best, *_] = desk.search(question(), PURPOSE).result.sightings
        before = len(events(archive))
        log_path(archive).chmod(0o400)
        monkeypatch.setattr(os, "open", _refusing(log_path(archive), os.open))
        with pytest.raises(StorageError) as refused:
            desk.search(question(confirm=(best.record.id,)), PURPOSE)
        monkeypatch.undo()
    assert refused.value.exit_code == 3
    assert len(events(archive)) == before
    with Cases(archive) as cases:
        assert cases.get("c-1").sightings == (), "a decision that cannot be recorded is not made"


def _refusing(path: Path, real: Callable[..., int]) -> Callable[..., int]:
    def refusing(target: object, *args: object, **kwargs: object) -> int:
        if str(target) == str(path):
            raise OSError(28, os.strerror(28), str(path))
        return real(target, *args, **kwargs)

    return refusing


def test_two_people_are_needed_for_a_wide_search(archive: ArchiveFiles) -> None:
    opened(archive)
    wide = question("songpa", "nowon", "jung")
    park = Account("park", "supervisor", None, False, 0)
    second = Purpose(Actor("park", "console"), park, "c-1", "agreed by telephone")
    with a_desk(archive) as desk:
        for _ in range(2):
            with pytest.raises(ApprovalNeededError, match="second person") as needed:
                desk.search(wide, PURPOSE)
        asked = needed.value.approval
        assert events(archive).count("approval asked") == 1, "the same is not asked twice"
        with pytest.raises(NotAllowedError, match=r"kim.*may not"):
            decide(archive, POLICE, PURPOSE, asked.id, True)
        himself = replace(PURPOSE, account=replace(KIM, role="supervisor"))
        with pytest.raises(NotAllowedError, match="a second person must"):
            decide(archive, POLICE, himself, asked.id, True)
        with pytest.raises(UnknownNameError):
            decide(archive, POLICE, second, "nothing", True)
        assert decide(archive, POLICE, second, asked.id, True).granted
        with pytest.raises(NotAllowedError, match="decided by park"):
            decide(archive, POLICE, second, asked.id, False)
        assert desk.search(wide, PURPOSE).result.sightings
        with pytest.raises(ApprovalNeededError):
            desk.search(wide, replace(PURPOSE, actor=Actor("lee", "console")))
    assert "approval given" in events(archive)
    assert verify(archive).sound


def test_a_daily_limit_counts_the_log_and_alerts(archive: ArchiveFiles) -> None:
    opened(archive)
    settings = POLICE.model_copy(update={"daily_searches": 2})
    with a_desk(archive, settings) as desk:
        desk.search(question(), PURPOSE)
        desk.search(question(), replace(PURPOSE, actor=Actor("lee", "console")))
        desk.search(question(), PURPOSE)
        with pytest.raises(ApprovalNeededError, match="daily limit"):
            desk.search(question(), PURPOSE)
        [alert] = [entry.deed for entry in read_log(archive) if entry.deed.event == "alert"]
        assert (alert.actor.name, alert.counts["searches"]) == ("kim", 2)
        assert desk.search(question(), replace(PURPOSE, actor=Actor("lee", "console"))).result


def test_cases_of_other_districts_are_not_there(archive: ArchiveFiles) -> None:
    songpa = replace(KIM, districts=("songpa",))
    nowon = Account("lee", "supervisor", ("nowon",), False, 0)
    mine = Purpose(Actor("kim", "console"), songpa, "c-1", "why")
    opened(archive, mine)
    theirs = Purpose(Actor("lee", "console"), nowon, "c-1", "why")
    assert [case.id for case in visible(archive, songpa)] == ["c-1"]
    assert visible(archive, nowon) == ()
    for forbidden in (
        lambda: permitted(archive, POLICE, theirs, "search"),
        lambda: close(archive, POLICE, theirs),
        lambda: undo(archive, POLICE, theirs, "00"),
        lambda: open_case(archive, POLICE, replace(theirs, case_id="x"), BASIS, districts=("songpa",)),
    ):
        with pytest.raises(InputError):
            forbidden()
    with pytest.raises(NotAllowedError), a_desk(archive) as desk:
        desk.search(question("nowon"), theirs)
    assert events(archive) == ["case opened", "refused"]


def test_cases_last_no_longer_than_the_rules_say(archive: ArchiveFiles) -> None:
    for days in (0, 31, -1):
        with pytest.raises(InputError, match="1 to 30 days"):
            open_case(archive, POLICE, PURPOSE, BASIS, days=days)
    with pytest.raises(InputError, match="legal basis"):
        open_case(archive, POLICE, PURPOSE, " ")
    opened(archive)
    with pytest.raises(InputError, match="there already"):
        opened(archive)
    with Cases(archive) as cases:
        mandate = cases.get("c-1").mandate
        assert mandate.expires_ms is not None
        assert abs(mandate.expires_ms - cases.get("c-1").opened_ms - 30 * DAY) < DAY / 24
        cases.close_case("c-1", 1)
    assert delete_due(archive, POLICE, Actor.system()) == ("c-1",)
    assert visible(archive, None) == ()
    assert events(archive)[-1] == "case deleted"
    assert delete_due(archive, POLICE, Actor.system()) == ()


def test_only_the_desk_searches_for_people() -> None:
    """What people use reaches an archive's vectors through one door."""
    root = Path(desk_module.__file__).parents[1]
    inside = [*(root / "search").rglob("*.py"), root / "cli.py"]
    users = {path.name for path in inside if "find_sightings" in path.read_text()}
    assert users == {"desk.py", "sightings.py"}
