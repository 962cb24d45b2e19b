"""Guard: a notice in force over an application's code."""

from __future__ import annotations

import datetime
import functools
import inspect
import sys
import warnings
import weakref
from collections.abc import Callable, Iterable
from types import FrameType, FunctionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, get_args, overload

from typing_extensions import TypeForm

from purposeguard.errors import (
    Fault,
    NoticeError,
    PurposeGuardError,
    PurposeMissing,
    UnknownPurpose,
    format_id,
    hide_own_frames,
    hides_own_frames,
)
from purposeguard.locks import make_lock
from purposeguard.notice.history import History
from purposeguard.notice.label import Label, OneSource, Sources
from purposeguard.notice.notice import SEVERAL, Notice
from purposeguard.notice.several import JointNotice, Notices
from purposeguard.notice.vocabulary import Family, Purpose, Source, TermMeta
from purposeguard.policy.context import NO_CONDITIONS
from purposeguard.policy.explanation import Decision, format_term
from purposeguard.policy.joint import NoticesInForce
from purposeguard.policy.table import Conditions, PolicyTable
from purposeguard.policy.verdict import Verdict
from purposeguard.runtime.access import AccessFunction, wrap_access_function
from purposeguard.runtime.activity import (
    Block,
    StatedPurpose,
    UseAttribute,
    carry_purpose,
    decorate_function,
    is_dropped,
)
from purposeguard.runtime.clock import Clock, Now, read_system_time
from purposeguard.runtime.engine import ActivityHandle, Engine, Transforms
from purposeguard.runtime.observer import Ledger, Observer
from purposeguard.runtime.protocols import Oversight
from purposeguard.runtime.registry import Access, Activity, Register, TaggedTable
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import NO_USE, MemberUse, ObservedUse, Use, require_current_use
from purposeguard.runtime.wrapping import Function
from purposeguard.values.personal import Personal, combine_seals
from purposeguard.values.rows import Whose

if TYPE_CHECKING:
    # Loaded by the methods that need them: most applications start without.
    from purposeguard.policy.transfers import Recipient
    from purposeguard.runtime.declarations import EntrustmentDeclaration, Reclassification, Transform
    from purposeguard.runtime.declassification import Reclassifier
    from purposeguard.runtime.legal_override import ExceptionBlock, LegalBasis, Subjects

P = TypeVar("P", bound=Purpose)
F = TypeVar("F", bound=Callable[..., Any])
A = TypeVar("A")
B = TypeVar("B")
S1 = TypeVar("S1", bound=Source)
S2 = TypeVar("S2", bound=Source)
S3 = TypeVar("S3", bound=Source)
S4 = TypeVar("S4", bound=Source)
To = TypeVar("To", bound=Source)

Mode = Literal["enforce", "observe"]
Untagged = Literal["allow", "refuse"]


