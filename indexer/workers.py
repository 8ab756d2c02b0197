"""Work in processes of this machine, each of which loads the models once.

Owns their lives: a worker that takes too long is ended and replaced, one that dies is replaced, and none
outlives the process that started it. Knows nothing of what the work is.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from indexer.executors import CRASHED, KILLED, TIME_LIMIT, Failure, InProcess, Outcome, Task, attempt, told
from indexer.orphans import die_with_starter
from indexer.pipeline import Kit, Pipeline, PipelineChoice
from indexer.work import Job
from reid.closing import Closing
from reid.errors import ArchiveError, InputError, ReidError

WORKER_MB = 1536
"""Memory that one worker is reckoned to need, for 4K footage and the embedded models."""

MOST_WORKERS = 999
"""On one machine."""

_GPU = Path("/dev/nvidiactl")
_START_S = 300.0  # to import and load the models, on a busy machine
_MOST_FAILED_STARTS = 3
_TELL_S = 0.2


def fitting_workers(asked: str, clips: int) -> int:
    """How many workers to use for so many clips.

    Args:
        asked: a number, or "auto": one for each core, as far as the memory that is free now goes.

    Raises:
        InputError: neither.
    """
    cores = len(os.sched_getaffinity(0))
    if asked != "auto" and not (asked.isdecimal() and 0 < int(asked) <= MOST_WORKERS):
        raise InputError(f"expected auto or a number of workers from 1 to {MOST_WORKERS}, got {asked!r}")
    wanted = min(cores, int(_free_mb() // WORKER_MB)) if asked == "auto" else int(asked)
    return max(1, min(wanted, clips))


def local_executor(choice: PipelineChoice, count: int, memory_mb: int | None) -> InProcess | WorkerProcesses:
    """Work on this machine: in this very process for one worker, else in processes.

    Args:
        memory_mb: the most that one process may take; None or 0: no limit.

    Raises:
        UnknownNameError, ModelError: the models are not there.
    """
    if count == 1:
        return InProcess(choice())
    return WorkerProcesses(choice, choice.kit(), count, memory_mb)


def _free_mb() -> float:
    with Path("/proc/meminfo").open(encoding="ascii") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024
    return float(WORKER_MB)


@dataclass
class _Worker:
    """A process, what it does, and until when it may; it is ready once the models are loaded."""

    process: BaseProcess
    line: Connection
    deadline: float
    ready: bool = False
    task: Task | None = None


class WorkerProcesses(Closing):
    """An `Executor` of worker processes, started when there is work for them.

    Args:
        make: loads the pipeline, in each worker; can be pickled.
        kit: what that pipeline looks with.
        count: how many workers.
        memory_mb: the most that one may take; more fails its clip, not the machine. None or 0: no limit.
    """

    start_method = "forkserver"
    """Of `multiprocessing`: from a server that has imported what takes long and has no threads whose locks
    could be held.
    """

    def __init__(
        self, make: Callable[[], Pipeline], kit: Kit, count: int, memory_mb: int | None = None
    ) -> None:
        if count < 1:
            raise ValueError(f"expected at least one worker, got {count}")
        self.kit, self.slots = kit, count
        self._make, self._memory_mb = make, memory_mb
        self._context: Any = multiprocessing.get_context(self.start_method)
        self._context.set_forkserver_preload([__name__])
        self._workers: list[_Worker] = []
        self._failed_starts = 0

    @property
    def alive(self) -> tuple[BaseProcess, ...]:
        """The processes there are now."""
        return tuple(each.process for each in self._workers)

    def submit(self, ticket: int, job: Job, limit_s: float) -> None:
        """See `Executor.submit`."""
        self._assign(Task(ticket, job, limit_s))

    def wait(self, advanced: Callable[[int, float], None]) -> Outcome:
        """See `Executor.wait`."""
        while True:
            if not self._workers:
                raise ArchiveError("no work was given to wait for")
            soonest = min(each.deadline for each in self._workers)
            lines: list[Any] = [each.line for each in self._workers]
            ends = [each.process.sentinel for each in self._workers]
            wait([*lines, *ends], timeout=max(0.0, min(soonest - time.monotonic(), 3600.0)))
            for worker in list(self._workers):
                outcome = self._hear(worker, advanced) or self._end_overdue(worker)
                if outcome is not None:
                    return outcome

    def close(self) -> None:
        """See `Executor.close`."""
        for worker in list(self._workers):
            self._dismiss(worker)

    def _assign(self, task: Task) -> None:
        idle = [each for each in self._workers if each.task is None]
        worker = next((each for each in idle if each.ready), None) or next(iter(idle), None)
        if worker is None:
            if len(self._workers) >= self.slots:
                raise ValueError(f"expected at most {self.slots} jobs at a time")
            worker = self._start()
        worker.task = task
        if worker.ready:
            self._hand_over(worker)

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_serve, args=(theirs, self._make, self._memory_mb), daemon=True
        )
        process.start()
        theirs.close()
        worker = _Worker(process, ours, time.monotonic() + _START_S)
        self._workers.append(worker)
        return worker

    def _hand_over(self, worker: _Worker) -> None:
        assert worker.task is not None
        worker.deadline = time.monotonic() + worker.task.limit_s
        with suppress(OSError):  # it died; its end is heard of next
            worker.line.send((worker.task.ticket, worker.task.job))

    def _hear(self, worker: _Worker, advanced: Callable[[int, float], None]) -> Outcome | None:
        """What a worker says, until it has ended its job or says nothing more."""
        ended = not worker.process.is_alive()  # asked first: what it said before it died is still heard
        try:
            while worker.line.poll():
                word = worker.line.recv()
                if isinstance(word, Failure):  # it cannot load the models
                    raise word.error()
                if word is None:
                    self._failed_starts, worker.ready, worker.deadline = 0, True, float("inf")
                    if worker.task is not None:
                        self._hand_over(worker)
                elif isinstance(word, Outcome):
                    worker.task, worker.deadline = None, float("inf")
                    return word
                elif worker.task is not None:
                    advanced(worker.task.ticket, word)
        except (EOFError, OSError):
            ended = True
        return self._after_death(worker) if ended else None

    def _after_death(self, worker: _Worker) -> Outcome | None:
        """Replace a worker that died by itself; how its job ended, or None when that is tried once more."""
        worker.process.join()
        code = worker.process.exitcode or 0
        self._dismiss(worker)
        task = worker.task
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _MOST_FAILED_STARTS:
                raise ArchiveError(
                    f"worker processes end while they load the models ({_how(code)}); is there enough memory?"
                    " Try fewer: --workers 1, and reid doctor"
                )
        if task is None:
            return None
        if not worker.ready or (code == -signal.SIGKILL and task.tries == 1):
            # Killed from outside, perhaps for what another one took: the clip may be innocent.
            self._assign(replace(task, tries=task.tries + worker.ready))
            return None
        return Outcome(task.ticket, failure=_cause(code, task))

    def _end_overdue(self, worker: _Worker) -> Outcome | None:
        if time.monotonic() < worker.deadline:
            return None
        self._dismiss(worker)
        if not worker.ready:
            raise ArchiveError(f"a worker process has not loaded the models in {_START_S:.0f} s; try again")
        assert worker.task is not None
        task = worker.task
        message = (
            f"{task.job.path}: not done after {task.limit_s:.0f} s, and given up; if the machine is only slow"
            " raise clip_time_factor in reid.toml"
        )
        return Outcome(task.ticket, failure=Failure(TIME_LIMIT, message))

    def _dismiss(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.line.close()


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _cause(code: int, task: Task) -> Failure:
    if code == -signal.SIGKILL:
        message = "its worker was killed twice; if the system lacked memory (dmesg), use fewer --workers"
        return Failure(KILLED, f"{task.job.path}: {message}")
    message = f"its worker ended with {_how(code)}; the decoder cannot bear this file, export it anew"
    return Failure(CRASHED, f"{task.job.path}: {message}")


def _serve(line: Connection, make: Callable[[], Pipeline], memory_mb: int | None) -> None:
    """A worker's life: load, then do what comes down the line until its other end closes."""
    die_with_starter()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; who ordered the work decides
    with suppress(OSError):  # if memory runs out, a worker goes before who orders the work
        Path("/proc/self/oom_score_adj").write_text("500")
    if memory_mb and not _GPU.exists():  # its driver reserves far more than it uses
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    with suppress(EOFError, BrokenPipeError):  # nobody is there any more
        try:
            pipeline = make()
        except ReidError as error:
            line.send(told(error, "the models"))
            return
        line.send(None)
        while True:
            ticket, job = line.recv()
            line.send(attempt(ticket, job, pipeline, _teller(line)))


def _teller(line: Connection) -> Callable[[float], None]:
    """Tells how far a clip is, now and then."""
    last = 0.0

    def advanced(seconds: float) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _TELL_S:
            last = now
            with suppress(BrokenPipeError):
                line.send(seconds)

    return advanced
