"""The facade of governance, which combines the store, the subjects, their requests and the ledger for a guard."""

from __future__ import annotations

import contextlib
import datetime
import operator
from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Self, cast

from sqlalchemy.engine import URL

from purposeguard.errors import Fault, NoticeError, RequestError, UnknownPurpose
from purposeguard.governance.disclosure import Door, build_disclosure, collect_records
from purposeguard.governance.disclosure_page import Disclosure, Language
from purposeguard.governance.erasers import Erasers
from purposeguard.governance.evidence import StoredEvidence
from purposeguard.governance.holdings import Holdings
from purposeguard.governance.ledger import Checkpoints, SqlLedger
from purposeguard.governance.notices import NoticeRecorder
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.request_records import Request
from purposeguard.governance.requests import Requests
from purposeguard.governance.retention import RetentionJob
from purposeguard.governance.store import Store
from purposeguard.governance.subjects import Subjects
from purposeguard.governance.transfers import Provisions
from purposeguard.guard import Guard
from purposeguard.notice.history import History
from purposeguard.notice.notice import Notice
from purposeguard.notice.several import JointNotice, Notices
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.joint import JointTable, NoticesInForce
from purposeguard.policy.row_context import SubjectId, subject_key
from purposeguard.policy.table import PolicyTable
from purposeguard.policy.transfers import Provision, Recipient
from purposeguard.runtime.clock import Clock, Now, read_system_time
from purposeguard.runtime.notice_in_force import resolve_notice
from purposeguard.runtime.observer import Ledger, find_method
from purposeguard.runtime.protocols import OffLoopLedger, Roster

OPEN_FOR: Final = datetime.timedelta(minutes=10)
"""The longest time for which the exception holds under which a report is made."""


class StoreFigures(NamedTuple):
    """Figures on how this process uses its store, for operators. They contain no personal data."""

    looks: int
    """The number of times that this process looked at the store for changes."""
    failed_looks: int
    """The number of these looks that failed."""
    staleness: float
    """The seconds since the look began that the cache relies on; infinite without one."""
    subjects: int
    """The number of subjects in the cache."""
    refusals: Mapping[str, int]
    """The number of refused questions, by cause."""
    waiting: int
    """The number of counts of uses that are not written yet."""


