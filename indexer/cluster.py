"""Work on many machines: Ray actors, each of which loads the models once (extra `cluster`).

Owns the lives of the actors: an actor or a machine that dies loses no clip, for its job is given to another,
and doubles none, for what it had staged belongs to nothing. Segments are staged on storage that every machine
sees under the same path; only jobs and manifests travel. Knows nothing of what the work is.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from indexer.executors import CRASHED, TIME_LIMIT, Failure, Outcome, Task, attempt, told
from indexer.machines import connect
from indexer.pipeline import Kit, Pipeline
from indexer.work import Job
from reid.closing import Closing
from reid.errors import ArchiveError, InputError, ReidError

_START_S = 600.0  # for an actor to be placed and to load the models
_LISTEN_S = 1.0
_MOST_TRIES = 2
_PER_GPU = 4  # actors that share one: decoding is on the CPU


class Hand:
    """An actor's side: a pipeline, loaded once."""

    def __init__(self, make: Callable[[], Pipeline]) -> None:
        self._failure: Failure | None = None
        try:
            self._pipeline = make()
        except ReidError as error:
            self._failure = told(error, f"the models on {socket.gethostname()}")

    def ready(self) -> Failure | None:
        """None once it is; else why it never will be."""
        return self._failure

    def work(self, ticket: int, job: Job) -> Outcome:
        """Do a job."""
        return attempt(ticket, job, self._pipeline, lambda seconds: None)


@dataclass
class _Actor:
    """An actor, the promise of its next answer, what it does, and until when it may."""

    handle: Any
    answer: Any
    deadline: float
    ready: bool = False
    task: Task | None = None


class RayActors(Closing):
    """An `Executor` of actors on a Ray cluster, one for each of its CPUs; four for each GPU if it has any.

    Args:
        address: see `connect`.
        make: loads the pipeline, in each actor; can be pickled.
        kit: what that pipeline looks with.
        count: how many actors; None: as many as the cluster has room for.

    Raises:
        MissingExtraError, InputError: see `connect`; the cluster has no CPU.
    """

    def __init__(
        self, address: str, make: Callable[[], Pipeline], kit: Kit, count: int | None = None
    ) -> None:
        self._ray = connect(address)
        room = self._ray.cluster_resources()
        gpus = int(room.get("GPU", 0))
        self.kit, self.slots = kit, count or (gpus * _PER_GPU or int(room.get("CPU", 0)))
        if self.slots < 1:
            raise InputError(f"the Ray cluster at {address} has no CPU to give; add machines with ray start")
        needs = {"num_cpus": 1, "num_gpus": 1 / _PER_GPU if gpus else 0, "max_restarts": 0}
        self._class = self._ray.remote(**needs)(Hand)
        self._make = make
        self._actors: list[_Actor] = []
        self._queue: deque[Task] = deque()
        self._heard = time.monotonic()

    def submit(self, ticket: int, job: Job, limit_s: float) -> None:
        """See `Executor.submit`."""
        self._queue.append(Task(ticket, job, limit_s))

    def wait(self, advanced: Callable[[int, float], None]) -> Outcome:
        """See `Executor.wait`; actors do not tell how far they are."""
        while True:
            self._hand_out()
            busy = {each.answer: each for each in self._actors if each.answer is not None}
            answered, _ = self._ray.wait(list(busy), timeout=_LISTEN_S)
            for answer in answered:
                outcome = self._hear(busy[answer])
                if outcome is not None:
                    return outcome
            outcome = self._end_overdue()
            if outcome is not None:
                return outcome

    def close(self) -> None:
        """See `Executor.close`."""
        for actor in list(self._actors):
            self._dismiss(actor)
        self._queue.clear()

    def _hand_out(self) -> None:
        """Give what waits to actors that are idle; have as many actors as there is work for."""
        for actor in self._actors:
            if self._queue and actor.ready and actor.task is None:
                task = actor.task = self._queue.popleft()
                actor.answer = actor.handle.work.remote(task.ticket, task.job)
                actor.deadline = time.monotonic() + task.limit_s
        starting = sum(not each.ready for each in self._actors)
        for _ in range(min(len(self._queue) - starting, self.slots - len(self._actors))):
            handle = self._class.remote(self._make)
            self._actors.append(_Actor(handle, handle.ready.remote(), time.monotonic() + _START_S))

    def _hear(self, actor: _Actor) -> Outcome | None:
        """Take an actor's answer: that it is ready, how its job ended, or that it is dead."""
        try:
            answer = self._ray.get(actor.answer)
        except self._ray.exceptions.RayError as error:
            return self._after_death(actor, error)
        actor.answer, actor.deadline = None, float("inf")
        if isinstance(answer, Failure):
            raise answer.error()
        if not actor.ready:
            actor.ready, self._heard = True, time.monotonic()
            return None
        actor.task = None
        self._heard = time.monotonic()
        assert isinstance(answer, Outcome)
        return answer

    def _after_death(self, actor: _Actor, error: Exception) -> Outcome | None:
        """Give the job of a dead actor to another; how it ended when that is no use."""
        task, was_ready = actor.task, actor.ready
        self._dismiss(actor)
        if not was_ready or task is None:
            if time.monotonic() - self._heard > _START_S:
                raise ArchiveError(
                    f"no actor of the Ray cluster starts ({_first_line(error)}); see: ray status"
                )
            return None
        if task.tries < _MOST_TRIES:  # its machine may have died, and the clip be innocent
            self._queue.appendleft(replace(task, tries=task.tries + 1))
            return None
        message = f"{task.job.path}: two actors ended over it ({_first_line(error)}); the file is bad"
        return Outcome(task.ticket, failure=Failure(CRASHED, f"{message}, or memory ran out"))

    def _end_overdue(self) -> Outcome | None:
        now = time.monotonic()
        for actor in list(self._actors):
            if now < actor.deadline:
                continue
            self._dismiss(actor)
            if actor.task is not None:
                task = actor.task
                message = f"{task.job.path}: not done after {task.limit_s:.0f} s, and given up"
                return Outcome(task.ticket, failure=Failure(TIME_LIMIT, message))
            if not any(each.ready for each in self._actors):
                raise ArchiveError(
                    f"no actor of the Ray cluster has loaded the models in {_START_S:.0f} s; see: ray status"
                )
        return None

    def _dismiss(self, actor: _Actor) -> None:
        self._actors.remove(actor)
        self._ray.kill(actor.handle, no_restart=True)


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
