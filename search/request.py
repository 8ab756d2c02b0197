"""What a search is asked: whom, where and when, and what else is known of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reid.errors import InputError
from search.filters import Filters
from search.query import Query


@dataclass(frozen=True)
class Request:
    """All that one search is asked.

    Attributes:
        queries: photos of the person, at least one.
        filters: where, when and in which colours.
        top: how many sightings at most, at least 1.
        exact: compare every vector, however many there are.

    Raises:
        InputError: no photo.
    """

    queries: tuple[Query, ...]
    filters: Filters
    top: int = 20
    exact: bool = False

    def __post_init__(self) -> None:
        if not self.queries:
            raise InputError("expected a photo of the person, got none")

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(Q, D) float32 unit rows, one of each photo."""
        return np.concatenate([query.vectors for query in self.queries])

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader must know about the photos."""
        return tuple(warning for query in self.queries for warning in query.warnings)
