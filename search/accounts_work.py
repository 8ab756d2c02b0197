"""Managing accounts: a change of who may do what that cannot be recorded is not made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from indexer.shard.files import ArchiveFiles
from indexer.times import milliseconds
from search.accounts import Account, Accounts, Noted
from search.actors import Actor
from search.audit import Deed, record


def listed(archive: ArchiveFiles) -> tuple[Account, ...]:
    """All accounts, by name."""
    with Accounts(archive) as accounts:
        return accounts.all()


def add(
    archive: ArchiveFiles, actor: Actor, name: str, role: str, districts: tuple[str, ...] | None,
    password: str | None,
) -> Account:  # fmt: skip
    """A new account; raises as `Accounts.add`."""
    with Accounts(archive) as accounts:
        noted = _noting(archive, actor, name)
        return accounts.add(name, role, districts, password, milliseconds(datetime.now(UTC)), noted)


def change(
    archive: ArchiveFiles, actor: Actor, name: str, *, role: str | None = None,
    districts: tuple[str, ...] | bool | None = False, disabled: bool | None = None,
) -> Account:  # fmt: skip
    """Another role, districts, or disabled; raises as `Accounts.change`."""
    with Accounts(archive) as accounts:
        noted = _noting(archive, actor, name)
        return accounts.change(name, noted, role=role, districts=districts, disabled=disabled)


def set_password(archive: ArchiveFiles, actor: Actor, name: str, password: str) -> None:
    """Another password; raises as `Accounts.set_password`."""
    with Accounts(archive) as accounts:
        accounts.set_password(name, password, _noting(archive, actor, name))


def add_token(archive: ArchiveFiles, actor: Actor, name: str, days: int) -> str:
    """A token; raises as `Accounts.add_token`."""
    with Accounts(archive) as accounts:
        noted = _noting(archive, actor, name)
        return accounts.add_token(name, days, milliseconds(datetime.now(UTC)), noted)


def revoke_tokens(archive: ArchiveFiles, actor: Actor, name: str) -> int:
    """Take back all tokens of an account; raises as `Accounts.revoke_tokens`."""
    with Accounts(archive) as accounts:
        return accounts.revoke_tokens(name, _noting(archive, actor, name))


def _noting(archive: ArchiveFiles, actor: Actor, name: str) -> Noted:
    def noted(what: str, reach: Mapping[str, Any]) -> None:
        record(archive, Deed("permission", actor, subject=name, scope={"what": what, **reach}))

    return noted
