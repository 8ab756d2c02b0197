"""The colours of a person's clothes as a segment stores them: sets of the eleven colour terms.

What a picture cannot tell is the empty set, which means unknown and is never a 'no'.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from reid.attributes import COLOURS
from reid.description import KOREAN, describe
from reid.errors import UnknownNameError
from reid.images import Picture

if TYPE_CHECKING:
    from reid.embedder import Embedder

UNKNOWN = 0

_GROUPS = ("upper_colours", "lower_colours")


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


def clothes(embedder: Embedder, crops: Sequence[Picture]) -> list[tuple[int, int]]:
    """The colours of upper and lower body in each crop; unknown from a model that describes nobody."""
    logits = embedder.attributes(crops) if crops else None
    if logits is None:
        return [(UNKNOWN, UNKNOWN)] * len(crops)
    found = []
    for row, crop in zip(logits, crops, strict=True):
        said = {each.name: as_set(each.said) for each in describe(row, crop) if each.name in _GROUPS}
        found.append((said[_GROUPS[0]], said[_GROUPS[1]]))
    return found
