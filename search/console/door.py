"""The door: who comes in, how much they may bring and how slowly; and the headers of every answer.

Pure ASGI, so that nothing is read of a request before it is known to be small enough. Knows no page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import anyio.to_thread

from indexer.times import milliseconds
from search.accounts import Account, Accounts
from search.actors import Actor
from search.console.visitors import Visitor

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 40_000_000
"""Of a request: some photos of a phone."""
CHUNK_S, BODY_S = 15.0, 90.0
"""Seconds that a piece of a request, and all of it, may take to come."""

_HEADERS = {
    "content-security-policy": "default-src 'none'; img-src 'self' blob:; style-src 'self';"
    " script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
_KEPT_NOT = ("cache-control", "no-store")
_STATIC = "/static/"


class Door:
    """An ASGI app that lets in to another.

    Args:
        app: the other.
        accounts: of the archive, open.
        is_secure: people reach it by TLS: cookies and headers say so.
    """

    def __init__(self, app: App, accounts: Accounts, is_secure: bool) -> None:
        self._app, self._accounts = app, accounts
        self._is_secure = is_secure
        more = {"strict-transport-security": "max-age=31536000"} if is_secure else {}
        self._headers = [(key.encode(), value.encode()) for key, value in {**_HEADERS, **more}.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = {key.decode("latin1"): value.decode("latin1") for key, value in scope["headers"]}
        guarded = self._guarded(scope, send)
        refusal = _refusal(scope, headers)
        if refusal:
            await _answer(guarded, *refusal)
            return
        scope["visitor"] = await anyio.to_thread.run_sync(self._visitor, scope, headers)
        await self._app(scope, _limited(receive), guarded)

    def _visitor(self, scope: Scope, headers: dict[str, str]) -> Visitor | None:
        """By cookie for pages, by token for machines; never the other way round."""
        now_ms = milliseconds(datetime.now(UTC))
        address = (scope.get("client") or ("", 0))[0]
        is_machine = scope["path"].startswith("/api/") or scope["path"] == "/metrics"
        if is_machine and headers.get("authorization", "").startswith("Bearer "):
            account = self._accounts.of_token(headers["authorization"][7:].strip(), now_ms)
            return _of(account, "api", address, "")
        if scope["path"].startswith("/api/"):
            return None
        session = read_cookie(headers.get("cookie", ""), self.cookie)
        account = self._accounts.of_session(session, now_ms) if session else None
        return _of(account, "console", address, session)

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; over TLS one that no other host can set."""
        return cookie_name(self._is_secure)

    def _guarded(self, scope: Scope, send: Send) -> Send:
        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {key.lower() for key, _ in message["headers"]}
                added = [(key, value) for key, value in self._headers if key not in names]
                if not scope["path"].startswith(_STATIC):
                    added.append((_KEPT_NOT[0].encode(), _KEPT_NOT[1].encode()))
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        return guarded


def cookie_name(is_secure: bool) -> str:
    """Of the session."""
    return "__Host-reid-session" if is_secure else "reid-session"


def read_cookie(text: str, name: str) -> str:
    """Its value; empty without it."""
    try:
        cookie = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return cookie.value if cookie else ""


def _of(account: Account | None, way: Any, address: str, session: str) -> Visitor | None:
    return None if account is None else Visitor(account, Actor(account.name, way, address), session)


def _refusal(scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
    """Status and why, of what is refused before anything of it is read."""
    if scope["method"] not in ("GET", "HEAD", "POST"):
        return 405, "method not allowed"
    length = headers.get("content-length", "0")
    if not length.isdigit() or int(length) > MOST_BYTES:
        return 413, f"at most {MOST_BYTES:,} bytes are accepted"
    if scope["method"] == "POST" and not scope["path"].startswith("/api/"):
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return 403, "a form of another site"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "a form of another site"
    return None


def _limited(receive: Receive) -> Receive:
    """The same, no more bytes and no slower than is allowed; what exceeds it is a client that went away."""
    count, begun, done = 0, asyncio.get_running_loop().time(), False

    async def limited() -> Message:
        nonlocal count, done
        if done:  # what comes after the body is a client that leaves
            return await receive()
        left = BODY_S - (asyncio.get_running_loop().time() - begun)
        try:
            message = await asyncio.wait_for(receive(), max(0.1, min(CHUNK_S, left)))
        except TimeoutError:
            return {"type": "http.disconnect"}
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            done = not message.get("more_body", False)
            if count > MOST_BYTES:
                return {"type": "http.disconnect"}
        return message

    return limited


async def _answer(send: Send, status: int, text: str) -> None:
    headers: Iterable[tuple[bytes, bytes]] = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": f"{text}\n".encode()})
