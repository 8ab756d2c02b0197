"""Vectors distributed as real embeddings are, never plain noise, in any number and at any time the same.

`vectors.npz` holds a model of what the default embedder gives for crops of synthetic people it has never
seen: who somebody is (with the colour they wear), what their camera does to everybody, what is particular to
one passage, and what differs between the pictures of a passage. `vector_fit.py` makes it; it has to be made
anew when the default embedder changes. Knows no archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reid.durable import write_npz
from reid.registry import DEFAULT_EMBEDDER, SPECS

F32 = NDArray[np.float32]
Ints = NDArray[np.int64]

MODEL_FILE = Path(__file__).with_name("vectors.npz")
VIEWS = (0.4, 0.3, 0.3)
"""Shares of tracklets with one, two and three vectors."""
PASSAGES = 3
"""Tracklets of each person in a crowd, on average; before any of its cameras."""
_BLOCK = 8192  # tracklets


@dataclass(frozen=True)
class VectorModel:
    """A sum of normal variables, brought to length 1. A factor (D, R) makes them of R standard normal ones.

    Attributes:
        looks: (K, D), means of people who look alike; K of them, for people are not spread evenly.
        shares: (K,) of people with each look.
        colours: (K, 11), shares of the colours of upper clothing in each look; `reid.attributes.COLOURS`.
        person, camera, passage, view: factors of what is added to a look; each passage (tracklet) has one
            draw of `passage`, each of its vectors one of `view`.
        spreads: (2,) of passages and of views, deviations of the logarithm of how strong a draw is: good
            pictures move a vector little, bad ones much.
        embedder: (1,) str, sha256 of the embedder.
    """

    looks: F32
    shares: F32
    colours: F32
    person: F32
    camera: F32
    passage: F32
    view: F32
    spreads: F32
    embedder: NDArray[np.str_]

    @classmethod
    def load(cls, path: Path = MODEL_FILE) -> VectorModel:
        """The model in the repository, or of a file."""
        with np.load(path, allow_pickle=False) as arrays:
            return cls(
                **{
                    name: arrays[name] if name == "embedder" else arrays[name].astype(np.float32)
                    for name in arrays.files
                }
            )

    def save(self, path: Path) -> None:
        """Write the model; float16 is precise enough."""
        arrays = {each.name: getattr(self, each.name) for each in fields(self)}
        write_npz(path, {k: v if k == "embedder" else v.astype(np.float16) for k, v in arrays.items()})

    @property
    def dimension(self) -> int:
        """D, of a vector."""
        return int(self.looks.shape[1])

    @property
    def fits(self) -> bool:
        """Whether the default embedder is still the one the model was fitted to."""
        return any(spec.name == DEFAULT_EMBEDDER and spec.sha256 == self.embedder[0] for spec in SPECS)


@dataclass(frozen=True)
class Sample:
    """T tracklets with N vectors, in order: the rows of a tracklet are neighbours.

    Attributes:
        vectors: (N, D) float32 unit rows.
        tracklets: (N,) int64, which of the T a row is of.
        people: (T,) int64, who of the crowd.
        cameras: (T,) int64.
    """

    vectors: F32
    tracklets: Ints
    people: Ints
    cameras: Ints


class Crowd:
    """People who pass by cameras: the same for the same model, numbers and seed.

    Args:
        model: of the vectors.
        people: how many; `people_for` says how many go with a number of vectors.
        cameras: how many.
        seed: of it all.
        views: shares of tracklets with one, two... vectors.

    Attributes:
        colours: (people,) int64, of the upper clothing.
    """

    def __init__(
        self, model: VectorModel, people: int, cameras: int, seed: int, views: tuple[float, ...] = VIEWS
    ) -> None:
        rng = np.random.default_rng([seed, 0])
        self.model = model
        self._views = views
        self._seed = seed
        looks = rng.choice(len(model.shares), people, p=_shares(model.shares))
        colours = np.cumsum(model.colours, axis=1)
        colours /= colours[:, -1:]
        self.colours: Ints = (rng.random((people, 1)) > colours[looks]).sum(axis=1)
        self._cameras = _normal(rng, cameras, model.camera)
        # Half precision: ten million vectors are of 1.7 million people.
        self._people = np.empty((people, model.dimension), np.float16)
        for start in range(0, people, _BLOCK):
            here = slice(start, start + _BLOCK)
            self._people[here] = model.looks[looks[here]] + _normal(rng, len(looks[here]), model.person)

    def __len__(self) -> int:
        return len(self._people)

    def relate(self, ones: Ints, others: Ints, share: float) -> None:
        """Make each of `others` look like its one of `ones`: so much of what they are is the same, 0..1."""
        mixed = share * self._people[ones].astype(np.float32) + (1 - share) * self._people[others]
        self._people[others] = mixed

    def sample(self, number: int, tracklets: int) -> Sample:
        """Block `number` of what the cameras see: `tracklets` passages of anybody before any camera."""
        rng = np.random.default_rng([self._seed, 1, number])
        people = rng.integers(len(self._people), size=tracklets)
        cameras = rng.integers(len(self._cameras), size=tracklets)
        return self._seen(rng, people, cameras)

    def passing(self, people: Ints, cameras: Ints, seed: int = 0) -> Sample:
        """Passages of (T,) these people before (T,) these cameras."""
        return self._seen(np.random.default_rng([self._seed, 5, seed]), people, cameras)

    def _seen(self, rng: np.random.Generator, people: Ints, cameras: Ints) -> Sample:
        counts = rng.choice(np.arange(1, len(self._views) + 1), len(people), p=self._views)
        passages = self._passages(rng, people, self._cameras[cameras])
        rows = np.repeat(np.arange(len(people)), counts)
        return Sample(_views(rng, self.model, passages, rows), rows, people, cameras)

    def photos(self, count: int, seed: int = 0) -> tuple[F32, Ints]:
        """One more picture each of `count` people of the crowd, before a camera of its own: (count, D) unit
        rows and (count,) who they are.
        """
        people = np.random.default_rng([self._seed, 2, seed]).integers(len(self._people), size=count)
        return self.photos_of(people, seed), people

    def photos_of(self, people: Ints, seed: int = 0) -> F32:
        """(count, D) unit rows: one more picture of each of these people, before a camera of its own."""
        rng = np.random.default_rng([self._seed, 4, seed])
        places = _normal(rng, len(people), self.model.camera)
        passages = self._passages(rng, people, places)
        return _views(rng, self.model, passages, np.arange(len(people)))

    def pairs(self, people: int, cameras: int = 8) -> tuple[F32, F32]:
        """Two views each, (people, cameras, D) unit rows, of passages of the first people before cameras that
        are all different.
        """
        rng = np.random.default_rng([self._seed, 3])
        who = np.repeat(np.arange(people), cameras)
        passages = self._passages(rng, who, _normal(rng, len(who), self.model.camera))
        shape = (people, cameras, self.model.dimension)
        first, second = (_views(rng, self.model, passages, np.arange(len(who))) for _ in range(2))
        return first.reshape(shape), second.reshape(shape)

    def strangers(self, count: int, seed: int = 0) -> F32:
        """(count, D) unit rows: photos of people no camera has seen."""
        return Crowd(self.model, count, 1, self._seed + (seed + 1) * 1_000_003).photos(count)[0]

    def _passages(self, rng: np.random.Generator, people: Ints, places: F32) -> F32:
        strength = _strengths(rng, len(people), float(self.model.spreads[0]))
        return self._people[people] + places + _normal(rng, len(people), self.model.passage) * strength


def vectors_each(views: tuple[float, ...] = VIEWS) -> float:
    """Vectors of a tracklet, on average."""
    return sum(count * share for count, share in enumerate(views, 1))


def people_for(vectors: int, views: tuple[float, ...] = VIEWS) -> int:
    """How many people give so many vectors, seen `PASSAGES` times each."""
    return max(2, round(vectors / vectors_each(views) / PASSAGES))


def gallery(model: VectorModel, vectors: int, seed: int, cameras: int = 400) -> tuple[Crowd, Iterator[F32]]:
    """A crowd, and its vectors in blocks (n, D) float32, `vectors` rows in all, made on two threads."""
    crowd = Crowd(model, people_for(vectors), cameras, seed)

    def blocks() -> Iterator[F32]:
        left, number = vectors, 0
        with ThreadPoolExecutor(2) as pool:
            while left > 0:
                for sample in pool.map(lambda k: crowd.sample(k, _BLOCK), range(number, number + 4)):
                    if left > 0:
                        yield sample.vectors[:left]
                    left -= len(sample.vectors)
                number += 4

    return crowd, blocks()


def _views(rng: np.random.Generator, model: VectorModel, passages: F32, rows: Ints) -> F32:
    """(N, D) unit rows: one view of passage `rows[i]` each."""
    vectors = _normal(rng, len(rows), model.view)
    vectors *= _strengths(rng, len(rows), float(model.spreads[1]))
    vectors += passages[rows]
    vectors /= np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    return vectors


def _normal(rng: np.random.Generator, count: int, factor: F32) -> F32:
    """(count, D) float32 normal rows with the covariance factor @ factor.T."""
    return rng.standard_normal((count, factor.shape[1]), np.float32) @ factor.T


def _strengths(rng: np.random.Generator, count: int, spread: float) -> F32:
    """(count, 1) float32, lognormal, 1 in mean square."""
    logarithms = rng.standard_normal((count, 1), np.float32) * spread - spread**2
    return np.asarray(np.exp(logarithms), np.float32)


def _shares(shares: F32) -> NDArray[np.float64]:
    wide = shares.astype(np.float64)
    return np.asarray(wide / wide.sum())
