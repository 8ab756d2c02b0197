"""From the detections of one track to one tracklet: up to three vectors and the best crop.

Owns how samples are collected, weighted and pooled. Knows no disk and no camera; times are seconds
since the clip's first frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.images import Picture, fit_within

_SHOWN = (192, 384)  # pixels, width and height at most: readable on a screen, 5-10 kB as JPEG

_COMPARED = 16  # samples a new one is compared with, the latest
_EARLY_S = 0.02  # a frame this early is on time: cameras are not

Vectors = NDArray[np.float32]
"""(N, D) float32 rows of length 1."""


@dataclass(frozen=True)
class TrackletOptions:
    """How a track becomes a tracklet.

    Attributes:
        most_vectors: at most this many vectors describe one tracklet.
        new_view: a further vector is kept when its cosine with all kept ones is below this: another
            side of the body or another light.
        pause_s, longest_pause_s: seconds between two samples of a person whom nobody is near to: at first,
            and at most. The pause doubles while samples tell nothing new.
        known: a sample whose cosine with an earlier one is at least this tells nothing new.
        better: a crop so many times as good as the best one before is taken at once.
        most_samples: bound on the samples kept of a track; beyond it every other one is dropped.
        most_crops: bound on the crops whose pixels are kept, the best of different seconds.
        told_crops: so many of them, the best, tell how the person looks.
    """

    most_vectors: int = 3
    new_view: float = 0.8
    pause_s: float = 0.5
    longest_pause_s: float = 2.0
    known: float = 0.9
    better: float = 1.15
    most_samples: int = 256
    most_crops: int = 6
    told_crops: int = 4


@dataclass(frozen=True)
class Sample:
    """One detection of a track.

    Attributes:
        time_s: seconds since the clip's first frame.
        box: (4,) float32 `[x1, y1, x2, y2]` pixels of the frame.
        quality: 0..1, see `reid.quality`.
        vector: (D,) float32, length 1.
    """

    time_s: float
    box: NDArray[np.float32]
    quality: float
    vector: NDArray[np.float32]


@dataclass(frozen=True)
class TrackSummary:
    """What is kept of one person's passage through a clip.

    Attributes:
        start_s, end_s: first and last detection, seconds since the clip's first frame.
        best: the sample of the best crop: of high quality, and typical of the track, so that a moment
            in which two people were taken for one is not shown.
        crops: pictures of the best crops, best first, at most 192 x 384 pixels each.
        vectors: (K, D) float32 unit rows, most detections first, K between 1 and `most_vectors`.
        detections: how many detections the track had.
    """

    start_s: float
    end_s: float
    best: Sample
    crops: tuple[Picture, ...]
    vectors: Vectors
    detections: int

    @property
    def crop(self) -> Picture:
        """The best crop's picture."""
        return self.crops[0]


class TrackCollector:
    """Gathers the samples of one track with bounded memory; only a few crops' pixels are kept."""

    def __init__(self, options: TrackletOptions) -> None:
        self._options = options
        self._samples: list[Sample] = []
        self._crops: dict[int, tuple[Sample, Picture]] = {}  # by second of the clip
        self._stride = 1
        self._offered = self._detections = 0
        self._pause_s, self._due_s, self._best_quality = options.pause_s, float("-inf"), 0.0
        self._start_s = float("inf")
        self._end_s = float("-inf")

    def wants(self, time_s: float, quality: float) -> bool:
        """Would a sample of this quality, 0..1, tell anything that those before do not?"""
        return time_s >= self._due_s or quality > self._options.better * self._best_quality

    def see(self, time_s: float) -> None:
        """Count one more detection."""
        self._detections += 1
        self._start_s = min(self._start_s, time_s)
        self._end_s = max(self._end_s, time_s)

    def add(self, sample: Sample, crop: Picture) -> None:
        """Take a sample of the detection that was seen last; `crop` is copied only if it is kept."""
        second = int(sample.time_s)
        kept = self._crops.get(second)
        if kept is None or sample.quality > kept[0].quality:
            self._crops[second] = (sample, fit_within(crop, *_SHOWN).copy())
        self._plan(sample)
        if self._offered % self._stride == 0:
            self._samples.append(sample)
        self._offered += 1
        self._thin()

    def _plan(self, sample: Sample) -> None:
        """When the next sample is due."""
        earlier = [each.vector for each in self._samples[-_COMPARED:]]
        is_known = bool(earlier) and float((np.stack(earlier) @ sample.vector).max()) >= self._options.known
        longer = min(2 * self._pause_s, self._options.longest_pause_s)
        self._pause_s = longer if is_known else self._options.pause_s
        self._due_s = sample.time_s + self._pause_s - _EARLY_S
        self._best_quality = max(self._best_quality, sample.quality)

    def absorb(self, other: TrackCollector) -> None:
        """Take over all of `other`: the tracker found that both are one person."""
        self._samples = sorted(self._samples + other._samples, key=lambda sample: sample.time_s)
        self._crops = {**other._crops, **self._crops}
        self._detections += other._detections
        self._start_s = min(self._start_s, other._start_s)
        self._end_s = max(self._end_s, other._end_s)
        self._thin()

    def _thin(self) -> None:
        while len(self._samples) > self._options.most_samples:
            self._samples = self._samples[::2]
            self._stride *= 2
        while len(self._crops) > self._options.most_crops:
            del self._crops[min(self._crops, key=lambda second: self._crops[second][0].quality)]

    def summary(self) -> TrackSummary:
        """Pool what was gathered; needs at least one sample."""
        if not self._samples:
            raise ValueError("expected at least one sample, got none")
        vectors = np.stack([sample.vector for sample in self._samples])
        quality = np.array([sample.quality for sample in self._samples], np.float32)
        pooled, _ = pool_views(vectors, quality, self._options)
        best = sorted(
            self._crops.values(),
            key=lambda kept: -kept[0].quality * max(float(kept[0].vector @ pooled[0]), 0.0),
        )
        crops = tuple(crop for _, crop in best[: self._options.told_crops])
        return TrackSummary(self._start_s, self._end_s, best[0][0], crops, pooled, self._detections)


def pool_views(
    vectors: Vectors, quality: NDArray[np.float32], options: TrackletOptions
) -> tuple[Vectors, NDArray[np.float32]]:
    """Quality-weighted mean vectors of the different views in a track.

    Views are seeded by farthest-point sampling among the better half of the samples (Gonzalez 1985),
    then every sample joins its nearest seed.

    Args:
        vectors: (N, D) float32 unit rows, N at least 1.
        quality: (N,) float32, 0..1.
        options: how many views and how different.

    Returns:
        (K, D) float32 unit rows and their (K,) weights, heaviest first.
    """
    weight = np.maximum(quality, 1e-3)
    seeds = [int(np.argmax(weight))]
    good = weight >= np.median(weight)
    while len(seeds) < options.most_vectors:
        nearest = (vectors @ vectors[seeds].T).max(axis=1)
        nearest[~good] = 1.0
        farthest = int(np.argmin(nearest))
        if nearest[farthest] >= options.new_view:
            break
        seeds.append(farthest)
    member = np.argmax(vectors @ vectors[seeds].T, axis=1)
    sums = np.stack(
        [(weight[member == i, None] * vectors[member == i]).sum(axis=0) for i in range(len(seeds))]
    )
    shares = np.array([weight[member == i].sum() for i in range(len(seeds))]) / weight.sum()
    order = np.argsort(-shares, kind="stable")
    pooled = sums[order] / np.linalg.norm(sums[order], axis=1, keepdims=True)
    return np.asarray(pooled, np.float32), np.asarray(shares[order], np.float32)
