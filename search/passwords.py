"""Passwords: hashed with argon2id, compared in the same time whether or not there is such an account.

The only module that imports argon2.
"""

from __future__ import annotations

import threading
import unicodedata

from reid.errors import InputError, MissingExtraError

try:
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError
except ImportError:  # told when somebody needs a password
    PasswordHasher = None  # type: ignore[assignment, misc]

LEAST, MOST = 12, 256
"""Characters of a password."""

_AT_ONCE = threading.Semaphore(2)  # each comparison takes 64 MiB
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$bm9ib2R5LXNhbHQtMTIzNA$B2Ygu9gVR9cCYrWmGDD7qfpCA6wBClJMvTfq6m1qx3E"


def hash_password(password: str, name: str) -> str:
    """What is kept of it.

    Args:
        name: of the account, which the password may not be or hold.

    Raises:
        InputError: too short, too long, or too easily guessed.
        MissingExtraError: argon2 is not installed.
    """
    text = _composed(password)
    if not LEAST <= len(text) <= MOST:
        raise InputError(f"expected a password of {LEAST} to {MOST} characters, got {len(text)}")
    if len(set(text)) < LEAST // 3 or name.lower() in text.lower():
        raise InputError(
            "this password is guessed too easily; take several words, without the account's name in it"
        )
    with _AT_ONCE:
        return _hasher().hash(text)


def is_password(kept: str | None, password: str) -> bool:
    """Does the password fit what is kept? For None, where no account is, False after as long."""
    hasher = _hasher()
    with _AT_ONCE:
        try:
            return hasher.verify(kept or _NOBODY, _composed(password)[:MOST]) and kept is not None
        except (VerificationError, InvalidHashError):
            return False


def _composed(password: str) -> str:
    """Keyboards differ in how they compose 한글."""
    return unicodedata.normalize("NFKC", password)


def _hasher() -> PasswordHasher:
    if PasswordHasher is None:
        raise MissingExtraError("argon2-cffi", "console")
    return PasswordHasher()
