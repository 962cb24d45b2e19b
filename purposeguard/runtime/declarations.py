"""The declarations of reclassifications, transforms, entrustments and legal exceptions by an application.

They are imported when they are used, unlike activities and access functions, which each application has.
"""

from __future__ import annotations

import dataclasses
import datetime
from typing import TYPE_CHECKING

from purposeguard.errors import on_one_line
from purposeguard.notice.label import Label
from purposeguard.runtime.site import Declared, Site

if TYPE_CHECKING:
    from purposeguard.policy.transfers import Recipient


@dataclasses.dataclass(frozen=True, slots=True)
class Reclassification(Declared):
    """A declared conversion of data from some sources to another source or to data that is not personal.

    Attributes:
        name: The name of the declaration.
        sources: The label of the input.
        to: The label of the result.
        why: The reason for the conversion.
        approver: The person who approved it, if any.
        site: The place of the declaration.
    """

    name: str
    sources: Label
    to: Label
    why: str
    approver: str | None
    site: Site


@dataclasses.dataclass(frozen=True, slots=True)
class Transform(Declared):
    """A function that a strict guard lets see plain values."""

    name: str
    site: Site


@dataclasses.dataclass(slots=True)
class EntrustmentDeclaration(Declared):
    """A function that hands data to a recipient.

    Attributes:
        site: The place of the function.
        recipient: The recipient, or the id of one in the register.
        means: The way in which the data travels.
        product: The product for which the data is handed over.
        task: The task for which the data is handed over.
        named: The sources that the decorator names.
        label: The sources of the data: those in `named`, or else those of the parameters' annotations. None until the
            annotations can be resolved.
    """

    site: Site
    recipient: Recipient | str
    means: str | None = None
    product: str | None = None
    task: str | None = None
    named: Label | None = None
    label: Label | None = None

    def with_site(self, site: Site) -> EntrustmentDeclaration:
        """Return a copy for the function at this place."""
        return dataclasses.replace(self, site=site)

    @property
    def name(self) -> str:
        """The module and qualified name of the function."""
        return self.site.dotted

    @property
    def recipient_id(self) -> str:
        """The id of the recipient in records."""
        return self.recipient if isinstance(self.recipient, str) else self.recipient.id


@dataclasses.dataclass(frozen=True, slots=True)
class LegalException(Declared):
    """A use that law permits outside the notice.

    Attributes:
        name: The name of the activity.
        basis: The legal basis.
        reason: The reason for the exception.
        approver: The person who approved it.
        subjects: The keys of the persons concerned (`subject_key`), or None if everyone is.
        until: The moment when the exception ends.
        site: The place of the declaration.
    """

    name: str
    basis: str
    reason: str
    approver: str
    subjects: frozenset[str] | None = dataclasses.field(repr=False)
    until: datetime.datetime
    site: Site

    def __post_init__(self) -> None:
        """Put the name on one line, because it appears in messages and log records."""
        object.__setattr__(self, "name", on_one_line(self.name))
