"""The state of a run on disk: replaced in one step, so that a run may be killed at any time."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from reid.durable import write_file
from reid.errors import DamagedError, InputError
from reid.training.recipe import Recipe
from reid.training.trainer import Trainer

_FORMAT = 1


def save(path: Path, trainer: Trainer, seconds: float, history: list[dict[str, Any]]) -> None:
    """Write the run so far.

    Args:
        path: of the file.
        trainer: the run.
        seconds: trained so far.
        history: what was measured so far.

    Raises:
        StorageError: the disk refused; the old file is untouched.
    """
    stream = BytesIO()
    state = {
        "format": _FORMAT, "recipe": trainer.recipe.digest, "seconds": seconds, "history": history,
        "trainer": trainer.state(),
    }  # fmt: skip
    torch.save(state, stream)
    write_file(path, stream.getvalue())


def load(path: Path, trainer: Trainer) -> tuple[float, list[dict[str, Any]]]:
    """Put the run at `path` into `trainer`; its seconds and history.

    Raises:
        InputError: no such file, or a run of another recipe or other crops.
        DamagedError: not a checkpoint.
    """
    if not path.is_file():
        raise InputError(f"{path}: no run to resume; leave out --resume to begin one")
    try:
        held = torch.load(path, map_location=trainer.device, weights_only=True)
        version, digest = held["format"], held["recipe"]
    except Exception as error:  # noqa: BLE001  a damaged pickle can raise nearly anything
        reason = str(error).partition("\n")[0]
        raise DamagedError(f"{path}: not a checkpoint of a run ({reason}); remove it to begin anew") from None
    if version != _FORMAT:
        raise DamagedError(f"{path}: format {version}, this release reads {_FORMAT}; remove it to begin anew")
    _same_recipe(path, digest, trainer.recipe)
    try:
        trainer.load_state(held["trainer"])
    except (KeyError, RuntimeError, ValueError):
        raise InputError(f"{path}: a run on other crops; give it another --out, or the same data") from None
    return float(held["seconds"]), list(held["history"])


def _same_recipe(path: Path, digest: str, recipe: Recipe) -> None:
    if digest != recipe.digest:
        raise InputError(
            f"{path}: a run of another recipe than {recipe.name}; only steps and minutes may change when a"
            " run is resumed: give it another --out"
        )
