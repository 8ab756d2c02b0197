"""Crops from a folder that `reid.people.crops.write_crops` made, instead of a cache.

`people.json`, which only that function writes, is asked for: pictures of real people do not come with it, and
are not to be trained on.
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from reid.errors import InputError
from reid.images import resize
from reid.labelled import Skipped, read_folder
from reid.people.labels import CropLabel
from reid.tables import read_table
from reid.training.cropset import CropSet, Labels
from reid.training.targets import Targets, crop_targets, person_targets

PEOPLE = "people.json"
_KINDS = {
    field.name: {"int": int, "float": float, "str": str}[str(field.type)] for field in fields(CropLabel)
}
_COLUMNS = ("file", *_KINDS)


def read_crops(folder: Path, size: tuple[int, int]) -> CropSet:
    """All crops of the folder in memory, scaled to `size` (height, width).

    Raises:
        InputError: not such a folder, a broken line, or a picture that cannot be read; says which.
    """
    people = _people(folder)
    images = read_folder(folder)
    lines = {
        row["file"]: (line, row) for line, row in read_table(folder / "manifest.csv", _COLUMNS, others=True)
    }
    lights = sorted({row["light"] for _, row in lines.values()})
    pictures, numbers, targets = [], [], []
    for image, picture in images.pictures():
        if isinstance(picture, Skipped):
            raise InputError(f"{folder}: {image.file} cannot be read ({picture.message})")
        line, row = lines[image.file]
        try:
            label = CropLabel(**{name: kind(row[name]) for name, kind in _KINDS.items()})
            numbers.append((label.person_id, label.outfit_id, label.camera_id, lights.index(label.light)))
            targets.append(crop_targets(people[label.person_id, label.outfit_id], label))
        except (ValueError, KeyError) as error:
            raise InputError(f"{folder}/manifest.csv line {line}: not a crop's labels ({error})") from None
        pictures.append(resize(picture, size[1], size[0]))
    columns = np.array(numbers, np.int64).T
    wearers = np.unique(columns[:2], axis=1, return_inverse=True)[1].reshape(-1)
    labels = Labels(wearers.astype(np.int64), columns[2].copy(), columns[3].copy(), np.stack(targets))
    return CropSet([np.stack(pictures)], labels, tuple(lights), {"folder": folder.name})


def _people(folder: Path) -> dict[tuple[int, int], Targets]:
    path = folder / PEOPLE
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))
        return {(row["person_id"], row["outfit_id"]): person_targets(row) for row in rows}
    except FileNotFoundError:
        raise InputError(
            f"{path}: expected the attributes of synthetic people beside their crops, for training"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be used ({error}); make the folder again") from None
