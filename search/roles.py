"""Roles and what each may do; what is not named here, nobody may. Knows no account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from reid.errors import InputError

Role = Literal["analyst", "supervisor", "operator", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)

Right = Literal["search", "approve", "delete", "operations", "oversight", "accounts"]
"""search: cases, searches, decisions, exports. approve: what needs a second person, and closed cases.
delete: a case for good. operations: what is indexed. oversight: the audit log. accounts: who may sign in."""
RIGHTS: tuple[Right, ...] = get_args(Right)

RIGHTS_OF: Mapping[Role, frozenset[Right]] = {
    "analyst": frozenset({"search"}),
    "supervisor": frozenset({"search", "approve", "delete", "operations", "oversight"}),
    "operator": frozenset({"operations"}),
    "auditor": frozenset({"oversight"}),
    "admin": frozenset({"accounts", "operations"}),
}
"""Who manages accounts does not search, and who reads the log alters nothing."""


def check_role(role: str) -> Role:
    """The role of this name; raises InputError for anything else."""
    if role not in ROLES:
        raise InputError(f"role {role!r}: expected one of {', '.join(ROLES)}")
    return role
