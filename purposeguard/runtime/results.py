"""Results: what a use gives out of a value that was read: without what it may not use, and only rows that it may."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from purposeguard.errors import PurposeGuardError
from purposeguard.notice.label import Label
from purposeguard.policy.context import Context
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import RowContext
from purposeguard.runtime.authorisation import Authorisation
from purposeguard.runtime.registry import Access
from purposeguard.runtime.snapshot import Permissions
from purposeguard.values.row_filter import Narrower
from purposeguard.values.streams import Steps, stepwise
from purposeguard.values.type_schema import Shape
from purposeguard.values.withheld import Withheld
from purposeguard.values.withholding import Stream, Withholder

_Where = tuple[str, tuple[RowContext, ...]]
"""The path of a part of a value, and those that it is about unless it says so itself."""


def without(
    use: Authorisation,
    value: Any,
    shape: Shape,
    access: Access | None,
    *,
    met: list[Any] | None = None,
    again: Callable[[], Authorisation | None],
    path: str = "",
    row_contexts: tuple[RowContext, ...] = (),
) -> Any:
    """`value` of this shape without what may not be used here.

    `again` gives the use that decides each step of an iterator. The value is at this path in a row of these contexts.
    """
    engine, activity = use._engine, use.activity
    permissions = use._permissions  # once: all of the value is decided by one revision
    function = access.name if access is not None else None

    def denies(label: Label, row_contexts: tuple[RowContext, ...], path: str) -> Decision | None:
        field = path.removeprefix("[].") or None
        decision = use._judged(label, row_contexts, permissions, used=True, access=access, field=field)
        if activity.observing:
            _let_pass(use, decision, label, row_contexts, access=access, permissions=permissions)
            return None
        return decision

    def denies_seal(label: Label, row_contexts: tuple[RowContext, ...], path: str) -> Decision | None:
        # Nothing is opened, so nothing is counted, nor recorded where it is only observed.
        if activity.observing:
            return None
        field = path.removeprefix("[].")
        return use._judged(label, row_contexts, permissions, used=False, access=access, field=field)

    def used(label: Label, row_contexts: tuple[RowContext, ...], times: int) -> None:
        use._used(label, row_contexts, permissions, times)

    def refuse(decision: Decision, field: str | None) -> None:
        engine.refuse(decision, use, access, field)

    def record(decisions: Mapping[str, Decision]) -> Withheld:
        return Withheld(decisions, activity.name, function, lambda violation: engine.tell(violation, activity))

    def given(part: Any, shape: Shape, use: Authorisation, where: _Where, _item: bool) -> Any:
        return without(use, part, shape, access, met=met, again=again, path=where[0], row_contexts=where[1])

    key = (activity.name, function, activity.purpose, activity.channel, permissions)
    try:
        withholder = Withholder(
            denies=denies,
            denies_seal=denies_seal,
            refuse=refuse,
            record=record,
            key=key,
            classes=engine.classes,
            met=[] if met is None else met,
            stream=_stream(again, given),
            row_contexts=row_contexts,
            used=used if engine.counting and not activity.observing else None,
            is_told=activity.observing or engine.observers.want_each,
            ask_ahead=engine.ask_ahead,
            observing=activity.observing,
        )
        return withholder.apply(value, shape, path)
    except PurposeGuardError as error:
        refusal = error
    # Reporters that show the locals of a traceback's frames must not find the value there.
    value = None
    raise refusal.with_traceback(None)


def _let_pass(
    use: Authorisation,
    decision: Decision | None,
    label: Label,
    row_contexts: tuple[RowContext, ...],
    *,
    access: Access | None,
    permissions: Permissions,
) -> None:
    """Counts what is used, or reports a denial that is only observed: the value stays."""
    if decision is not None:
        use._engine.refuse(decision, use, access)
    else:
        use._used(label, row_contexts, permissions, 1)


def with_steps(use: Authorisation, value: Any, shape: Shape, again: Callable[[], Authorisation | None]) -> Any:
    """`value`, all of which may be used, with iterators in it that ask `again` at each step."""

    def given(part: Any, shape: Shape, use: Authorisation, _where: _Where, _item: bool) -> Any:
        return with_steps(use, part, shape, again)

    return Withholder(
        denies=_nothing,
        denies_seal=_nothing,
        refuse=_nothing,
        record=lambda decisions: Withheld(decisions, None, None, None),
        key=(),
        classes=use._engine.classes,
        met=[],
        stream=_stream(again, given),
    ).apply(value, shape)


def narrowed(
    use: Authorisation,
    value: Any,
    shape: Shape,
    access: Access,
    *,
    one: bool,
    again: Callable[[], Authorisation | None],
    path: str = "",
    around: tuple[RowContext, ...] = (),
) -> Any:
    """`value`, once each row in it may be used for what its marked fields say.

    With `access.narrow` the others are left out. What is withheld from rows alone is not asked for here. `one`: a
    generator yields it, and it may be left out itself. `again`, `path`: as `without`; `around` are the contexts of the
    row that the value is in.
    """
    engine, activity, permissions = use._engine, use.activity, use._permissions

    def decide(label: Label, row_contexts: tuple[RowContext, ...], unasked: bool) -> Decision | None:
        decision = use._judged(label, row_contexts, permissions, used=True, access=access)
        if decision is None:
            use._seen(label, row_contexts)
            return None
        return decision if refuses_row(decision, unasked) else None

    def refuses_row(decision: Decision, unasked: bool) -> bool:
        # What is to be withheld is no reason to refuse the row.
        return (unasked and not access.withhold) or use._refuses_row(decision)

    def denials(subjects: list[str], asked: list[tuple[Label, bool]]) -> list[Decision | None] | None:
        return _denials(use, subjects, asked, permissions, refuses_row)

    def refuse(decision: Decision, field: str | None) -> None:
        engine.refuse(decision, use, access, field)

    def given(part: Any, shape: Shape, use: Authorisation, where: _Where, item: bool) -> Any:
        return narrowed(use, part, shape, access, one=item, again=again, path=where[0], around=where[1])

    narrower = Narrower(
        decide,
        refuse,
        leave_out=access.narrow and not activity.observing,
        named=access.named,
        stream=_stream(again, given),
        named_only=access.withhold and not access.narrow,
        denials=None if use._records_each or engine.observers.want_each else denials,
        ask_ahead=engine.ask_ahead,
        observing=activity.observing,
    )
    try:
        return (narrower.item if one else narrower.apply)(value, shape, path, around)
    except PurposeGuardError as error:
        refusal = error
    value = None  # from the traceback
    raise refusal.with_traceback(None)


def _denials(
    use: Authorisation,
    subjects: list[str],
    asked: list[tuple[Label, bool]],
    permissions: Permissions,
    refuses: Callable[[Decision, bool], bool],
) -> list[Decision | None] | None:
    """The first denial for each subject that refuses its row; None where none does. Alike subjects share theirs."""
    preferences = use._engine.preferences_of_each(subjects)
    denied: dict[int, Decision] = {}
    numbers = list(map(id, preferences))
    for number, present in dict(zip(numbers, preferences, strict=True)).items():
        context = Context(present)
        for label, unasked in asked:
            if permissions.known_to_allow(label, context):
                continue
            verdict = permissions.decide(label, context)
            decision = None if verdict.allowed else Decision(verdict)
            if decision is not None and refuses(decision, unasked):
                denied[number] = decision
                break
    return list(map(denied.get, numbers)) if denied else None


def _stream(
    again: Callable[[], Authorisation | None],
    given: Callable[[Any, Shape, Authorisation, _Where, bool], Any],
) -> Stream:
    """Wraps iterators in a value. At each step `again` gives the use, and `given` what the use lets out of an item."""

    def stream(value: Any, shape: Shape, path: str, row_contexts: tuple[RowContext, ...]) -> Any:
        items = shape.gives or shape  # where it was not announced, an item may be all that the value would be
        whole = shape | items

        def item(part: Any, use: Authorisation | None) -> Any:
            return part if use is None else given(part, items, use, (f"{path}[]", row_contexts), True)

        def other(part: Any, use: Authorisation | None) -> Any:
            return part if use is None else given(part, whole, use, (path, row_contexts), False)

        return stepwise(value, Steps(again, item, other))

    return stream


def _nothing(*_asked: object) -> None:
    """Nothing is denied, so nothing is refused."""
