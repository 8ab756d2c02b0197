"""Numbers and times in words, in which nothing is rounded into a lie."""

from __future__ import annotations

from indexer.clocks import MATTERS_S
from indexer.times import from_milliseconds, to_local_iso
from search.sightings import SearchResult, Sighting

_UNITS_KO = {"h": "시간", "min": "분", "s": "초"}


def local_time(milliseconds: int) -> str:
    """`2025-11-03 16:02:11`, Asia/Seoul, from milliseconds since 1970 UTC."""
    return to_local_iso(from_milliseconds(milliseconds))[:19].replace("T", " ")


def clock_doubt(sighting: Sighting) -> str:
    """`± 40 s` where the camera's clock may be off by so much that it matters; else empty."""
    seconds = sighting.clock_uncertainty_s
    if seconds is None or seconds < MATTERS_S:
        return ""
    return f"± {seconds:.0f} s" if seconds < 180 else f"± {seconds / 60:.0f} min"


def clock_note(result: SearchResult) -> str:
    """What a reader must know of sightings that uncertain clocks may put outside the window; or empty."""
    unsure = [str(sighting.rank) for sighting in result.sightings if sighting.perhaps_outside]
    if not unsure:
        return ""
    return (
        f"clock uncertain: rank {', '.join(unsure)} may lie outside the asked window, as far as their"
        " cameras' clocks may be off; what may lie inside is shown"
    )


def duration(sighting: Sighting) -> str:
    """Length of a sighting: `7 s` or `2 min 05 s`."""
    seconds = round((sighting.record.end_ms - sighting.record.start_ms) / 1000)
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min {seconds % 60:02d} s"


def camera_time(hours: float) -> str:
    """Camera-time in words that never round something to nothing: hours, minutes or seconds."""
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.1f} s"


def camera_time_ko(hours: float) -> str:
    """The same in Korean."""
    amount, unit = camera_time(hours).split()
    return f"{amount}{_UNITS_KO[unit]}"


def percent(share: float) -> str:
    """`37 %`; never `0 %` for something and never `100 %` for less than all."""
    if 0 < share < 0.01:
        return "under 1 %"
    return f"{min(share * 100, 99) if share < 1 else 100:.0f} %"


def percent_ko(share: float) -> str:
    """The same in Korean."""
    return "1 % 미만" if 0 < share < 0.01 else percent(share)


def chance(probability: float | None) -> str:
    """A probability in words: never certain, never impossible; `-` where nobody can tell."""
    if probability is None:
        return "-"
    if probability < 0.01:
        return "under 1 %"
    return "over 99 %" if probability > 0.99 else f"{probability * 100:.0f} %"


def chance_ko(probability: float | None) -> str:
    """The same in Korean."""
    words = chance(probability)
    kinds = (("under ", "미만"), ("over ", "초과"))
    return next((f"{words.removeprefix(en)} {ko}" for en, ko in kinds if words.startswith(en)), words)


def score(value: float | None) -> str:
    """A cosine in words; `-` without a photo."""
    return "-" if value is None else f"{value:.3f}"
