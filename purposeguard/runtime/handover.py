"""Entrustment: data handed to a recipient, once the notice lets it, and once it is on record (clauses 4 to 6)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, Final, Protocol, TypeVar, cast

from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.vocabulary import Family, NotPersonal, is_text
from purposeguard.policy.context import DenialReason
from purposeguard.policy.explanation import Decision, format_term, override_decision
from purposeguard.policy.row_context import RowContext
from purposeguard.policy.table import PolicyTable
from purposeguard.policy.transfers import (
    Provision,
    Recipient,
    canonicalize_id,
    list_clauses,
    list_objections,
    make_refusal,
)
from purposeguard.policy.violations import violation_class
from purposeguard.runtime.declarations import EntrustmentDeclaration
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.observer import find_method
from purposeguard.runtime.protocols import Oversight
from purposeguard.runtime.registry import Register
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import Use, require_current_use
from purposeguard.runtime.wrapping import Function, require_function, wrap_method
from purposeguard.values.callables import callable_kind
from purposeguard.values.type_schema import Shape, read_parameter_shapes, unite_shape_labels
from purposeguard.values.walk import ArgumentScan

F = TypeVar("F", bound=Callable[..., Any])
NOT_PERSONAL: Final = Label(NotPersonal)


class RecipientRegister(Oversight, Protocol):
    """Governance that keeps a register of recipients."""

    def recipient(self, given: str, /) -> Recipient:
        """What holds of a recipient now; raises UnknownRecipient."""
        ...


class EntrustDecorator:
    """What `guard.entrust(…)` gives: a decorator for functions that hand data over."""

    __slots__ = ("_declared", "_engine", "_frame", "_record", "_register")

    def __init__(self, engine: Engine, register: Register, declared: EntrustmentDeclaration, frame: FrameType) -> None:
        """`declared` is what is stated at the decorator.

        Raises:
            TypeError: nobody can record hand-overs, or keeps the recipient that is named; no means is stated.
            ValueError: `means`, `product` or `task` is blank.
        """
        require_recipient(engine, declared.recipient)
        for name in ("means", "product", "task"):
            given = getattr(declared, name)
            if given is not None and not is_text(given):
                raise ValueError(f"`{name}` is a text, and not blank")
        if isinstance(declared.recipient, Recipient) and not (declared.means or declared.recipient.means):
            raise TypeError("a hand-over says how the data travels: `means=…`, here or of the recipient (clause 6)")
        self._record = _collect_recorders(engine)
        if not self._record:
            raise TypeError(
                "a hand-over is on record before it takes place, and nobody here could record it: give the guard a "
                "`governance=`, or a ledger that has `provided`"
            )
        self._engine = engine
        self._register = register
        self._declared = declared
        self._frame = frame

    def __call__(self, fn: F) -> F:
        """Return `fn`, which runs once its hand-over is allowed and on record.

        Raises:
            TypeError: `fn` is no function, or a generator, which would hand over a step at a time.
            UnlabelledData: neither the decorator nor a parameter names a source.
        """
        inside = wrap_method(fn, self._wrap_function)
        return cast("F", inside if inside is not None else self._wrap_function(fn))

    def _wrap_function(self, fn: Function) -> Function:
        require_function(fn)
        site = Site.of(fn)
        kind = callable_kind(fn)
        if kind not in ("plain", "coroutine"):
            raise TypeError(f"{site.dotted} yields, and a hand-over is one call: collect what is handed over in a list")
        local = self._frame.f_locals if self._frame.f_locals is not self._frame.f_globals else None
        hand = HandOverFunction(fn, self._engine, self._declared.with_site(site), self._record, local)
        self._register.add_entrustment(hand.declared)

        @functools.wraps(fn)
        def handing_over(*args: Any, **kwargs: Any) -> Any:
            refused = hand.check_call(args, kwargs)
            if refused is None:
                return fn(*args, **kwargs)
            del args, kwargs  # from the traceback
            raise refused

        @functools.wraps(fn)
        async def handing_over_later(*args: Any, **kwargs: Any) -> Any:
            refused = hand.check_call(args, kwargs)
            if refused is None:
                return await fn(*args, **kwargs)
            del args, kwargs
            raise refused

        wrapper: Any = handing_over if kind == "plain" else handing_over_later
        wrapper.__purposeguard_entrustment__ = hand  # for inventories
        return cast("Function", wrapper)


class HandOverFunction:
    """One function that hands data over, and what comes before its body."""

    __slots__ = ("_engine", "_fn", "_record", "_shapes", "_signature", "declared")

    def __init__(
        self,
        fn: Function,
        engine: Engine,
        declared: EntrustmentDeclaration,
        record: Iterable[Callable[[Provision], None]],
        localns: Mapping[str, Any] | None,
    ) -> None:
        """`localns` are the names around a function that is defined inside another."""
        self._fn = fn
        self._engine = engine
        self._record = tuple(record)
        self._signature = inspect.signature(fn)
        self._shapes: dict[str, Shape] | None = None
        self.declared = declared
        try:
            self._resolve(localns)
        except NameError:
            declared.label = declared.named  # asked again at the first call, when the names may be defined

    def _resolve(self, localns: Mapping[str, Any] | None = None) -> dict[str, Shape]:
        declared = self.declared
        shapes = read_parameter_shapes(self._fn, localns)
        label = declared.named or unite_shape_labels(shapes)
        if label is NOT_PERSONAL:  # it adds nothing to what the annotations say: personal data is not named away
            label = unite_shape_labels(shapes) or label
        if label is None:
            raise UnlabelledData(
                f"{declared.name}: neither its parameters' annotations nor the decorator names a source; annotate them "
                "with tagged models, or name the sources: `@guard.entrust(recipient, Source, …)`"
            )
        self._engine.snapshot.matrix.resolve_label(label)  # sources of another notice are refused here
        declared.label, self._shapes = label, shapes
        return shapes

    def resolve_shapes(self) -> dict[str, Shape]:
        """What the parameters' annotations say, resolved by now.

        Raises:
            UnlabelledData: one still is not resolved.
        """
        if self._shapes is not None:
            return self._shapes
        try:
            return self._resolve()
        except NameError as error:
            raise UnlabelledData(
                f"{self.declared.name}: an annotation names `{error.name}`, which is not defined when it runs, so it "
                "is unknown what it is given: import it where type checkers are not alone"
            ) from error

    def check_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> PurposeGuardError | None:
        """Why the function may not be called; None once the hand-over is on record.

        What is given back has no frames: those would show what was to be handed over.
        """
        try:
            self._authorize(args, kwargs)
        except PurposeGuardError as error:
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        return None

    def _authorize(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        engine, declared = self._engine, self.declared
        shapes = self.resolve_shapes()
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found = ArgumentScan()
        for name, value in bound.arguments.items():
            found.scan_argument(value, shapes[name], name)
        # What the decorator names is what is handed over; else what is announced, and what is met beyond it.
        whole = declared.named is None or declared.named is NOT_PERSONAL
        label = Label.join(cast("Label", declared.label), *found.labels) if whole else cast("Label", declared.named)
        engine.snapshot.matrix.resolve_label(label)
        row_contexts = found.row_contexts
        use = require_current_use(engine, f"{declared.name} was called")
        recipient = resolve_recipient(engine, declared.recipient)
        means = declared.means or recipient.means
        if use is not None:
            self._check_recipient(use, label, recipient, means, row_contexts)
        provisions = [
            self._make_provision((table, of), use, recipient, means, row_contexts)
            for table, of in engine.snapshot.matrix.split_label(label)
        ]
        for record in self._record:
            for provision in provisions:  # one of each notice, by whose clauses it goes
                record(provision)

    def _check_recipient(
        self, use: Use[Any], label: Label, recipient: Recipient, means: str | None, row_contexts: tuple[RowContext, ...]
    ) -> None:
        """Tell all that stands against the hand-over; raise the first of it, unless it is only observed."""
        engine, declared = self._engine, self.declared
        permissions = use._permissions  # once: all is decided by one revision
        purpose = use._decide_and_report(label, row_contexts, permissions, used=True)
        if purpose is not None:
            self._refuse(purpose, use, f"it was to be handed to {recipient.id}")
        others = list(
            iter_denials(
                engine,
                Decision(engine.snapshot.decide(label, use.purpose, use.channel, conditions=use.conditions)),
                recipient,
                row_contexts,
                means=means,
                product=declared.product,
                task=declared.task,
                stated=True,
            )
        )
        for decision in others:
            self._refuse(decision, use)
        if purpose is None and not others:
            use._count_use(label, row_contexts, permissions, 1)  # what was refused was not used

    def _refuse(self, decision: Decision, use: Use[Any], advice: str | None = None) -> None:
        violation = violation_class(decision)(decision, use.activity.name, self.declared.name, None, advice)
        violation._done = "handed over"
        self._engine.report_violation(violation, use.activity)

    def _make_provision(
        self,
        data: tuple[PolicyTable, Label],
        use: Use[Any] | None,
        recipient: Recipient,
        means: str | None,
        row_contexts: Iterable[RowContext],
    ) -> Provision:
        """What goes on record: of data of one notice, by the clauses of that."""
        table, label = data
        document = table.notice.document
        purpose = None if use is None else use.activity.purpose
        ways = document.safeguards.means if document.safeguards is not None else ()
        return Provision(
            recipient=recipient.id,
            kind=canonicalize_id(document.recipients, recipient.kind),
            country=recipient.country,
            clauses=tuple(table.prefix + clause for clause in list_clauses(document, recipient)),
            sources=tuple(map(table.record_id, label)),
            purpose=None if purpose is None else self._engine.purpose_record_id(purpose),
            revision=table.notice.revision,
            activity=use.activity.name if use is not None else None,
            means=canonicalize_id(ways, means or "not stated"),
            subjects=tuple(
                dict.fromkeys(row_context.subject for row_context in row_contexts if row_context.subject is not None)
            ),
            at=self._engine.clock.now(),
            name=recipient.name,
            product=self.declared.product,
            task=self.declared.task,
        )


def iter_denials(
    engine: Engine,
    asked: Decision,
    recipient: Recipient,
    row_contexts: Iterable[RowContext],
    *,
    means: str | None,
    product: str | None,
    task: str | None,
    stated: bool = False,
) -> Iterator[Decision]:
    """What stands against a hand-over beside its purpose: the recipient, and subjects who stopped provision.

    `stated`: the means must be said.
    """
    matrix = engine.snapshot.matrix
    for table, label in matrix.split_label(asked.label):
        yield from _iter_denials_of_notice(
            engine, (table, label), asked, recipient, means=means, product=product, task=task, stated=stated
        )
    asked_for = engine.collect_preferences(row_contexts).values()
    if any(preferences is not None and preferences.provision_stopped for preferences in asked_for):
        rights = matrix.split_label(asked.label)[0][0].notice.document.rights
        clause = rights.clause if rights is not None else "7"
        what = ", ".join(map(matrix.record_id, asked.label))
        yield override_decision(
            asked,
            DenialReason.SUBJECT,
            f"{format_term(asked.purpose, matrix.record_id)} may not hand {what} of this subject to {recipient.id}",
            (f"the subject asked for the provision of the data to others to stop (clause {clause})",),
        )


def _iter_denials_of_notice(
    engine: Engine,
    data: tuple[PolicyTable, Label],
    asked: Decision,
    recipient: Recipient,
    *,
    means: str | None,
    product: str | None,
    task: str | None,
    stated: bool,
) -> Iterator[Decision]:
    """What one notice has against a recipient: of several, each that the data is of must let it go there."""
    table, label = data
    document = table.notice.document
    sources = tuple(table.current_source(source).clause for source in label)
    members = asked.purpose.members if isinstance(asked.purpose, Family) else (asked.purpose,)
    own = [member for member in members if member in table.notice.purposes]
    # Data of nobody is asked of every notice, also of one that has no part in the purpose: ids that it does not know.
    purposes = tuple(member.clause for member in own) or tuple(map(engine.snapshot.matrix.record_id, members))
    reasons: tuple[str, ...] = ()
    for moment in engine.clock.span():  # whichever of the two it is, a safeguard holds on it
        today = to_local_day(document.timezone, moment)
        reasons = reasons or list_objections(
            document,
            recipient,
            sources=sources,
            purposes=purposes,
            means=means,
            product=product,
            task=task,
            today=today,
        )
    if stated and means is None:
        reasons += ("it is not said by which means the data travels: `means=…`, here or of the recipient",)
    if reasons:
        if table.prefix:  # of several notices
            reasons = tuple(f"{table.notice.id}: {reason}" for reason in reasons)
        yield make_refusal(document, asked, recipient, reasons, engine.snapshot.matrix.record_id)


def require_recipient(engine: Engine, given: object) -> None:
    """Raise TypeError where something is no recipient, nor the id of one on a register that can be asked."""
    if isinstance(given, Recipient):
        return
    if not isinstance(given, str):
        raise TypeError(f"a recipient is a `Recipient(…)`, or the id of a registered one, not {type(given).__name__}")
    if not hasattr(engine.oversight, "recipient"):
        raise TypeError(
            "there is no register to look a recipient up in: give a `Recipient(…)`, or the guard governance"
        )


def resolve_recipient(engine: Engine, given: Recipient | str) -> Recipient:
    """Return the recipient that is meant, as it is now.

    Raises:
        UnknownRecipient: none of this id is on the register.
        StoreUnavailable: the register cannot be asked.
    """
    return given if isinstance(given, Recipient) else cast("RecipientRegister", engine.oversight).recipient(given)


def _collect_recorders(engine: Engine) -> tuple[Callable[[Provision], None], ...]:
    """Return the methods that record a hand-over: of governance, which tells its own ledger, and of observers.

    None if there is neither governance nor a ledger that records hand-overs.
    """
    oversight, ledger = engine.oversight, engine.ledger
    if oversight is None:
        return engine.observers.get_methods("provided") if find_method(ledger, "provided") else ()
    return (oversight.provided, *engine.observers.get_methods("provided", but=oversight.ledger))
