"""The names in a city's folder. No other module spells them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CLIP_ENDING = ".mp4"


@dataclass(frozen=True)
class CityFiles:
    """A city on disk: footage as `reid index` reads it, and the truth about it.

    Clips are named `<district>/<camera>/<start on the camera's clock>.mp4` below `footage`.

    Attributes:
        root: the city's folder.
    """

    root: Path

    @property
    def city(self) -> Path:
        """What the city was made from; there before anything is rendered."""
        return self.root / "city.json"

    @property
    def cameras(self) -> Path:
        """The cameras, as `reid init --cameras` reads them."""
        return self.root / "cameras.csv"

    @property
    def truth(self) -> Path:
        """People, clips and passages; there when the city is whole."""
        return self.root / "truth.json"

    @property
    def footage(self) -> Path:
        """The clips, as `reid index` reads them."""
        return self.root / "footage"

    @property
    def photos(self) -> Path:
        """One photo of each missing person."""
        return self.root / "photos"

    @property
    def lock(self) -> Path:
        """Held by the run that renders."""
        return self.root / ".lock"

    def photo(self, person: int) -> Path:
        """The photo of a missing person."""
        return self.photos / f"{person:04d}.jpg"

    def clip(self, clip: str) -> Path:
        """The footage of a clip."""
        return self.footage / clip

    def boxes(self, clip: str) -> Path:
        """Who is where in each frame of a clip, in the format of the MOT challenges."""
        return self.root / "truth" / f"{clip.removesuffix(CLIP_ENDING)}.txt"

    def clip_truth(self, clip: str) -> Path:
        """What there is to know of one clip; written last, so a clip is done when this is there."""
        return self.root / "truth" / f"{clip.removesuffix(CLIP_ENDING)}.json"


def clip_name(path: Path | str) -> str:
    """The clip's name within its city, from any path of its file."""
    return "/".join(Path(path).parts[-3:])
