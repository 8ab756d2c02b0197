"""The districts of Seoul as tiles that lie about as the districts do; of other tables, a row of tiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from indexer.districts import Districts
from indexer.snapshot import Snapshot

_PLACES = {
    "dobong": (5, 1), "nowon": (6, 1),
    "eunpyeong": (3, 2), "gangbuk": (4, 2), "seongbuk": (5, 2), "jungnang": (6, 2),
    "gangseo": (1, 3), "mapo": (2, 3), "seodaemun": (3, 3), "jongno": (4, 3), "dongdaemun": (5, 3),
    "yangcheon": (1, 4), "yeongdeungpo": (2, 4), "yongsan": (3, 4), "jung": (4, 4), "seongdong": (5, 4),
    "gwangjin": (6, 4), "gangdong": (7, 4),
    "guro": (1, 5), "dongjak": (3, 5), "seocho": (4, 5), "gangnam": (5, 5), "songpa": (6, 5),
    "geumcheon": (2, 6), "gwanak": (3, 6),
}  # fmt: skip
_COLUMNS, _BELOW = 7, 7


@dataclass(frozen=True)
class Tile:
    """A district as a tile.

    Attributes:
        slug: of the district. column, row: from 1. cameras: how many it has here.
        reach: the visitor may see it.
    """

    slug: str
    column: int
    row: int
    cameras: int
    reach: bool

    @property
    def place(self) -> str:
        """A class that puts it there; styles of elements are not allowed."""
        return f"c{self.column} r{self.row}"


def tiles(districts: Districts, snapshot: Snapshot, reach: Collection[str]) -> list[Tile]:
    """All districts, in the order of reading."""
    cameras = Counter(district for district, _ in snapshot.cameras)
    made, below = [], 0
    for district in districts.all:
        column, row = _PLACES.get(district.slug, (below % _COLUMNS + 1, _BELOW + below // _COLUMNS))
        below += district.slug not in _PLACES
        made.append(Tile(district.slug, column, row, cameras[district.slug], district.slug in reach))
    return sorted(made, key=lambda tile: (tile.row, tile.column))
