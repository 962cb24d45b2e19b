"""The pages of the desk: the list, a request and a new request, and the handlers of their forms.

What may be done with a request is decided in `purposeguard.governance`; here it is shown, asked for and reported.
"""

from __future__ import annotations

import dataclasses
import datetime
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

from starlette.responses import Response

from purposeguard.containers import intersect
from purposeguard.errors import RequestError, StoreUnavailable
from purposeguard.governance.disclosure_page import Disclosure, Language
from purposeguard.governance.request_records import (
    PENDING,
    RESTRICTING,
    STATES,
    Did,
    Request,
    State,
    Step,
    possible_steps,
)
from purposeguard.governance.requests import LONGEST_PERIOD, Answer
from purposeguard.governance.web.clerks import Right
from purposeguard.governance.web.forms import FormFields
from purposeguard.governance.web.visits import LANGUAGES, TurnedAway, Visit
from purposeguard.notice.languages import title_in
from purposeguard.notice.timezones import load_zone
from purposeguard.notice.vocabulary import list_term_ids
from purposeguard.values.sealed import redact_error

_log: Final = logging.getLogger("purposeguard.desk")

LONGEST_NUMBER: Final = 18
"""The most digits of the number of a request or page."""

FILTERS: Final[Mapping[str, tuple[State, ...]]] = {
    "pending": tuple(intersect(STATES, PENDING)),
    "all": STATES,
    **{state: (state,) for state in STATES},
}
"""The states by which the list can be filtered."""


# ---- Looking ------------------------------------------------------------------------------------------------------


def show_requests(visit: Visit) -> Response:
    """Return the list of requests, `?kind=…&state=…&page=…`; by default, of the pending ones."""
    query = visit.request.query_params
    kind, state = query.get("kind", ""), query.get("state", "pending")
    page = _parse_number(query.get("page", "1"))
    if page is None or state not in FILTERS or (kind and kind not in visit.kinds()):
        raise TurnedAway(400, "no_filter")
    requests = visit.governance.requests
    listing = requests.listing(kind=kind or None, states=FILTERS[state], number=page)
    here = visit.url(kind=kind, state=state, page=listing.number)
    return visit.render_page("desk_list.html", here=here, listing=listing, kind=kind, state=state, filters=FILTERS)


def show_request(visit: Visit) -> Response:
    """Return the page of a request, with its steps and the forms of the permitted steps."""
    return _request_page(visit, _request_number(visit))


def _request_number(visit: Visit) -> int:
    number = _parse_number(visit.request.path_params["number"])
    if number is None:
        raise TurnedAway(404, "no_request")
    return number


def _parse_number(text: str) -> int | None:
    """Return a number in a URL; None if it is not a number."""
    fits = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
    return int(text) if fits and int(text) > 0 else None


def _get_request_and_steps(visit: Visit, number: int) -> tuple[Request, tuple[Step, ...]]:
    requests = visit.governance.requests
    try:
        return requests.get(number), requests.steps(number)
    except RequestError:
        raise TurnedAway(404, "no_request") from None


def _request_page(
    visit: Visit, number: int, *, status: int = 200, sent: str | None = None, fields: FormFields | None = None
) -> Response:
    """Return the page of a request; `sent` names a form to show again with its `fields`, to be corrected."""
    asked, steps = _get_request_and_steps(visit, number)
    did = possible_steps(asked, visit.today())
    actions = [action for action in ACTIONS.values() if action.did in did and action.is_allowed(visit, asked)]
    purposes = dict(_iter_purpose_titles(visit))
    done = visit.request.query_params.get("done")
    return visit.render_page(
        "desk_request.html",
        here=visit.url(f"/requests/{number}"),
        status=status,
        asked=asked,
        steps=steps,
        actions=actions,
        purposes=purposes,
        today=visit.today(),
        reportable=visit.has_right("disclose") and _is_reportable(asked, steps),
        sent=sent,
        fields=fields,
        faults=fields.faults if fields else {},
        done=done if done in {"opened", *(action.did for action in ACTIONS.values())} else None,
        languages=LANGUAGES,
        longest_period=LONGEST_PERIOD,
    )


