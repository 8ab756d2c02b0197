"""The one entry to a search by people: rules, case, search, record, in this order.

The command line, the console and the interface for machines all come through here, so that none of them
shows anything that was not allowed and recorded. Keeps models and the open archive between searches.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from indexer.catalogue import Catalogue
from indexer.settings import Settings
from indexer.shard.files import ArchiveFiles
from indexer.snapshot import Snapshot
from indexer.times import from_milliseconds, milliseconds, to_local_iso
from reid.closing import Closing
from reid.errors import UnknownNameError
from reid.models import find_model
from search.accounts import Account, Accounts
from search.actors import Actor
from search.audit import Deed, recent, record
from search.case import Approval, ApprovalKind, Case, CasePhoto, Mandate
from search.casebook import permitted
from search.cases import Cases, check_case_id, refuse_closed
from search.casework import Work, begin
from search.description import Description
from search.engine import Engine
from search.filters import Filters
from search.last_seen import LastSeen
from search.policy import DAY, NotAllowedError, Purpose, Situation, examine, local_midnight, pending
from search.query import Box, Query, query_of
from search.request import Request
from search.shard_actors import ClusterEngine
from search.sightings import SearchResult, find_sightings

if TYPE_CHECKING:  # a search by description alone needs no torch
    from reid.detector import Detector
    from reid.embedder import Embedder

Loader = Callable[[], "tuple[Detector, Embedder]"]
"""Gives the models of an archive when they are first needed."""

STANDING = "standing search of new footage"
"""Reason of the program's own searches, as the audit log has it."""

_KEPT_BYTES = 1 << 29  # of photos as they were understood: some dozen of a phone, hundreds of small ones


@dataclass(frozen=True)
class GivenPhoto:
    """A photo as somebody gives it: its name, the file's bytes, and which person in it."""

    name: str
    data: bytes
    person: int | None = None
    box: Box | None = None


@dataclass(frozen=True)
class Question:
    """What somebody asks, before anything is read; fields as in `Request`.

    Attributes:
        photos: given now. case_photos: without any, those of the case.
        confirm, reject: ids of sightings, or their first digits.
    """

    filters: Filters
    photos: tuple[GivenPhoto, ...] = ()
    top: int = 20
    exact: bool = False
    last_seen: LastSeen | None = None
    route: bool = False
    confirm: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()
    description: Description | None = None
    clothes_changed: bool = False
    case_photos: bool = True


@dataclass(frozen=True)
class Answer:
    """A result that was recorded.

    Attributes:
        result: what was found. opened: the case was opened by this search.
    """

    result: SearchResult
    opened: bool


class ApprovalNeededError(NotAllowedError):
    """A second person must agree first; `approval` is what they are asked."""

    def __init__(self, case_id: str, approval: Approval) -> None:
        super().__init__(
            f"this {approval.kind} needs a second person: a supervisor decides with: reid case approve"
            f" {case_id} {approval.id}, or in the console; then ask again"
        )
        self.approval = approval


