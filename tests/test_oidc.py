"""Signing in by a provider of one's own, on this machine: what it says right, and every way to lie."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI, Form, Header
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey
from pydantic import SecretStr
from starlette.testclient import TestClient

from indexer.oidc_settings import OidcSettings
from search.audit import read_log
from search.console.app import make_app
from search.console.oidc import Provider
from search.console.station import Station
from tests.test_console import station  # noqa: F401  fixture
from tests.test_search import made  # noqa: F401  fixture

SECRET = "the console's own secret"


class Ours:
    """A provider that says what a test wants."""

    def __init__(self) -> None:
        self.key, self.other = (RSAKey.generate_key(2048, {"kid": "k"}) for _ in range(2))
        self.signs_with = self.key
        self.claims: dict[str, Any] = {}
        self.asked: dict[str, str] = {}
        self.address = ""
        self.app = FastAPI()
        self.app.get("/.well-known/openid-configuration")(self.metadata)
        self.app.get("/authorize")(self.authorize)
        self.app.get("/keys")(self.keys)
        self.app.post("/token")(self.token)

    def metadata(self) -> dict[str, str]:
        return {
            "issuer": self.address, "authorization_endpoint": f"{self.address}/authorize",
            "token_endpoint": f"{self.address}/token", "jwks_uri": f"{self.address}/keys",
        }  # fmt: skip

    def authorize(self, redirect_uri: str, state: str, nonce: str, code_challenge: str) -> RedirectResponse:
        self.asked = {"nonce": nonce, "challenge": code_challenge}
        return RedirectResponse(f"{redirect_uri}?state={state}&code=the-code")

    def keys(self) -> dict[str, Any]:
        return dict(KeySet([self.key]).as_dict(private=False))

    def token(
        self, code: Annotated[str, Form()], code_verifier: Annotated[str, Form()],
        authorization: Annotated[str, Header()],
    ) -> dict[str, Any]:  # fmt: skip
        digest = hashlib.sha256(code_verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert (code, challenge) == ("the-code", self.asked["challenge"])
        assert base64.b64decode(authorization.removeprefix("Basic ")).decode() == f"console:{SECRET}"
        claims = {
            "iss": self.address, "aud": "console", "exp": int(time.time()) + 60, "nonce": self.asked["nonce"],
            "sub": "1", "preferred_username": "kim", **self.claims,
        }  # fmt: skip
        told = {name: value for name, value in claims.items() if value is not None}
        return {"access_token": "a", "token_type": "Bearer",
                "id_token": jwt.encode({"alg": "RS256", "kid": "k"}, told, self.signs_with)}  # fmt: skip


@pytest.fixture(scope="module")
def ours() -> Iterator[Ours]:
    provider = Ours()
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    provider.address = f"http://127.0.0.1:{port}"
    server = uvicorn.Server(uvicorn.Config(provider.app, port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield provider
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def browser(ours: Ours, station: Station) -> TestClient:  # noqa: F811
    ours.claims, ours.signs_with = {}, ours.key
    settings = OidcSettings(
        issuer=ours.address,
        client_id="console",
        client_secret=SecretStr(SECRET),
        address="http://127.0.0.1:1",
    )
    provider = Provider(settings, "http://testserver/oidc/back")
    app = make_app(Station(**{**vars(station), "provider": provider}))
    return TestClient(app, follow_redirects=False, headers={"accept-language": "en"})


def came_back(browser: TestClient) -> str:
    """The address at which somebody comes back from the provider."""
    there = browser.get("/oidc/start").headers["location"]
    asked = parse_qs(urlsplit(there).query)
    assert asked["code_challenge_method"] == ["S256"]
    back = httpx2.get(there).headers["location"]
    return back.removeprefix("http://testserver")


def test_who_the_provider_names_is_signed_in(browser: TestClient, station: Station) -> None:  # noqa: F811
    assert "/oidc/start" in browser.get("/sign-in").text
    answer = browser.get(came_back(browser))
    assert answer.status_code == 200
    assert 'content="0; url=/"' in answer.text
    assert browser.get("/cases").status_code == 200
    deeds = [entry.deed for entry in read_log(station.archive) if entry.deed.subject == "oidc"]
    assert (deeds[-1].event, deeds[-1].actor.name) == ("sign-in", "kim")


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"}, {"nonce": None}, {"iss": "http://127.0.0.1:9"}, {"aud": "another console"},
        {"exp": 1_000_000_000}, {"exp": None}, {"preferred_username": "nobody here"},
        {"preferred_username": None}, {"preferred_username": ["kim"]}, {"preferred_username": ""},
    ],
)  # fmt: skip
def test_what_does_not_hold_signs_nobody_in(browser: TestClient, ours: Ours, claims: dict[str, Any]) -> None:
    ours.claims = claims
    assert browser.get(came_back(browser)).status_code == 403
    assert browser.get("/cases").status_code == 303


def test_another_key_signs_nobody_in(browser: TestClient, ours: Ours) -> None:
    ours.signs_with = ours.other
    assert browser.get(came_back(browser)).status_code == 403


def test_a_disabled_account_stays_out(browser: TestClient, ours: Ours, station: Station) -> None:  # noqa: F811
    station.accounts.add("gone", "analyst", None, None, 0, lambda what, reach: None)
    station.accounts.change("gone", lambda what, reach: None, disabled=True)
    ours.claims = {"preferred_username": "gone"}
    assert browser.get(came_back(browser)).status_code == 403


def test_nobody_comes_back_twice_or_in_anothers_browser(browser: TestClient, station: Station) -> None:  # noqa: F811
    back = came_back(browser)
    other = TestClient(browser.app, follow_redirects=False)
    assert other.get(back).status_code == 403, "it was not begun there"
    assert browser.get(back).status_code == 200
    browser.cookies.clear()
    browser.cookies["reid-oidc"] = re.findall("state=([^&]+)", back)[0]
    assert browser.get(back).status_code == 403, "a state is good once"
    for odd in ("/oidc/back", "/oidc/back?state=x&code=y", "/oidc/back?error=denied"):
        assert browser.get(odd).status_code == 403


def test_without_a_provider_there_is_no_such_way(station: Station) -> None:  # noqa: F811
    plain = TestClient(make_app(station), follow_redirects=False)
    assert plain.get("/oidc/start").status_code == 404
    assert "/oidc/start" not in plain.get("/sign-in").text


@pytest.mark.parametrize(
    "values",
    [{"issuer": "http://elsewhere.example", "client_id": "a", "address": "https://a"},
     {"issuer": "https://a", "client_id": "", "address": "https://a"},
     {"issuer": "https://a", "client_id": "a"},
     {"issuer": "https://a", "client_id": "a", "address": "ftp://a"}],
)  # fmt: skip
def test_settings_that_are_refused(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"https://|needs"):
        OidcSettings(**values)  # type: ignore[arg-type]
