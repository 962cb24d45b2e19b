"""The legal bases that a notice states for its purposes."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal, get_args

from purposeguard.notice.fields import Basis
from purposeguard.notice.schema import BasisRow, Document, Grant, PurposeRow

ALONE: Final = MappingProxyType({basis: (BasisRow.model_construct(basis=basis),) for basis in (*get_args(Basis), None)})
"""A basis that a notice states by `basis`, or none, as the one row that it comes down to."""

SEVERAL_BASES: Final = "several"
"""Stands in `summarize_bases` for a purpose whose basis is not the same for all data."""


def find_basis_owner(grant: Grant, purpose: PurposeRow) -> Grant | PurposeRow:
    """Return the row that states the bases of a purpose: its own, or else that of its grant."""
    return purpose if purpose.bases or purpose.basis is not None else grant


def resolve_basis_rows(grant: Grant, purpose: PurposeRow) -> tuple[BasisRow, ...]:
    """Return the bases of a purpose: its own, or else those of its grant.

    If the notice states none, the result is one row without a basis.
    """
    owner = find_basis_owner(grant, purpose)
    return owner.bases or ALONE[owner.basis]


def collect_bases(document: Document) -> dict[str, tuple[BasisRow, ...]]:
    """Return the bases of each purpose, by its id. One of them that applies is enough."""
    return {purpose.id: resolve_basis_rows(grant, purpose) for grant, purpose in document.iter_grants()}


def summarize_bases(document: Document) -> dict[str, Basis | Literal["several"] | None]:
    """Return the basis of each purpose, by its id.

    SEVERAL_BASES stands for a purpose whose basis is not the same for all data; None for one whose basis is not stated.
    """
    basis_of: dict[str, Basis | Literal["several"] | None] = {}
    for purpose, rows in collect_bases(document).items():
        basis = rows[0].basis
        basis_of[purpose] = basis if rows == ALONE[basis] else SEVERAL_BASES
    return basis_of


def describe_bases(rows: tuple[BasisRow, ...]) -> str:
    """Return the bases of a purpose on one line; an empty text if the notice states none."""
    return " or ".join(map(describe_basis, rows)) if rows != ALONE[None] else ""


def describe_basis(row: BasisRow) -> str:
    """Describe one basis with its limits, e.g. `legitimate-interest where outside-eu`."""
    said = str(row.basis or "no stated basis")
    said += f" for {', '.join(row.sources)}" if row.sources is not None else ""
    said += f" where {' and '.join(row.when)}" if row.when else ""
    return said + (" until the person objects" if row.opt_out else "")
