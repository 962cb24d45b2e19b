"""Hand-overs of data to recipients, which take place once they are allowed and recorded (clauses 4 to 6)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, Final, NamedTuple, Protocol, TypeVar, cast

from purposeguard.containers import drop_none, intersect
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.notice.label import Label
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, is_text, list_members, list_term_ids
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
from purposeguard.policy.violations import make_hand_over_violation
from purposeguard.runtime.current_use import report_if_observed, require_current_use
from purposeguard.runtime.declarations import EntrustmentDeclaration
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.observer import find_method
from purposeguard.runtime.protocols import Oversight
from purposeguard.runtime.registry import Register
from purposeguard.runtime.site import Site
from purposeguard.runtime.use import Use
from purposeguard.runtime.wrapping import Function, require_function, wrap_method
from purposeguard.values.callables import callable_kind
from purposeguard.values.parameters import read_parameter_shapes, unite_shape_labels
from purposeguard.values.type_schema import Shape
from purposeguard.values.walk import ArgumentScan

F = TypeVar("F", bound=Callable[..., Any])
NOT_PERSONAL: Final = Label(NotPersonal)


class RecipientRegister(Oversight, Protocol):
    """Governance that keeps a register of recipients."""

    def recipient(self, recipient_id: str, /) -> Recipient:
        """Return the current entry of a recipient.

        Args:
            recipient_id: The id of the recipient.

        Raises:
            UnknownRecipient: The register has no recipient with this id.
        """
        ...


class HandOverTerms(NamedTuple):
    """The recipient of a hand-over, and how the data is handed over.

    Attributes:
        recipient: The recipient.
        means: The way in which the data travels, if it is known.
        product: The product for which the data is handed over, if any.
        task: The task for which the data is handed over, if any.
    """

    recipient: Recipient
    means: str | None
    product: str | None = None
    task: str | None = None


class EntrustDecorator:
    """The result of `guard.entrust(…)`: a decorator for functions that hand data over."""

    __slots__ = ("_declared", "_engine", "_frame", "_register")

    def __init__(self, engine: Engine, register: Register, declared: EntrustmentDeclaration, frame: FrameType) -> None:
        """Check the arguments of the decorator.

        Args:
            engine: The engine of the guard.
            register: The inventory of the guard.
            declared: The arguments of the decorator.
            frame: The frame that applies the decorator.

        Raises:
            TypeError: Nothing records hand-overs, there is no register of recipients, or no means is stated.
            ValueError: `means`, `product` or `task` is blank.
        """
        require_recipient(engine, declared.recipient)
        for name in ("means", "product", "task"):
            text = getattr(declared, name)
            if text is not None and not is_text(text):
                raise ValueError(f"`{name}` is a text, and not blank")
        if isinstance(declared.recipient, Recipient) and not (declared.means or declared.recipient.means):
            raise TypeError("a hand-over says how the data travels: `means=…`, here or of the recipient (clause 6)")
        _collect_recorders(engine)  # Raises if there are none.
        self._engine = engine
        self._register = register
        self._declared = declared
        self._frame = frame

    def __call__(self, fn: F) -> F:
        """Wrap a function so that it runs once its hand-over is allowed and recorded.

        Raises:
            TypeError: `fn` is not a function, or it is a generator, which would hand data over in steps.
            UnlabelledData: Neither the decorator nor a parameter names a source.
        """
        method = wrap_method(fn, self._wrap_function)
        return cast("F", method if method is not None else self._wrap_function(fn))

    def _wrap_function(self, fn: Function) -> Function:
        require_function(fn)
        site = Site.of(fn)
        kind = callable_kind(fn)
        if kind not in ("plain", "coroutine"):
            raise TypeError(f"{site.dotted} yields, and a hand-over is one call: collect what is handed over in a list")
        local = self._frame.f_locals if self._frame.f_locals is not self._frame.f_globals else None
        hand = HandOverFunction(fn, self._engine, self._declared.with_site(site), local)
        self._register.add_entrustment(hand.declared)

        @functools.wraps(fn)
        def handing_over(*args: Any, **kwargs: Any) -> Any:
            refused = hand.check_call(args, kwargs)
            if refused is None:
                return fn(*args, **kwargs)
            del args, kwargs  # Keep the arguments out of the traceback.
            raise refused

        @functools.wraps(fn)
        async def handing_over_later(*args: Any, **kwargs: Any) -> Any:
            refused = hand.check_call(args, kwargs)
            if refused is None:
                return await fn(*args, **kwargs)
            del args, kwargs  # As above.
            raise refused

        wrapper: Any = handing_over if kind == "plain" else handing_over_later
        wrapper.__purposeguard_entrustment__ = hand  # Inventories read it.
        return cast("Function", wrapper)


class HandOverFunction:
    """A function that hands data over, with the checks before its body."""

    __slots__ = ("_engine", "_fn", "_shapes", "_signature", "declared")

    def __init__(
        self,
        fn: Function,
        engine: Engine,
        declared: EntrustmentDeclaration,
        localns: Mapping[str, Any] | None,
    ) -> None:
        """Inspect a function that is to be decorated.

        Args:
            fn: The function.
            engine: The engine of the guard.
            declared: The declaration of the function.
            localns: The local names around a function that is defined inside another function.
        """
        self._fn = fn
        self._engine = engine
        self._signature = inspect.signature(fn)
        self._shapes: dict[str, Shape] | None = None
        self.declared = declared
        try:
            self._resolve(localns)
        except NameError:
            declared.label = declared.named  # The first call resolves the names, which may be defined by then.

    def _resolve(self, localns: Mapping[str, Any] | None = None) -> dict[str, Shape]:
        declared = self.declared
        shapes = read_parameter_shapes(self._fn, localns, self._engine.silent)
        label = declared.named or unite_shape_labels(shapes)
        if label is NOT_PERSONAL:  # The decorator cannot declare annotated personal data as not personal.
            label = unite_shape_labels(shapes) or label
        if label is None:
            raise UnlabelledData(
                f"{declared.name}: neither its parameters' annotations nor the decorator names a source; annotate them "
                "with tagged models, or name the sources: `@guard.entrust(recipient, Source, …)`"
            )
        self._engine.snapshot.matrix.resolve_label(label)  # Raises if a source belongs to another notice.
        declared.label, self._shapes = label, shapes
        return shapes

    def resolve_shapes(self) -> dict[str, Shape]:
        """Return the shapes of the parameters, resolving their annotations if necessary.

        Raises:
            UnlabelledData: An annotation still cannot be resolved.
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
        """Check a call, and record its hand-over if it is allowed.

        Returns:
            None if the hand-over is recorded, or its error is only observed. Otherwise the error without a traceback,
            because the frames would contain the data.
        """
        try:
            self._authorize(args, kwargs)
        except PurposeGuardError as error:
            fields = (("", self.declared.label),) if self.declared.label is not None else ()
            if report_if_observed(self._engine, error, f"hand-over by {self.declared.name}", fields):
                return None
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        return None

    def _authorize(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        engine, declared = self._engine, self.declared
        shapes = self.resolve_shapes()
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        scan = ArgumentScan()
        for name, value in bound.arguments.items():
            scan.scan_argument(value, shapes[name], name)
        # The decorator's sources are decisive. Without them, those of the annotations and of the arguments count.
        reads_arguments = declared.named is None or declared.named is NOT_PERSONAL
        label = cast("Label", declared.label if reads_arguments else declared.named)
        if reads_arguments:
            label = Label.join(label, *scan.labels)
        engine.snapshot.matrix.resolve_label(label)
        row_contexts = scan.row_contexts
        use = require_current_use(engine, f"{declared.name} was called")
        recipient = resolve_recipient(engine, declared.recipient)
        terms = HandOverTerms(recipient, declared.means or recipient.means, declared.product, declared.task)
        if use is not None:
            self._check_recipient(use, label, terms, row_contexts)
        # Each notice has its own record, which cites its clauses.
        provisions: list[Provision] = []
        for table, own_label in engine.snapshot.matrix.split_label(label):
            provisions.append(self._make_provision(table, own_label, use, terms, row_contexts))
        for record in _collect_recorders(engine):
            for provision in provisions:
                record(provision)

    def _check_recipient(
        self, use: Use[Any], label: Label, terms: HandOverTerms, row_contexts: tuple[RowContext, ...]
    ) -> None:
        """Report all denials of a hand-over. Raise the first one, unless it is only observed."""
        engine, handle = self._engine, use.handle
        permissions = handle.get_permissions()  # Read once, so that one revision decides everything.
        purpose_denial = handle.decide_and_report(label, row_contexts, permissions, used=True)
        if purpose_denial is not None:
            self._refuse(purpose_denial, use, f"it was to be handed to {terms.recipient.id}")
        decision = Decision(engine.snapshot.decide(label, use.purpose, use.channel, conditions=use.conditions))
        other_denials = list(iter_denials(engine, decision, terms, row_contexts, requires_means=True))
        for denial in other_denials:
            self._refuse(denial, use)
        if purpose_denial is None and not other_denials:  # Refused data is not used, even if that is only observed.
            handle.count_use(label, row_contexts, permissions, 1)

    def _refuse(self, denial: Decision, use: Use[Any], advice: str | None = None) -> None:
        violation = make_hand_over_violation(denial, use.activity.name, self.declared.name, advice)
        self._engine.report_violation(violation, use.activity)

    def _make_provision(
        self,
        table: PolicyTable,
        label: Label,
        use: Use[Any] | None,
        terms: HandOverTerms,
        row_contexts: Iterable[RowContext],
    ) -> Provision:
        """Build the record of a hand-over of data that belongs to one notice."""
        document = table.notice.document
        recipient = terms.recipient
        purpose = None if use is None else use.activity.purpose
        ways = document.safeguards.means if document.safeguards is not None else ()
        subjects = dict.fromkeys(row_context.subject for row_context in row_contexts)  # In order, without duplicates.
        return Provision(
            recipient=recipient.id,
            kind=canonicalize_id(document.recipients, recipient.kind),
            country=recipient.country,
            clauses=tuple(table.prefix + clause for clause in list_clauses(document, recipient)),
            sources=tuple(map(table.record_id, label)),
            purpose=None if purpose is None else self._engine.purpose_record_id(purpose),
            revision=table.notice.revision,
            activity=use.activity.name if use is not None else None,
            means=canonicalize_id(ways, terms.means or "not stated"),
            subjects=tuple(drop_none(subjects)),
            at=self._engine.clock.now(),
            name=recipient.name,
            product=terms.product,
            task=terms.task,
        )


def iter_denials(
    engine: Engine,
    decision: Decision,
    terms: HandOverTerms,
    row_contexts: Iterable[RowContext],
    *,
    requires_means: bool = False,
) -> Iterator[Decision]:
    """Yield the denials of a hand-over, other than those of its purpose.

    Args:
        engine: The engine of the guard.
        decision: The decision on the purpose.
        terms: The recipient, and how the data is handed over.
        row_contexts: The subjects and dates of the data.
        requires_means: True if the means must be known.

    Yields:
        The denials of the recipient by each notice, and last one if a subject stopped the provision of the data. The
        last one cites the clause of the first notice of the data, because a request to stop names no notice.
    """
    matrix = engine.snapshot.matrix
    for table, label in matrix.split_label(decision.label):
        reasons = _find_objections(engine, decision.purpose, terms, table, label)
        if requires_means and terms.means is None:
            reasons += ("it is not said by which means the data travels: `means=…`, here or of the recipient",)
        if reasons:
            if table.prefix:  # The guard enforces several notices.
                reasons = tuple(f"{table.notice.id}: {reason}" for reason in reasons)
            yield make_refusal(table.notice.document, decision, terms.recipient, reasons, matrix.record_id)
    all_preferences = engine.collect_preferences(row_contexts).values()
    if any(preferences is not None and preferences.provision_stopped for preferences in all_preferences):
        table, _ = matrix.split_label(decision.label)[0]
        rights = table.notice.document.rights
        clause = rights.clause if rights is not None else "7"
        source_ids = ", ".join(map(matrix.record_id, decision.label))
        yield override_decision(
            decision,
            DenialReason.SUBJECT,
            f"{format_term(decision.purpose, matrix.record_id)} may not hand {source_ids} of this subject "
            f"to {terms.recipient.id}",
            (f"the subject asked for the provision of the data to others to stop (clause {clause})",),
        )


def _find_objections(
    engine: Engine, purpose: type[Purpose] | Family, terms: HandOverTerms, table: PolicyTable, label: Label
) -> tuple[str, ...]:
    """Find the objections of one notice. Each notice that the data belongs to must permit the hand-over.

    Args:
        engine: The engine of the guard.
        purpose: The purpose, or family, that the data is to serve.
        terms: The recipient, and how the data is handed over.
        table: The compiled notice.
        label: The label of the data that belongs to this notice.
    """
    document = table.notice.document
    members = list_members(purpose)
    own_members = intersect(members, table.notice.purposes)
    # Data that is not personal is checked against every notice, even if a notice does not define the purpose.
    purposes = tuple(list_term_ids(own_members)) or tuple(map(engine.snapshot.matrix.record_id, members))
    for moment in engine.clock.span():  # A safeguard must be valid at both moments if the time is uncertain.
        objections = list_objections(
            document,
            terms.recipient,
            sources=tuple(table.current_source(source).clause for source in label),
            purposes=purposes,
            means=terms.means,
            product=terms.product,
            task=terms.task,
            today=to_local_day(document.timezone, moment),
        )
        if objections:
            return objections
    return ()


def require_recipient(engine: Engine, recipient: object) -> None:
    """Raise TypeError unless `recipient` is a recipient, or an id and there is a register to look it up."""
    if isinstance(recipient, Recipient):
        return
    if not isinstance(recipient, str):
        raise TypeError(
            f"a recipient is a `Recipient(…)`, or the id of a registered one, not {type(recipient).__name__}"
        )
    if not hasattr(engine.oversight, "recipient"):
        raise TypeError(
            "there is no register to look a recipient up in: give a `Recipient(…)`, or the guard governance"
        )


def resolve_recipient(engine: Engine, recipient: Recipient | str) -> Recipient:
    """Return a recipient unchanged, or look up an id in the register.

    Raises:
        UnknownRecipient: The register has no recipient with this id.
        StoreUnavailable: The register cannot answer.
    """
    if isinstance(recipient, Recipient):
        return recipient
    return cast("RecipientRegister", engine.oversight).recipient(recipient)


def _collect_recorders(engine: Engine) -> tuple[Callable[[Provision], None], ...]:
    """Return the methods of governance and the observers that record a hand-over.

    Governance informs its own ledger, which is therefore skipped.

    Raises:
        TypeError: There is neither governance nor a ledger that records hand-overs.
    """
    oversight, ledger = engine.oversight, engine.ledger
    if oversight is None:
        if find_method(ledger, "provided") is None:
            raise TypeError(
                "a hand-over is on record before it takes place, and nobody here could record it: give the guard a "
                "`governance=`, or a ledger that has `provided`"
            )
        return engine.observers.get_methods("provided")
    return (oversight.provided, *engine.observers.get_methods("provided", but=oversight.ledger))
