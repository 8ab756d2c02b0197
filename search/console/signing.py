"""Signing in and out, and what a visitor prefers to see."""

from __future__ import annotations

import hmac
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import Response

from reid.errors import InputError, UnknownNameError
from search.accounts import SESSION_MS, LockedError
from search.actors import Actor
from search.audit import Deed, record
from search.console.door import cookie_name
from search.console.oidc import Provider
from search.console.shown import LANGUAGES, THEMES, now_ms, page, see, station_of
from search.console.station import Station
from search.console.visitors import ForgedError, Needs, visitor_of
from search.roles import RIGHTS_OF

router = APIRouter(include_in_schema=False)

_STATE = "reid-oidc"  # a cookie: who began is who comes back


@router.get("/", dependencies=[Depends(Needs("signed in"))])
def start(request: Request) -> Response:
    """Where the visitor works."""
    rights = RIGHTS_OF[visitor_of(request).account.role]
    return see("/cases" if "search" in rights else "/oversight" if "oversight" in rights else "/operations")


@router.get("/sign-in", dependencies=[Depends(Needs("anyone"))])
def sign_in_page(request: Request) -> Response:
    """Asks for name and password."""
    return page(request, "sign_in.html.j2", message="")


@router.post("/sign-in", dependencies=[Depends(Needs("anyone"))])
def sign_in(
    request: Request, name: Annotated[str, Form()] = "", password: Annotated[str, Form()] = ""
) -> Response:
    """Begin a session."""
    station = station_of(request)
    known = station.accounts.find(name.strip()[:64]) if name.strip() else None
    # A name that is none may be a password typed into the wrong field: it is not for the log.
    address = request.client.host if request.client else ""
    actor = Actor(known.name if known else "(unknown)", "console", address)
    if not station.signing_in.acquire(blocking=False):
        raise LockedError("too many people sign in at once; try again in a moment")
    try:
        session = station.accounts.sign_in(name, password, now_ms())
    except InputError as error:
        record(station.archive, Deed("sign-in failed", actor))
        status = 429 if isinstance(error, LockedError) else 403
        return page(request, "sign_in.html.j2", status, message=str(error))
    finally:
        station.signing_in.release()
    record(station.archive, Deed("sign-in", actor))
    return _with_session(see("/"), station, session)


@router.get("/oidc/start", dependencies=[Depends(Needs("anyone"))])
def oidc_start(request: Request) -> Response:
    """To the organisation's provider."""
    station = station_of(request)
    url, state = _provider(station).begin()
    answer = see(url)
    # lax: the visitor comes back from another site
    answer.set_cookie(
        _STATE, state, max_age=600, secure=station.is_secure, httponly=True, samesite="lax", path="/oidc"
    )
    return answer


@router.get("/oidc/back", dependencies=[Depends(Needs("anyone"))])
def oidc_back(request: Request, state: str = "", code: str = "") -> Response:
    """Back from it. Shows a page that goes on by itself: a redirect would still be another site's."""
    station = station_of(request)
    address = request.client.host if request.client else ""
    try:
        if not state or not hmac.compare_digest(request.cookies.get(_STATE, "").encode(), state.encode()):
            raise ForgedError("this sign-in was not begun in this browser; begin again")
        name = _provider(station).finish(state, code)
        session = station.accounts.begin_session(name, now_ms())
    except InputError as error:
        record(
            station.archive, Deed("sign-in failed", Actor("(unknown)", "console", address), subject="oidc")
        )
        return page(request, "sign_in.html.j2", 403, message=str(error))
    record(station.archive, Deed("sign-in", Actor(name, "console", address), subject="oidc"))
    answer = _with_session(page(request, "signed_in.html.j2"), station, session)
    answer.delete_cookie(_STATE, secure=station.is_secure, httponly=True, samesite="lax", path="/oidc")
    return answer


def _provider(station: Station) -> Provider:
    if station.provider is None:
        raise UnknownNameError("provider", "oidc", [])
    return station.provider


def _with_session(answer: Response, station: Station, session: str) -> Response:
    answer.set_cookie(
        cookie_name(station.is_secure), session, max_age=SESSION_MS // 1000, secure=station.is_secure,
        httponly=True, samesite="strict",
    )  # fmt: skip
    return answer


@router.post("/sign-out", dependencies=[Depends(Needs("signed in"))])
def sign_out(request: Request) -> Response:
    """End the session."""
    station, visitor = station_of(request), visitor_of(request)
    record(station.archive, Deed("sign-out", visitor.actor))
    station.accounts.sign_out(visitor.session)
    answer = see("/sign-in")
    answer.delete_cookie(
        cookie_name(station.is_secure), secure=station.is_secure, httponly=True, samesite="strict"
    )
    return answer


@router.get("/prefer", dependencies=[Depends(Needs("anyone"))])
def prefer(request: Request, language: str = "", theme: str = "", back: str = "/") -> Response:
    """Another language or theme."""
    parts = urlsplit(back)
    inside = (
        back.startswith("/") and not back.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    )
    answer = see(back if inside and "\\" not in back else "/")
    for key, value, known in (("reid-language", language, LANGUAGES), ("reid-theme", theme, THEMES)):
        if value in known:
            answer.set_cookie(
                key, value, max_age=365 * 86_400, samesite="lax", secure=station_of(request).is_secure,
                httponly=True,
            )  # fmt: skip
    return answer
