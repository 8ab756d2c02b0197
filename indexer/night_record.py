"""What became of a night: what was done, what could not be, and how a cron job is told. Knows no work."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from indexer.footage_roots import RootFound
from indexer.ledger import ClipDone, ClipFailed
from indexer.night_lock import Holder
from indexer.shard.files import ArchiveFiles
from indexer.times import SEOUL, to_local_iso
from reid.durable import make_folder, write_file
from reid.errors import StorageError

SHOWN = 1000
"""So many failed clips are told one by one; all are counted, and the ledger has all."""
_LINES = 20  # of a kind, for people

State = Literal["running", "done", "interrupted"]


@dataclass(frozen=True)
class Problem:
    """Something that could not be done.

    Attributes:
        stage: of the night. where: a path, a district, an address. message: for people.
        exit_code: what it means for the night: 1 the rest was done, 2 there was nothing to work with, 3 the
            archive or the machine is not fit.
    """

    stage: str
    where: str
    message: str
    exit_code: int = 1


@dataclass
class NightRecord:
    """A night, as far as it has come.

    Attributes:
        name: of its file, by its beginning.
        started: aware.
        holder: who runs it.
        state: `running` also in the file of a night that was killed.
        interrupted: who ran a night before and was stopped before the end.
        roots: what was met below each.
        put_off: clips that still grew at the end. put_off_count: how many.
        planned: clips that were to be indexed. not_reached: of them not come to.
        stopped: why indexing stopped before all was done.
        done: clips indexed. tracklets: found in them.
        footage_s: seconds of them. by_district: how many, by slug.
        failed: (path, reason, message) of the first. failed_count: how many.
        given_up: clips that failed so often in earlier nights that they were not tried; no news any more.
        warnings: what was odd.
        stages: what each further stage says of itself, by name.
        problems: what could not be done.
    """

    name: str
    started: datetime
    holder: Holder | None = None
    state: State = "running"
    ended: datetime | None = None
    interrupted: Holder | None = None
    roots: list[RootFound] = field(default_factory=list)
    put_off: list[str] = field(default_factory=list)
    put_off_count: int = 0
    planned: int = 0
    not_reached: int = 0
    stopped: str | None = None
    done: int = 0
    tracklets: int = 0
    footage_s: float = 0.0
    by_district: Counter[str] = field(default_factory=Counter)
    failed: list[tuple[str, str, str]] = field(default_factory=list)
    failed_count: int = 0
    given_up: int = 0
    warnings: list[str] = field(default_factory=list)
    stages: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @classmethod
    def begin(cls, started: datetime) -> NightRecord:
        """A night that begins now."""
        return cls(started.astimezone(SEOUL).strftime("%Y-%m-%dT%H%M%S"), started)

    @property
    def unread(self) -> int:
        """Videos whose names tell no place."""
        return sum(root.unread_count for root in self.roots)

    @property
    def exit_code(self) -> int:
        """0 all done, 1 something failed or was left, 2 nothing to work with, 3 archive or machine unfit."""
        worst = max((problem.exit_code for problem in self.problems), default=0)
        left = self.failed_count or self.not_reached or self.unread
        return max(worst, 1 if left else 0)

    @property
    def skipped(self) -> int:
        """Clips that were found to be in the archive under another name."""
        return self.planned - self.not_reached - self.done - self.failed_count - self.given_up

    def add_done(self, clip: ClipDone) -> None:
        """One more clip is in the archive."""
        self.done += 1
        self.tracklets += clip.tracklets
        self.footage_s += clip.footage_s
        self.by_district[clip.district] += 1

    def add_failed(self, clip: ClipFailed) -> None:
        """One more clip could not be indexed."""
        self.failed_count += 1
        if len(self.failed) < SHOWN:
            self.failed.append((clip.path, clip.reason, clip.message))

    def warn(self, warnings: Sequence[str]) -> None:
        """Keep what was odd, the first of it."""
        self.warnings += warnings[: max(0, SHOWN - len(self.warnings))]

    def save(self, archive: ArchiveFiles) -> None:
        """Keep it in the archive; a night that is killed leaves what it last was.

        A disk that refuses is a problem of the night, told once, and not its end: what is to expire may be
        what fills the disk.
        """
        path = archive.night(self.name)
        text = json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n"
        try:
            make_folder(path.parent)
            write_file(path, text.encode(errors="backslashreplace"))
        except StorageError as error:
            if all(problem.stage != "summary" for problem in self.problems):
                self.problems.append(Problem("summary", str(path), str(error), error.exit_code))

    def to_json(self) -> dict[str, Any]:
        """For machines; see docs/contracts.md."""
        return {
            "night": self.name,
            "state": self.state,
            "started": to_local_iso(self.started),
            "ended": to_local_iso(self.ended) if self.ended else None,
            "exit_code": self.exit_code if self.state == "done" else None,
            "holder": asdict(self.holder) if self.holder else None,
            "interrupted_before": asdict(self.interrupted) if self.interrupted else None,
            "problems": [asdict(problem) for problem in self.problems],
            "roots": [_root_json(root) for root in self.roots],
            "planned": self.planned,
            "done": self.done,
            "by_district": dict(sorted(self.by_district.items())),
            "tracklets": self.tracklets,
            "footage_s": round(self.footage_s, 3),
            "skipped": self.skipped,
            "failed_count": self.failed_count,
            "failed": [
                {"clip": path, "reason": reason, "message": message} for path, reason, message in self.failed
            ],
            "given_up": self.given_up,
            "not_reached": self.not_reached,
            "stopped": self.stopped,
            "put_off_count": self.put_off_count,
            "put_off": self.put_off,
            "warnings": self.warnings,
            **self.stages,
        }

    def lines(self) -> list[str]:
        """For people: what could not be done first, then what was."""
        taken = "" if self.ended is None else f" in {_span((self.ended - self.started).total_seconds())}"
        videos, known = (sum(getattr(root, name) for root in self.roots) for name in ("videos", "known"))
        lines = [f"night {self.name}{taken}: {_VERDICTS[self.exit_code]}"]
        if self.interrupted:
            lines.append(
                f"the night before was stopped before its end ({self.interrupted}); this one went on"
            )
        lines += _few(
            f"not done ({each.stage}): {each.where}: {each.message}" if each.where else
            f"not done ({each.stage}): {each.message}"
            for each in self.problems
        )  # fmt: skip
        lines += _few((f"failed ({why}): {said}" for _, why, said in self.failed), self.failed_count)
        unread = [f"name not understood: {path}: {why}" for root in self.roots for path, why in root.unread]
        lines += _few(unread, self.unread)
        if self.stopped:
            lines.append(f"{self.stopped}: {self.not_reached} clips left for the next night")
        if self.given_up:
            lines.append(f"{self.given_up} clips were given up in earlier nights; see: reid clips --failed")
        if self.put_off_count:
            lines.append(f"{self.put_off_count} clips are still written to and wait for the next night")
        lines.append(
            f"{videos} videos met: {known} in the archive before, {self.done} indexed now"
            f" ({self.tracklets} tracklets, {_span(self.footage_s)} of footage), {self.skipped} were copies,"
            f" {self.failed_count} failed"
        )
        return lines + [str(stage["said"]) for stage in self.stages.values() if stage.get("said")]


_VERDICTS = {
    0: "all done",
    1: "done, but for what is listed",
    2: "could not run: nothing to work with",
    3: "the archive or the machine is not fit; what is listed was not done",
}


def _root_json(root: RootFound) -> dict[str, Any]:
    pairs = {
        name: [{"path": path, "message": why} for path, why in getattr(root, name)]
        for name in ("unread", "failures")
    }
    return {**asdict(root), **pairs}


def _few(lines: Iterable[str], count: int | None = None) -> list[str]:
    told = list(lines)
    more = (len(told) if count is None else count) - _LINES
    return told[:_LINES] + ([f"... and {more} more; all are in the JSON or the ledger"] if more > 0 else [])


def _span(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return (
        f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {left:02d} s" if minutes else f"{left} s"
    )
