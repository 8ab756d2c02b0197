"""What a wanted load needs: disk, memory, core-hours and machines, from measured rates, step by step.

Pure arithmetic: each step shows its formula and the numbers in it, and what nobody measured is an assumption
that is told. Knows no machine but by its rates.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil, expm1
from typing import Any

from reid.errors import InputError
from search.trial import Rates

SECONDS_IN_VIEW = 12.0
"""How long somebody is in view of a camera, where no archive tells."""
LEAST_TRACKLETS = 1000
"""So many an archive must hold to be measured instead of the trial's clips."""
MEMORY_SHARE = 0.75  # of a machine's memory; the rest is the system's and the page cache's
CODED_BYTES_A_DIMENSION = 1 / 8  # 4 bits for each four numbers

_GB = 1e9
_HOUR = 3600


@dataclass(frozen=True)
class Load:
    """What is wanted.

    Attributes:
        cameras: in all districts. hours: of footage a day from each. people_per_hour: passages before each.
        days: kept. districts: over which the cameras are spread evenly.
        index_hours: of a day in which the machines index.
        clip_minutes: length of a clip.

    Raises:
        InputError: a number that makes no sense.
    """

    cameras: int
    hours: float
    people_per_hour: float
    days: int
    districts: int = 1
    index_hours: float = 24.0
    clip_minutes: float = 60.0

    def __post_init__(self) -> None:
        for name, value, most in (
            ("--cameras", self.cameras, 1e9), ("--hours", self.hours, 24), ("--days", self.days, 36500),
            ("--people-per-hour", self.people_per_hour, 1e6), ("--district-count", self.districts, 1e4),
            ("--index-hours", self.index_hours, 24), ("--clip-minutes", self.clip_minutes, 1440),
        ):  # fmt: skip
            if not 0 < value <= most:
                raise InputError(f"{name}: expected more than 0 and at most {most:g}, got {value:g}")


@dataclass(frozen=True)
class Density:
    """What a passage leaves in an archive.

    Attributes:
        bytes_per_tracklet: of segments. vectors_per_tracklet: in it. seconds_in_view: its length.
        source: where from.
    """

    bytes_per_tracklet: float
    vectors_per_tracklet: float
    seconds_in_view: float
    source: str


@dataclass(frozen=True)
class Step:
    """One figure: `name` = `value` `unit`, by `formula`, with `numbers` put in."""

    name: str
    value: float
    unit: str
    formula: str
    numbers: str


@dataclass(frozen=True)
class Capacity:
    """What the load needs.

    Attributes:
        load, rates, density: what it is computed from.
        steps: in the order in which they build on each other.
        assumptions: what was taken to be so without being measured.
    """

    load: Load
    rates: Rates
    density: Density
    steps: tuple[Step, ...]
    assumptions: tuple[str, ...]

    def __getitem__(self, name: str) -> float:
        """The value of a step."""
        return next(step.value for step in self.steps if step.name == name)

    def to_json(self) -> dict[str, Any]:
        """See docs/contracts.md."""
        return asdict(self)

    def rows(self) -> list[list[str]]:
        """A line for each step, see `HEADER`."""
        return [
            [step.name, f"{step.value:,.4g}" if step.value < 1e4 else f"{step.value:,.0f}", step.unit,
             step.formula, step.numbers]
            for step in self.steps
        ]  # fmt: skip


HEADER = ("", "value", "", "formula", "numbers")
"""Of `Capacity.rows`."""


def capacity(load: Load, rates: Rates, density: Density) -> Capacity:
    """What the load needs on machines like the measured one."""
    sheet = _Sheet()
    _amounts(sheet, load, density)
    _disk(sheet, load, rates, density)
    _looking(sheet, load, rates, density)
    _indexing(sheet, load, rates, density)
    _memory(sheet, load, rates)
    _searching(sheet, load, rates)
    return Capacity(load, rates, density, tuple(sheet.steps), _assumptions(load, rates, density))


