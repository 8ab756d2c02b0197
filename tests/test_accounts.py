"""Accounts: who gets in, for how long, and what is kept of secrets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from indexer.shard.files import ArchiveFiles
from reid.errors import InputError, StorageError, UnknownNameError
from search.accounts import HOUR, IDLE_MS, LOCKED_MS, SESSION_MS, TRIES, Accounts, LockedError
from search.accounts_work import add, change
from search.actors import Actor
from search.audit import read_log
from search.roles import RIGHTS, RIGHTS_OF, ROLES

GOOD = "네 개의 파란 우산 이야기"
NOW = 1_700_000_000_000
ROOT = Actor("root", "command line")


def nobody(what: str, reach: object) -> None:
    """Nothing is recorded."""


@pytest.fixture
def accounts(tmp_path: Path) -> Iterator[Accounts]:
    (tmp_path / "archive").mkdir()
    with Accounts(ArchiveFiles(tmp_path / "archive")) as opened:
        opened.add("kim", "analyst", ("songpa",), GOOD, NOW, nobody)
        yield opened


def test_a_session_begins_with_the_password_and_ends(accounts: Accounts) -> None:
    session = accounts.sign_in("kim", GOOD, NOW)
    account = accounts.of_session(session, NOW)
    assert account is not None
    assert (account.name, account.role, account.districts) == ("kim", "analyst", ("songpa",))
    assert accounts.of_session(session, NOW + IDLE_MS) is None, "idle"
    for step in range(1, SESSION_MS // (IDLE_MS // 2)):
        assert accounts.of_session(session, NOW + step * IDLE_MS // 2), step
    assert accounts.of_session(session, NOW + SESSION_MS) is None, "as long as a session lasts"
    other = accounts.sign_in("kim", GOOD, NOW)
    accounts.sign_out(other)
    assert accounts.of_session(other, NOW) is None
    assert accounts.of_session("", NOW) is None
    assert accounts.of_session("forged" * 8, NOW) is None


def test_failed_tries_lock_an_account_and_time_or_an_administrator_opens_it(accounts: Accounts) -> None:
    for name in ("kim", "nobody of this name"):
        for _ in range(TRIES):
            with pytest.raises(InputError, match="the name or the password is wrong"):
                accounts.sign_in(name, "wrong" * 4, NOW)
        with pytest.raises(LockedError):
            accounts.sign_in(name, GOOD, NOW + 1)
    assert accounts.sign_in("kim", GOOD, NOW + LOCKED_MS + 1)
    for _ in range(TRIES - 1):
        with pytest.raises(InputError):
            accounts.sign_in("kim", "wrong" * 4, NOW + LOCKED_MS + 2)
    assert accounts.sign_in("kim", GOOD, NOW + LOCKED_MS + 3), "a success forgets the tries before"


def test_what_ends_sessions_and_tokens(accounts: Accounts) -> None:
    changes: list[Callable[[], object]] = [
        lambda: accounts.change("kim", nobody, role="auditor"),
        lambda: accounts.change("kim", nobody, districts=None),
        lambda: accounts.set_password("kim", GOOD, nobody),
        lambda: accounts.change("kim", nobody, disabled=True),
    ]
    for change_ in changes:
        session = accounts.sign_in("kim", GOOD, NOW)
        change_()
        assert accounts.of_session(session, NOW) is None
    with pytest.raises(InputError, match="wrong"):
        accounts.sign_in("kim", GOOD, NOW)
    accounts.change("kim", nobody, disabled=False)
    token = accounts.add_token("kim", 1, NOW, nobody)
    assert accounts.of_token(token, NOW) == accounts.find("kim")
    assert accounts.of_token(token, NOW + 24 * HOUR) is None
    assert accounts.of_token(token[:-1], NOW) is None
    assert accounts.revoke_tokens("kim", nobody) == 1
    assert accounts.of_token(token, NOW) is None
    token = accounts.add_token("kim", 1, NOW, nobody)
    accounts.change("kim", nobody, disabled=True)
    assert accounts.of_token(token, NOW) is None
    with pytest.raises(InputError, match="disabled"):
        accounts.add_token("kim", 1, NOW, nobody)


def test_no_secret_is_in_the_file(accounts: Accounts, tmp_path: Path) -> None:
    session, token = accounts.sign_in("kim", GOOD, NOW), accounts.add_token("kim", 1, NOW, nobody)
    path = tmp_path / "archive" / "accounts.lmdb"
    data = path.read_bytes()
    for secret in (GOOD, session, token):
        assert secret.encode() not in data
    assert b"$argon2id$" in data
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "role", "districts", "password", "told"),
    [
        ("lee", "king", None, GOOD, "one of analyst"),
        ("lee", "analyst", (), GOOD, "--everywhere"),
        ("kim", "analyst", None, GOOD, "there already"),
        ("lee", "analyst", None, "short", "12 to 256"),
        ("lee", "analyst", None, "a" * 40, "guessed"),
        ("lee", "analyst", None, "lee likes umbrellas", "guessed"),
        ("a/b", "analyst", None, GOOD, "account"),
        ("", "analyst", None, GOOD, "account"),
    ],
)
def test_accounts_that_are_refused(
    accounts: Accounts, name: str, role: str, districts: tuple[str, ...] | None, password: str, told: str
) -> None:
    with pytest.raises(InputError, match=told):
        accounts.add(name, role, districts, password, NOW, nobody)
    assert [each.name for each in accounts.all()] == ["kim"]


def test_a_change_that_cannot_be_recorded_is_not_made(accounts: Accounts) -> None:
    def full(what: str, reach: object) -> None:
        raise StorageError("the disk is full")

    for change_ in (
        lambda: accounts.add("lee", "admin", None, GOOD, NOW, full),
        lambda: accounts.change("kim", full, role="admin"),
        lambda: accounts.set_password("kim", GOOD + "!", full),
    ):
        with pytest.raises(StorageError):
            change_()
    assert [(each.name, each.role) for each in accounts.all()] == [("kim", "analyst")]
    assert accounts.sign_in("kim", GOOD, NOW)


def test_changes_are_in_the_log(tmp_path: Path) -> None:
    archive = ArchiveFiles(tmp_path)
    add(archive, ROOT, "park", "supervisor", None, GOOD)
    change(archive, ROOT, "park", role="auditor", districts=("songpa", "nowon"))
    with pytest.raises(UnknownNameError):
        change(archive, ROOT, "lee", disabled=True)
    deeds = [entry.deed for entry in read_log(archive)]
    assert [(deed.event, deed.subject, deed.scope["what"]) for deed in deeds] == [
        ("permission", "park", "added"), ("permission", "park", "changed"),
    ]  # fmt: skip
    assert deeds[1].scope["districts"] == ["songpa", "nowon"]


def test_what_takes_as_long_tells_nothing(accounts: Accounts) -> None:
    def seconds(name: str, password: str) -> float:
        begun = time.perf_counter()
        with pytest.raises(InputError):
            accounts.sign_in(name, password, NOW)
        return time.perf_counter() - begun

    accounts.add("token only", "analyst", None, None, NOW, nobody)
    wrong = min(seconds("kim", "wrong" * 4) for _ in range(3))
    for name in ("nobody", "token only"):
        assert min(seconds(name, "wrong" * 4) for _ in range(3)) > wrong / 3, "a password is compared anyway"


def test_nobody_may_everything() -> None:
    assert all(RIGHTS_OF[role] < set(RIGHTS) for role in ROLES)
    assert {right for role in ROLES for right in RIGHTS_OF[role]} == set(RIGHTS)
    assert "search" not in RIGHTS_OF["admin"], "who hands out permissions does not search"
    assert RIGHTS_OF["auditor"] == {"oversight"}
