"""What can be asked of a notice, and declared to a guard; how a purpose or family is named."""

from __future__ import annotations

import itertools
from contextlib import suppress

from purposeguard.guard import Guard
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, Purpose, Source
from purposeguard.policy.violations import ChannelViolation

Asked = type[Purpose] | Family
"""What can be asked for as a purpose."""


def name_of(term: type[Source] | Asked) -> str:
    """How a term is said as text: by its id, a family by its name."""
    return term.name if isinstance(term, Family) else term.clause


def asked_of(notice: Notice) -> tuple[Asked, ...]:
    """Everything that may be asked of a notice as a purpose."""
    return (*notice.purposes, *notice.families)


def declarable(guard: Guard) -> list[tuple[str, str | None]]:
    """The purposes and families, by their names, and channels for which an activity can be declared (rule 7)."""
    found: list[tuple[str, str | None]] = []
    for asked, channel in itertools.product(map(name_of, asked_of(guard.notice)), (None, *guard.notice.channels)):
        with suppress(ChannelViolation):
            guard.purpose(asked, channel=channel)
            found.append((asked, channel))
    return found
