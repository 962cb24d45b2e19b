"""Invitations to an event, by the list that was exported for it.

Days lie between the two. So the list is narrowed again when letters are written: each row says whose it is and under
which clause it was collected, and `permitted` keeps those that may be used now.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

import purposeguard as pg
from examples.shop.activities.newsletter import Issue
from examples.shop.mailer import Mailer, Mailing
from examples.shop.models import Model, Person
from examples.shop.privacy import guard
from examples.shop.reports import files, parquet
from purposeguard import Personal, Use
from purposeguard.adapters.frames import Frames
from purposeguard.notices import trendmicro_jp as tm

frames = Frames(guard)

# Which of the three it is, the row said; it has been looked at by then.
Listed = tm.Registration | tm.WebContact | tm.ProspectContact


class Invitee(Person):
    person: Annotated[str, pg.Subject] = Field(exclude=True, repr=False)
    name: Personal[str, Listed]
    email: Personal[str, Listed]


class Invited(Model):
    listed: int
    written_to: int


@guard.purpose(tm.AnyEventInvitation, channel="email").with_use
def invite(use: Use[tm.AnyEventInvitation], issue: Issue, folder: Path, mailer: Mailer) -> Invited:
    listed = parquet.read(files.exported(folder, files.CONTACTS))
    now = frames.permitted(listed)
    people = [Invitee.model_validate(row) for row in now.drop_columns(["source"]).to_pylist()]
    mailing = Mailing(use)
    mailing.to_each(people, issue.subject, issue.body)
    mailer.send(mailing)
    return Invited(listed=len(listed), written_to=mailing.count(people))