class _Sheet:
    """Steps, and their values by name."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._values: dict[str, float] = {}

    def __getitem__(self, name: str) -> float:
        return self._values[name]

    def add(self, name: str, unit: str, value: float, formula: str, **terms: float) -> None:
        """A step; the formula names its terms in braces."""
        names = formula.format(**{term: term.replace("_", " ") for term in terms})
        numbers = formula.format(**{term: f"{number:.6g}" for term, number in terms.items()})
        self.steps.append(Step(name, value, unit, names, numbers))
        self._values[name] = value


def _amounts(sheet: _Sheet, load: Load, density: Density) -> None:
    cameras, hours = load.cameras, load.hours
    sheet.add(
        "footage", "camera-hours a day", cameras * hours, "{cameras} * {hours}", cameras=cameras, hours=hours
    )
    each = load.people_per_hour
    a_day = sheet["footage"] * each
    sheet.add(
        "tracklets a day", "", a_day, "{footage} * {people_per_hour}", footage=sheet["footage"],
        people_per_hour=each,
    )  # fmt: skip
    sheet.add("tracklets kept", "", a_day * load.days, "{a_day} * {days}", a_day=a_day, days=load.days)
    kept, rows = sheet["tracklets kept"], density.vectors_per_tracklet
    sheet.add(
        "vectors kept",
        "",
        kept * rows,
        "{kept} * {vectors_per_tracklet}",
        kept=kept,
        vectors_per_tracklet=rows,
    )
    clips = sheet["footage"] * 60 / load.clip_minutes * load.days
    sheet.add(
        "clips kept", "", clips, "{footage} * 60 / {clip_minutes} * {days}", footage=sheet["footage"],
        clip_minutes=load.clip_minutes, days=load.days,
    )  # fmt: skip


def _disk(sheet: _Sheet, load: Load, rates: Rates, density: Density) -> None:
    kept, each = sheet["tracklets kept"], density.bytes_per_tracklet
    sheet.add(
        "segments", "GB", kept * each / _GB, "{tracklets} * {bytes_per_tracklet} / 1e9", tracklets=kept,
        bytes_per_tracklet=each,
    )  # fmt: skip
    vectors, code = sheet["vectors kept"], rates.dimension * CODED_BYTES_A_DIMENSION
    sheet.add(
        "codes on disk", "GB", vectors * code / _GB, "{vectors} * {dimension} / 8 / 1e9", vectors=vectors,
        dimension=rates.dimension,
    )  # fmt: skip
    clips, row = sheet["clips kept"], rates.ledger_disk_bytes
    sheet.add(
        "catalogue", "GB", clips * row / _GB, "{clips} * {bytes_a_clip} / 1e9", clips=clips, bytes_a_clip=row
    )
    parts = {name: sheet[name] for name in ("segments", "codes on disk", "catalogue")}
    sheet.add(
        "disk", "GB", sum(parts.values()), "{segments} + {codes} + {catalogue}", segments=parts["segments"],
        codes=parts["codes on disk"], catalogue=parts["catalogue"],
    )  # fmt: skip


def _looking(sheet: _Sheet, load: Load, rates: Rates, density: Density) -> None:
    """What a second of footage costs while nobody is in view, and what looking at people adds."""
    rate, every_s = rates.frames_per_second, rates.whole_look_s
    sheet.add(
        "whole looks", "a second of footage", min(rate, 1 / every_s) if every_s else rate,
        "min({frames_a_second}, 1 / {whole_look_seconds})" if every_s else "{frames_a_second}",
        frames_a_second=rate, whole_look_seconds=every_s,
    )  # fmt: skip
    whole = sheet["whole looks"]
    sheet.add(
        "nobody in view", "core-seconds a second of footage",
        rates.decode_core_s + rate * rates.motion_core_s + whole * rates.whole_look_core_s,
        "{decode} + {frames_a_second} * {motion} + {whole_looks} * {whole_look}", decode=rates.decode_core_s,
        frames_a_second=rate, motion=rates.motion_core_s, whole_looks=whole,
        whole_look=rates.whole_look_core_s,
    )  # fmt: skip
    people = load.people_per_hour * density.seconds_in_view / _HOUR
    sheet.add(
        "people in view", "on average", people, "{people_per_hour} * {seconds_in_view} / 3600",
        people_per_hour=load.people_per_hour, seconds_in_view=density.seconds_in_view,
    )  # fmt: skip
    share = -expm1(-people)
    sheet.add("occupied", "of the time", share, "1 - exp(-{people_in_view})", people_in_view=people)
    somebody, person = rates.somebody_core_s, rates.person_core_s
    least = min(share * somebody + people * person, share * rates.whole_look_core_s)
    sheet.add(
        "looking at people", "core-seconds a second of footage", (rate - whole) * least,
        "({frames_a_second} - {whole_looks})"
        " * min({occupied} * {somebody} + {people_in_view} * {person}, {occupied} * {whole_look})",
        frames_a_second=rate, whole_looks=whole, occupied=share, somebody=somebody, people_in_view=people,
        person=person, whole_look=rates.whole_look_core_s,
    )  # fmt: skip


def _indexing(sheet: _Sheet, load: Load, rates: Rates, density: Density) -> None:
    crops = density.seconds_in_view * rates.frames_per_second
    person = crops * (rates.embed_core_s + rates.rest_core_s)
    sheet.add(
        "describing", "core-seconds a passage", person,
        "{seconds_in_view} * {frames_a_second} * ({embed} + {rest})", seconds_in_view=density.seconds_in_view,
        frames_a_second=rates.frames_per_second, embed=rates.embed_core_s, rest=rates.rest_core_s,
    )  # fmt: skip
    nobody, looking, people = sheet["nobody in view"], sheet["looking at people"], load.people_per_hour
    hours = sheet["footage"] * (nobody + looking + people * person / _HOUR)
    sheet.add(
        "processor", "core-hours a day", hours,
        "{footage} * ({nobody_in_view} + {looking_at_people} + {people_per_hour} * {describing} / 3600)",
        footage=sheet["footage"], nobody_in_view=nobody, looking_at_people=looking, people_per_hour=people,
        describing=person,
    )  # fmt: skip
    sheet.add(
        "machines to index", "", ceil(hours / (rates.cores * load.index_hours)),
        "ceil({core_hours} / ({cores} * {index_hours}))", core_hours=hours, cores=rates.cores,
        index_hours=load.index_hours,
    )  # fmt: skip
    workers = max(1, min(rates.cores, int(rates.memory_bytes * MEMORY_SHARE // rates.worker_bytes)))
    sheet.add(
        "memory to index", "GB a machine", workers * rates.worker_bytes / _GB, "{workers} * {worker} / 1e9",
        workers=workers, worker=rates.worker_bytes,
    )  # fmt: skip


def _memory(sheet: _Sheet, load: Load, rates: Rates) -> None:
    vectors, clips = sheet["vectors kept"], sheet["clips kept"]
    codes, rows = vectors * rates.code_bytes / _GB, clips * rates.ledger_memory_bytes / _GB
    sheet.add(
        "codes in memory", "GB", codes, "{vectors} * {code_bytes} / 1e9", vectors=vectors,
        code_bytes=rates.code_bytes,
    )  # fmt: skip
    sheet.add(
        "ledger in memory", "GB", rows, "{clips} * {bytes_a_clip} / 1e9", clips=clips,
        bytes_a_clip=rates.ledger_memory_bytes,
    )  # fmt: skip
    usable = rates.memory_bytes * MEMORY_SHARE / _GB
    sheet.add(
        "machines to hold", "", ceil((codes + rows) / usable),
        "ceil(({codes} + {ledger}) / ({memory} * {share}))", codes=codes, ledger=rows,
        memory=rates.memory_bytes / _GB, share=MEMORY_SHARE,
    )  # fmt: skip
    index, hold = sheet["machines to index"], sheet["machines to hold"]
    sheet.add("machines", "that do both", max(index, hold), "max({index}, {hold})", index=index, hold=hold)


def _searching(sheet: _Sheet, load: Load, rates: Rates) -> None:
    vectors = sheet["vectors kept"]
    in_day = vectors / load.days / load.districts
    sheet.add(
        "vectors of a district and day", "", in_day, "{vectors} / {days} / {districts}", vectors=vectors,
        days=load.days, districts=load.districts,
    )  # fmt: skip
    sheet.add(
        "to compare a district and day", "ms on one core", in_day / 1e6 * rates.exact_ms,
        "{vectors} / 1e6 * {exact_ms}", vectors=in_day, exact_ms=rates.exact_ms,
    )  # fmt: skip
    machines = sheet["machines to hold"]
    sheet.add(
        "to scan all codes", "ms on the machines that hold them",
        vectors / 1e6 * rates.codes_ms / (rates.cores * machines),
        "{vectors} / 1e6 * {codes_ms} / ({cores} * {machines})", vectors=vectors, codes_ms=rates.codes_ms,
        cores=rates.cores, machines=machines,
    )  # fmt: skip


def _assumptions(load: Load, rates: Rates, density: Density) -> tuple[str, ...]:
    return (
        f"machines are like this one: {rates.processor}, {rates.cores} cores,"
        f" {rates.memory_bytes / _GB:.1f} GB",
        f"footage costs what that of the trial did: {rates.footage}; {rates.footage_s:.0f} s with"
        f" {rates.people} passages and {rates.crops} crops, in frames with people {rates.crowd:.1f} of them"
        " on average. A further person costs what it did there, however many there are, but a look at a frame"
        " never more than one at all of it",
        "every frame is decoded, and the whole picture looked at at every pause: `reid index` leaves out what"
        " shows nothing new, and needs less where streets are quiet",
        "while nobody is in view nothing else moves: vehicles, animals, rain and branches are looked at as"
        " people are, and are not counted; people come independently of each other and at all hours alike",
        f"a passage leaves {density.bytes_per_tracklet:,.0f} bytes and {density.vectors_per_tracklet:.2f}"
        f" vectors and is in view for {density.seconds_in_view:.1f} s: {density.source}",
        f"a clip is {load.clip_minutes:g} minutes long; cameras are spread evenly over {load.districts}"
        " districts",
        f"cores scale evenly; a machine indexes {load.index_hours:g} hours a day and uses {MEMORY_SHARE:.0%}"
        " of its memory for codes and ledger; searches are made while nothing is indexed",
        "GPU: not measured. Network, disk bandwidth and the merging of answers: not measured. Footage"
        " itself, backups, replicas and cases: not counted",
        "a process reads the whole ledger of its archive: above some million clips keep one archive for each"
        " district",
    )
