"""Settings of signing in by an organisation's own provider; the table `oidc` of reid.toml."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class OidcSettings(BaseModel):
    """Who says who somebody is, for the console."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    issuer: str = Field(default="", description="The provider's issuer, https://...; empty: passwords alone")
    client_id: str = Field(default="", description="This console, as the provider knows it")
    client_secret: SecretStr = Field(
        default=SecretStr(""), description="Its secret there; empty: a public client"
    )
    address: str = Field(default="", description="The console's own address, https://...; /oidc/back follows")
    claim: str = Field(default="preferred_username", description="What of the answer is the account's name")

    @model_validator(mode="after")
    def _check(self) -> OidcSettings:
        if not self.issuer:
            return self
        for name in ("client_id", "address"):
            if not getattr(self, name):
                raise ValueError(f"an issuer needs {name} beside it")
        for name in ("issuer", "address"):
            parts = urlsplit(getattr(self, name))
            if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost"):
                raise ValueError(f"expected {name} to begin with https://, got {getattr(self, name)!r}")
        return self
