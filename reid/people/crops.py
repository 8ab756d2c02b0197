"""Labelled crops: the same people before many cameras, as a detector would cut them out.

What training and evaluation of an embedder need: who, which camera, from which side, in which outfit,
how much is visible, in which light.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reid.durable import make_folder, write_file
from reid.errors import InputError
from reid.images import Picture, encode_jpeg
from reid.people.figure import Figure, build_figure
from reid.people.kernels.cloth import AID, BAG, HAT, METAL, STRAP
from reid.people.labels import CropLabel, attributes
from reid.people.outfits import Outfit, lookalike, make_outfit
from reid.people.persons import Person, make_person
from reid.people.photos import place_on_route
from reid.people.render import Actor, Region, draw, stage, stand
from reid.people.view import View

Mask = NDArray[np.uint8]
"""(h, w) uint8, what each pixel shows of the person, see `reid.people.labels.PERSON`."""

_NEIGHBOUR = 0.3  # share of crops in which somebody else is near
_LEAST_VISIBLE = 0.35
_HEIGHTS = (70.0, 420.0)
_TRIES = 8


@dataclass(frozen=True)
class Subject:
    """Somebody in their clothes.

    Attributes:
        person_id: label of the person. outfit_id: 0 for the first outfit, 1 for the second.
    """

    person_id: int
    outfit_id: int
    person: Person
    outfit: Outfit


def make_subjects(seed: int, count: int, *, lookalikes: float = 0.3, outfits: int = 1) -> list[Subject]:
    """`count` people, each in `outfits` outfits.

    Args:
        seed: of them all.
        count: people.
        lookalikes: share of people dressed like one of the six before them, with one to three items changed.
        outfits: outfits per person.

    Raises:
        InputError: no people or no outfits wanted.
    """
    if count < 1 or outfits < 1:
        raise InputError(f"expected at least one person and one outfit, got {count} and {outfits}")
    rng = np.random.default_rng([seed, 12])
    subjects: list[Subject] = []
    worn: list[Outfit] = []
    for number in range(count):
        person = make_person(int(rng.integers(1 << 31)))
        dress = int(rng.integers(1 << 31))
        if number and rng.random() < lookalikes:
            outfit = lookalike(worn[int(rng.integers(max(0, number - 6), number))], person, dress)
        else:
            outfit = make_outfit(person, dress)
        worn.append(outfit)
        subjects.append(Subject(number, 0, person, outfit))
        subjects += [Subject(number, k, person, make_outfit(person, dress + k)) for k in range(1, outfits)]
    return subjects


def make_crops(
    subjects: Sequence[Subject], views: Sequence[View], per_view: int, seed: int, first_camera: int = 0
) -> Iterator[tuple[Picture, CropLabel]]:
    """`per_view` crops of each subject in each view; fewer where the view has no room for them.

    The same arguments give the same bytes on one machine. Numbers of cameras begin with `first_camera`.
    """
    masked = make_masked_crops(subjects, views, per_view, seed, first_camera)
    return ((picture, label) for picture, _, label in masked)


def make_masked_crops(
    subjects: Sequence[Subject], views: Sequence[View], per_view: int, seed: int, first_camera: int = 0
) -> Iterator[tuple[Picture, Mask, CropLabel]]:
    """`make_crops`, and where in each crop the person is, with what they wear and carry."""
    figures = [build_figure(subject.person, subject.outfit) for subject in subjects]
    for row, subject in enumerate(subjects):
        for column, view in enumerate(views):
            rng = np.random.default_rng(
                [seed, subject.person_id, subject.outfit_id, first_camera + column, 13]
            )
            for _ in range(per_view):
                found = _crop(view, row, figures, rng)
                if found is not None:
                    picture, mask, shown = found
                    yield picture, mask, CropLabel(
                        subject.person_id, subject.outfit_id, first_camera + column, **shown,
                        light=view.light.kind, place=view.scene.place,
                    )  # fmt: skip


def _crop(
    view: View, row: int, figures: Sequence[Figure], rng: np.random.Generator
) -> tuple[Picture, Mask, dict[str, Any]] | None:
    """One crop of figure `row`; None when the view has no room for it."""
    for _ in range(_TRIES):
        found = place_on_route(view, figures[row], rng, *_HEIGHTS)
        if found is None:
            return None
        actor, box = found
        actors = [actor]
        if rng.random() < _NEIGHBOUR and len(figures) > 1:
            actors.append(
                _neighbour(figures[(row + int(rng.integers(1, len(figures)))) % len(figures)], actor, rng)
            )
        size = box[2:] - box[:2]
        grown = np.concatenate([box[:2] - size * (0.1, 0.03), box[2:] + size * (0.1, 0.03)])
        grown = grown + rng.normal(0, 0.035, 4) * np.tile(size, 2)  # a detector's box is never exact
        region = Region(*np.round(grown).astype(int).tolist()).clipped(view.camera.width, view.camera.height)
        if region.right - region.left < 8 or region.bottom - region.top < 20:
            continue
        drawing = draw(view, [stage(view, each) for each in actors], region)
        if drawing.visible[0] < _LEAST_VISIBLE:
            continue
        shown = view.electronics.expose(drawing.picture)
        picture = view.electronics.capture(shown, rng)
        label = {
            "view_deg": round(_side(view, actor), 1),
            "visibility": round(float(drawing.visible[0]), 3),
            "height_px": round(float(size[1]), 1),
            "bag_seen": round(drawing.share(0, BAG, STRAP), 4),
            "hat_seen": round(drawing.share(0, HAT), 4),
            "aid_seen": round(drawing.share(0, AID, METAL), 4),
        }
        return picture, drawing.mask(0), label
    return None


def _neighbour(figure: Figure, actor: Actor, rng: np.random.Generator) -> Actor:
    angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.2)
    ground = actor.place[:2] + away * np.array([np.cos(angle), np.sin(angle)])
    return stand(figure, ground, rng.uniform(0, 2 * np.pi), figure.pose(float(rng.random())))


def _side(view: View, actor: Actor) -> float:
    """Degrees, see `CropLabel.view_deg`."""
    away = view.camera.position[:2] - actor.place[:2]
    turn = np.arctan2(away[1], away[0]) - actor.heading
    return float(np.degrees(turn) % 360)


def write_crops(folder: Path, crops: Iterable[tuple[Picture, CropLabel]], subjects: Sequence[Subject]) -> int:
    """Write crops as a labelled folder that `reid eval` reads; returns how many.

    `manifest.csv` holds file, person_id, camera_id, condition (the light) and the other labels;
    `people.json` the attributes of every subject.

    Raises:
        StorageError: the disk refused.
    """
    make_folder(folder / "images")
    names = [field.name for field in fields(CropLabel)]
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(["file", "condition", *names])
    count = 0
    for picture, label in crops:
        name = f"images/{label.person_id:05d}_{label.outfit_id}_{label.camera_id:04d}_{count:07d}.jpg"
        write_file(folder / name, encode_jpeg(picture, 95))
        rows.writerow([name, label.light, *asdict(label).values()])
        count += 1
    people = [
        {"person_id": s.person_id, "outfit_id": s.outfit_id, **attributes(s.person, s.outfit)}
        for s in subjects
    ]
    write_file(folder / "people.json", json.dumps(people, indent=1).encode())
    write_file(folder / "manifest.csv", table.getvalue().encode())
    return count
