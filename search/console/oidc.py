"""Signing in by an organisation's own provider (OpenID Connect): it says who, the accounts here say what.

Authorization code with PKCE, state and nonce; the ID token's signature, issuer, audience, time and nonce are
checked. The only module that imports authlib and joserfc. Needs the extra `oidc`.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from indexer.oidc_settings import OidcSettings
from reid.errors import InputError, MissingExtraError

try:
    import httpx2
    from authlib.integrations.base_client.errors import OAuthError
    from authlib.integrations.httpx_client import OAuth2Client
    from joserfc import jwt
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet
except ImportError:  # told when somebody configures a provider
    OAuth2Client = None

_ALGORITHMS = ("RS256", "PS256", "ES256")
_WAITS_S, _MOST = 600.0, 1000  # for people to come back; how many may be away
_TIMEOUT_S, _LEEWAY_S = 10.0, 60


class ProviderError(InputError):
    """The provider did not say who it is, or what it said does not hold."""


@dataclass(frozen=True)
class _Away:
    """Somebody who is at the provider: what must come back with them."""

    nonce: str
    verifier: str
    until_s: float


class Provider:
    """A provider of identities.

    Args:
        settings: of it. back: where it sends people back to.

    Raises:
        MissingExtraError: authlib is not installed.
    """

    def __init__(self, settings: OidcSettings, back: str) -> None:
        if OAuth2Client is None:
            raise MissingExtraError("authlib", "oidc")
        self._settings, self._back = settings, back
        self._away: OrderedDict[str, _Away] = OrderedDict()
        self._lock = threading.Lock()
        self._told: dict[str, Any] | None = None

    def begin(self) -> tuple[str, str]:
        """Where to send somebody, and the state that must come back with them; raises ProviderError."""
        away = _Away(secrets.token_urlsafe(24), secrets.token_urlsafe(48), time.monotonic() + _WAITS_S)
        endpoint = self._metadata()["authorization_endpoint"]
        with self._client() as client:
            url, state = client.create_authorization_url(
                endpoint, code_verifier=away.verifier, nonce=away.nonce, state=secrets.token_urlsafe(24)
            )
        with self._lock:
            self._away[state] = away
            while len(self._away) > _MOST:
                self._away.popitem(last=False)
        return str(url), str(state)

    def finish(self, state: str, code: str) -> str:
        """The name of who came back, once; raises ProviderError."""
        with self._lock:
            away = self._away.pop(state, None)
        if away is None or time.monotonic() > away.until_s or not code:
            raise ProviderError("this sign-in is too old or was used already; begin again")
        told = self._metadata()
        try:
            with self._client() as client:
                token = client.fetch_token(told["token_endpoint"], code=code, code_verifier=away.verifier)
            keys = KeySet.import_key_set(self._get(told["jwks_uri"]))
            claims = jwt.decode(str(token["id_token"]), keys, algorithms=list(_ALGORITHMS)).claims
            self._rules(away).validate(claims)
        except (JoseError, OAuthError, httpx2.HTTPError, ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"the provider's answer does not hold ({type(error).__name__})") from None
        name = claims.get(self._settings.claim)
        if not isinstance(name, str) or not name:
            raise ProviderError(f"the provider's answer has no {self._settings.claim}")
        return name

    def _rules(self, away: _Away) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_S, iss={"essential": True, "value": self._settings.issuer},
            aud={"essential": True, "value": self._settings.client_id}, exp={"essential": True},
            nonce={"essential": True, "value": away.nonce},
        )  # fmt: skip

    def _metadata(self) -> dict[str, Any]:
        """What the provider says of itself, asked once."""
        if self._told is None:
            issuer = self._settings.issuer
            try:
                told = self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            except (httpx2.HTTPError, ValueError) as error:
                raise ProviderError(f"the provider cannot be reached ({type(error).__name__})") from None
            if not isinstance(told, dict) or told.get("issuer") != issuer:
                raise ProviderError(f"expected the provider {issuer}, another answered")
            self._told = told
        return self._told

    def _get(self, url: str) -> Any:
        answer = httpx2.get(url, timeout=_TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()

    def _client(self) -> Any:
        return OAuth2Client(
            self._settings.client_id, self._settings.client_secret.get_secret_value() or None,
            scope="openid profile", redirect_uri=self._back, code_challenge_method="S256", timeout=_TIMEOUT_S,
        )  # fmt: skip