class Desk(Closing):
    """Where searches are asked of an archive.

    Args:
        archive: must exist. settings: of it. load: see `Loader`.
        ray: address of a cluster whose machines search; None: this one does.
    """

    def __init__(
        self, archive: ArchiveFiles, settings: Settings, load: Loader, ray: str | None = None
    ) -> None:
        self._ray = ray
        self.archive, self.settings = archive, settings
        self._load = load
        self._models: tuple[Detector, Embedder] | None = None
        self._engine: Engine | None = None
        self._catalogue: Catalogue | None = None
        self._opening = threading.RLock()
        self._embedding = threading.Lock()
        self._queries: OrderedDict[tuple[object, ...], Query] = OrderedDict()

    def close(self) -> None:
        """Let the archive go; no search may be running."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None
        if self._catalogue is not None:
            self._catalogue.close()
            self._catalogue = None

    @property
    def engine(self) -> Engine:
        """The archive, open for searching; raises as `Engine`."""
        with self._opening:
            if self._engine is None:
                spec = (
                    self._models[1].spec
                    if self._models
                    else find_model(self.settings.embedder, "embed", self.archive.models)
                )
                memory = self.settings.code_memory_mb << 20
                if self._ray is None:
                    self._engine = Engine(self.archive, spec, memory, self.catalogue)
                else:
                    self._engine = ClusterEngine(
                        self.archive, spec, memory, self.catalogue, self._ray, self.settings.shard_replicas
                    )
            return self._engine

    @property
    def models(self) -> tuple[Detector, Embedder]:
        """Detector and embedder, loaded once."""
        with self._opening:
            if self._models is None:
                self._models = self._load()
            return self._models

    @property
    def catalogue(self) -> Catalogue:
        """Of the archive, open: LMDB opens a file once in a process."""
        with self._opening:
            if self._catalogue is None:
                self._catalogue = Catalogue(self.archive)
            return self._catalogue

    def snapshot(self) -> Snapshot:
        """The catalogue as it is now."""
        with self._opening:
            return self.catalogue.snapshot() if self._engine is None else self._engine.view().snapshot

    def search(self, asked: Question, purpose: Purpose) -> Answer:
        """Ask; what is given back was allowed, and is recorded on the disk.

        Raises:
            NotAllowedError: the rules do not allow it; that is recorded, too.
            ApprovalNeededError: a second person is asked now.
            StorageError: it could not be recorded, so it is not shown; or as `find_sightings`.
            InputError: what is asked cannot be searched.
        """
        snapshot = self.snapshot()
        self._allow(asked.filters, purpose, snapshot)
        work = begin(self.archive, snapshot, purpose.case_id, asked.confirm, asked.reject)
        queries, added = self._read(asked, work)
        opened = self._keep(work, purpose, added)
        request = Request(
            tuple(queries), asked.filters, asked.top, asked.exact, asked.last_seen, asked.route,
            work.feedback, work.judged, asked.description, asked.clothes_changed,
        )  # fmt: skip
        return Answer(self._found(request, purpose), opened)

    def ask_again(self, request: Request, purpose: Purpose) -> SearchResult:
        """Ask a request that is made already, as a replay does; raises as `search`."""
        self._allow(request.filters, purpose, self.snapshot())
        return self._found(request, purpose)

    def ask_standing(self, request: Request, case_id: str) -> SearchResult:
        """Ask for an open case as the program itself: recorded, and shown to nobody yet.

        Args:
            request: within what the case reaches; that is the caller's to see to.

        Raises:
            StorageError: as `search`.
        """
        result = find_sightings(self.engine, request)
        record(self.archive, _deed(result, Purpose(Actor.system(), None, case_id, STANDING)))
        return result

    def add_photo(self, photo: GivenPhoto, purpose: Purpose) -> tuple[CasePhoto, int]:
        """Keep a photo in a case; tells also how many people are in it.

        Raises:
            PhotoError: it cannot be used. InputError: the case is closed, or no such person is in the photo.
            UnknownNameError: no such case. NotAllowedError: the person may not.
        """
        case = permitted(self.archive, self.settings, purpose, "search")
        refuse_closed(case.id, case.closed_ms)
        query = self.query(photo)
        kept = CasePhoto(photo.name, photo.data, query.person_box, _now_ms())
        told = {"photos": [kept.sha256]}
        deed = Deed("case changed", purpose.actor, case.id, purpose.reason, "photos added", told)
        record(self.archive, deed)
        with Cases(self.archive) as cases:
            cases.record(case.id, kept.added_ms, [kept])
        return kept, len(query.people)

    def query(self, photo: GivenPhoto) -> Query:
        """A photo as it is understood; kept for the next time."""
        key = (hashlib.sha256(photo.data).digest(), photo.name, photo.person, photo.box)
        with self._embedding:
            query = self._queries.pop(key, None)
            if query is None:
                detector, embedder = self.models
                query = query_of(photo.data, photo.name, detector, embedder, photo.person, photo.box)
            self._queries[key] = query
            while len(self._queries) > 1 and self._kept_bytes > _KEPT_BYTES:
                self._queries.popitem(last=False)
        return query

    @property
    def _kept_bytes(self) -> int:
        return sum(query.picture.nbytes for query in self._queries.values())

    def _found(self, request: Request, purpose: Purpose) -> SearchResult:
        result = find_sightings(self.engine, request)
        record(self.archive, _deed(result, purpose))
        if purpose.case_id is not None:
            with Cases(self.archive) as cases:  # what was shown is no news of the case any more
                cases.show(purpose.case_id, [each.record.id for each in result.sightings], _now_ms())
        return result

    def _allow(self, filters: Filters, purpose: Purpose, snapshot: Snapshot) -> None:
        """Raises NotAllowedError, and records that, where the rules do not allow it."""
        now_ms = _now_ms()
        seen = self._situation(filters, purpose, snapshot, now_ms)
        try:
            kind = examine(self.settings, purpose, seen)
            if kind is not None:
                raise self._asking(kind, purpose, seen)
        except NotAllowedError as error:
            told = {**scope_json(filters), "why": str(error)}
            record(self.archive, Deed("refused", purpose.actor, purpose.case_id or "", purpose.reason,
                                      "search", told))  # fmt: skip
            raise

    def _situation(self, filters: Filters, purpose: Purpose, snapshot: Snapshot, now_ms: int) -> Situation:
        today = 0
        if self.settings.daily_searches:
            since = local_midnight(now_ms)
            made = recent(self.archive, since, "search")
            today = sum(entry.deed.actor.name == purpose.actor.name for entry in made)
        spans = [(clip.start_ms, clip.end_ms) for clip in snapshot.clips]
        footage = (min(begin for begin, _ in spans), max(end for _, end in spans)) if spans else (0, 0)
        holding = frozenset(district for district, _ in snapshot.cameras)
        case = find_case(self.archive, purpose.case_id) if purpose.case_id is not None else None
        return Situation(case, filters, holding, footage, today, now_ms)

    def _asking(self, kind: ApprovalKind, purpose: Purpose, seen: Situation) -> NotAllowedError:
        """Ask a second person; the supervisor is alerted to a limit that was reached."""
        if seen.case is None:
            return NotAllowedError(f"this {kind} needs a second person, and so a case: --case ID")
        approval = pending(kind, purpose, seen)
        if approval is None:
            filters = seen.filters
            approval = Approval(
                secrets.token_hex(4), kind, purpose.actor.name, seen.now_ms, purpose.reason,
                filters.districts, filters.since_ms, filters.until_ms,
            )  # fmt: skip
            told, case_id = scope_json(filters), seen.case.id
            deeds = [Deed("approval asked", purpose.actor, case_id, purpose.reason, approval.id, told)]
            if kind == "daily limit":
                counts = {"searches": seen.today}
                deeds.append(Deed("alert", purpose.actor, case_id, purpose.reason, kind, counts=counts))
            record(self.archive, *deeds)
            with Cases(self.archive) as cases:
                cases.put_approval(case_id, approval)
        return ApprovalNeededError(seen.case.id, approval)

    def _read(self, asked: Question, work: Work) -> tuple[list[Query], list[CasePhoto]]:
        """The photos as they are understood, and what of them is new to the case."""
        if asked.photos:
            queries = [self.query(photo) for photo in asked.photos]
            now_ms = _now_ms()
            return queries, [
                CasePhoto(photo.name, photo.data, query.person_box, now_ms)
                for photo, query in zip(asked.photos, queries, strict=True)
            ]
        if not asked.case_photos or (asked.description and not work.has_photos):
            return [], []
        stored = [GivenPhoto(each.name, each.data, box=each.person_box) for each in work.photos]
        return [self.query(photo) for photo in stored], []

    def _keep(self, work: Work, purpose: Purpose, photos: Sequence[CasePhoto]) -> bool:
        """Record what was decided, then write it into the case; tells whether that is new."""
        if work.case_id is None:
            return False
        now_ms = _now_ms()
        who, case, why = purpose.actor, work.case_id, purpose.reason
        deeds = [Deed("confirm", who, case, why, each.record.id) for each in work.confirmed]
        deeds += [Deed("reject", who, case, why, each.record.id) for each in work.rejected]
        if work.case is None:
            deeds.insert(0, Deed("case opened", who, case, why))
        known = {(photo.sha256, photo.person_box) for photo in work.case.photos} if work.case else set()
        new = [photo for photo in photos if (photo.sha256, photo.person_box) not in known]
        if new:
            told = {"photos": [photo.sha256 for photo in new]}
            deeds.append(Deed("case changed", who, case, why, "photos added", told))
        if deeds:
            record(self.archive, *deeds)
        days = self.settings.case_days
        districts = purpose.account.districts if purpose.account else None
        mandate = Mandate("", now_ms + days * DAY if days else None, who.name, districts)
        return work.keep(self.archive, new, now_ms, mandate, who.name)


def find_case(archive: ArchiveFiles, case_id: str) -> Case | None:
    """A case without its pictures; None where there is none of this id."""
    with Cases(archive) as cases:
        try:
            return cases.get(check_case_id(case_id))
        except UnknownNameError:
            return None


def find_account(archive: ArchiveFiles, actor: Actor) -> Account | None:
    """The account of a user of the command line: that of their name, if there is one."""
    if not archive.accounts.exists():
        return None
    with Accounts(archive) as accounts:
        return accounts.find(actor.name)


def scope_json(filters: Filters) -> dict[str, Any]:
    """Where and when, in plain values."""
    return {
        "districts": list(filters.districts),
        "cameras": list(filters.cameras),
        "since": _iso(filters.since_ms),
        "until": _iso(filters.until_ms),
    }


def _deed(result: SearchResult, purpose: Purpose) -> Deed:
    request = result.request
    told: dict[str, Any] = {**scope_json(request.filters), "photos": [q.sha256 for q in request.queries]}
    if request.description:
        told["description"] = [each.word for each in request.description.asked]
    told["model"], told["segments"] = result.model, len(result.segments)
    counts = {
        "sightings": len(result.sightings), "confirmed": len(request.feedback.confirmed),
        "rejected": len(request.feedback.rejected),
    }  # fmt: skip
    return Deed("search", purpose.actor, purpose.case_id or "", purpose.reason, scope=told, counts=counts)


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else to_local_iso(from_milliseconds(at_ms))


def _now_ms() -> int:
    return milliseconds(datetime.now(UTC))
