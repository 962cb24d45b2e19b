"""The pages of the desk: the list, a request, a new request; and the forms that are sent from them.

What may be done with a request is decided in `purposeguard.governance`; here it is shown, asked for and reported.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from starlette.responses import Response

from purposeguard.errors import RequestError, StoreUnavailable
from purposeguard.governance.report import Disclosure, Language
from purposeguard.governance.request_records import (
    PENDING,
    RESTRICTING,
    STATES,
    Did,
    Request,
    State,
    Step,
    possible,
)
from purposeguard.governance.requests import LONGEST_PERIOD, Answer
from purposeguard.governance.web.clerks import Right
from purposeguard.governance.web.forms import Fields
from purposeguard.governance.web.visits import LANGUAGES, Turned, Visit
from purposeguard.notice.languages import title_in
from purposeguard.notice.timezones import zone
from purposeguard.values.sealed import quiet

_log: Final = logging.getLogger("purposeguard.desk")

LONGEST_NUMBER: Final = 18
"""Digits of a request's number, or a page's, at most."""

FILTERS: Final[Mapping[str, tuple[State, ...]]] = {
    "pending": tuple(state for state in STATES if state in PENDING),
    "all": STATES,
    **{state: (state,) for state in STATES},
}
"""The states that the list can be narrowed to."""


# ---- Looking ------------------------------------------------------------------------------------------------------


def listed(visit: Visit) -> Response:
    """The list: `?kind=…&state=…&page=…`, those yet to be answered unless something else is asked for."""
    query = visit.request.query_params
    kind, state = query.get("kind", ""), query.get("state", "pending")
    page = _number(query.get("page", "1"))
    if page is None or state not in FILTERS or (kind and kind not in visit.kinds()):
        raise Turned(400, "no_filter")
    requests = visit.governance.requests
    listing = requests.listing(kind=kind or None, states=FILTERS[state], number=page)
    here = visit.url(kind=kind, state=state, page=listing.number)
    return visit.page("desk_list.html", here=here, listing=listing, kind=kind, state=state, filters=FILTERS)


def shown(visit: Visit) -> Response:
    """A request, its steps, and the forms of what may be done with it."""
    return _request_page(visit, _numbered(visit))


def _numbered(visit: Visit) -> int:
    number = _number(visit.request.path_params["number"])
    if number is None:
        raise Turned(404, "no_request")
    return number


def _number(text: str) -> int | None:
    """A number in a URL; None if it is none."""
    fits = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
    return int(text) if fits and int(text) > 0 else None


def _asked(visit: Visit, number: int) -> tuple[Request, tuple[Step, ...]]:
    requests = visit.governance.requests
    try:
        return requests.get(number), requests.steps(number)
    except RequestError:
        raise Turned(404, "no_request") from None


def _request_page(
    visit: Visit, number: int, *, status: int = 200, sent: str | None = None, fields: Fields | None = None
) -> Response:
    """The page of a request; `sent` names the form that comes back with its `fields`, to be corrected."""
    asked, steps = _asked(visit, number)
    did = possible(asked, visit.today())
    actions = [action for action in ACTIONS.values() if action.did in did and action.allowed(visit, asked)]
    purposes = {purpose.clause: title_in(purpose.title, visit.language) for purpose in visit.governance.notice.purposes}
    done = visit.request.query_params.get("done")
    return visit.page(
        "desk_request.html",
        here=visit.url(f"/requests/{number}"),
        status=status,
        asked=asked,
        steps=steps,
        actions=actions,
        purposes=purposes,
        today=visit.today(),
        reportable=visit.may("disclose") and _reportable(asked, steps),
        sent=sent,
        fields=fields,
        faults=fields.faults if fields else {},
        done=done if done in {"opened", *(action.did for action in ACTIONS.values())} else None,
        languages=LANGUAGES,
        longest_period=LONGEST_PERIOD,
    )


# ---- Receiving ----------------------------------------------------------------------------------------------------


def blank(visit: Visit) -> Response:
    """The form of a new request."""
    return _new_page(visit, None)


def _new_page(visit: Visit, fields: Fields | None) -> Response:
    rights = visit.governance.notice.document.rights
    if rights is None:
        raise Turned(404, "no_rights")
    now = visit.now()
    # What is sent twice is recognised by its moment, so no two forms have the same one.
    moment = now - datetime.timedelta(microseconds=secrets.randbelow(1_000_000))
    return visit.page(
        "desk_new.html",
        here=visit.url("/new"),
        status=200 if fields is None else 422,
        rights=rights,
        purposes=[
            (purpose.clause, title_in(purpose.title, visit.language)) for purpose in visit.governance.notice.purposes
        ],
        moment=fields.raw("moment") if fields else moment.isoformat(),
        today=visit.today(),
        fields=fields,
        faults=fields.faults if fields else {},
    )


def received(visit: Visit, fields: Fields) -> Response:
    """Puts a request on record, once, however often the form is sent."""
    rights = visit.governance.notice.document.rights
    if rights is None:
        raise Turned(404, "no_rights")
    effects = {right.id: right.effect for right in rights.request}
    kind = fields.choice("kind", list(effects))
    requester = fields.choice("requester", rights.requesters)
    subject, authority, note = fields.subject("subject"), fields.text("authority"), fields.text("note")
    known = {purpose.clause for purpose in visit.governance.notice.purposes}
    purposes = fields.each("purposes")
    if not known.issuperset(purposes):
        fields.faults["purposes"] = "choose"
    elif purposes and effects.get(kind) != "stops-use":
        fields.faults["purposes"] = "for_suspension"
    if authority is not None and requester != "agent":
        fields.faults["authority"] = "for_agents"
    suspended = fields.ticked("suspended")
    if suspended and effects.get(kind) not in RESTRICTING:
        fields.faults["suspended"] = "stops_nothing"
    received_at = _received_at(visit, fields)
    if fields.faults:
        return _new_page(visit, fields)
    opened = visit.governance.requests.open(
        kind,
        subject=subject,
        requester=cast("Any", requester),
        authority=authority,
        purposes=purposes or None,
        received_at=received_at,
        by=visit.name,
        note=note,
        suspend_while_open=True if suspended else None,
        once=True,
    )
    return visit.redirect(visit.url(f"/requests/{opened.id}", done="opened"))


def _received_at(visit: Visit, fields: Fields) -> datetime.datetime | None:
    """The moment of the form, on the day that was chosen; None, with a fault, if there is no such moment."""
    try:
        moment = datetime.datetime.fromisoformat(fields.raw("moment")).astimezone(zone(visit.timezone))
    except (ValueError, OverflowError):
        raise Turned(400, "unreadable") from None
    try:
        day = datetime.date.fromisoformat(fields.raw("received_on"))
    except ValueError:
        fields.faults["received_on"] = "no_day"
        return None
    received_at = datetime.datetime.combine(day, moment.time(), zone(visit.timezone))
    if received_at > visit.now() or day.year < 1900:
        fields.faults["received_on"] = "no_day"
        return None
    return received_at


# ---- The steps ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """A step that a clerk takes by a form: its right, what it is recorded as, and the field of the clerk's note."""

    name: Right
    did: Did
    note: str

    def allowed(self, visit: Visit, asked: Request) -> bool:
        """True if the clerk may take it: to fulfil a request for disclosure is to disclose."""
        return visit.may(self.name) and (not self.discloses(asked) or visit.may("disclose"))

    def discloses(self, asked: Request) -> bool:
        """True if a report is made by it."""
        return self.name == "fulfil" and asked.effect == "discloses"

    def taken(self, visit: Visit, fields: Fields) -> Response:
        """Takes the step, unless the request has moved on since its page was shown."""
        number = _numbered(visit)
        asked, steps = _asked(visit, number)
        if not self.allowed(visit, asked):
            raise Turned(403, "no_right")
        seen = fields.number("seen", 10**LONGEST_NUMBER)
        options, note = self._options(asked, fields)
        if seen != len(steps):
            return self._moved_on(visit, number, seen, note)
        if self.did not in possible(asked, visit.today()):
            return visit.turned(409, "impossible", number)
        if fields.faults:
            return _request_page(visit, number, status=422, sent=self.name, fields=fields)
        take = getattr(visit.governance.requests, self.name)
        try:
            answer = _quietly(number, lambda: take(number, by=visit.name, after=seen, **options))
        except RequestError as error:
            if len(visit.governance.requests.steps(number)) != seen:  # meanwhile
                return self._moved_on(visit, number, seen, note)
            _log.warning("%s", error)
            why = "no_report" if self.discloses(asked) else "impossible"
            return visit.turned(409, why, number)
        if isinstance(answer, Answer) and answer.report is not None:
            return visit.document(answer.report, number)
        return visit.redirect(visit.url(f"/requests/{number}", done=self.did))

    def _options(self, asked: Request, fields: Fields) -> tuple[dict[str, Any], str | None]:
        """What the step is taken with, and the clerk's note."""
        optional = self.name == "withdraw" or (self.name == "fulfil" and asked.effect != "amends")
        note = fields.text(self.note) if optional else fields.needed(self.note)
        options: dict[str, Any] = {self.note: note}
        if self.name == "verify" and asked.subject is None:
            options["subject"] = fields.subject("subject")
            if options["subject"] is None:
                fields.faults.setdefault("subject", "needed")
        if self.name == "verify" and asked.requester == "agent" and asked.authority is None:
            options["authority"] = fields.needed("authority")
        if self.name == "extend":
            options["days"] = fields.number("days", LONGEST_PERIOD)
        if self.discloses(asked):
            options |= _of_report(fields)
        return options, note

    def _moved_on(self, visit: Visit, number: int, seen: int, note: str | None) -> Response:
        """Tells that somebody was there first; where it was this form, sent twice, what was done is shown."""
        _, steps = _asked(visit, number)
        following = steps[seen] if 0 < seen < len(steps) else None
        if following is not None and (following.did, following.by, following.text) == (self.did, visit.name, note):
            return visit.redirect(visit.url(f"/requests/{number}", done=self.did))
        return visit.turned(409, "moved_on", number)


