"""Who visits: an account with its session or token, and what a route demands of them.

Routes are closed unless they say what they demand: `Needs` stands at every one of them, and an app with a
route without it does not start.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from fastapi import Request

from reid.errors import InputError
from search.accounts import Account
from search.actors import Actor
from search.policy import NotAllowedError, Purpose, check_right
from search.roles import RIGHTS_OF, Right

Language = Literal["ko", "en"]
Demand = Right | Literal["anyone", "signed in"]


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks for something.

    Attributes:
        account, actor: theirs.
        session: secret of the cookie; empty with a token.
    """

    account: Account
    actor: Actor
    session: str

    @property
    def csrf(self) -> str:
        """What a form of this session must hold; another site does not know it."""
        return hmac.new(self.session.encode(), b"reid form", hashlib.sha256).hexdigest()

    def may(self, right: Right) -> bool:
        """Does the role allow it?"""
        return right in RIGHTS_OF[self.account.role]

    def purpose(self, case_id: str | None = None, reason: str = "") -> Purpose:
        """For `search.desk` and `search.casebook`."""
        return Purpose(self.actor, self.account, case_id, reason.strip()[:500])


class SignInError(InputError):
    """Nobody is signed in."""


class ForgedError(InputError):
    """A form that this session was not given."""


@dataclass(frozen=True)
class Needs:
    """What a route demands. As a dependency of a route it gives the visitor."""

    demand: Demand

    async def __call__(self, request: Request) -> Visitor | None:
        """The visitor.

        Raises:
            SignInError: nobody is signed in.
            NotAllowedError: their role does not allow it.
            ForgedError: a form without the session's secret.
        """
        visitor: Visitor | None = request.scope.get("visitor")
        if self.demand == "anyone":
            return visitor
        if visitor is None:
            raise SignInError("sign in first")
        if request.method == "POST" and visitor.session:
            form = await request.form()
            given = form.get("csrf")
            if not isinstance(given, str) or not hmac.compare_digest(given.encode(), visitor.csrf.encode()):
                raise ForgedError("this form is not of this session; load the page anew")
        if self.demand != "signed in":
            check_right(visitor.account, self.demand, True)
        return visitor


def visitor_of(request: Request) -> Visitor:
    """The visitor of a route that demands one."""
    visitor = request.scope.get("visitor")
    if not isinstance(visitor, Visitor):
        raise NotAllowedError("nobody is signed in")
    return visitor
