"""Other people's models, whose files lie beside the repository (`../shared/eval/models`), never in it."""

from __future__ import annotations

from pathlib import Path

from benchmarks.footage import EVAL
from reid.registry import SPECS, ModelSpec, Task


def at_hand(task: Task) -> list[ModelSpec]:
    """The models that can be loaded here: those of the package, and peers whose files lie there."""
    return [spec for spec in SPECS if spec.task == task and (spec.location != "models" or _lies(spec))]


def peers_folder(folder: Path) -> Path:
    """A folder of added models, made at `folder`, that holds all peers at hand."""
    for spec in SPECS:
        if spec.location == "models" and _lies(spec):
            for file in spec.files:
                place = folder / file.sha256 / file.name
                place.parent.mkdir(parents=True)
                place.symlink_to(EVAL / "models" / file.name)
    return folder


def _lies(spec: ModelSpec) -> bool:
    return all((EVAL / "models" / file.name).exists() for file in spec.files)
