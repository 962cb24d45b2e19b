"""Invitations to an event, sent to the people on an exported list.

Days pass between the export and the invitations. So the list is filtered again when letters are written: each row says
whose it is and under which clause it was collected, and `permitted` keeps the rows that may be used now.
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

# `permitted` has checked by then which of the three sources a row has.
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
    listed = parquet.read(files.find_exported_file(folder, files.CONTACTS))
    now = frames.permitted(listed)
    people = [Invitee.model_validate(row) for row in now.drop_columns(["source"]).to_pylist()]
    mailing = Mailing(use)
    mailing.to_each(people, issue.subject, issue.body)
    mailer.send(mailing)
    return Invited(listed=len(listed), written_to=mailing.count(people))
