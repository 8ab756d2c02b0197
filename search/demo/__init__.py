"""The demo: a missing person who does not exist, 19 districts with cameras, and the truth about them.

Owns the shipped city (`data/`, see its README) and the judgement of a result against the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search.demo.files import CityFiles, clip_name
from search.demo.truth import Truth, read_truth

if TYPE_CHECKING:  # a renderer's process that asks for the names of files needs no search
    from search.sightings import SearchResult

CITY = CityFiles(Path(__file__).parent / "data")
FOOTAGE = CITY.footage
CAMERAS = CITY.cameras
PERSON = 1
"""Who is missing: the demo has one case."""
PHOTO = CITY.photo(PERSON)


@dataclass(frozen=True)
class Judgement:
    """A result against the truth.

    Attributes:
        passed: (camera, clip) the missing person walked past, in order of time.
        right_ranks: ranks of the sightings that do show the person.
        best_rank_by_clip: the first right rank in each clip where the person was found.
    """

    passed: tuple[tuple[str, str], ...]
    right_ranks: tuple[int, ...]
    best_rank_by_clip: dict[str, int]


def read_demo() -> Truth:
    """The truth of the shipped city."""
    return read_truth(CITY.root)


def judge(result: SearchResult, truth: Truth, person: int = PERSON) -> Judgement:
    """Which of the sightings show the person, and which passages were found."""
    right: list[int] = []
    best: dict[str, int] = {}
    for sighting in result.sightings:
        if truth.person_in(sighting.record) == person:
            right.append(sighting.rank)
            best.setdefault(clip_name(sighting.record.path), sighting.rank)
    passed = tuple((row.clip.split("/")[1], row.clip) for row in truth.passages_of(person))
    return Judgement(passed, tuple(right), best)
