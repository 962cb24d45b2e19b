"""Legal exceptions: uses that law permits outside the purposes of the notice, each of which is recorded."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Collection, Iterable, Mapping
from types import FrameType, TracebackType
from typing import Any, ClassVar, Final, Literal, NoReturn, get_args

from purposeguard.errors import PurposeMissing
from purposeguard.notice.label import Label
from purposeguard.notice.vocabulary import NotPersonal, Purpose, is_text, list_term_ids
from purposeguard.policy.context import NONE_KNOWN, Context, DenialReason
from purposeguard.policy.explanation import Decision, make_external_decision
from purposeguard.policy.row_context import NOTHING_KNOWN, RowContext, SubjectId, subject_key
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.activity_handle import ActivityHandle, LabelWithContexts
from purposeguard.runtime.clock import to_utc
from purposeguard.runtime.declarations import LegalException
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.observer import NO_COUNTS, find_method
from purposeguard.runtime.registry import Access, Activity
from purposeguard.runtime.site import Site
from purposeguard.runtime.snapshot import NOTHING, Permissions, PolicySnapshot
from purposeguard.runtime.use import Use, end_use, is_owner_running
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


class LegalExceptionBlock:
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
        self._entered: list[LegalExceptionUse] = []

    def _enter(self, frame: FrameType) -> Use[Any]:
        if self._engine.clock.now() >= self._exception.until:
            self._engine.report_denial(PurposeMissing(_describe_end(self._exception)), observed=self._engine.observing)
        use = LegalExceptionUse(self._engine, self._exception, frame)
        self._entered.append(use)
        return use

    def _leave(self) -> None:
        candidates = [use for use in self._entered if is_owner_running(use)] or self._entered
        if not candidates:
            raise RuntimeError("this block was left more often than it was entered")
        use = candidates[-1]
        self._entered.remove(use)
        end_use(use)

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
    keys = frozenset(map(subject_key, subjects))
    if not keys:
        raise ValueError('`subjects` are those concerned, and there are none: name them, or say `"all"`')
    return keys


class _LegalExceptionPermissions(Permissions):
    """The notice of an exception: the handle decides and reads only the notice from these permissions.

    They allow nothing themselves.
    """

    __slots__ = ()

    def __init__(self, snapshot: PolicySnapshot) -> None:
        super().__init__(snapshot, OutsideTheNotice, None)

    def decide(self, sources: object, context: Context | None = None) -> Verdict:
        """Return a denial."""
        label = self.matrix.resolve_label(sources)
        return Verdict(
            allowed=False, matrix=self.matrix, label=label, purpose=self.purpose, context=context or NONE_KNOWN
        )


class _LegalExceptionHandle(ActivityHandle):
    """The activity of a legal exception. It allows all data of the persons concerned, and records each use first."""

    __slots__ = ("_exception",)

    can_be_carried: ClassVar[bool] = False
    can_be_cached: ClassVar[bool] = False  # Each use has its own subjects and must be recorded.
    records_each_row: ClassVar[bool] = True

    def __init__(self, engine: Engine, exception: LegalException) -> None:
        self._exception = exception
        activity = Activity(exception.name, OutsideTheNotice, None, engine.observing, exception.site)
        super().__init__(engine, activity)

    def _make_permissions(self) -> Permissions:
        return _LegalExceptionPermissions(self.engine.snapshot)

    def get_permissions(self) -> Permissions:
        """Return permissions with the vocabulary of the notice in force."""
        if self.permissions.snapshot is not self.engine.snapshot:
            self.permissions = self._make_permissions()
        return self.permissions

    def explain_end(self) -> str | None:
        """Return when the exception ended; None if it is in force."""
        return _describe_end(self._exception) if self.engine.clock.now() >= self._exception.until else None

    def decide_and_report(
        self,
        label: Label,
        row_contexts: tuple[RowContext, ...],
        permissions: Permissions | None = None,
        **_options: object,
    ) -> Decision | None:
        """Decide if the exception covers data. Observers of decisions are not informed of exceptions.

        Args:
            label: The label of the data.
            row_contexts: The subjects and dates of the data, if they are known.
            permissions: The permissions with the vocabulary, by default those under the notice in force.

        Returns:
            The denial, or None if the use is allowed.
        """
        permissions = permissions or self.get_permissions()
        permissions.matrix.resolve_label(label)  # Raises if it belongs to another notice.
        if label is _NOT_PERSONAL:
            return None
        end = self.explain_end()
        if end is not None:
            return _make_uncovered_decision(label, end, DenialReason.GRANT)
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

    def decide_each(
        self, questions: Collection[LabelWithContexts], permissions: Permissions, *, used: bool | None
    ) -> dict[LabelWithContexts, Decision | None]:
        """Decide several questions, regardless of the preferences of the subjects."""
        return {question: self.decide_and_report(*question, permissions, used=used) for question in questions}

    def check_label_before_rows(
        self,
        label: Label,
        outside: Label | None,
        access: Access | None = None,  # noqa: ARG002  # as ActivityHandle has it
    ) -> Decision | None:
        """Decide and record the data outside rows. Rows are decided and recorded when they are read."""
        self.get_permissions().matrix.resolve_label(label)
        return None if outside is None else self.check_label(outside)

    def count_rows(self, label: Label) -> None:
        """Do nothing, because each row has been recorded."""

    def count_use(
        self,
        label: Label,
        row_contexts: tuple[RowContext, ...],
        permissions: Permissions,  # noqa: ARG002  # as ActivityHandle has it
        times: int,
    ) -> None:
        """Record uses before they take place."""
        if label is _NOT_PERSONAL:
            return
        label = self.engine.snapshot.matrix.to_record_label(label)
        for subject in dict.fromkeys(row_context.subject for row_context in row_contexts or (NOTHING_KNOWN,)):
            for excepted in self.engine.observers.excepted:
                excepted(self._exception, label, subject, times)

    def refuses_row(self, decision: Decision) -> bool:  # noqa: ARG002  # as ActivityHandle has it
        """Return True, because nothing was decided before the rows were read."""
        return True

    def record_row(self, label: Label, row_contexts: tuple[RowContext, ...]) -> None:
        """Record the subject of a row that is returned."""
        self.count_use(label, row_contexts, self.get_permissions(), 1)


class LegalExceptionUse(Use[Any]):
    """A use under a legal exception."""

    __slots__ = ()

    def __init__(self, engine: Engine, exception: LegalException, frame: FrameType) -> None:
        super().__init__(_LegalExceptionHandle(engine, exception), frame)
        self._allowed_labels = NOTHING
        self._counted = NO_COUNTS

    def allows(self, sources: Any, subject: Whose = None) -> bool:
        """Return True if data from these sources may be used under the exception.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.
        """
        _, refusal = self._decide(sources, subject)
        return refusal is None

    def explain(self, sources: Any, subject: Whose = None) -> Decision:
        """Return the decision. Only denials have reasons, because no clause grants the use.

        Args:
            sources: The sources of the data: a class or an id, several of them, or a label.
            subject: The person whom the data is about: an id, a `RowContext`, or a row with marked fields.
        """
        label, refusal = self._decide(sources, subject)
        return refusal if refusal is not None else _make_permitted_decision(label)

    def _decide(self, sources: object, subject: object) -> tuple[Label, Decision | None]:
        """Return the label of the sources, and the denial if they may not be used."""
        label = self.handle.get_permissions().matrix.resolve_label(sources)
        row_contexts = () if subject is None else self._resolve_row_contexts(subject)
        return label, self.handle.decide_and_report(label, row_contexts)

    def _resolve_row_contexts(self, subject: object) -> tuple[RowContext, ...]:
        """Return the subjects and dates that a `subject=` argument names. Governance is not required."""
        return resolve_subject_argument(subject, self.handle.engine.silent)

    def _open_for_subject(self, value: Any, subject: object) -> Any:
        return self._open((value,), row_contexts=(self._resolve_row_contexts(subject),))[0]

    def __repr__(self) -> str:
        return f"<Use under the exception {self.activity.name}, {'active' if self.active else 'not active'}>"


def _make_permitted_decision(label: Label) -> Decision:
    """Return a decision that allows a use under the exception."""
    headline = "law permits this use, outside the purposes of the notice"
    return make_external_decision(label, OutsideTheNotice, allowed=True, headline=headline)


def _make_uncovered_decision(label: Label, why: str, reason: DenialReason) -> Decision:
    """Return a denial of a use that the exception does not cover."""
    clauses = ", ".join(list_term_ids(label))
    headline = f"the exception does not cover this use of {clauses}"
    return make_external_decision(
        label, OutsideTheNotice, allowed=False, headline=headline, reasons=(why,), reason=reason
    )
