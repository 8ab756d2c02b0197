"""Where the work on clips is done: one contract, and its simplest form, this very process.

Owns how work and its outcome are told between who orders and who does it. Knows no catalogue and no order.
`indexer.workers` does the work in processes of this machine, `indexer.cluster` on many machines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from indexer.pipeline import Kit, Pipeline
from indexer.work import Advanced, Job
from reid.closing import Closing
from reid.errors import (
    ArchiveError,
    DamagedError,
    FootageError,
    FormatError,
    InputError,
    ModelError,
    ModelMismatchError,
    ReidError,
    StorageError,
)

TIME_LIMIT, CRASHED, OUT_OF_MEMORY, KILLED = "time_limit", "crashed", "out_of_memory", "killed"
"""Reasons of failure that a worker cannot tell itself."""

_STOPPING = (
    StorageError, DamagedError, FormatError, ModelMismatchError, ArchiveError, ModelError, InputError,
)  # fmt: skip
_NO_MEMORY = ("can't allocate memory", "not enough memory", "bad_alloc")


@dataclass(frozen=True)
class Failure:
    """Why work gave nothing.

    Attributes:
        reason: the short word for the ledger.
        message: for people.
        stops: None when only this clip is concerned; else what the whole run ends with: the disk is full.
    """

    reason: str
    message: str
    stops: type[ReidError] | None = None

    def error(self) -> ReidError:
        """To be raised where the work was ordered."""
        return FootageError(self.reason, self.message) if self.stops is None else self.stops(self.message)


@dataclass(frozen=True)
class Task:
    """A job on its way.

    Attributes:
        ticket: tells its outcome from others. limit_s: the most seconds it may take.
        tries: this one included.
    """

    ticket: int
    job: Job
    limit_s: float
    tries: int = 1


@dataclass(frozen=True)
class Outcome:
    """How work ended.

    Attributes:
        ticket: of the job, as submitted.
        value: what its `run` returned; None when it failed.
        failure: why; None when it is done.
    """

    ticket: int
    value: Any = None
    failure: Failure | None = None


class Executor(Protocol):
    """Does jobs, as many at a time as it has slots. Closed, it ends at once whatever is under way.

    However many slots: the same job gives the same, to the bit. A job may be begun more than once, when a
    worker dies; it ends once.

    Attributes:
        kit: what its pipelines look with.
        slots: how many jobs may be under way.
    """

    kit: Kit
    slots: int

    def submit(self, ticket: int, job: Job, limit_s: float) -> None:
        """Take a job; never more than `slots` at a time.

        Args:
            ticket: comes back with the outcome.
            limit_s: seconds after which it fails as `TIME_LIMIT`, where that can be enforced.
        """
        ...

    def wait(self, advanced: Callable[[int, float], None]) -> Outcome:
        """The next job to end, in any order.

        Args:
            advanced: told ticket and seconds of footage done, now and then.

        Raises:
            ArchiveError: workers cannot be started, or none is left.
        """
        ...

    def close(self) -> None:
        """End workers and give up what is under way."""
        ...


class InProcess(Closing):
    """Work in this process, one job after the other. No time limit; a decoder that crashes ends the run.

    Args:
        pipeline: does it.
    """

    slots = 1

    def __init__(self, pipeline: Pipeline) -> None:
        self.kit = pipeline.kit
        self._pipeline = pipeline
        self._jobs: list[tuple[int, Job]] = []

    def submit(self, ticket: int, job: Job, limit_s: float) -> None:
        """See `Executor.submit`; the work is done in `wait`."""
        self._jobs.append((ticket, job))

    def wait(self, advanced: Callable[[int, float], None]) -> Outcome:
        """See `Executor.wait`."""
        ticket, job = self._jobs.pop(0)
        return attempt(ticket, job, self._pipeline, lambda seconds: advanced(ticket, seconds))

    def close(self) -> None:
        """See `Executor.close`."""
        self._jobs.clear()


def attempt(ticket: int, job: Job, pipeline: Pipeline, advanced: Advanced) -> Outcome:
    """Do a job here; whatever it raises is told, not raised, but for an interrupt."""
    try:
        return Outcome(ticket, job.run(pipeline, advanced))
    except Exception as error:  # noqa: BLE001  a clip that nobody foresaw must not end the night
        return Outcome(ticket, failure=told(error, str(job.path)))


def told(error: Exception, what: str) -> Failure:
    """An error as it travels: between processes only plain values do.

    Args:
        what: was worked on.
    """
    if isinstance(error, FootageError):
        return Failure(error.reason, str(error))
    for kind in _STOPPING:
        if isinstance(error, kind):
            return Failure("stopped", str(error), kind)
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError) or any(each in text for each in ("OutOfMemoryError", *_NO_MEMORY)):
        return Failure(OUT_OF_MEMORY, f"{what}: needs more memory than there is ({text})")
    return Failure(CRASHED, f"{what}: met what nobody foresaw ({text}){_place(error)}; please report it")


def _place(error: Exception) -> str:
    """Where in the code it happened."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" at {trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno}"


Key = TypeVar("Key")


def done_by(
    executor: Executor, jobs: Iterable[tuple[Key, Job, float]], stop_when: Callable[[], bool]
) -> Iterator[tuple[Key, Outcome]]:
    """Have independent jobs done, in any order; `jobs` is asked only while there are free slots.

    Args:
        jobs: (what comes back with the outcome, the job, its limit in seconds).
        stop_when: once it says so no more jobs are begun.
    """
    coming, under_way = enumerate(jobs), dict[int, Key]()
    while True:
        while len(under_way) < executor.slots and not stop_when():
            following = next(coming, None)
            if following is None:
                break
            ticket, (key, job, limit_s) = following
            executor.submit(ticket, job, limit_s)
            under_way[ticket] = key
        if not under_way:
            return
        outcome = executor.wait(lambda ticket, seconds: None)
        yield under_way.pop(outcome.ticket), outcome
