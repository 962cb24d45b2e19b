"""Legal exceptions: uses that law permits outside the purposes of the notice, each of which is recorded."""

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
"""The legal basis of an exception: an order or provision of law; danger to life, body or property; public health and
the raising of children; cooperation with public authorities; academic research."""

Subjects = Iterable[SubjectId] | Literal["all"]
"""The persons whom an exception concerns. `"all"` if they cannot be known beforehand."""

_NOT_PERSONAL: Final = Label(NotPersonal)


class OutsideTheNotice(Purpose):
    """The purpose of legal exceptions. No notice states it, and no clause grants it."""

    clause = "exception"
    slug = "exception-by-law"
    title: ClassVar[Mapping[str, str]] = {"en": "Use that law permits outside the notice", "ja": "法令に基づく例外利用"}


class ExceptionBlock:
    """The result of `guard.exception(…)`: a sync and async context manager that yields a `Use`."""

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
        """State the exception. The arguments are those of `Guard.exception`.

        Raises:
            TypeError: The guard has no ledger that records exceptions, or an argument has the wrong type.
            ValueError: The basis is unknown, `reason` or `approver` is blank, no subject is named, or `until` has no
                time zone.
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
        candidates = [use for use in self._entered if use._is_owner_running()] or self._entered
        if not candidates:
            raise RuntimeError("this block was left more often than it was entered")
        use = candidates[-1]
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
        """Raise TypeError, because an exception is entered for a single occasion and cannot decorate functions."""
        raise TypeError("an exception decorates nothing: enter it where it is needed, `with guard.exception(…) as use`")


def _describe_end(exception: LegalException) -> str:
    return f"the exception {exception.name} ended on {exception.until:%Y-%m-%d at %H:%M} UTC: have another approved"


def _normalize_subjects(subjects: object) -> frozenset[str] | None:
    if (
        isinstance(subjects, str) and subjects == "all"
    ):  # The type is checked first, because comparing a data frame column yields a column.
        return None
    if isinstance(subjects, (str, bytes, Mapping)) or not isinstance(subjects, Iterable):
        raise TypeError('`subjects` are the ids of those concerned, e.g. `[7, 8]`, or `"all"`')
    keys = frozenset(subject_key(subject) for subject in subjects)
    if not keys:
        raise ValueError('`subjects` are those concerned, and there are none: name them, or say `"all"`')
    return keys


class ExceptionUse(Use[Any]):
    """A use under a legal exception. It opens all data of the persons concerned, and records each use first."""

    __slots__ = ("_exception",)

    _records_each: ClassVar[bool] = True
    _carries: ClassVar[bool] = False
    _keeps: ClassVar[bool] = False  # Each use has its own subjects and must be recorded, so nothing is cached.
    _exception: LegalException

    def __init__(self, engine: Engine, exception: LegalException, frame: FrameType) -> None:
        self._exception = exception
        activity = Activity(exception.name, OutsideTheNotice, None, engine.observing, exception.site)
        super().__init__(_ExceptionHandle(engine, activity), frame)
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS

    def _explain_absence(self) -> str | None:
        """Explain why this use is not valid here; None if it is valid."""
        absence = super()._explain_absence()
        if absence is None and self._is_over():
            return _describe_end(self._exception)
        return absence

    def _decide_and_report(
        self,
        label: Label,
        row_contexts: tuple[RowContext, ...],
        permissions: Permissions | None = None,
        **_options: object,
    ) -> Decision | None:
        """Decide if this use may open data. Observers of decisions are not informed of exceptions.

        Returns:
            The denial, or None if the use is allowed.
        """
        permissions = permissions or self._permissions
        permissions.matrix.resolve_label(label)  # Raises if it belongs to another notice.
        if label is _NOT_PERSONAL:
            return None
        if self._is_over():
            return _make_uncovered_decision(label, _describe_end(self._exception), DenialReason.GRANT)
        covered_subjects = self._exception.subjects
        subjects = {row_context.subject for row_context in row_contexts}
        is_unnamed = not subjects or None in subjects
        if covered_subjects is None or (not is_unnamed and subjects <= covered_subjects):
            return None
        why = (
            "it is not said whose data this is: name the subject" if is_unnamed else "it does not concern this subject"
        )
        return _make_uncovered_decision(
            label, f"an exception covers the subjects that it names, and {why}", DenialReason.SUBJECT
        )

    def _decide_each(
        self,
        questions: Collection[tuple[Label, tuple[RowContext, ...]]],
        permissions: Permissions,
        *,
        used: bool | None,
    ) -> dict[tuple[Label, tuple[RowContext, ...]], Decision | None]:
        """Decide each pair of a label and row contexts, regardless of the preferences of the subjects."""
        return {question: self._decide_and_report(*question, permissions, used=used) for question in questions}

    def _is_over(self) -> bool:
        return self._engine.clock.now() >= self._exception.until

    def allows(self, sources: Any, subject: Whose = None) -> bool:
        """Return True if data from these sources may be used under the exception.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.
        """
        return (
            self._decide_and_report(self._permissions.matrix.resolve_label(sources), self._abouts_of(subject)) is None
        )

    def explain(self, sources: Any, subject: Whose = None) -> Decision:
        """Return the decision. Only denials have reasons, because no clause grants the use.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.
        """
        label = self._permissions.matrix.resolve_label(sources)
        refusal = self._decide_and_report(label, self._abouts_of(subject))
        return refusal if refusal is not None else _make_permitted_decision(label)

    def _abouts_of(self, subject: object) -> tuple[RowContext, ...]:
        return () if subject is None else self._resolve_row_contexts(subject)

    def _resolve_row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """Return the subjects and dates that a `subject=` argument names. Governance is not required."""
        return resolve_subject_argument(subject)

    def _check_label_before_rows(
        self,
        label: Label,
        outside: Label | None,
        access: Access | None = None,  # noqa: ARG002  # as Use has it
    ) -> Decision | None:
        """Decide and record the data outside rows. Rows are decided and recorded when they are read."""
        self._permissions.matrix.resolve_label(label)
        return None if outside is None else self._check_label(outside)

    def _count_rows(self, label: Label) -> None:
        """Do nothing, because each row has been recorded."""

    def _open_for_subject(self, value: Any, subject: object) -> Any:
        return self._open((value,), row_contexts=(self._resolve_row_contexts(subject),))[0]

    def _count_use(
        self,
        label: Label,
        row_contexts: tuple[RowContext, ...],
        permissions: Permissions,  # noqa: ARG002  # as Use has it
        times: int,
    ) -> None:
        """Record uses before they take place."""
        if label is _NOT_PERSONAL:
            return
        label = self._engine.snapshot.matrix.to_record_label(label)
        for subject in dict.fromkeys(row_context.subject for row_context in row_contexts or (NOTHING_KNOWN,)):
            for excepted in self._engine.observers.excepted:
                excepted(self._exception, label, subject, times)

    def _refuses_row(self, decision: Decision) -> bool:  # noqa: ARG002  # as Use has it
        """Return True, because nothing was decided before the rows were read."""
        return True

    def _record_row(self, label: Label, row_contexts: tuple[RowContext, ...]) -> None:
        """Record the subject of a row that is returned."""
        self._count_use(label, row_contexts, self._permissions, 1)

    def __repr__(self) -> str:
        return f"<Use under the exception {self._exception.name}, {'active' if self.active else 'not active'}>"


class _ExceptionPermissions(Permissions):
    """Permissions that allow nothing. An `ExceptionUse` decides by itself, and reads only the notice from them."""

    __slots__ = ()

    def __init__(self, snapshot: PolicySnapshot) -> None:
        super().__init__(snapshot, OutsideTheNotice, None)

    def decide(self, sources: object, context: Context | None = None) -> Verdict:
        """Return a denial."""
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
        """Return permissions with the vocabulary of the notice in force."""
        snapshot = self.engine.snapshot
        if self.permissions.snapshot is not snapshot:
            self.permissions = _ExceptionPermissions(snapshot)
        return self.permissions


def _make_permitted_decision(label: Label) -> Decision:
    """Return a decision that allows a use under the exception."""
    headline = "law permits this use, outside the purposes of the notice"
    return make_external_decision(label, OutsideTheNotice, allowed=True, headline=headline)


def _make_uncovered_decision(label: Label, why: str, reason: DenialReason) -> Decision:
    """Return a denial of a use that the exception does not cover."""
    clauses = ", ".join(source.clause for source in label)
    headline = f"the exception does not cover this use of {clauses}"
    return make_external_decision(
        label, OutsideTheNotice, allowed=False, headline=headline, reasons=(why,), reason=reason
    )
