"""The operator's settings: `$REID_HOME/reid.toml`, each also settable as `REID_<NAME>`.

Owns names, defaults and checks. The order is: environment, file, default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from indexer.shard.files import ArchiveFiles
from reid.durable import make_folder, write_file
from reid.errors import InputError, storage_errors
from reid.registry import DEFAULT_DETECTOR, DEFAULT_EMBEDDER

HOME_VARIABLE = "REID_HOME"
DEFAULT_HOME = "~/reid-archive"


class Settings(BaseSettings):
    """What an operator may set; see the fields' descriptions."""

    model_config = SettingsConfigDict(env_prefix="REID_", extra="forbid", frozen=True)

    detector: str = Field(DEFAULT_DETECTOR, description="Model that finds people: reid models list")
    embedder: str = Field(
        DEFAULT_EMBEDDER,
        description="Model that describes them; fixed once footage is indexed: another needs a new archive",
    )
    frames_per_second: float = Field(
        5.0, gt=0, le=60, description="How many frames of each second of footage are looked at"
    )
    districts: str = Field("", description="Path of your own districts table (CSV); empty: the built-in one")
    code_memory_mb: int = Field(
        4096, ge=16, description="Memory for codes, 40 bytes a vector; what does not fit is read in turns"
    )
    top: int = Field(20, ge=1, le=1000, description="How many sightings a search shows")

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
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{archive.settings} or REID_{name.upper()}: setting {name!r}:"
            f" {first['msg']}; got {first.get('input')!r}"
        ) from None


def commented_settings(chosen: Mapping[str, float] | None = None) -> str:
    """The text of a new reid.toml: every setting, its meaning and default, commented out but for `chosen`."""
    lines = ["# Settings of this archive. A line without # overrides the default.", ""]
    for name, field in Settings.model_fields.items():
        value = f'"{field.default}"' if isinstance(field.default, str) else str(field.default)
        line = f"{name} = {chosen[name]}" if chosen and name in chosen else f"# {name} = {value}"
        lines += [f"# {field.description}", line, ""]
    return "\n".join(lines)


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
