"""The settings of the night: where footage comes to lie, when indexing stops, who is told.

Owns two tables of reid.toml, `[nightly]` and `[notify]`, and their checks.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from indexer.footage_patterns import find_pattern
from reid.errors import InputError

CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d")
"""A time of day such as 06:30."""


class FootageRoot(BaseModel):
    """Where footage comes to lie; in reid.toml a path, or a table of these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1, description="A folder, or a CSV list of clips")
    patterns: tuple[str, ...] = Field(
        default=("plain",),
        min_length=1,
        description="Forms of the names below it, or presets: docs/nightly.md",
    )
    district: str = Field(
        default="", description="The district of what lies in it, where the names do not say it"
    )
    camera: str = Field(default="", description="The camera, where the names do not say it")
    zone: str = Field(default="Asia/Seoul", description="Time zone of the times in the names")

    @model_validator(mode="before")
    @classmethod
    def _of_a_path(cls, value: Any) -> Any:
        return {"path": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> FootageRoot:
        for each in self.patterns:
            try:
                groups = find_pattern(each, self.zone).expression.groupindex
            except InputError as error:
                raise ValueError(str(error)) from None
            for name, given in (("district", self.district), ("camera", self.camera)):
                if name not in groups and not given and not self.path.lower().endswith(".csv"):
                    raise ValueError(f"the pattern {each!r} tells no {name}: say {name} = '...' beside it")
        return self


class NightlySettings(BaseModel):
    """What `reid nightly` does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    roots: tuple[FootageRoot, ...] = Field(
        default=(), description="Folders and CSV lists of footage: docs/nightly.md"
    )
    settle_s: float = Field(
        default=120.0,
        ge=0,
        le=86_400,
        description="A file that changed less than so many seconds ago may still grow",
    )
    until: str = Field(
        default="", description="When indexing stops, Seoul time, e.g. 06:30; empty: when all is done"
    )
    max_hours: float = Field(
        default=0.0, ge=0, description="After how many hours indexing stops; 0: when all is done"
    )
    keep_days: int = Field(
        default=90, ge=1, description="How long summaries (nights/) and logs (logs/) are kept"
    )
    lead_probability: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Standing searches report a new sighting from this probability on",
    )
    lead_score: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="The same by score, for models without calibration; 0: they are not searched",
    )

    @field_validator("until")
    @classmethod
    def _is_clock(cls, value: str) -> str:
        if value and not CLOCK.fullmatch(value):
            raise ValueError("expected a time of day like 06:30")
        return value


class NotifySettings(BaseModel):
    """Who is told of a night; each way that is set is used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Literal["news", "always"] = Field(
        default="news", description="news: of new sightings and of failures; always: of every night"
    )
    command: tuple[str, ...] = Field(
        default=(), description="A program and its arguments; it gets the text on stdin"
    )
    webhook: SecretStr = Field(
        default=SecretStr(""), description="Address that gets a POST of JSON, https only"
    )
    relay: str = Field(
        default="", description="Mail relay, host:port; mail is sent when this, sender and to are set"
    )
    security: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="Of the way to the relay"
    )
    user: str = Field(default="", description="Name at the relay; empty: none is asked for")
    password: SecretStr = Field(default=SecretStr(""), description="Better given as REID_NOTIFY__PASSWORD")
    sender: str = Field(default="", description="Address the mail comes from")
    to: tuple[str, ...] = Field(default=(), description="Addresses the mail goes to")
    timeout_s: float = Field(
        default=20.0, gt=0, le=600, description="How long each way may take, each of three tries"
    )

    @field_validator("webhook")
    @classmethod
    def _is_safe(cls, value: SecretStr) -> SecretStr:
        given = value.get_secret_value()
        parts = urlsplit(given)
        if given and not (parts.hostname and (parts.scheme == "https" or _is_local(parts))):
            raise ValueError("expected an address like https://host/path (http only for 127.0.0.1)")
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> NotifySettings:
        given = (bool(self.relay), bool(self.sender), bool(self.to))
        if any(given) and not all(given):
            raise ValueError("mail needs relay, sender and to")
        if self.relay and not re.fullmatch(r"[^\s:]+:\d{1,5}", self.relay):
            raise ValueError("relay: expected host:port, e.g. mail.example.kr:587")
        if self.user and self.security == "none" and not self.relay.startswith(("127.0.0.1:", "localhost:")):
            raise ValueError("security: a password is not sent without encryption; use starttls or tls")
        if any("\n" in each or "\r" in each or "@" not in each for each in (self.sender, *self.to) if each):
            raise ValueError("sender and to: expected mail addresses")
        return self


def _is_local(parts: Any) -> bool:
    try:
        return parts.scheme == "http" and (
            parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
        )
    except ValueError:
        return False