class Guard:
    """Decides by a notice, and holds functions and blocks to it.

    `mode="observe"` refuses nothing: what would have been refused is logged (logger `purposeguard`, level WARNING) and
    reported. `ledger` records every denial, and counts how often each activity used what.
    """

    __slots__ = ("__weakref__", "_engine", "_mode", "_register", "_replacing", "_transforms")

    @hides_own_frames
    def __init__(
        self,
        notice: Notice | History | Notices,
        *,
        mode: Mode = "enforce",
        ledger: Ledger | None = None,
        strict: bool = False,
        untagged: Untagged = "allow",
        governance: Oversight | None = None,
        clock: Now | Clock = read_system_time,
        observers: Iterable[Observer] = (),
    ) -> None:
        """Compiles `notice`; of a `History`, the revision that is in force today; of `Notices`, several at once.

        Over several notices each source is decided by its own notice. An id that two of them use names its notice,
        `jp-notice:1.1(a)`.

        `governance` keeps what subjects asked for and agreed to (`purposeguard.governance`); its ledger is the guard's
        where no other is given. `observers` learn of uses and denials as the ledger does, for telemetry. `clock` says
        what time it is, for periods of retention and for exceptions.

        A `strict` guard opens sealed values only where the functions that `map` was given are registered with
        `guard.transform`: those see the plain value.

        With `untagged="refuse"` each field of a model that an access function returns has to say what it is, by a tag,
        a seal, a mark or `NotPersonal` (rule 4): that nobody has said anything does not mean that it is not personal.

        Raises:
            TypeError: `notice` is no Notice, History or Notices; or the ledger lacks a method.
            ValueError: `mode` is neither `enforce` nor `observe`, or `untagged` neither `allow` nor `refuse`.
            NoticeError: no revision of a history is in force yet; or several notices do not go together.
        """
        time = Clock.of(clock)
        present, history = resolve_notice(notice, time)
        self._mode: Mode = _check_mode(mode)
        if untagged not in get_args(Untagged):
            raise ValueError("`untagged` is `allow` or `refuse`")
        self._transforms = Transforms()
        self._engine = Engine(
            present,
            ledger if ledger is not None or governance is None else governance.ledger,
            observing=mode == "observe",
            transforms=self._transforms if strict else None,
            nothing=NO_USE,
            history=history,
            oversight=governance,
            clock=time,
            untagged_refused=untagged == "refuse",
            observers=observers,
        )
        self._register = Register()
        self._replacing = make_lock()
        self._attach()
        LIVE_GUARDS.add(self)
        for listener in tuple(GUARD_LISTENERS):
            listener(self)

    def _attach(self) -> None:
        attach = getattr(self._engine.oversight, "attach", None)
        if attach is not None:  # it wants to know by which notice it is asked
            attach(self)

    @property
    def mode(self) -> Mode:
        """Whether violations are refused or only recorded."""
        return self._mode

    @property
    def strict(self) -> bool:
        """Whether functions given to `map` must be registered."""
        return self._engine.transforms is not None

    @property
    def untagged(self) -> Untagged:
        """Whether access functions may return models with fields that say nothing of what they are."""
        return "refuse" if self._engine.untagged_refused else "allow"

    @property
    def ledger(self) -> Ledger | None:
        """The observer that records."""
        return self._engine.ledger

    @property
    def governance(self) -> Oversight | None:
        """Who keeps what subjects asked for and agreed to."""
        return self._engine.oversight

    @property
    def notice(self) -> Notice:
        """The notice in force; of several, a `JointNotice`, whose `notices` are these."""
        return self._engine.snapshot.matrix.notice

    @property
    def history(self) -> History:
        """The revisions of the notice that are known.

        Raises:
            SeveralNotices: the guard holds to several, and each has its own.
        """
        return self._engine.snapshot.matrix.history

    def replace(self, notice: Notice | History | Notices) -> None:
        """Puts another revision of the notice in force, at one stroke, while other threads decide.

        Each decision is by one revision, whole; uses under way are decided by the new one from their next check on.
        What is tagged with classes of another revision was collected under that, and may serve what both grant, and
        what the one in force extends to it (rule 9). A clause that is gone is unknown, so it is refused. The revision
        of the same date is that revision put right, and decides in its place.

        Where the guard holds to several notices, a revision of one of them leaves the others as they are.

        Raises:
            TypeError: `notice` is no Notice, History or Notices.
            NoticeError: `notice` is a revision of another notice, or no revision of a history is in force yet; or a
                family over several notices names a purpose that is gone.
        """
        present, history = resolve_notice(notice, self._engine.clock)
        with self._replacing:
            self._engine.replace(present, history)
        self._attach()

    def allows(
        self,
        sources: Sources,
        purpose: object,
        channel: str | None = None,
        subject: Whose = None,
        conditions: Conditions = (),
    ) -> bool:
        """Whether the notice lets these sources (of this subject) serve this purpose (by this channel).

        `purpose` is a class, an id, a family's name, or the union of a family's members. `subject` is the id of a
        subject, a `RowContext`, or a row whose marked fields say whose it is and from when. What rests on consent
        serves subjects who gave it, so nobody where none is named. `conditions` are those of the notice that hold, as
        in `purpose`.

        Raises:
            UnknownTerm: an id means nothing in the notice.
            UnlabelledData: there are no sources.
            StoreUnavailable: governance cannot say what the subject asked for.
            TypeError: a subject is named and the guard has no governance; `conditions` is no set, list or tuple.
        """
        if subject is not None or conditions:
            return bool(self.explain(sources, purpose, channel, subject, conditions))
        if channel is None:
            rows, purposes = self._engine.snapshot.known  # of one revision, whole
            try:
                if type(sources) is set:  # as ids come; left to raise TypeError it would cost twice as much
                    return purposes[purpose] in rows[frozenset(sources)]  # pyright: ignore[reportArgumentType]  # it is a set
                row = rows[sources]
                # A class is its own key; other forms lead to one.
                return purpose in row or purposes[purpose] in row
            except (KeyError, TypeError):
                pass  # not asked in this form before, or not hashable
        try:
            verdict = self._decide(sources, purpose, channel)
            self._engine.report_decision(verdict, used=False)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise
        return verdict.allowed

    def _decide(
        self,
        sources: Sources,
        purpose: object,
        channel: str | None,
        subject: Whose = None,
        conditions: Conditions = (),
    ) -> Verdict:
        """What the notice in force says; nobody is told. Raises as `allows` does."""
        engine = self._engine
        snapshot = engine.snapshot  # once: all is decided by one revision
        matrix = snapshot.matrix
        wanted, by = matrix.resolve_purpose(purpose), matrix.resolve_channel(channel)
        holding = matrix.resolve_conditions(conditions)
        if subject is None:
            return snapshot.decide(sources, wanted, by, conditions=holding)
        label = matrix.resolve_label(sources)
        contexts = [
            engine.resolve_context(row_context, label, snapshot) for row_context in engine.resolve_row_contexts(subject)
        ]
        verdicts = [snapshot.decide(label, wanted, by, context, conditions=holding) for context in contexts]
        return next((verdict for verdict in verdicts if not verdict.allowed), verdicts[0])

    def check(
        self,
        sources: Sources,
        purpose: object,
        channel: str | None = None,
        subject: Whose = None,
        conditions: Conditions = (),
    ) -> None:
        """Nothing where the notice lets these sources (of this subject) serve this purpose (by this channel).

        Raises:
            PurposeViolation: it does not; ChannelViolation where only the channel is wrong, ConditionViolation where
                conditions are not stated, SubjectViolation, RevisionViolation or RetentionViolation where only that
                stands against it.
            UnknownTerm, UnlabelledData, StoreUnavailable, TypeError: as `allows`.
        """
        engine = self._engine
        snapshot = engine.snapshot
        if conditions:
            pass  # decided below
        elif subject is None and engine.counting:
            try:
                tick = snapshot.checked[sources, purpose, channel]
            except (KeyError, TypeError):
                pass  # not asked in this form before, or not hashable
            else:
                tick()
                return
        elif channel is None and subject is None:
            rows, purposes = snapshot.known  # of one revision, whole; empty where somebody is told of each decision
            try:
                row = rows[sources]
                if purpose in row or purposes[purpose] in row:
                    return
            except (KeyError, TypeError):
                pass  # not asked in this form before, or not hashable
        try:
            self._check(sources, purpose, channel, subject, conditions)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _check(
        self, sources: Sources, purpose: object, channel: str | None, subject: Whose, conditions: Conditions
    ) -> None:
        """The way of `check` where it is not a short one."""
        if hasattr(sources, "__next__"):  # an iterator can be asked once only
            sources = tuple(cast("Iterable[OneSource]", sources))
        engine = self._engine
        snapshot = engine.snapshot
        verdict = self._decide(sources, purpose, channel, subject, conditions)
        engine.report_decision(verdict, used=True)
        decision = Decision(verdict)
        if not decision:
            engine.refuse(decision)
        elif engine.counting:
            tick = engine.count_check(decision)
            if subject is None and not verdict.context.conditions and isinstance(sources, (str, Label, TermMeta)):
                # No iterable, which may give others next time.
                snapshot.cache_check((sources, purpose, channel), tick)

    def explain(
        self,
        sources: Sources,
        purpose: object,
        channel: str | None = None,
        subject: Whose = None,
        conditions: Conditions = (),
    ) -> Decision:
        """The decision with its reasons; an error only as in `allows`, never for a denial."""
        try:
            verdict = self._decide(sources, purpose, channel, subject, conditions)
            self._engine.report_decision(verdict, used=False)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise
        return Decision(verdict)

    @overload
    def derive(self, operation: str, one: Personal[A, Any], other: Personal[B, Any]) -> Personal[tuple[A, B], Any]: ...
    @overload
    def derive(self, operation: str, one: Sources, other: Sources) -> Label: ...
    def derive(self, operation: str, one: Any, other: Any) -> Any:
        """The label of two values joined by an operation that the notice declares, e.g. `link` (rule 6).

        Of two sealed values, both in a tuple, sealed under that label; a generated module has a function for this whose
        types say so. Plain combination is `label | other`, or `value.zip(other)`, and keeps both labels.

        Raises:
            UnknownOperation: the notice declares no such operation between the two.
        """
        derived = functools.partial(self._engine.snapshot.matrix.derive_label, operation)
        if isinstance(one, Personal) or isinstance(other, Personal):
            return combine_seals(derived, one, other)
        return derived(one, other)

    @overload
    def reclassify(
        self,
        source: type[S1],
        /,
        *,
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[S1, To]: ...
    @overload
    def reclassify(
        self,
        source: type[S1],
        other: type[S2],
        /,
        *,
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[S1 | S2, To]: ...
    @overload
    def reclassify(
        self,
        a: type[S1],
        b: type[S2],
        c: type[S3],
        /,
        *,
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[S1 | S2 | S3, To]: ...
    @overload
    def reclassify(
        self,
        a: type[S1],
        b: type[S2],
        c: type[S3],
        d: type[S4],
        /,
        *more: type[S4],
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[S1 | S2 | S3 | S4, To]: ...
    @overload
    def reclassify(
        self,
        *sources: OneSource,
        to: type[To],
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[Any, To]: ...
    def reclassify(
        self,
        *sources: Any,
        to: Any,
        why: str,
        approver: str | None = None,
        at_least: int | None = None,
        name: str | None = None,
    ) -> Reclassifier[Any, Any]:
        """A declared way out of a label: a decorator for a function that makes less restricted data, such as figures.

        The function takes a sealed value that derives from these sources alone and gives its result sealed under `to`,
        `NotPersonal` or another source. `why` it may, and who approved it, stand in `guard.reclassifications`; the
        ledger is told of each run before it begins. It is named after the function unless `name` names it.

        With `at_least` it decorates nothing, and gives `count` and `mean` over at least so many subjects instead.

        Raises:
            UnknownSource, UnlabelledData: `sources` or `to` mean nothing in the notice.
            ValueError: `why`, `approver` or `name` is blank, or no text; `at_least` is no whole number above 1.
        """
        from purposeguard.runtime.declassification import Reclassifier  # noqa: PLC0415  # see above

        matrix = self._engine.snapshot.matrix
        return Reclassifier(
            self._engine,
            self._register,
            sources=matrix.resolve_label(sources),
            to=matrix.resolve_label(to),
            why=why,
            approver=approver,
            at_least=at_least,
            name=name,
            frame=sys._getframe(1),
        )

    def exception(
        self,
        *,
        basis: LegalBasis,
        reason: str,
        approver: str,
        subjects: Subjects,
        until: datetime.datetime,
        activity: str | None = None,
    ) -> ExceptionBlock:
        """A use that law permits outside the purposes of the notice: a warrant, danger to life, ….

        A sync or async context manager that gives a `Use`. It opens data of any source, of the `subjects` it concerns
        (`"all"` where they cannot be told beforehand), until it ends; whose the data is is named at each use, or read
        from the marked fields of rows. The ledger is told of each use before it takes place.

        Raises:
            TypeError: the guard has no ledger that is told of exceptions.
            ValueError: `basis` is not one that law knows, `reason` or `approver` is blank, there are no subjects, or
                `until` has no time zone.
        """
        from purposeguard.runtime.legal_override import ExceptionBlock  # noqa: PLC0415  # see above

        frame = sys._getframe(1)
        site = Site(frame.f_globals.get("__name__", "?"), frame.f_code.co_qualname, frame.f_lineno)
        return ExceptionBlock(
            self._engine,
            basis=basis,
            reason=reason,
            approver=approver,
            subjects=subjects,
            until=until,
            activity=activity,
            site=site,
        )

    def transform(self, fn: F) -> F:
        """Registers a function that may see plain values; a strict guard applies no other that `map` was given.

        Raises:
            TypeError: `fn` cannot be called.
        """
        from purposeguard.runtime.declarations import Transform  # noqa: PLC0415  # see above

        given: Any = fn
        inner = given.__func__ if isinstance(given, (classmethod, staticmethod)) else given
        if not callable(inner):
            raise TypeError(f"registers functions, not {type(fn).__name__}")
        self._transforms.add(inner)
        site = Site.of(inner)
        self._register.add_transform(Transform(site.dotted, site))
        return fn

    @overload
    def purpose(
        self,
        purpose: type[P],
        *,
        channel: str | None = None,
        activity: str | None = None,
        mode: Mode | None = None,
        conditions: Conditions = (),
    ) -> Block[P]: ...
    # Ids before type forms: some type checkers read any text given for a form as an annotation.
    @overload
    def purpose(
        self,
        purpose: str | Family,
        *,
        channel: str | None = None,
        activity: str | None = None,
        mode: Mode | None = None,
        conditions: Conditions = (),
    ) -> Block[Any]: ...
    @overload
    def purpose(
        self,
        purpose: TypeForm[P],
        *,
        channel: str | None = None,
        activity: str | None = None,
        mode: Mode | None = None,
        conditions: Conditions = (),
    ) -> Block[P]: ...
    def purpose(
        self,
        purpose: Any = None,
        *more: Any,
        channel: str | None = None,
        activity: str | None = None,
        mode: Mode | None = None,
        conditions: Conditions = (),
    ) -> Block[Any]:
        """An activity: a decorator for functions of any kind, and a context manager that gives a `Use`.

        Inside, the purpose is ambient: access functions read only what it may use. Nested ones replace it and restore
        it on exit. The activity is named after its function unless `activity` names it. `mode="observe"` lets this one
        activity do what would be refused, recorded (to roll out in stages). `conditions` are those of the notice that
        hold for all data that is used in it, such as `{"adult"}`: what is not stated does not hold.

        Raises:
            UnknownPurpose, UnknownChannel, UnknownCondition: an id means nothing in the notice.
            TypeError: `conditions` is no set, list or tuple.
            ChannelViolation: the purpose is closed and no channel, or one that it does not admit, is stated (rule 7).
        """
        frame = sys._getframe(1)
        snapshot = self._engine.snapshot
        try:
            matrix = snapshot.matrix  # once: all is stated under one revision
            holding = matrix.resolve_conditions(conditions) if conditions else NO_CONDITIONS
            place = (id(frame.f_code), frame.f_lasti, purpose, channel, mode, holding)
            try:
                before = snapshot.stated[place]
                if before.name == activity and not more:
                    return Block(before)
            except (KeyError, TypeError):
                pass  # not stated here before, or not hashable
            stated = self._state_purpose(
                matrix, purpose, more, channel, mode=mode, name=activity, conditions=holding, frame=frame
            )
            if stated.fits and (type(purpose) is str or isinstance(purpose, TermMeta)):  # other forms are slow to hash
                snapshot.cache_stated(place, stated)
            if is_dropped(frame):
                warnings.warn(_NOWHERE, RuntimeWarning, stacklevel=2)
            return Block(stated)
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _state_purpose(
        self,
        matrix: PolicyTable,
        purpose: Any,
        more: tuple[Any, ...],
        channel: str | None,
        *,
        mode: Mode | None,
        **known: Any,
    ) -> StatedPurpose:
        """What is stated at this place of the code. Raises as `purpose` does."""
        if purpose is None or isinstance(purpose, (FunctionType, classmethod, staticmethod)):
            raise UnknownPurpose(purpose, "an activity says what it is for: `@guard.purpose(Purpose)`")
        if more:
            raise UnknownPurpose([purpose, *more], SEVERAL)
        return StatedPurpose(
            self._engine,
            self._register,
            matrix.resolve_purpose(purpose),
            matrix.resolve_channel(channel),
            observing=(self._mode if mode is None else _check_mode(mode)) == "observe",
            **known,
        )

    @overload
    def access(self, *sources: OneSource, withhold: bool = False, narrow: bool = False) -> Callable[[F], F]: ...
    @overload
    def access(self, fn: F, /) -> F: ...
    def access(self, *sources: Any, withhold: bool = False, narrow: bool = False) -> Any:
        """A data-access function: it runs only if the ambient purpose may use all its sources.

        Sources are those of the tags in its return annotation, unless the decorator names them. The check comes before
        the function runs (for a generator, before each step). With `withhold=True` the function runs under any purpose,
        and what it returns comes back without the fields that the purpose may not use.

        Rows whose class marks whose they are, or from when (`Subject`, `Collected`, `Ended`), are looked at one by one
        when they are there: one that may not be used is refused, withheld with `withhold=True`, or with `narrow=True`
        left out of the list, mapping or stream that it is in.

        Raises:
            UnlabelledData: no source is named nor tagged, so nothing could be checked; the annotation holds what may be
                a tag and is not understood; or a field says nothing, and the guard refuses that.
            UnknownSource: a source is not of this guard's notice.
            TypeError: what is decorated is no function, or is behind a cache that knows no purposes.
        """
        frame = sys._getframe(1)

        @hides_own_frames
        def decorate(fn: Any) -> Any:
            return decorate_function(fn, lambda inner: self._access(inner, named, withhold, narrow, frame))

        try:
            bare = len(sources) == 1 and not isinstance(sources[0], (TermMeta, str, Label)) and not (withhold or narrow)
            named = None if bare or not sources else self._engine.snapshot.matrix.resolve_label(sources)
            return decorate(sources[0]) if bare else decorate
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise

    def _access(self, fn: Function, named: Label | None, withhold: bool, narrow: bool, frame: FrameType) -> Function:
        local = frame.f_locals if frame.f_locals is not frame.f_globals else None
        reader = AccessFunction(fn, self._engine, named, withhold, local, narrow=narrow)
        wrapper = wrap_access_function(fn, reader)
        self._register.add_access(reader.access)
        return wrapper

    def check_recipient(
        self,
        sources: Sources,
        purpose: object,
        recipient: Recipient | str,
        *,
        means: str | None = None,
        subject: Whose = None,
        product: str | None = None,
        task: str | None = None,
        channel: str | None = None,
        conditions: Conditions = (),
    ) -> None:
        """Nothing where data from these sources (of this subject) may be handed to this recipient for this purpose.

        `recipient` is a `Recipient`, or the id of one on the register of governance. `means` is judged where it is
        stated here or of the recipient; `product` and `task` where the notice limits a country to some. Nothing is
        handed over, and nothing recorded: `entrust` does that.

        Raises:
            PurposeViolation: they may not serve the purpose at all, as `check`.
            RecipientViolation: the kind of recipient, its country, its safeguards or its supervision do not allow it.
            SubjectViolation: the subject asked for provision, or use, to stop.
            UnknownRecipient: no recipient of this id is on the register.
            UnknownTerm, UnlabelledData, StoreUnavailable, TypeError: as `allows`.
        """
        from purposeguard.runtime.handover import iter_denials, require_recipient, resolve_recipient  # noqa: PLC0415  # see above

        engine = self._engine
        require_recipient(engine, recipient)
        decision = self.explain(sources, purpose, channel, subject, conditions)
        if not decision:
            engine.refuse(decision)
        party = resolve_recipient(engine, recipient)
        row_contexts = () if subject is None else engine.resolve_row_contexts(subject)
        means = means or party.means
        for refusal in iter_denials(engine, decision, party, row_contexts, means=means, product=product, task=task):
            engine.refuse(refusal)

    def entrust(
        self,
        recipient: Recipient | str,
        *sources: OneSource,
        means: str | None = None,
        product: str | None = None,
        task: str | None = None,
    ) -> Callable[[F], F]:
        """A function that hands data to a recipient: a decorator for functions and coroutine functions.

        It runs only if the ambient purpose may use all that is handed over, the notice lets it go to this recipient,
        and no subject it is about stands against it; and once the hand-over is on record. Sources are those of the tags
        and seals in its parameters' annotations, unless the decorator names them. Subjects are read from the marked
        fields of rows among its arguments, also in lists, and from marked parameters, `Annotated[int, pg.Subject]`.

        `recipient` is a `Recipient`, or the id of one on the register of governance, looked up at each call. `means`
        says how the data travels; without it, the `means` of the recipient does.

        Raises:
            TypeError: nobody could record a hand-over; no means is stated; what is decorated is no function, or yields.
            UnlabelledData: no source is named nor tagged, so nothing could be checked.
            UnknownSource: a source is not of this guard's notice.
            ValueError: `means`, `product` or `task` is blank.
        """
        from purposeguard.runtime.declarations import EntrustmentDeclaration  # noqa: PLC0415  # see above
        from purposeguard.runtime.handover import EntrustDecorator  # noqa: PLC0415  # see above

        named = self._engine.snapshot.matrix.resolve_label(sources) if sources else None
        declared = EntrustmentDeclaration(Site("", "", 0), recipient, means, product, task, named)
        return EntrustDecorator(self._engine, self._register, declared, sys._getframe(1))

    def cached(self, *, maxsize: int = 128, ttl: float | None = None, typed: bool = False) -> Callable[[F], F]:
        """A cache above `@guard.access` that serves no purpose with what was read for another.

        Keyed by purpose, channel and label as well as by the arguments, which must be hashable; checks before it
        answers. Keeps `maxsize` answers, the least recently used one goes first, for `ttl` seconds where given. The
        wrapper has `cache_info()` and `cache_clear()`.

        Raises:
            TypeError: what is decorated is no access function of this guard.
            ValueError: `maxsize` or `ttl` is not above zero.
        """
        from purposeguard.runtime.cache import cache_function  # noqa: PLC0415  # see above

        @hides_own_frames
        def decorate(fn: F) -> F:
            return decorate_function(fn, lambda inner: cache_function(inner, self._engine, maxsize, ttl, typed))

        return decorate

    def cache_clear(self, fn: Callable[..., Any]) -> None:
        """Empties the cache of a function that `cached` keeps answers of; type checkers see no `fn.cache_clear`.

        Raises:
            TypeError: `fn` has no cache.
        """
        clear = getattr(fn, "cache_clear", None)
        if clear is None:
            raise TypeError(f"{Site.of(fn).dotted} has no cache: `@guard.cached(…)` gives it one")
        clear()

    @hides_own_frames
    def carry(self, fn: F) -> F:
        """`fn` bound to the purpose under way here, to run elsewhere: a thread, a greenlet, a task, a callback.

        Raises:
            PurposeMissing: no purpose is under way.
            TypeError: `fn` is not callable (a coroutine: carry the function that makes it).
        """
        if inspect.iscoroutine(fn):
            raise TypeError("carry the coroutine function before it is called: `guard.carry(fn)(…)`")
        return carry_purpose(fn, self._engine)

    @property
    def current(self) -> Use[Any]:
        """The use under way here; raises PurposeMissing where there is none, in any mode: there is none to go by."""
        use: Use[Any] = self._engine.ambient()
        absence = use._explain_absence()
        try:
            if absence is not None:
                self._engine.report_denial(
                    PurposeMissing(f"a use was asked for outside any purpose: {absence}"), observed=False
                )
        except (PurposeGuardError, TypeError) as error:
            hide_own_frames(error)
            raise
        return use

    @overload
    def use(self, purpose: type[P]) -> Use[P]: ...
    @overload
    def use(self, purpose: str | Family) -> Use[Any]: ...
    @overload
    def use(self, purpose: TypeForm[P]) -> Use[P]: ...
    def use(self, purpose: Any) -> Use[Any]:
        """The use under way here, which must be for this purpose, or for a family that it is of.

        As `current`, for the body of a decorated activity, and with its type. Of a family's use, asked for a member, it
        opens what that member may use. Where it is only observed that no such purpose is under way, it is a use for
        this one, which observes.

        Raises:
            UnknownPurpose: an id means nothing in the notice.
            PurposeMissing: no purpose is under way here, or another one.
        """
        engine = self._engine
        wanted = engine.snapshot.matrix.resolve_purpose(purpose)
        use = require_current_use(engine, "a use was asked for")
        if use is not None:
            held = use.purpose
            if held == wanted:
                return use
            if isinstance(held, Family) and not isinstance(wanted, Family) and wanted in held.members:
                return MemberUse(use, wanted)
            what = f"a use for {format_term(wanted)} was asked for, and what is under way is for {format_term(held)}"
            engine.report_denial(PurposeMissing(what), observed=use.activity.observing)
            return MemberUse(use, wanted)  # which ends with it
        frame = sys._getframe(1)
        site = Site(frame.f_globals.get("__name__", "?"), frame.f_code.co_qualname, frame.f_lineno)
        return ObservedUse(ActivityHandle(engine, Activity(site.dotted, wanted, None, True, site)))

    if not TYPE_CHECKING:  # pragma: no branch  # always so at run time
        vars().update({name: UseAttribute(name) for name in ("open", "open_all", "try_open", "withhold")})

    @property
    def activities(self) -> tuple[Activity, ...]:
        """The activities declared so far."""
        return self._register.activities

    @property
    def accesses(self) -> tuple[Access, ...]:
        """The access functions declared so far."""
        return self._register.accesses

    @property
    def tables(self) -> tuple[TaggedTable, ...]:
        """The tables that adapters hold to this guard's notice, each with its tagged columns."""
        return self._register.tables

    @property
    def entrustments(self) -> tuple[EntrustmentDeclaration, ...]:
        """The functions declared so far that hand data over."""
        return self._register.entrustments

    @property
    def reclassifications(self) -> tuple[Reclassification, ...]:
        """The reclassifications declared so far."""
        return self._register.reclassifications

    @property
    def transforms(self) -> tuple[Transform, ...]:
        """The functions registered so far that may see plain values."""
        return self._register.transforms

    def __repr__(self) -> str:
        return f"<Guard {self.mode} {self.notice!r}>"

    def _repr_html_(self) -> str:
        """What notebooks show: the activities registered so far."""
        from purposeguard.notice.notebook import render_table  # noqa: PLC0415  # as in the notice

        rows = [(one.name, format_term(one.purpose), one.channel or "") for one in self.activities]
        strict = ", strict" if self.strict else ""
        caption = f"Guard ({self.mode}{strict}) of {self.notice._dated}"
        return render_table(caption, ("activity", "purpose", "channel"), rows)


_NOWHERE: Final = (
    "this states a purpose that holds nowhere: write `with guard.purpose(…) as use:` above what it is for, or "
    "`@guard.purpose(…)` above a function"
)

LIVE_GUARDS: Final[weakref.WeakSet[Guard]] = weakref.WeakSet()
"""Every guard there is, for tests that watch what is decided. No decision reads it."""

GUARD_LISTENERS: Final[list[Callable[[Guard], None]]] = []
"""Told of each guard that is made; likewise."""


def load_guard(stated: object, setting: str) -> Guard:
    """The guard that a framework's setting holds, or that it names, as `shop.privacy.guard`.

    Raises:
        TypeError: it does neither.
        ImportError, AttributeError, ValueError: what it names is not there.
    """
    import pkgutil  # noqa: PLC0415  # few applications have such a setting

    found: object = pkgutil.resolve_name(stated) if isinstance(stated, str) else stated
    if not isinstance(found, Guard):
        raise TypeError(
            f"{setting} is a Guard, or where it is imported from, not {type(found).__name__}: "
            f'write `{setting} = "shop.privacy.guard"`'
        )
    return found


def _check_mode(mode: str) -> Mode:
    if mode in get_args(Mode):
        return cast("Mode", mode)
    raise ValueError(f"mode is `enforce` or `observe`, not {format_id(mode, get_args(Mode))}")


def resolve_notice(given: object, clock: Clock) -> tuple[Notice | NoticesInForce, History | None]:
    """The notice to decide by, and the revisions around it where they are given; or several, each with its own."""
    if isinstance(given, Notices):
        return NoticesInForce(
            tuple(_resolve_single_notice(member, clock) for member in given.members), given.families
        ), None
    return _resolve_single_notice(given, clock)


def _resolve_single_notice(given: object, clock: Clock) -> tuple[Notice, History | None]:
    if isinstance(given, Notice) and not isinstance(given, JointNotice):
        return given, None
    if not isinstance(given, History):
        raise TypeError(f"a guard needs a Notice, not {type(given).__name__}: `Notice.load(path)` reads one")
    present = given.on(clock.now())
    if present is None:
        first = given.notices[0].revision
        raise NoticeError([Fault("revision", f"none is in force yet: the first is of {first}")], "history")
    return present, given
