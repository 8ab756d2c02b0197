"""Accounts: who may use the console and the interface for machines, in one LMDB file.

Holds hashes alone: of passwords (argon2id), tokens and sessions (sha256 of 256 random bits). Owns sign-in,
lock-out and expiry; what a role may do is `search.roles`'s. Any number of processes may have it open.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from indexer.cameras import check_name
from indexer.keyvalue import KeyValueFile, Table
from indexer.shard.files import ArchiveFiles
from indexer.times import from_milliseconds, to_local_iso
from reid.closing import Closing
from reid.errors import DamagedError, FormatError, InputError, UnknownNameError
from search.passwords import hash_password, is_password
from search.roles import Role, check_role

FORMAT_VERSION = 1
TABLES = ("meta", "accounts", "tokens", "sessions", "tries")

MINUTE, HOUR = 60_000, 3_600_000
SESSION_MS, IDLE_MS = 12 * HOUR, 30 * MINUTE
"""How long a session lasts at most, and without a request."""
TRIES, LOCKED_MS = 5, 15 * MINUTE
"""Failed sign-ins in a row after which an account is locked, and for how long."""
TOKEN_DAYS = 90
"""How long a token lasts unless it is said otherwise."""

_TOUCH_MS = MINUTE  # a session's last request is written no more often
_PREFIX = "reid_"  # of tokens, so that whoever finds one knows what it is


@dataclass(frozen=True)
class Account:
    """Somebody who may sign in.

    Attributes:
        name: theirs. role: what they may do.
        districts: slugs of what they may see; None: every district.
        disabled: may not sign in any more.
        created_ms: milliseconds since 1970 UTC.
    """

    name: str
    role: Role
    districts: tuple[str, ...] | None
    disabled: bool
    created_ms: int

    def may_see(self, districts: tuple[str, ...] | None) -> bool:
        """All of these districts? None is every one."""
        if self.districts is None:
            return True
        return districts is not None and set(districts) <= set(self.districts)


Noted = Callable[[str, Mapping[str, Any]], None]
"""Told what changes, with role and districts, before it does; when it raises, nothing changes."""


class LockedError(InputError):
    """Too many failed sign-ins."""


class Accounts(Closing):
    """The accounts of an archive, open. LMDB opens a file once in a process: one object of each archive.

    Raises:
        StorageError: the disk refuses.
        FormatError: written by a release with another format.
        DamagedError: the file is not intact.
    """

    def __init__(self, archive: ArchiveFiles) -> None:
        self._path = archive.accounts
        self._file = KeyValueFile(archive.accounts, TABLES)
        try:
            with self._file.write() as tables:
                version = tables["meta"].get("format_version")
                if version is None:
                    tables["meta"].put("format_version", FORMAT_VERSION)
                elif version != FORMAT_VERSION:
                    raise FormatError(
                        f"{self._path}: format version {version}, this release reads {FORMAT_VERSION}"
                    )
            self._path.chmod(0o600)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    def all(self) -> tuple[Account, ...]:
        """By name."""
        with self._file.read() as tables:
            return tuple(self._account(name, value) for name, value in tables["accounts"].under(""))

    def find(self, name: str) -> Account | None:
        """The account of this name, disabled or not."""
        with self._file.read() as tables:
            value = tables["accounts"].get(name)
            return None if value is None else self._account(name, value)

    def add(
        self, name: str, role: str, districts: tuple[str, ...] | None, password: str | None, now_ms: int,
        noted: Noted,
    ) -> Account:  # fmt: skip
        """A new account; without a password it is for tokens and the command line alone.

        Raises:
            InputError: no name for one, no such role, taken, no district, or a bad password.
        """
        name = check_name(name, "account", "choose another")
        account = Account(name, check_role(role), _checked(districts), False, now_ms)
        kept = hash_password(password, name) if password is not None else None
        with self._file.write() as tables:
            if tables["accounts"].get(name) is not None:
                raise InputError(f"account {name} is there already; see: reid users list")
            tables["accounts"].put(name, {**_row(account), "password": kept})
            noted("added", _reach(account))
        return account

    def change(
        self, name: str, noted: Noted, *, role: str | None = None,
        districts: tuple[str, ...] | bool | None = False, disabled: bool | None = None,
    ) -> Account:  # fmt: skip
        """Another role, other districts (False: as they are), disabled or not; ends the account's sessions.

        Raises:
            UnknownNameError: no such account.
            InputError: no such role, no district.
        """
        with self._file.write() as tables:
            value = _known(tables, name)
            account = self._account(name, value)
            if role is not None:
                account = replace(account, role=check_role(role))
            if not isinstance(districts, bool):
                account = replace(account, districts=_checked(districts))
            if disabled is not None:
                account = replace(account, disabled=disabled)
            tables["accounts"].put(name, {**value, **_row(account)})
            _end_sessions(tables, name)
            if account.disabled:
                _end_tokens(tables, name)
            noted("disabled" if account.disabled else "changed", _reach(account))
        return account

    def set_password(self, name: str, password: str, noted: Noted) -> None:
        """Another password; ends the account's sessions and its lock-out.

        Raises:
            UnknownNameError: no such account.
            InputError: a bad password.
        """
        kept = hash_password(password, name)
        with self._file.write() as tables:
            tables["accounts"].put(name, {**_known(tables, name), "password": kept})
            tables["tries"].delete(name)
            _end_sessions(tables, name)
            noted("password set", {})

    def add_token(self, name: str, days: int, now_ms: int, noted: Noted) -> str:
        """A token for machines; it is shown this once, its hash is kept.

        Raises:
            UnknownNameError: no such account.
            InputError: it is disabled, or no time is given.
        """
        if not 1 <= days <= 3650:
            raise InputError(f"expected a token for 1 to 3650 days, got {days}")
        token = _PREFIX + secrets.token_urlsafe(32)
        with self._file.write() as tables:
            if _known(tables, name)["disabled"]:
                raise InputError(f"account {name} is disabled; no token is made for it")
            until = now_ms + days * 24 * HOUR
            tables["tokens"].put(_digest(token), {"account": name, "until_ms": until})
            noted(f"token for {days} days", {})
        return token

    def revoke_tokens(self, name: str, noted: Noted) -> int:
        """Take back all tokens of an account; tells how many."""
        with self._file.write() as tables:
            _known(tables, name)
            noted("tokens revoked", {})
            return _end_tokens(tables, name)

    def sign_in(self, name: str, password: str, now_ms: int) -> str:
        """A new session's secret, for the cookie.

        Raises:
            LockedError: too many failed tries; also with the right password.
            InputError: name or password are wrong, or the account is disabled; which, is not told.
        """
        name = name.strip()[:64]
        with self._file.read() as tables:
            value = tables["accounts"].get(name) if name else None
            tries = tables["tries"].get(name) if name else None
        right = is_password(value and value["password"], password)
        if tries and tries["count"] >= TRIES and now_ms < tries["at_ms"] + LOCKED_MS:
            when = to_local_iso(from_milliseconds(tries["at_ms"] + LOCKED_MS))[11:16]
            raise LockedError(f"too many failed tries: locked until {when}; an administrator can set a new"
                              " password")  # fmt: skip
        if not right or value is None or value["disabled"]:
            self._failed(name, now_ms)
            raise InputError("the name or the password is wrong")
        with self._file.write() as tables:
            tables["tries"].delete(name)
            return _new_session(tables, name, now_ms)

    def begin_session(self, name: str, now_ms: int) -> str:
        """A session for somebody whom another has identified; raises InputError without such an account."""
        with self._file.write() as tables:
            value = tables["accounts"].get(name[:64]) if name else None
            if value is None or value["disabled"]:
                raise InputError("there is no account for you here; an administrator makes it")
            return _new_session(tables, name[:64], now_ms)

    def _failed(self, name: str, now_ms: int) -> None:
        if not name:
            return
        with self._file.write() as tables:
            before = tables["tries"].get(name)
            stale = before is None or now_ms > before["at_ms"] + LOCKED_MS
            count = 1 if before is None or stale else before["count"] + 1
            tables["tries"].put(name, {"count": count, "at_ms": now_ms})

    def of_session(self, session: str, now_ms: int) -> Account | None:
        """Whose session it is; None when it is none, or has expired. Keeps it alive."""
        digest = _digest(session)
        with self._file.read() as tables:
            row = tables["sessions"].get(digest)
            if row is None or _expired(row, now_ms):
                return None
            value = tables["accounts"].get(row["account"])
        if value is None or value["disabled"]:
            return None
        if now_ms - row["seen_ms"] > _TOUCH_MS:
            with self._file.write() as tables:
                if tables["sessions"].get(digest) is not None:  # it may have been ended meanwhile
                    tables["sessions"].put(digest, {**row, "seen_ms": now_ms})
        return self._account(row["account"], value)

    def of_token(self, token: str, now_ms: int) -> Account | None:
        """Whose token it is; None when it is none, or has expired."""
        with self._file.read() as tables:
            row = tables["tokens"].get(_digest(token))
            value = tables["accounts"].get(row["account"]) if row and now_ms < row["until_ms"] else None
        return None if row is None or value is None or value["disabled"] else self._account(
            row["account"], value
        )  # fmt: skip

    def sign_out(self, session: str) -> None:
        """End a session."""
        with self._file.write() as tables:
            tables["sessions"].delete(_digest(session))

    def _account(self, name: str, value: Mapping[str, Any]) -> Account:
        try:
            districts = value["districts"]
            return Account(
                name, check_role(value["role"]), None if districts is None else tuple(districts),
                bool(value["disabled"]), int(value["created_ms"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, InputError) as error:
            raise DamagedError(
                f"{self._path}: account {name} cannot be read ({error!r}); restore it from a backup"
            ) from None


def _row(account: Account) -> dict[str, Any]:
    row = asdict(account)
    del row["name"]
    return row


def _reach(account: Account) -> dict[str, Any]:
    return {"role": account.role, "districts": list(account.districts or ("every district",))}


def _checked(districts: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if districts is not None and not districts:
        raise InputError("expected the districts that the account may see: --district, or --everywhere")
    return districts


def _known(tables: Mapping[str, Table], name: str) -> Mapping[str, Any]:
    value: Mapping[str, Any] | None = tables["accounts"].get(name) if name else None
    if value is None:
        raise UnknownNameError("account", name, [key for key, _ in tables["accounts"].under("")])
    return value


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _expired(row: Mapping[str, Any], now_ms: int) -> bool:
    return bool(now_ms >= row["since_ms"] + SESSION_MS or now_ms >= row["seen_ms"] + IDLE_MS)


def _new_session(tables: Mapping[str, Table], name: str, now_ms: int) -> str:
    _sweep(tables, now_ms)
    session = secrets.token_urlsafe(32)
    row = {"account": name, "since_ms": now_ms, "seen_ms": now_ms}
    tables["sessions"].put(_digest(session), row)
    return session


def _sweep(tables: Mapping[str, Table], now_ms: int) -> None:
    """Take out what has expired."""
    for key, row in list(tables["sessions"].under("")):
        if _expired(row, now_ms):
            tables["sessions"].delete(key)
    for key, row in list(tables["tries"].under("")):
        if now_ms > row["at_ms"] + LOCKED_MS:
            tables["tries"].delete(key)


def _end_sessions(tables: Mapping[str, Table], name: str) -> None:
    for key, row in list(tables["sessions"].under("")):
        if row["account"] == name:
            tables["sessions"].delete(key)


def _end_tokens(tables: Mapping[str, Table], name: str) -> int:
    keys = [key for key, row in tables["tokens"].under("") if row["account"] == name]
    for key in keys:
        tables["tokens"].delete(key)
    return len(keys)
