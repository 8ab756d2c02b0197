"""Description: how often attributes are right, by light, and what they are worth beside a photo and alone.

Synthetic people nobody was trained on, each in two outfits before cameras in every light, cut out as a
detector would. An attribute is said from a crop as `reid describe` says it; precision and recall are over the
crops that can tell. Then each person is asked for with their true attributes, as `reid search` weighs them:
alone, beside a photo in the same clothes, and beside one in other clothes (`--clothes-changed`). Shares are
what log ratios are worth there by a logistic regression: 1 if they say the truth, less if they say too much;
those of likeness are of what it says in the same clothes.
With `--quick` 40 people instead of 120.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from indexer.clothes import to_stored
from indexer.shard.records import Attributes
from reid.attributes import BY_NAME, GROUPS
from reid.calibration import Calibration, find_calibration, packaged_path
from reid.camera_means import centred
from reid.description import describe, evidence
from reid.embedder import Embedder, load_embedder
from reid.images import Picture
from reid.people.crops import Subject, make_crops, make_subjects
from reid.people.labels import CropLabel, attributes
from reid.people.light import LIGHTS
from reid.people.view import make_view
from reid.quality import picture_quality
from reid.training.targets import Targets, crop_targets, person_targets
from search.description import Asked, Description, description
from search.likeness import OTHER_CLOTHES
from search.sightings import SHORTLIST

SEED = 6_061_024
_PEOPLE, _QUICK = 120, 40
_PLACES = {"indoor": 1}  # views of each light: two, one indoors
_K = (1, 10)
_ROUNDS = 30

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Crops:
    """Crops with all that is known and seen of them.

    Attributes:
        labels: of each. targets: (N, COLUMNS) the truth as far as a crop can tell. stored: (N, COLUMNS) int8.
        said: (N, COLUMNS) bool, answers taken to be true. vectors: (N, D) unit rows, the camera's mean taken
            out of those in the first outfit, the mean of all of those in the second. qualities: (N,).
    """

    labels: Sequence[CropLabel]
    targets: Targets
    stored: Attributes
    said: Bools
    vectors: NDArray[np.float32]
    qualities: F64

    def which(self, outfit: int) -> NDArray[np.int64]:
        """Crops in this outfit."""
        return np.flatnonzero([label.outfit_id == outfit for label in self.labels])


def run(quick: bool) -> dict[str, Any]:
    """Measure, print; the figures."""
    subjects = make_subjects(SEED, _QUICK if quick else _PEOPLE, lookalikes=0.2, outfits=2)
    embedder = load_embedder()
    crops = make(subjects, embedder)
    calibration = find_calibration(packaged_path("none"), embedder.spec.sha256)
    assert calibration is not None
    figures = {
        "seed": SEED, "people": len(subjects) // 2, "crops": len(crops.labels), "model": embedder.spec.name,
        "by_light": by_light(crops), "search": search(crops, subjects, calibration),
    }  # fmt: skip
    _print(figures)
    return figures


def make(subjects: Sequence[Subject], embedder: Embedder) -> Crops:
    """Render everybody before cameras in every light, and look at them."""
    views = [
        make_view(SEED + 10 * number + again, light=light)
        for number, light in enumerate(LIGHTS) for again in range(_PLACES.get(light, 2))
    ]  # fmt: skip
    pictures: list[Picture] = []
    labels: list[CropLabel] = []
    for picture, label in make_crops(subjects, views, 1, SEED):
        pictures.append(picture)
        labels.append(label)
    known = {(s.person_id, s.outfit_id): person_targets(attributes(s.person, s.outfit)) for s in subjects}
    targets = [
        crop_targets(known[label.person_id, label.outfit_id], label)
        for label in labels
    ]  # fmt: skip
    logits = embedder.attributes(pictures)
    assert logits is not None
    told = np.stack([evidence(row, picture) for row, picture in zip(logits, pictures, strict=True)])
    vectors = embedder.embed(pictures)
    return Crops(
        labels, np.stack(targets), to_stored(told), _said(logits, pictures), _centred(vectors, labels),
        np.array([picture_quality(picture) for picture in pictures]),
    )  # fmt: skip


def _said(logits: NDArray[np.float32], pictures: Sequence[Picture]) -> Bools:
    said = np.zeros(logits.shape, np.bool_)
    for row, (told, picture) in enumerate(zip(logits, pictures, strict=True)):
        for statement in describe(told, picture):
            group = BY_NAME[statement.name]
            for answer in statement.said:
                said[row, group.start + group.answers.index(answer)] = True
    return said


def _centred(vectors: NDArray[np.float32], labels: Sequence[CropLabel]) -> NDArray[np.float32]:
    cameras = np.array([label.camera_id for label in labels])
    shown = np.array([label.outfit_id == 0 for label in labels])
    means = np.tile(vectors[shown].mean(axis=0), (len(vectors), 1))
    for camera in np.unique(cameras):
        here = shown & (cameras == camera)
        means[here] = vectors[here].mean(axis=0)
    return centred(vectors, means)


def by_light(crops: Crops) -> list[dict[str, Any]]:
    """Precision and recall of each answer by light, and of each group over its answers."""
    rows = []
    lights = np.array([label.light for label in crops.labels])
    for group in GROUPS:
        for light in (*LIGHTS, "all"):
            here = (lights == light) | (light == "all")
            each = [
                {"answer": answer, **_figures(crops, here, group.start + number)}
                for number, answer in enumerate(group.answers)
            ]
            sums = [sum(one[name] for one in each) for name in ("right", "said", "true")]
            rows.append(
                {"group": group.name, "light": light, "precision": _share(sums[0], sums[1]),
                 "recall": _share(sums[0], sums[2]), "true": sums[2], "answers": each}
            )  # fmt: skip
    return rows


def _figures(crops: Crops, here: Bools, column: int) -> dict[str, Any]:
    truth, said = crops.targets[here, column], crops.said[here, column]
    right, claimed = int((said & (truth == 1)).sum()), int((said & (truth >= 0)).sum())
    true = int((truth == 1).sum())
    return {"precision": _share(right, claimed), "recall": _share(right, true), "right": right,
            "said": claimed, "true": true}  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def spoken(subject: Subject) -> Description:
    """What a caller would say of them: colours, lower garment, what they carry, age group."""
    labels = attributes(subject.person, subject.outfit)
    colours = ("upper_colours", "lower_colours")
    things = [Asked(tuple((name, colour) for colour in labels[name])) for name in colours]
    things += [Asked((("age_group", labels["age_group"]),)), Asked((("lower", labels["lower"]),))]
    if labels["hat"] != "none":
        things.append(Asked((("hat", "hat"),)))
    if labels["bag"] == "backpack":
        things.append(Asked((("backpack", "backpack"),)))
    if labels["aid"] in BY_NAME["aid"].answers and labels["aid"] != "none":
        things.append(Asked((("aid", labels["aid"]),)))
    return Description(tuple(things))


def search(crops: Crops, subjects: Sequence[Subject], calibration: Calibration) -> list[dict[str, Any]]:
    """Found at k of each way of asking, in the gallery of all crops in the first outfit."""
    gallery = crops.which(0)
    people = np.array([crops.labels[place].person_id for place in gallery])
    cameras = np.array([crops.labels[place].camera_id for place in gallery])
    asked = {s.person_id: spoken(s) for s in subjects if s.outfit_id == 0}
    said = {
        person: description(what, crops.stored[gallery]).log_ratios for person, what in asked.items()
    }  # fmt: skip
    alone = _Asks("description alone")
    for person, fits in said.items():
        alone.add(fits[None], people == person)
    ways = [alone]
    for outfit, name in ((0, "photo, same clothes"), (1, "photo, other clothes")):
        worth = OTHER_CLOTHES if outfit else 1.0
        like, both = _Asks(name, worth), _Asks(f"{name}, and description", worth)
        for place in crops.which(outfit).tolist():
            label = crops.labels[place]
            others = cameras != label.camera_id
            same = people[others] == label.person_id
            scores = crops.vectors[gallery[others]] @ crops.vectors[place]
            worse = np.minimum(crops.qualities[gallery[others]], crops.qualities[place])
            looks = calibration.log_ratio(scores, worse)
            like.add(looks[None], same)
            short = np.argsort(-looks)[: len(looks) if outfit else SHORTLIST]
            fits = np.zeros(len(looks))
            fits[short] = description(asked[label.person_id], crops.stored[gallery[others]][short]).log_ratios
            both.add(np.stack([looks, fits]), same)
        ways += [like, both]
    return [way.figures() for way in ways]


class _Asks:
    """Searches of one kind."""

    def __init__(self, name: str, likeness: float = 1.0) -> None:
        self._name = name
        self._likeness = likeness  # its share in a search
        self._ratios: list[F64] = []
        self._same: list[Bools] = []

    def add(self, ratios: F64, same: Bools) -> None:
        """One search: (E, N) log ratios by kind of evidence, and who is right."""
        if same.any():
            self._ratios.append(ratios)
            self._same.append(same)

    def figures(self) -> dict[str, Any]:
        """Found at k with the shares at 1 and at their best, and what the shares are."""
        shares = fit(np.concatenate(self._ratios, axis=1), np.concatenate(self._same))
        return {
            "way": self._name, "searches": len(self._same),
            "found_at": self._found(np.array([self._likeness, 1.0])[: len(shares)]),
            "shares": shares.round(3).tolist(),
            "found_at_with_shares": self._found(shares),
        }  # fmt: skip

    def _found(self, shares: F64) -> dict[str, float]:
        ranks = []
        for ratios, same in zip(self._ratios, self._same, strict=True):
            total = shares @ ratios
            ranks.append(1 + int((total[~same] >= total[same].max()).sum()))
        return {str(k): float(np.mean(np.array(ranks) <= k)) for k in _K}


def fit(ratios: F64, same: Bools) -> F64:
    """(E,) by what the log ratios (E, P) of P pairs have to be multiplied to tell who is right.

    Logistic regression with right and wrong pairs weighing the same, and a constant, by Newton's method.
    """
    features = np.concatenate([ratios, np.ones((1, len(same)))])
    weight = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    weights = np.zeros(len(features))
    for _ in range(_ROUNDS):
        chance = 1 / (1 + np.exp(-np.clip(weights @ features, -30, 30)))
        curve = (features * (weight * chance * (1 - chance))) @ features.T + 1e-9 * np.eye(len(features))
        step = np.linalg.solve(curve, features @ (weight * (same - chance)))
        weights += step * min(1.0, 2.0 / max(1e-9, float(np.abs(step).max())))
    return weights[:-1]


def _print(figures: dict[str, Any]) -> None:
    console = Console()
    table = Table("attribute", *LIGHTS, "all", title="Precision / recall of what is said (true answers)")
    for group in GROUPS:
        cells = [
            f"{_text(row['precision'])} / {_text(row['recall'])} ({row['true']})"
            for row in figures["by_light"] if row["group"] == group.name
        ]  # fmt: skip
        table.add_row(group.name.replace("_", " "), *cells)
    console.print(table)
    table = Table("asked by", "searches", *(f"found at {k}" for k in _K), "shares", "with shares, at 1 / 10")
    for row in figures["search"]:
        found, best = row["found_at"], row["found_at_with_shares"]
        table.add_row(
            row["way"], str(row["searches"]), *(f"{found[str(k)]:.3f}" for k in _K),
            " ".join(f"{share:.2f}" for share in row["shares"]),
            " / ".join(f"{best[str(k)]:.3f}" for k in _K),
        )  # fmt: skip
    console.print(table)


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
