"""Sealed values joined by an operation that the notice declares: what generated `link_…` functions do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from purposeguard.derivation import derived_label
from purposeguard.label import Label
from purposeguard.notice import Notice
from purposeguard.personal import Personal, must_be_sealed
from purposeguard.sealing import joined, seal
from purposeguard.terms import NotPersonal


def derive(notice: Notice, operation: str, one: Personal[Any, Any], other: Personal[Any, Any]) -> Personal[Any, Any]:
    """Both values as a tuple, sealed under the source that the notice gives their combination (rule 6).

    A generated module has a typed function for each derivation, `link_usage(cookie, personal)`; this is what they call.

    Raises:
        UnknownOperation: the notice declares no such operation between the two.
        UnknownSource: a source is of another notice.
        TypeError: one of them is not sealed.
    """

    def label_of(left: Label, right: Label) -> Label:
        for source in (*left.sources, *right.sources):
            if source is not NotPersonal:
                notice.source(source)  # raises: a class made by hand may be a subclass of a source
        return derived_label(notice, operation, left, right)

    return combined(label_of, one, other)


def combined(
    label_of: Callable[[Label, Label], Label], one: Personal[Any, Any], other: Personal[Any, Any]
) -> Personal[Any, Any]:
    """Both values as a tuple, under the label that their labels give together."""
    for value in (one, other):
        must_be_sealed(value, "a derivation")
    sealed: Personal[Any, Any] = seal(Personal, joined((one, other)), label_of(one.label, other.label))
    return sealed
