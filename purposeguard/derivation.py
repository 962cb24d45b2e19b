"""Which source a combination has that the notice declares to have one of its own (rule 6)."""

from __future__ import annotations

from collections.abc import Callable

from purposeguard.errors import Told, UnknownOperation
from purposeguard.label import Label
from purposeguard.notice import Notice
from purposeguard.terms import Source


def derived_label(
    notice: Notice,
    operation: str,
    left: Label,
    right: Label,
    current: Callable[[type[Source]], type[Source]] = lambda source: source,
) -> Label:
    """The label of two values joined by an operation; `current` gives the notice's own class for one of a label.

    Raises:
        UnknownOperation: the notice declares no such operation between the two.
    """

    def all_under(label: Label, heads: tuple[type[Source], ...]) -> bool:
        # An item is a subclass of its parent, and of no other source.
        return all(issubclass(current(source), heads) for source in label.sources)

    for row in notice.document.derivation:
        from_, with_ = (tuple(map(notice.source, ids)) for ids in (row.from_, row.with_))
        if row.operation == operation and (
            (all_under(left, from_) and all_under(right, with_)) or (all_under(right, from_) and all_under(left, with_))
        ):
            return Label(notice.source(row.id))
    sides = " and ".join(", ".join(source.clause for source in label) for label in (left, right))
    known = "; ".join(
        f"`{row.operation}` of {', '.join(row.from_)} with {', '.join(row.with_)}" for row in notice.document.derivation
    )
    why = f"the notice derives nothing from {sides} by this; it declares {known or 'no derivation'}"
    declared = {row.operation for row in notice.document.derivation}
    raise UnknownOperation(Told(operation) if operation in declared else operation, why)
