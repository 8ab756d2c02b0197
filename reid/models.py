"""The models folder: which models there are, finding one by name, adding a file.

Owns `models/<sha256>/<file>` and the `model.json` beside a file whose architecture the user named.
Files this release knows by their sha256 need no such record. Knows no crop and no vector's meaning.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from reid.errors import FormatError, ModelError, UnknownNameError, storage_errors
from reid.registry import ARCHITECTURES, SPECS, ModelFile, ModelSpec, Task
from reid.runtimes.build import open_embedding
from reid.weights import sha256_of

_RECORD = "model.json"
_FORMAT = 1


def known_models(models: Path | None) -> list[ModelSpec]:
    """All rows: the built-in ones, then those added to `models`, by name.

    Args:
        models: `$REID_HOME/models`; need not exist.

    Raises:
        ModelError: the record of an added model is damaged.
        FormatError: a newer release wrote it.
    """
    records = models.glob(f"*/{_RECORD}") if models is not None else ()
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
        raise UnknownNameError("detector" if task == "detect" else "embedder", name, rows)
    return rows[name]


def add_model(file: Path, models: Path, builder: str | None = None) -> ModelSpec:
    """Copy a model file into the models folder.

    A file this release knows is recognised by its sha256; the other files of its model are taken along
    when they lie beside it. Any other file needs its architecture named, is loaded strictly and run once
    before it is copied, and is called by its file name without the suffix.

    Args:
        builder: a name from `registry.ARCHITECTURES`; not looked at for known files.

    Raises:
        UnknownNameError: no such architecture.
        ModelError: unreadable, not known and no architecture named, does not fit it, or name taken.
        MissingExtraError: trying it needs an extra that is not installed.
        StorageError: the disk refused.
    """
    try:
        digest = sha256_of(file)
    except OSError as error:
        raise ModelError(f"model file {file}: cannot be read ({error.strerror}); check the path") from None
    for spec in SPECS:
        if digest in {part.sha256 for part in spec.files} and spec.location == "models":
            _add_known(spec, file, digest, models)
            return spec
    return _add_own(file, digest, models, builder)


def _add_known(spec: ModelSpec, file: Path, digest: str, models: Path) -> None:
    for part in spec.files:
        source = file if part.sha256 == digest else file.with_name(part.name)
        if source.is_file() and sha256_of(source) == part.sha256:
            _copy(source, models, part)


def _add_own(file: Path, digest: str, models: Path, builder: str | None) -> ModelSpec:
    rows = {row.name: row for row in ARCHITECTURES}
    if builder is None:
        raise ModelError(
            f"model file {file}: sha256 {digest[:12]}… is none this release knows;"
            f" name its architecture with --as (one of {', '.join(sorted(rows))})"
        )
    if builder not in rows:
        raise UnknownNameError("architecture", builder, rows)
    # Letters of any script, digits, dots and dashes: a name that works in a shell and in reid.toml.
    name = re.sub(r"[^\w.-]+", "-", file.stem).strip("-.").lower()
    for spec in known_models(models):
        if spec.name == name and spec.sha256 != digest:
            raise ModelError(
                f"model file {file}: another model is already called {name}; rename the file, then add it"
            )
    part = ModelFile(f"{name}{file.suffix.lower()}", digest)
    spec = replace(rows[builder], name=name, files=(part,))
    spec = replace(spec, dimension=_tried(spec, file))
    _copy(file, models, part)
    record = {
        "format": _FORMAT, "name": name, "architecture": builder, "file": part.name, "sha256": digest,
        "dimension": spec.dimension,
    }  # fmt: skip
    _write(models / digest / _RECORD, json.dumps(record, indent=1, ensure_ascii=False).encode())
    return spec


def _tried(spec: ModelSpec, file: Path) -> int:
    """Load the file and run two noise pictures through it; the length of the vectors."""
    noise = np.random.default_rng(0).normal(size=(2, 3, spec.input_height, spec.input_width))
    vectors = open_embedding(spec, [file])(noise.astype(np.float32))[0]
    if vectors.ndim != 2 or len(vectors) != 2 or spec.dimension not in (0, vectors.shape[1]):
        wanted = f"(2, {spec.dimension or 'any'})"
        raise ModelError(f"model file {file}: expected output {wanted}, the network gave {vectors.shape}")
    if not np.isfinite(vectors).all() or not vectors.any(axis=1).all():
        raise ModelError(
            f"model file {file}: the network's output is zero or not a number; its weights are damaged"
        )
    return int(vectors.shape[1])


def _read_record(path: Path) -> ModelSpec:
    try:
        record = json.loads(path.read_bytes())
        version = record["format"]
        rows = {row.name: row for row in ARCHITECTURES}
        if version == _FORMAT:
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
    raise FormatError(f"{path}: format {version}, this release reads {_FORMAT}; use a newer release")


def _copy(source: Path, models: Path, part: ModelFile) -> None:
    target = models / part.sha256 / part.name
    with storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _temporary(target)
        try:
            shutil.copyfile(source, temporary)
            if sha256_of(temporary) != part.sha256:
                raise ModelError(f"model file {source}: changed while it was copied; add it again")
            _publish(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _write(target: Path, data: bytes) -> None:
    with storage_errors(target):
        temporary = _temporary(target)
        try:
            temporary.write_bytes(data)
            _publish(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.tmp")


def _publish(temporary: Path, target: Path) -> None:
    """Give a finished file its name, durably: its bytes first, then the name, then its folders'."""
    _sync(temporary)
    temporary.replace(target)
    for folder in (target.parent, target.parent.parent, target.parent.parent.parent):
        _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
