"""Exceptions: uses that law itself permits outside the purposes of the notice, through one door, each on record."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Collection, Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any, ClassVar, Final, Literal, NoReturn, get_args

from purposeguard.errors import PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Purpose, is_text
from purposeguard.policy.context import NONE_KNOWN, Context, DenialReason
from purposeguard.policy.explanation import Decision, make_external_decision
from purposeguard.policy.row_context import NOTHING_KNOWN, RowContext, SubjectId, subject_key
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.clock import to_utc
from purposeguard.runtime.declarations import LegalException
from purposeguard.runtime.engine import ActivityHandle, Engine
from purposeguard.runtime.observer import NO_COUNTS, find_method
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.site import Site
from purposeguard.runtime.snapshot import NOTHING, Permissions, PolicySnapshot
from purposeguard.runtime.use import Use
from purposeguard.values.rows import Whose, resolve_subject_argument

LegalBasis = Literal["law", "vital-interest", "public-health", "public-authority", "academic-research"]
"""On what an exception rests: an order or provision of law, danger to life, body or property, public health and the
raising of children, co-operation with public authorities, academic research."""

Subjects = Iterable[SubjectId] | Literal["all"]
"""Whom an exception concerns; `"all"` where it cannot be told beforehand."""

_NOT_PERSONAL: Final = Label(NotPersonal)


class OutsideTheNotice(Purpose):
    """What an exception is for, in the place of a purpose: no notice states it, and no clause grants it."""

    clause = "exception"
    slug = "exception-by-law"
    title: ClassVar[Mapping[str, str]] = {"en": "Use that law permits outside the notice", "ja": "法令に基づく例外利用"}


class ExceptionBlock:
    """What `guard.exception(…)` gives: a sync or async context manager with a `Use` that law permits."""

    __slots__ = ("_engine", "_entered", "_exception")

    def __init__(
        self,
        engine: Engine,
        *,
        basis: LegalBasis,
        reason: str,
        approver: str,
        subjects: Subjects,
        until: datetime.datetime,
        activity: str | None,
        site: Site,
    ) -> None:
        """State the exception.

        Raises:
            TypeError: the guard has no ledger that could be told, or an argument is of another kind.
            ValueError: the basis is none that law knows, `reason` or `approver` is blank, no subject is named, or
                `until` has no time zone.
        """
        if find_method(engine.ledger, "excepted") is None:
            raise TypeError("an exception needs a ledger that is told of each use under it: `Guard(governance=…)`")
        if basis not in get_args(LegalBasis):
            raise ValueError(f"`basis` is one of {', '.join(get_args(LegalBasis))}")
        for name, text in (("reason", reason), ("approver", approver)):
            if not is_text(text):
                raise ValueError(f"`{name}` is a text, and not blank: an exception says why, and who approved it")
        self._exception = LegalException(
            activity or site.dotted, basis, reason, approver, _normalize_subjects(subjects), to_utc(until), site
        )
        self._engine = engine
        self._entered: list[ExceptionUse] = []

    def _enter(self, frame: FrameType) -> Use[Any]:
        if self._engine.clock.now() >= self._exception.until:
            self._engine.report_denial(PurposeMissing(_describe_end(self._exception)), observed=self._engine.observing)
        use = ExceptionUse(self._engine, self._exception, frame)
        self._entered.append(use)
        return use

    def _leave(self) -> None:
        here = [one for one in self._entered if one._is_owner_running()] or self._entered
        if not here:
            raise RuntimeError("this block was left more often than it was entered")
        use = here[-1]
        self._entered.remove(use)
        use._close()

    def __enter__(self) -> Use[Any]:
        return self._enter(sys._getframe(1))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    async def __aenter__(self) -> Use[Any]:
        return self._enter(sys._getframe(1))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()

    def __call__(self, fn: object) -> NoReturn:  # noqa: ARG002  # a decorator is given a function
        """Refuses: an exception is entered where it is needed, for this once."""
        raise TypeError("an exception decorates nothing: enter it where it is needed, `with guard.exception(…) as use`")


def _describe_end(exception: LegalException) -> str:
    return f"the exception {exception.name} ended on {exception.until:%Y-%m-%d at %H:%M} UTC: have another approved"


def _normalize_subjects(subjects: object) -> frozenset[str] | None:
    if isinstance(subjects, str) and subjects == "all":  # A column of a frame compares each of its items.
        return None
    if isinstance(subjects, (str, bytes, Mapping)) or not isinstance(subjects, Iterable):
        raise TypeError('`subjects` are the ids of those concerned, e.g. `[7, 8]`, or `"all"`')
    keys = frozenset(subject_key(subject) for subject in subjects)
    if not keys:
        raise ValueError('`subjects` are those concerned, and there are none: name them, or say `"all"`')
    return keys


class ExceptionUse(Use[Any]):
    """A use that law permits: opens data of any label of those concerned, and has each use put on record first."""

    __slots__ = ("_exception",)

    _records_each: ClassVar[bool] = True
    _carries: ClassVar[bool] = False
    _keeps: ClassVar[bool] = False  # each is of subjects of its own, and each use under it is on record
    _exception: LegalException

    def __init__(self, engine: Engine, exception: LegalException, frame: FrameType) -> None:
        self._exception = exception
        activity = Activity(exception.name, OutsideTheNotice, None, engine.observing, exception.site)
        super().__init__(_ExceptionHandle(engine, activity), frame)
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS

    def _explain_absence(self) -> str | None:
        """Why this use does not hold here and now; None where it does."""
        absence = super()._explain_absence()
        if absence is None and self._is_over():
            return _describe_end(self._exception)
        return absence

    def _decide_and_report(
        self,
        label: Label,
        row_contexts: tuple[RowContext, ...],
        permissions: Permissions | None = None,
        **_told: object,
    ) -> Decision | None:
        """Why this use may not open data of this label; None where it may. Observers are told of no exception."""
        permissions = permissions or self._permissions
        permissions.matrix.resolve_label(label)  # raises where it is of another notice
        if label is _NOT_PERSONAL:
            return None
        if self._is_over():
            return _make_uncovered_decision(label, _describe_end(self._exception), DenialReason.GRANT)
        subjects = self._exception.subjects
        named = {row_context.subject for row_context in row_contexts}
        if subjects is None or (named and None not in named and named <= subjects):
            return None
        unnamed = not named or None in named
        why = "it is not said whose data this is: name the subject" if unnamed else "it does not concern this subject"
        return _make_uncovered_decision(
            label, f"an exception covers the subjects that it names, and {why}", DenialReason.SUBJECT
        )

    def _decide_each(
        self, asked: Collection[tuple[Label, tuple[RowContext, ...]]], permissions: Permissions, *, used: bool | None
    ) -> dict[tuple[Label, tuple[RowContext, ...]], Decision | None]:
        """Return each of these, judged: nobody is asked what the subjects wanted."""
        return {one: self._decide_and_report(*one, permissions, used=used) for one in asked}

    def _is_over(self) -> bool:
        return self._engine.clock.now() >= self._exception.until

    def allows(self, sources: Any, subject: Whose = None) -> bool:
        """Return True if data from these sources (of this subject) may be used under the exception."""
        return (
            self._decide_and_report(self._permissions.matrix.resolve_label(sources), self._abouts_of(subject)) is None
        )

    def explain(self, sources: Any, subject: Whose = None) -> Decision:
        """Return the decision; only denials have reasons, since no clause grants what law permits."""
        label = self._permissions.matrix.resolve_label(sources)
        refusal = self._decide_and_report(label, self._abouts_of(subject))
        return refusal if refusal is not None else _make_permitted_decision(label)

    def _abouts_of(self, subject: object) -> tuple[RowContext, ...]:
        return () if subject is None else self._resolve_row_contexts(subject)

    def _resolve_row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """What `subject=` says; the exception names whom it concerns, so nobody else is asked."""
        return resolve_subject_argument(subject)

    def _check_label_before_rows(
        self,
        label: Label,
        outside: Label | None,
        access: Access | None = None,  # noqa: ARG002  # as Use has it
    ) -> Decision | None:
        """Rows say whose they are when they are there, and are put on record then; what is in no row is so now."""
        self._permissions.matrix.resolve_label(label)
        return None if outside is None else self._check_label(outside)

    def _count_rows(self, label: Label) -> None:
        """Each row was put on record."""

    def _open_for_subject(self, value: Any, subject: object) -> Any:
        return self._open((value,), row_contexts=(self._resolve_row_contexts(subject),))[0]

    def _count_use(
        self,
        label: Label,
        row_contexts: tuple[RowContext, ...],
        permissions: Permissions,  # noqa: ARG002  # as Use has it
        times: int,
    ) -> None:
        """Put what is about to be used on record."""
        if label is _NOT_PERSONAL:
            return
        label = self._engine.snapshot.matrix.to_record_label(label)
        for subject in dict.fromkeys(row_context.subject for row_context in row_contexts or (NOTHING_KNOWN,)):
            for excepted in self._engine.observers.excepted:
                excepted(self._exception, label, subject, times)

    def _refuses_row(self, decision: Decision) -> bool:  # noqa: ARG002  # as Use has it
        """Whatever is refused is: nothing was refused before."""
        return True

    def _record_row(self, label: Label, row_contexts: tuple[RowContext, ...]) -> None:
        """Put on record whose row is given out."""
        self._count_use(label, row_contexts, self._permissions, 1)

    def __repr__(self) -> str:
        return f"<Use under the exception {self._exception.name}, {'active' if self.active else 'not active'}>"


class _ExceptionPermissions(Permissions):
    """What may be used under an exception is decided by its use; here is the notice in force, which allows nothing."""

    __slots__ = ()

    def __init__(self, snapshot: PolicySnapshot) -> None:
        super().__init__(snapshot, OutsideTheNotice, None)

    def decide(self, sources: object, context: Context | None = None) -> Verdict:
        """That nothing is allowed."""
        label = self.matrix.resolve_label(sources)
        return Verdict(
            allowed=False, matrix=self.matrix, label=label, purpose=self.purpose, context=context or NONE_KNOWN
        )


class _ExceptionHandle(ActivityHandle):
    __slots__ = ()

    def __init__(self, engine: Engine, activity: Activity) -> None:
        self.engine = engine
        self.activity = activity
        self.permissions = _ExceptionPermissions(engine.snapshot)
        self.counted = {}
        self.ticks = {}
        self._narrower = {}

    def get_permissions(self) -> Permissions:
        """By the notice in force: its vocabulary is what counts here."""
        snapshot = self.engine.snapshot
        if self.permissions.snapshot is not snapshot:
            self.permissions = _ExceptionPermissions(snapshot)
        return self.permissions


def _make_permitted_decision(label: Label) -> Decision:
    """That law permits a use."""
    headline = "law permits this use, outside the purposes of the notice"
    return make_external_decision(label, OutsideTheNotice, allowed=True, headline=headline)


def _make_uncovered_decision(label: Label, why: str, reason: DenialReason) -> Decision:
    """That an exception does not cover a use: it does not concern the subject, or is over."""
    clauses = ", ".join(source.clause for source in label)
    headline = f"the exception does not cover this use of {clauses}"
    return make_external_decision(
        label, OutsideTheNotice, allowed=False, headline=headline, reasons=(why,), reason=reason
    )