def _iter_purpose_titles(visit: Visit) -> Iterator[tuple[str, str]]:
    """Yield the id of each purpose of the notice, and its title in the language of the page."""
    for purpose in visit.governance.notice.purposes:
        yield purpose.clause, title_in(purpose.title, visit.language)


# ---- Receiving ----------------------------------------------------------------------------------------------------


def show_new_request_form(visit: Visit) -> Response:
    """Return the page with the form of a new request."""
    return _new_page(visit, None)


def _new_page(visit: Visit, fields: FormFields | None) -> Response:
    rights = visit.governance.notice.document.rights
    if rights is None:
        raise TurnedAway(404, "no_rights")
    now = visit.now()
    # A form that is sent twice is recognized by its time, so each form gets a time of its own.
    moment = now - datetime.timedelta(microseconds=secrets.randbelow(1_000_000))
    return visit.render_page(
        "desk_new.html",
        here=visit.url("/new"),
        status=200 if fields is None else 422,
        rights=rights,
        purposes=list(_iter_purpose_titles(visit)),
        moment=fields.raw("moment") if fields else moment.isoformat(),
        today=visit.today(),
        fields=fields,
        faults=fields.faults if fields else {},
    )


def handle_new_request(visit: Visit, fields: FormFields) -> Response:
    """Record a request once, however often the form is sent."""
    rights = visit.governance.notice.document.rights
    if rights is None:
        raise TurnedAway(404, "no_rights")
    effects = {right.id: right.effect for right in rights.request}
    kind = fields.choice("kind", list(effects))
    requester = fields.choice("requester", rights.requesters)
    subject, authority, note = fields.subject("subject"), fields.text("authority"), fields.text("note")
    present_clauses = set(list_term_ids(visit.governance.notice.purposes))
    purposes = fields.each("purposes")
    if not present_clauses.issuperset(purposes):
        fields.faults["purposes"] = "choose"
    elif purposes and effects.get(kind) != "stops-use":
        fields.faults["purposes"] = "for_suspension"
    if authority is not None and requester != "agent":
        fields.faults["authority"] = "for_agents"
    suspended = fields.is_ticked("suspended")
    if suspended and effects.get(kind) not in RESTRICTING:
        fields.faults["suspended"] = "stops_nothing"
    received_at = _read_received_at(visit, fields)
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


def _read_received_at(visit: Visit, fields: FormFields) -> datetime.datetime | None:
    """Return the time of the form on the chosen day; None, with a fault, if there is no such time."""
    try:
        moment = datetime.datetime.fromisoformat(fields.raw("moment")).astimezone(load_zone(visit.timezone))
    except (ValueError, OverflowError):
        raise TurnedAway(400, "unreadable") from None
    try:
        day = datetime.date.fromisoformat(fields.raw("received_on"))
    except ValueError:
        fields.faults["received_on"] = "no_day"
        return None
    received_at = datetime.datetime.combine(day, moment.time(), load_zone(visit.timezone))
    if received_at > visit.now() or day.year < 1900:
        fields.faults["received_on"] = "no_day"
        return None
    return received_at