ACTIONS: Final[Mapping[str, Action]] = {
    action.name: action
    for action in (
        Action("verify", "verified", "how"),
        Action("fulfil", "fulfilled", "done"),
        Action("refuse", "refused", "reason"),
        Action("extend", "extended", "reason"),
        Action("withdraw", "withdrawn", "reason"),
    )
}


# ---- The report ---------------------------------------------------------------------------------------------------


def reported(visit: Visit, fields: Fields) -> Response:
    """The report about the person of a request whose author was verified."""
    number = _numbered(visit)
    asked, steps = _asked(visit, number)
    if not _reportable(asked, steps):
        return visit.turned(409, "not_verified", number)
    options = _of_report(fields)
    if fields.faults:
        raise Turned(400, "unreadable")
    subject = cast("str", asked.subject)
    try:
        made: Disclosure = _quietly(
            number, lambda: visit.governance.disclose(subject, by=visit.name, request=number, **options)
        )
    except RequestError as error:
        _log.warning("%s", error)
        return visit.turned(409, "no_report", number)
    return visit.file(made, number) if fields.ticked("as_file") else visit.document(made, number)


def _reportable(asked: Request, steps: tuple[Step, ...]) -> bool:
    return asked.subject is not None and any(step.did == "verified" for step in steps)


def _of_report(fields: Fields) -> dict[str, Any]:
    language = cast("Language", fields.choice("language", LANGUAGES))
    return {"language": language, "values": fields.ticked("values")}


def _quietly(number: int, run: Callable[[], Any]) -> Any:
    """What `run` gives, which calls code of the application that reads what is held.

    Raises:
        RequestError, StoreUnavailable: as they are.
        Turned: anything else. What it says may be personal, so it is told where it failed, and not what it said.
    """
    try:
        return run()
    except (RequestError, StoreUnavailable):
        raise
    except Exception as error:  # noqa: BLE001  # told below, without what it said
        failure = quiet("making the report", error)
    _log.error("request %d: %s", number, failure)
    raise Turned(500, "no_report")
