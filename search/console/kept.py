"""Results while people work on them: kept in memory for whoever asked, and for nobody else."""

from __future__ import annotations

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

from reid.errors import UnknownNameError
from search.accounts import Account
from search.desk import Question
from search.sightings import SearchResult, Sighting

MOST = 300
"""Results that are kept; each takes about a megabyte, and its photos."""
MOST_BYTES = 1 << 30
"""Of the photos in them, decoded; one of a phone takes 36 MB, and searches with the same photo share it."""

_SURE_S = 5.0  # seconds for which it is taken that somebody still may see a case


@dataclass(frozen=True)
class Kept:
    """A result that somebody works on.

    Attributes:
        id: its own. owner: name of the account. case_id, reason: of the search.
        question: as asked. result: the newest.
    """

    id: str
    owner: str
    case_id: str
    reason: str
    question: Question
    result: SearchResult

    def sighting(self, sighting: str) -> Sighting:
        """The sighting of this id; raises UnknownNameError."""
        for each in self.result.sightings:
            if each.record.id == sighting:
                return each
        raise UnknownNameError("sighting", sighting, [])


class Results:
    """The newest results of everybody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._allowed: dict[tuple[Account, str], float] = {}

    def allowed(self, account: Account, case_id: str, check: Callable[[], object]) -> None:
        """Make sure, at most every few seconds, that somebody may see a case: a page has a hundred pictures.

        Args:
            account: as it is now. check: raises when they may not.
        """
        now_s, key = time.monotonic(), (account, case_id)
        if self._allowed.get(key, 0.0) < now_s:
            self._allowed.pop(key, None)
            check()
            if len(self._allowed) > MOST:
                self._allowed.clear()
            self._allowed[key] = now_s + _SURE_S

    def keep(self, owner: str, case_id: str, reason: str, question: Question, result: SearchResult) -> Kept:
        """Keep a new one."""
        return self._put(Kept(secrets.token_urlsafe(12), owner, case_id, reason, question, result))

    def refresh(self, kept: Kept, result: SearchResult) -> Kept:
        """The same with another result."""
        return self._put(replace(kept, result=result))

    def get(self, owner: str, result: str) -> Kept:
        """Of this person; raises UnknownNameError, also for somebody else's."""
        with self._lock:
            kept = self._kept.get(result)
            if kept is None or kept.owner != owner:
                raise UnknownNameError("result", result, [])
            self._kept.move_to_end(result)
            return kept

    def of_case(self, owner: str, case_id: str) -> tuple[Kept, ...]:
        """A person's results in a case, newest first."""
        with self._lock:
            found = [each for each in self._kept.values() if (each.owner, each.case_id) == (owner, case_id)]
        return tuple(reversed(found))

    def forget_case(self, case_id: str) -> None:
        """Drop what is kept of a case that is closed or deleted."""
        with self._lock:
            self._allowed.clear()
            for name in [name for name, each in self._kept.items() if each.case_id == case_id]:
                del self._kept[name]

    def _put(self, kept: Kept) -> Kept:
        with self._lock:
            self._kept[kept.id] = kept
            self._kept.move_to_end(kept.id)
            while len(self._kept) > MOST or (len(self._kept) > 1 and self._photo_bytes() > MOST_BYTES):
                self._kept.popitem(last=False)
        return kept

    def _photo_bytes(self) -> int:
        pictures = (query.picture for kept in self._kept.values() for query in kept.result.request.queries)
        return sum({id(picture): picture.nbytes for picture in pictures}.values())
