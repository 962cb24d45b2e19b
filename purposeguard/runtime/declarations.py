"""What an application declares beside activities and access functions. Loaded by what declares it."""

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
    """A declared way from some sources to another, or out of personal data: what for, and who approved it."""

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
    """A function that hands data to a recipient: by which means, for which product and task, from which sources.

    `recipient` is one, or the id of one on the register. `named` are the sources named at the decorator; `label` is
    what counts: these, or those of its parameters' annotations, known as soon as these can be read.
    """

    site: Site
    recipient: Recipient | str
    means: str | None = None
    product: str | None = None
    task: str | None = None
    named: Label | None = None
    label: Label | None = None

    def with_site(self, site: Site) -> EntrustmentDeclaration:
        """Return the same of the function at this place."""
        return dataclasses.replace(self, site=site)

    @property
    def name(self) -> str:
        """Module and qualified name."""
        return self.site.dotted

    @property
    def recipient_id(self) -> str:
        """What records call the recipient."""
        return self.recipient if isinstance(self.recipient, str) else self.recipient.id


@dataclasses.dataclass(frozen=True, slots=True)
class LegalException(Declared):
    """A use that law permits outside the notice: on what basis, why, who approved it, of whom, until when.

    `subjects` are the keys of those concerned (`subject_key`), None where it is stated to concern all.
    """

    name: str
    basis: str
    reason: str
    approver: str
    subjects: frozenset[str] | None = dataclasses.field(repr=False)
    until: datetime.datetime
    site: Site

    def __post_init__(self) -> None:
        """Write the name on one line: it stands in messages and log records."""
        object.__setattr__(self, "name", on_one_line(self.name))
