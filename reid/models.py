"""The models there are: built in, and added to the models folder; finding one by name.

Owns reading the `model.json` beside a file whose architecture the user named (`adding.py` writes it);
files this release knows by their sha256 have none. Loads no framework.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from reid.errors import FormatError, ModelError, UnknownNameError
from reid.registry import ARCHITECTURES, SPECS, ModelFile, ModelSpec, Task

RECORD_NAME = "model.json"
RECORD_FORMAT = 1


def known_models(models: Path | None) -> list[ModelSpec]:
    """All rows: the built-in ones, then those added to `models`, by name.

    Args:
        models: `$REID_HOME/models`; need not exist.

    Raises:
        ModelError: the record of an added model is damaged.
        FormatError: a newer release wrote it.
    """
    records = models.glob(f"*/{RECORD_NAME}") if models is not None else ()
    return [*SPECS, *sorted(map(_read_record, records), key=lambda spec: spec.name)]


def find_model(name: str, task: Task, models: Path | None = None) -> ModelSpec:
    """The row of this name, built in or added.

    Raises:
        UnknownNameError: no model of that task has the name.
        ModelError, FormatError: see `known_models`; never for a built-in name.
    """
    for spec in SPECS:
        if (spec.name, spec.task) == (name, task):
            return spec
    rows = {spec.name: spec for spec in known_models(models) if spec.task == task}
    if name not in rows:
        kinds = {"detect": "detector", "embed": "embedder", "describe": "describer"}
        raise UnknownNameError(kinds[task], name, rows)
    return rows[name]


def _read_record(path: Path) -> ModelSpec:
    try:
        record = json.loads(path.read_bytes())
        version = record["format"]
        rows = {row.name: row for row in ARCHITECTURES}
        if version == RECORD_FORMAT:
            row = rows[record["architecture"]]
            part = ModelFile(Path(record["file"]).name, record["sha256"])
            if part.sha256 != path.parent.name:
                raise ValueError(f"it names sha256 {part.sha256}")
            return replace(row, name=str(record["name"]), files=(part,), dimension=int(record["dimension"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: expected the record of an added model ({type(error).__name__}: {error});"
            f" delete the folder {path.parent} and add the model again"
        ) from None
    raise FormatError(f"{path}: format {version}, this release reads {RECORD_FORMAT}; use a newer release")
