"""Adds a model file to the models folder: recognised, tried, copied whole or not at all.

Owns `models/<sha256>/<file>` and the `model.json` beside a file whose architecture the user named.
Knows no crop and no vector's meaning.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from reid.durable import make_folder, write_file
from reid.errors import ModelError, UnknownNameError
from reid.models import RECORD_FORMAT, RECORD_NAME, known_models
from reid.registry import ARCHITECTURES, SPECS, ModelFile, ModelSpec
from reid.runtimes.build import open_embedding
from reid.weights import sha256_of


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
        "format": RECORD_FORMAT, "name": name, "architecture": builder, "file": part.name, "sha256": digest,
        "dimension": spec.dimension,
    }  # fmt: skip
    write_file(models / digest / RECORD_NAME, json.dumps(record, indent=1, ensure_ascii=False).encode())
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


def _copy(source: Path, models: Path, part: ModelFile) -> None:
    data = source.read_bytes()
    if hashlib.sha256(data).hexdigest() != part.sha256:
        raise ModelError(f"model file {source}: changed while it was copied; add it again")
    make_folder(models / part.sha256)
    write_file(models / part.sha256 / part.name, data)