# ---- The steps ----------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Action:
    """A step that a clerk takes by a form: its right, its name in the record, and the field of the note."""

    name: Right
    did: Did
    note: str

    def is_allowed(self, visit: Visit, asked: Request) -> bool:
        """Return True if the clerk may take the step. Fulfilling a request for disclosure also needs `disclose`."""
        return visit.has_right(self.name) and (not self.discloses(asked) or visit.has_right("disclose"))

    def discloses(self, asked: Request) -> bool:
        """Return True if the step makes a report."""
        return self.name == "fulfil" and asked.effect == "discloses"

    def take_step(self, visit: Visit, fields: FormFields) -> Response:
        """Take the step, unless the request has moved on since its page was shown."""
        number = _request_number(visit)
        asked, steps = _get_request_and_steps(visit, number)
        if not self.is_allowed(visit, asked):
            raise TurnedAway(403, "no_right")
        seen = fields.number("seen", 10**LONGEST_NUMBER)
        options, note = self._options(asked, fields)
        if seen != len(steps):
            return self._show_conflict(visit, number, seen, note)
        if self.did not in possible_steps(asked, visit.today()):
            return visit.show_turned_away(409, "impossible", number)
        if fields.faults:
            return _request_page(visit, number, status=422, sent=self.name, fields=fields)
        take = getattr(visit.governance.requests, self.name)
        try:
            answer = _run_without_values(number, lambda: take(number, by=visit.name, after=seen, **options))
        except RequestError as error:
            if len(visit.governance.requests.steps(number)) != seen:  # Another clerk took a step meanwhile.
                return self._show_conflict(visit, number, seen, note)
            _log.warning("%s", error)
            why = "no_report" if self.discloses(asked) else "impossible"
            return visit.show_turned_away(409, why, number)
        if isinstance(answer, Answer) and answer.report is not None:
            return visit.render_report(answer.report, number)
        return visit.redirect(visit.url(f"/requests/{number}", done=self.did))

    def _options(self, asked: Request, fields: FormFields) -> tuple[dict[str, Any], str | None]:
        """Return the arguments of the step, and the clerk's note."""
        optional = self.name == "withdraw" or (self.name == "fulfil" and asked.effect != "amends")
        note = fields.text(self.note) if optional else fields.require_text(self.note)
        options: dict[str, Any] = {self.note: note}
        if self.name == "verify" and asked.subject is None:
            options["subject"] = fields.subject("subject")
            if options["subject"] is None:
                fields.faults.setdefault("subject", "needed")
        if self.name == "verify" and asked.requester == "agent" and asked.authority is None:
            options["authority"] = fields.require_text("authority")
        if self.name == "extend":
            options["days"] = fields.number("days", LONGEST_PERIOD)
        if self.discloses(asked):
            options |= _report_options(fields)
        return options, note

    def _show_conflict(self, visit: Visit, number: int, seen: int, note: str | None) -> Response:
        """Answer that somebody was there first. If this form was sent twice, show what it has done."""
        _, steps = _get_request_and_steps(visit, number)
        following = steps[seen] if 0 < seen < len(steps) else None
        if following is not None and (following.did, following.by, following.text) == (self.did, visit.name, note):
            return visit.redirect(visit.url(f"/requests/{number}", done=self.did))
        return visit.show_turned_away(409, "moved_on", number)


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


def handle_report(visit: Visit, fields: FormFields) -> Response:
    """Return the report about the person of a request whose author was verified."""
    number = _request_number(visit)
    asked, steps = _get_request_and_steps(visit, number)
    if not _is_reportable(asked, steps):
        return visit.show_turned_away(409, "not_verified", number)
    options = _report_options(fields)
    if fields.faults:
        raise TurnedAway(400, "unreadable")
    subject = cast("str", asked.subject)
    try:
        disclosure: Disclosure = _run_without_values(
            number, lambda: visit.governance.disclose(subject, by=visit.name, request=number, **options)
        )
    except RequestError as error:
        _log.warning("%s", error)
        return visit.show_turned_away(409, "no_report", number)
    return (
        visit.download_report(disclosure, number)
        if fields.is_ticked("as_file")
        else visit.render_report(disclosure, number)
    )


def _is_reportable(asked: Request, steps: tuple[Step, ...]) -> bool:
    return asked.subject is not None and any(step.did == "verified" for step in steps)


def _report_options(fields: FormFields) -> dict[str, Any]:
    language = cast("Language", fields.choice("language", LANGUAGES))
    return {"language": language, "values": fields.is_ticked("values")}


def _run_without_values(number: int, run: Callable[[], Any]) -> Any:
    """Return the result of `run`, which calls code of the application that reads what it holds.

    Raises:
        RequestError, StoreUnavailable: raised unchanged.
        TurnedAway: another error. Its message may be personal, so the log names only its type and place.
    """
    try:
        return run()
    except (RequestError, StoreUnavailable):
        raise
    except Exception as error:  # noqa: BLE001  # told below, without what it said
        failure = redact_error("making the report", error)
    _log.error("request %d: %s", number, failure)
    raise TurnedAway(500, "no_report")
