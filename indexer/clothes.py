"""How a person looks, as a segment stores it: sets of the eleven colour terms, and evidence for each answer
of `reid.attributes`.

What a picture cannot tell is the empty set, or evidence of 0, which means unknown and is never a 'no'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.shard.records import Attributes, nothing_known
from reid.attributes import COLOURS
from reid.description import KOREAN, evidence, statements
from reid.errors import UnknownNameError
from reid.images import Picture

if TYPE_CHECKING:
    from reid.embedder import Embedder

UNKNOWN = 0

_GROUPS = ("upper_colours", "lower_colours")
_STEPS, _MOST = 16, 127
_RATIOS = np.exp(np.r_[0:128, -128:0] / _STEPS)  # by the stored byte; negative ones count from the end


@dataclass(frozen=True)
class Look:
    """What is seen of somebody.

    Attributes:
        upper, lower: the colours of upper and lower body that are taken to be true, as sets.
        attributes: (COLUMNS,) int8, the evidence for each answer, see `to_stored`.
    """

    upper: int
    lower: int
    attributes: Attributes


def as_set(colours: Iterable[str]) -> int:
    """The set of these colours of `reid.attributes.COLOURS`, bit k for the k-th.

    Raises:
        ValueError: no such colour.
    """
    return sum({1 << COLOURS.index(colour) for colour in colours})


def colour_names(colours: int) -> list[str]:
    """The colours of a set."""
    return [name for k, name in enumerate(COLOURS) if colours >> k & 1]


def parse_colours(names: Iterable[str]) -> int:
    """The set of colours named in English or Korean; unknown for no name.

    Raises:
        UnknownNameError: no such colour; suggests the nearest.
    """
    known = {name: colour for colour in COLOURS for name in (colour, KOREAN[colour])}
    found = []
    for name in names:
        wanted = name.strip().lower()
        if wanted not in known:
            raise UnknownNameError("colour", name, known)
        found.append(known[wanted])
    return as_set(found)


def look(embedder: Embedder, crops: Sequence[Picture]) -> Look:
    """What crops of one person show together; nothing is known by a model that describes nobody.

    The evidence of neighbouring frames is far from independent, so it is averaged, not added, over the crops
    that can tell.

    Args:
        crops: at least one.
    """
    logits = embedder.attributes(crops)
    if logits is None:
        return Look(UNKNOWN, UNKNOWN, nothing_known())
    told = np.stack([evidence(row, crop) for row, crop in zip(logits, crops, strict=True)])
    together = told.sum(axis=0) / np.maximum((told != 0).sum(axis=0), 1)
    said = {each.name: as_set(each.said) for each in statements(together) if each.name in _GROUPS}
    return Look(said[_GROUPS[0]], said[_GROUPS[1]], to_stored(together))


def to_stored(log_ratios: NDArray[np.floating]) -> Attributes:
    """int8 of the same shape: steps of a sixteenth; what says more than the largest counts as that."""
    return np.asarray(np.clip(np.rint(log_ratios * _STEPS), -_MOST, _MOST), np.int8)


def from_stored(attributes: Attributes) -> NDArray[np.float32]:
    """Natural logs of likelihood ratios, float32 of the same shape."""
    return attributes.astype(np.float32) / np.float32(_STEPS)


def ratios_from_stored(attributes: Attributes) -> NDArray[np.float64]:
    """Likelihood ratios themselves, float64 of the same shape."""
    return np.asarray(_RATIOS[attributes], np.float64)
