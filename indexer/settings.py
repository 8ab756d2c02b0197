"""The operator's settings: `$REID_HOME/reid.toml`, each also settable as `REID_<NAME>`.

Owns names, defaults and checks. The order is: environment, file, default.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from indexer.night_settings import NightlySettings, NotifySettings
from indexer.oidc_settings import OidcSettings
from indexer.shard.files import ArchiveFiles
from reid.durable import make_folder, write_file
from reid.errors import InputError, storage_errors
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER
from reid.runtimes import Wanted

HOME_VARIABLE = "REID_HOME"
DEFAULT_HOME = "~/reid-archive"

PROFILES: Mapping[str, Mapping[str, float]] = {
    "plain": {},
    "police": {
        "require_case": True, "case_days": 30, "closed_case_days": 30, "wide_days": 3, "daily_searches": 100,
    },
}  # fmt: skip
"""Settings by the name of a profile of `reid init`."""


class Settings(BaseSettings):
    """What an operator may set; see the fields' descriptions."""

    model_config = SettingsConfigDict(
        env_prefix="REID_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    detector: str = Field(DEFAULT_DETECTOR, description="Model that finds people: reid models list")
    embedder: str = Field(
        DEFAULT_EMBEDDER,
        description="Model that describes them; once footage is indexed, changed by: reid reindex",
    )
    runtime: Wanted = Field(
        "auto",
        description="What runs the models that are ours: torch, openvino, or auto: the faster one, measured"
        " once on each machine",
    )
    frames_per_second: float = Field(
        5.0, gt=0, le=60, description="How many frames of each second of footage are looked at"
    )
    whole_look_seconds: float = Field(
        15.0,
        ge=0,
        le=3600,
        description="Seconds between looks at all that changed meanwhile, every fourth at the whole picture;"
        " between them only what moves and who is followed is looked at; 0: all of every frame. What was"
        " indexed with another value counts as done",
    )
    workers: str = Field(
        "auto", description="How many clips are indexed at a time, one core each; auto: by cores and memory"
    )
    worker_memory_mb: int = Field(
        8192,
        ge=0,
        description="Memory that one of several workers may take; 0: no limit, as with an NVIDIA GPU",
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
    shard_replicas: int = Field(
        2, ge=1, description="With --ray: so many machines share the searches of each district and day"
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
    oidc: OidcSettings = Field(
        OidcSettings(), description="Sign-in by an organisation's own provider; see docs/operating.md"
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
        secret = first["loc"][:1] in (("notify",), ("oidc",)) or isinstance(first.get("input"), dict)
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


def set_setting(archive: ArchiveFiles, name: str, value: str) -> None:
    """Put a text into the archive's reid.toml, in the place of the line that sets it, or shows how.

    Raises:
        StorageError: the disk refuses.
    """
    with storage_errors(archive.settings):
        text = archive.settings.read_text("utf-8-sig") if archive.settings.exists() else ""
    line, table = f'{name} = "{value}"', re.search(r"^\s*\[", text, re.MULTILINE)
    head, rest = (text[: table.start()], text[table.start() :]) if table else (text, "")
    for form in (rf"^[ \t]*{name}[ \t]*=.*$", rf"^[ \t]*#[ \t]*{name}[ \t]*=.*$"):
        if re.search(form, head, re.MULTILINE):
            head = re.sub(form, lambda match: line, head, count=1, flags=re.MULTILINE)
            break
    else:
        head = f"{line}\n{head}"
    make_folder(archive.home)
    write_file(archive.settings, (head + rest).encode())
