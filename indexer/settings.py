"""The operator's settings: `$REID_HOME/reid.toml`, each also settable as `REID_<NAME>`.

Owns names, defaults and checks. The order is: environment, file, default.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from indexer.footage_patterns import find_pattern
from indexer.shard.files import ArchiveFiles
from reid.durable import make_folder, write_file
from reid.errors import InputError, storage_errors
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER

HOME_VARIABLE = "REID_HOME"
DEFAULT_HOME = "~/reid-archive"

PROFILES: Mapping[str, Mapping[str, float]] = {
    "plain": {},
    "police": {
        "require_case": True, "case_days": 30, "closed_case_days": 30, "wide_days": 3, "daily_searches": 100,
    },
}  # fmt: skip
"""Settings by the name of a profile of `reid init`."""


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


class Settings(BaseSettings):
    """What an operator may set; see the fields' descriptions."""

    model_config = SettingsConfigDict(
        env_prefix="REID_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    detector: str = Field(DEFAULT_DETECTOR, description="Model that finds people: reid models list")
    embedder: str = Field(
        DEFAULT_EMBEDDER,
        description="Model that describes them; fixed once footage is indexed: another needs a new archive",
    )
    frames_per_second: float = Field(
        5.0, gt=0, le=60, description="How many frames of each second of footage are looked at"
    )
    workers: str = Field(
        "auto", description="How many clips are indexed at a time, one core each; auto: by cores and memory"
    )
    worker_memory_mb: int = Field(
        8192, ge=0, description="Memory that one of several workers may take; 0: no limit"
    )
    clip_time_factor: float = Field(
        10.0, gt=0, description="A worker gives a clip up after so many times its length ..."
    )
    clip_time_floor_s: float = Field(300.0, gt=0, description="... and so many seconds more")
    clip_tries: int = Field(
        3, ge=1, description="How often a clip that fails is tried; then it is only listed, until it changes"
    )
    districts: str = Field("", description="Path of your own districts table (CSV); empty: the built-in one")
    code_memory_mb: int = Field(
        4096, ge=16, description="Memory for codes, 40 bytes a vector; what does not fit is read in turns"
    )
    retention_days: int = Field(
        30, ge=1, le=36500, description="How many days are kept, today among them: reid purge"
    )
    retention: dict[str, Annotated[int, Field(ge=1, le=36500)]] = Field(
        {}, description="Districts that keep another number of days: { songpa = 14, nowon = 7 }"
    )
    metrics_file: str = Field(
        "", description="A .prom file for node_exporter that reid status and reid nightly write; empty: none"
    )
    top: int = Field(20, ge=1, le=1000, description="How many sightings a search shows")
    nightly: NightlySettings = Field(NightlySettings(), description="What `reid nightly` does")
    notify: NotifySettings = Field(
        NotifySettings(), description="Who is told of a night; see docs/nightly.md"
    )
    require_case: bool = Field(
        False, description="Search only for a reason, inside an open case with a legal basis, by an account"
    )
    case_days: int = Field(
        0, ge=0, le=3650, description="A case expires so many days after it was opened; 0: never by itself"
    )
    closed_case_days: int = Field(
        0, ge=0, le=3650, description="What a closed case keeps is deleted so many days later; 0: by hand"
    )
    wide_days: int = Field(
        0,
        ge=0,
        le=3650,
        description="A second person must approve searches of most districts over more than so many days;"
        " 0: never",
    )
    daily_searches: int = Field(
        0,
        ge=0,
        le=100_000,
        description="Searches a person may make a day; for more a second person must approve; 0: no limit",
    )
    photo_key: str = Field(
        "",
        description="File outside the archive with the key of case photos; empty: ~/.config/reid/photos.key",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Environment over file (the file's values come in as initial ones)."""
        return (env_settings, init_settings)


def home_folder(chosen: Path | None) -> ArchiveFiles:
    """The archive to use: `chosen`, else `$REID_HOME`, else ~/reid-archive."""
    folder = chosen or Path(os.environ.get(HOME_VARIABLE) or DEFAULT_HOME)
    try:
        return ArchiveFiles(folder.expanduser().absolute())
    except (RuntimeError, ValueError) as error:
        raise InputError(f"archive {folder}: no such place ({error}); check --home") from None


def load_settings(archive: ArchiveFiles) -> Settings:
    """The archive's settings; defaults where there is no file.

    Raises:
        InputError: not TOML, an unknown name, or a value out of range.
        StorageError: no permission.
    """
    values: dict[str, object] = {}
    with storage_errors(archive.settings):
        try:
            values = tomllib.loads(archive.settings.read_text("utf-8-sig"))
        except FileNotFoundError:
            pass
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{archive.settings}: expected TOML ({error}); mend that line") from None
    try:
        return Settings(**values)  # type: ignore[arg-type]
    except SettingsError as error:  # a table in the environment that is no JSON
        raise InputError(f"REID_ variables: {error}; give tables as JSON") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        # A table may hold a password, and an address with a token is one.
        secret = first["loc"][:1] == ("notify",) or isinstance(first.get("input"), dict)
        got = "" if secret else f"; got {first.get('input')!r}"
        variable = "__".join(str(part) for part in first["loc"]).upper()
        raise InputError(
            f"{archive.settings} or REID_{variable}: setting {name!r}: {first['msg']}{got}"
        ) from None


def commented_settings(chosen: Mapping[str, float] | None = None) -> str:
    """The text of a new reid.toml: every setting, its meaning and default, commented out but for `chosen`."""
    lines = ["# Settings of this archive. A line without # overrides the default.", ""]
    tables = []
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, BaseModel):
            tables += [f"# {field.description}", f"[{name}]", "", *_commented(field.default)]
        else:
            lines += _commented_line(name, field.description, field.default, chosen)
    return "\n".join(lines + tables)


def _commented(table: BaseModel) -> Iterator[str]:
    for name, field in type(table).model_fields.items():
        yield from _commented_line(name, field.description, field.default, None)


def _commented_line(
    name: str, meaning: str | None, default: Any, chosen: Mapping[str, float] | None
) -> list[str]:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    value = json.dumps(list(default) if isinstance(default, tuple) else default)
    line = f"{name} = {json.dumps(chosen[name])}" if chosen and name in chosen else f"# {name} = {value}"
    return [f"# {meaning}", line, ""]


def find_profile(name: str) -> Mapping[str, float]:
    """Settings of a profile of `PROFILES`; raises InputError for another name."""
    if name not in PROFILES:
        raise InputError(f"--profile {name!r}: expected one of {', '.join(PROFILES)}")
    return PROFILES[name]


def write_settings(archive: ArchiveFiles, chosen: Mapping[str, float] | None = None) -> bool:
    """Create the archive's reid.toml, `chosen` in force; False when there is one, which is left as it is.

    Raises:
        StorageError: the disk refuses.
    """
    if archive.settings.exists():
        return False
    make_folder(archive.home)
    write_file(archive.settings, commented_settings(chosen).encode())
    return True