class Governance:
    """The records about people and recipients for a guard, in one store.

    Use it as `Guard(notice, governance=Governance("sqlite:///privacy.db", notice=…))`. Close it at the end, or use it
    as a context manager.

    Attributes:
        store: The database.
        subjects: The restrictions and consents of subjects.
        preference_cache: The preferences of each subject, cached.
        requests: The handling of subjects' requests.
        provisions: The hand-overs, and the register of recipients.
        erasers: The functions that erase data of the application.
        retention: The job that erases what may be kept no longer.
        holdings: The functions that read what the application holds of a subject.
        evidence: The evidence of adoption in the store, for `Evidence(governance.evidence)`.
        ledger: The record of uses, denials and changes.
    """

    def __init__(  # noqa: PLR0913  # One keyword for each option.
        self,
        store: Store | URL | str | None = "sqlite:///purposeguard.db",
        *,
        notice: Notice | History | Notices,
        ledger: Ledger | Literal[False] | None = None,
        clock: Now | Clock = read_system_time,
        staleness: float = 1.0,
        requires_subject: bool = False,
        days: int | None = None,
        suspend_while_open: bool = False,
        checkpoints: Checkpoints | None = None,
        keys: URL | str | None = None,
        record_notice: bool = True,
    ) -> None:
        """Open the store of a URL, or use an open store without taking charge of closing it.

        Over several notices there are restrictions, consents, hand-overs, the retention job and the ledger, whose ids
        name the notice (`jp-notice:1.2`). Requests and reports follow the rules of one notice: they raise
        SeveralNotices.

        Args:
            store: The URL, or the store. With None nothing is opened yet, so that a module that makes a guard can be
                imported. Call `open` when the application starts; until then, whatever needs the store is refused.
            notice: The notice, its history, or several notices.
            ledger: A ledger in place of the one in the store; False for none.
            clock: The clock.
            staleness: The seconds for which the last answer of the store may be used.
            requires_subject: True to open nothing without its subject.
            days: The deadline of requests, as for `Requests`.
            suspend_while_open: As for `Requests`.
            checkpoints: The settings for the checkpoints of the ledger in the store.
            keys: The database of the keys, as for `Store.open`.
            record_notice: False to leave the notice unrecorded in the store. Commands that are given the store alone
                use the recorded one.

        Raises:
            StoreUnavailable: the store cannot be opened.
            NoticeError: no revision of a history is in force yet, or several notices do not go together.
            ValueError: the URL is neither of a SQLite file nor of PostgreSQL.
            TypeError: `notice` is no Notice, History or Notices.
        """
        # This is one piece, since each part is made from those before it, and all are closed if a later one fails.
        self._clock = Clock.of(clock)
        self._table = _compile_table(notice, self._clock)
        self._notice = self._table.notice
        self._guard: Guard | None = None
        with contextlib.ExitStack() as undo:
            self.store: Final = store if isinstance(store, Store) else Store()
            self._recorder = NoticeRecorder(self.store, self._clock) if record_notice else None
            if not isinstance(store, Store):
                undo.callback(self.store.close)
                if store is not None:
                    self.store.connect(store, keys=keys)
            own = SqlLedger(self.store, clock=self._clock, checkpoints=checkpoints) if ledger is None else None
            self._own = own
            if own is not None:
                undo.callback(own.close)
            self._ledger: Ledger | None = own if own is not None else ledger or None
            self.subjects: Final = Subjects(
                self.store,
                lambda: self.notice,
                clock=self._clock,
                ledger=self._ledger,
                clause_now=self._clause_now,
                has_words=self._has_words,
            )
            self.preference_cache: Final = PreferenceCache(
                self.subjects, staleness=staleness, poll=min(0.2, staleness / 2)
            )
            undo.callback(self.preference_cache.close)
            self.requests: Final = Requests(
                self.subjects, days=days, suspend_while_open=suspend_while_open, disclose=self._answer_disclosure
            )
            self.provisions: Final = Provisions(
                self.store, clock=self._clock, ledger=self._ledger, timezone=self._timezone
            )
            self.erasers: Final = Erasers(
                lambda: self.notice, lambda: map(operator.attrgetter("history"), self._current_table.parts)
            )
            self.holdings: Final = Holdings()
            self.evidence: Final = StoredEvidence(self.store)
            self._record_notice()
            undo.pop_all()
        self._lent = isinstance(store, Store)
        self._resting = False
        self._requires_subject = requires_subject
        # Shortcuts.
        self.restrict: Final = self.subjects.restrict
        self.lift: Final = self.subjects.lift
        self.consent: Final = self.subjects.consent
        self.withdraw: Final = self.subjects.withdraw
        self.forget: Final = self.subjects.forget
        self.holding: Final = self.holdings.holding
        self.eraser: Final = self.erasers.register

    # ---- Asked by a guard -----------------------------------------------------------------------------------------

    @property
    def ledger(self) -> Ledger | None:
        """The ledger of uses, denials, requests and changes."""
        return self._ledger

    @property
    def requires_subject(self) -> bool:
        """True if nothing may be opened without its subject."""
        return self._requires_subject

    def preferences(self, subject: str, /) -> SubjectPreferences:
        """Return the preferences of a subject, named by their `subject_key`.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        return self.preference_cache.preferences(subject)

    def preferences_of_each(self, subjects: Sequence[str], /) -> list[SubjectPreferences]:
        """Return the preferences of each of these subjects, in their order.

        One query reads each batch of those that are not in the cache.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        return self.preference_cache.preferences_of_each(subjects)

    async def ready(self, subjects: Iterable[SubjectId] = (), /) -> None:
        """Read the preferences of these subjects, so that checks that follow do not block the event loop.

        Await this in asyncio or trio before the checks. A check within half of `staleness` then neither reads the store
        nor waits for it. Without subjects, this only checks that the store answers.

        Raises:
            StoreUnavailable: the store did not answer within its `timeout`. Checks are now refused at once.
            TypeError, ValueError: one subject is given, and no collection; or as `subject_key`.
        """
        if isinstance(subjects, (str, bytes)):
            raise TypeError("`ready` is given a collection of subjects: `ready([subject])`")
        await self.preference_cache.ready(list(map(subject_key, subjects)))

    def off_loop(self) -> contextlib.AbstractAsyncContextManager[Callable[[], Awaitable[None]]]:
        """Return an asynchronous context manager whose denials a thread records, for asyncio or trio.

        A denial is raised at once, and the block ends once all denials are on record. Send the answer after the block.
        To send it within the block, use `async with … as recorded` and `await recorded()` first. A ledger of another
        kind records at once.

        Raises:
            StoreUnavailable: a denial cannot be recorded within the `timeout` of the store, so that there must be no
                answer. Raised in place of what the block raises or returns.
            LedgerBroken: likewise, because the ledger was changed.
        """
        ledger = cast("object", self._ledger)
        return ledger.off_loop() if isinstance(ledger, OffLoopLedger) else contextlib.nullcontext(_record_nothing)

    def roster(self) -> Roster:
        """Return the preferences of all subjects who declared something, for queries that read the rows of many.

        Raises:
            StoreUnavailable: the store cannot be read now.
        """
        return self.preference_cache.roster()

    async def aroster(self) -> Roster:
        """Return `roster` without blocking the event loop (asyncio or trio).

        A guarded async engine awaits it by itself. Await it before a query of another adapter reads rows in the loop.

        Raises:
            StoreUnavailable: the store did not answer within its `timeout`.
        """
        return await self.preference_cache.aroster()

    def figures(self) -> StoreFigures:
        """Return figures on how this process uses the store, without a query. A forked process begins at zero."""
        cache = self.preference_cache
        waiting = 0 if self._own is None else self._own.waiting
        return StoreFigures(cache.looks, cache.failed_looks, cache.staleness, len(cache), dict(cache.refusals), waiting)

    def provided(self, provision: Provision, /) -> None:
        """Record a hand-over that is about to take place.

        Raises:
            StoreUnavailable: it cannot be recorded.
        """
        self.provisions.record(provision)

    def recipient(self, recipient: str, /) -> Recipient:
        """Return a recipient on the register.

        Raises:
            UnknownRecipient: it is not on the register.
            StoreUnavailable: the register cannot be read.
        """
        return self.provisions.recipients.get(recipient)

    # ---- The notice in force --------------------------------------------------------------------------------------

    @property
    def notice(self) -> Notice:
        """The notice in force: that of the attached guard, or else the notice that this object was made with."""
        return self._notice if self._guard is None else self._guard.notice

    @notice.setter
    def notice(self, notice: Notice) -> None:
        self._require_known_notice(notice)
        self._notice = notice
        self._table = self._table.replace_revision(notice)
        self._record_notice()

    def _require_known_notice(self, notice: Notice) -> None:
        if notice.id != self._notice.id:
            fault = Fault("id", f"`{notice.id}` is another notice than `{self._notice.id}`", "make another Governance")
            raise NoticeError([fault], "governance")

    def attach(self, guard: Guard) -> None:
        """Attach a guard, whose notice in force is used from now on. `Guard(…, governance=…)` calls this.

        Reports are made under exceptions of the guard, so that they see what it guards.

        Raises:
            NoticeError: the guard is of another notice.
        """
        self._require_known_notice(guard.notice)
        self._guard = guard
        self.preference_cache.forget()  # another revision may call purposes by other clauses
        self._record_notice()

    def _record_notice(self) -> None:
        if self._recorder is not None:
            self._recorder.record([part.history for part in self._current_table.parts])

    @property
    def _current_table(self) -> PolicyTable:
        return self._table if self._guard is None else self._guard.engine.table

    @property
    def _revisions(self) -> History:
        return self._current_table.history

    def _timezone(self) -> str:
        return self.notice.notices[0].document.timezone

    def _find_table(self, clause: str) -> PolicyTable | None:
        """Return the table of the notice that a clause belongs to; None if it names no notice."""
        for part in self._current_table.parts:
            if clause.startswith(part.prefix):
                return part
        return None

    def _clause_now(self, clause: str, revision: datetime.date) -> str | None:
        """Return the present clause of a purpose of a revision; None if the notice in force has no such purpose."""
        table = self._find_table(clause)
        if table is None:
            return clause  # The entry is from before there were several notices.
        folded = table.history.clause_on("purpose", clause.removeprefix(table.prefix), revision, table.notice.revision)
        try:
            return table.record_id(table.notice.purpose(folded))
        except UnknownPurpose:
            is_known = any(notice.revision == revision for notice in table.history)
            return None if is_known or folded is None else clause

    def _has_words(self, clause: str, revision: datetime.date, words: str) -> bool:
        """Return True if a purpose of a revision has these words now, or had them in a known revision."""
        table = self._find_table(clause)
        if table is None:
            return True  # The consent is from before there were several notices, and counts for none of them.
        own = clause.removeprefix(table.prefix)
        for notice in table.history:
            folded = table.history.clause_on("purpose", own, revision, notice.revision)
            with contextlib.suppress(UnknownPurpose):  # A revision may be without this purpose.
                if notice.words_digest(folded) == words:
                    return True
        return False

    # ---- What is held ---------------------------------------------------------------------------------------------

    @property
    def retention(self) -> RetentionJob:
        """The retention job by the notice in force: `plan()` shows what may be kept no longer, `run()` erases it."""
        return RetentionJob(self.store, self.notice, self.erasers, clock=self._clock, ledger=self._ledger)

    def disclose(
        self,
        subject: SubjectId,
        *,
        by: str,
        language: Language = "en",
        values: bool = False,
        request: int | None = None,
    ) -> Disclosure:
        """Return the report about a subject (clauses 7, 9).

        The report says what is held, for which purposes, who received it, and who answers questions. The functions
        registered with `holding` read what is held, under an exception of the attached guard, so that each use is on
        record.

        Args:
            subject: The subject.
            by: The clerk who approves the exception.
            language: The language of the report.
            values: True to show the values too.
            request: The number of the request that the report answers.

        Raises:
            RequestError: sealed values are to be shown, and no guard is attached that could open them; a holding gave
                a record of another subject; `request` is not of this subject.
            StoreUnavailable: the store cannot be read.
        """
        key = subject_key(subject)
        notice = self.notice
        requests = self.requests.of(key)
        if request is not None:
            _require_request(request, requests)
        record = collect_records(
            notice,
            language,
            subject=self.subjects.of(key),
            provisions=self.provisions.of(key),
            requests=requests,
            reasons=self.requests.reasons(requests),
            clause_now=self._clause_now,
        )
        return build_disclosure(
            notice,
            key,
            self.holdings,
            record,
            now=self._clock.now(),
            language=language,
            values=values,
            door=self._make_door(by, request),
            request=request,
            history=self._revisions,
        )

    def _answer_disclosure(self, asked: Request, /, *, by: str, language: Language, values: bool) -> Disclosure:
        subject = cast("str", asked.subject)  # The subject is known once a request is verified.
        return self.disclose(subject, by=by, language=language, values=values, request=asked.id)

    def _make_door(self, by: str, request: int | None) -> Door | None:
        """Return access to what the guard guards; None without a guard, or if its ledger could not record it."""
        guard = self._guard
        if guard is None or find_method(guard.ledger, "excepted") is None:
            return None

        @contextlib.contextmanager
        def door(subject: str) -> Generator[Callable[[Any], Any]]:
            until = self._clock.now() + OPEN_FOR
            reason = "the subject's report (clause 7)" + ("" if request is None else f", request {request}")
            with guard.exception(
                basis="law",
                reason=reason,
                approver=by,
                subjects=[subject],
                until=until,
                activity="purposeguard.disclosure",
            ) as use:
                yield lambda value: use.open(value, subject=subject)

        return door

    # ---- The end --------------------------------------------------------------------------------------------------

    def open(self, url: URL | str, *, keys: URL | str | None = None, timeout: float = 5.0) -> None:
        """Open the store, for the first time or after `close`. `keys` is that of `Store.open`.

        Raises:
            StoreUnavailable: it cannot be opened, or was made by a newer version of this package.
            ValueError: the URL is neither of a SQLite file nor of PostgreSQL.
            RuntimeError: the store is open, or was passed in as an object.
        """
        if self._lent:
            raise RuntimeError("the store was passed in: its owner opens it")
        self.store.connect(url, keys=keys, timeout=timeout)
        if self._resting:
            self._resting = False
            self.preference_cache.resume()
            if self._own is not None:
                self._own.resume()

    def close(self) -> None:
        """Write the counts, and close what was opened here. Until `open` everything is refused."""
        self._resting = True
        with contextlib.ExitStack() as ending:
            if not self._lent:
                ending.callback(self.store.close)
            if self._own is not None:
                ending.callback(self._own.close)
            ending.callback(self.preference_cache.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Governance of {self._notice.id} in {self.store.where}>"


def _require_request(number: int, requests: Iterable[Request]) -> None:
    """Raise RequestError if none of these requests has this number."""
    if all(request.id != number for request in requests):
        raise RequestError(f"there is no request {number} of this subject: leave it out, or see `requests.of(subject)`")


async def _record_nothing() -> None:
    """Do nothing: the ledger records at once, or there is none."""


def _compile_table(notice: object, clock: Clock) -> PolicyTable:
    if not isinstance(notice, (Notice, History, Notices)) or isinstance(notice, JointNotice):
        raise TypeError(f"governance needs a Notice, a History or Notices, not {type(notice).__name__}")
    present, history = resolve_notice(notice, clock)
    return (
        JointTable.compile_from(present)
        if isinstance(present, NoticesInForce)
        else PolicyTable(present, history=history)
    )
