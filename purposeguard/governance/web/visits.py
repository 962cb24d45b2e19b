"""Visits: an HTTP request to the desk, with the clerk who sent it, their language, and the page that answers."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import quote, urlencode

from jinja2 import ChoiceLoader, FileSystemLoader
from starlette.requests import Request as HttpRequest
from starlette.responses import HTMLResponse, RedirectResponse, Response

from purposeguard.governance import disclosure_page
from purposeguard.governance.disclosure_page import Language, load_words, make_security_policy
from purposeguard.governance.governance import Governance
from purposeguard.governance.web.clerks import Clerk, Right
from purposeguard.governance.web.forms import FormTokens
from purposeguard.notice.languages import nearest_language, title_in
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.timezones import load_zone

if TYPE_CHECKING:
    from jinja2 import Environment

SESSION: Final = "purposeguard_desk"
LANGUAGE: Final = "purposeguard_desk_language"
"""The names of the cookies."""

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
YEAR: Final = 365 * 24 * 60 * 60
TEMPLATES: Final = Path(__file__).parent / "templates"


class TurnedAway(Exception):
    """A visit that is answered by a page with this status; `why` names the words of the page."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(f"{status} {why}")
        self.status = status
        self.why = why


@functools.cache
def make_desk_environment() -> Environment:
    """Return Jinja's environment for the desk: the report's, with more templates."""
    places = (TEMPLATES, disclosure_page.TEMPLATES)
    return disclosure_page.make_environment().overlay(loader=ChoiceLoader(list(map(FileSystemLoader, places))))


@functools.cache
def load_desk_style_sheet() -> str:
    """Return the style sheet of the pages."""
    return (TEMPLATES / "desk.css").read_text("utf-8")


def choose_language(request: HttpRequest) -> Language:
    """Return the language switched to, or else the browser's first one that the desk has, or else English."""
    for chosen in (request.query_params.get("language"), request.cookies.get(LANGUAGE)):
        if chosen in LANGUAGES:
            return chosen
    accepted: list[tuple[float, Language]] = []
    for entry in request.headers.get("accept-language", "").split(","):
        name, _, weight = entry.partition(";")
        primary = name.strip().partition("-")[0].lower()
        if primary in LANGUAGES:
            accepted.append((_weight(weight), primary))
    best = max(accepted, key=lambda pair: pair[0], default=(0.0, LANGUAGES[0]))
    return best[1] if best[0] > 0 else LANGUAGES[0]


def _weight(parameter: str) -> float:
    text = parameter.strip().removeprefix("q=")
    try:
        return float(text) if text else 1.0
    except ValueError:
        return 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Visit:
    """One HTTP request. `clerk` is None if its sender is unknown or not a clerk of the desk."""

    request: HttpRequest
    governance: Governance
    tokens: FormTokens
    clerk: Clerk | None
    language: Language
    session: str

    @classmethod
    def of(cls, request: HttpRequest, governance: Governance, tokens: FormTokens, clerk: Clerk | None) -> Visit:
        """Make a visit in the session of the request's cookie, or in a new session."""
        session = request.cookies.get(SESSION) or secrets.token_urlsafe(32)
        return cls(request, governance, tokens, clerk, choose_language(request), session)

    # ---- Who ------------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The clerk's name."""
        return "" if self.clerk is None else self.clerk.name

    def has_right(self, right: Right) -> bool:
        """Return True if the clerk has this right."""
        return self.clerk is not None and "see" in self.clerk.may and right in self.clerk.may

    def require_rights(self, *rights: Right) -> None:
        """Turn away a clerk who lacks one of these rights."""
        if self.clerk is None:
            raise TurnedAway(403, "nobody")
        if not all(map(self.has_right, rights)):
            raise TurnedAway(403, "no_right")

    # ---- Where and when -------------------------------------------------------------------------------------------

    def url(self, path: str = "/", **query: str | int | None) -> str:
        """Return the URL of a page of the desk, wherever the desk is mounted."""
        parameters = {name: value for name, value in query.items() if value not in (None, "")}
        # A URL that begins with two slashes would name a host.
        root = self.request.scope.get("root_path", "").strip("/")
        return (f"/{quote(root)}" if root else "") + path + (f"?{urlencode(parameters)}" if parameters else "")

    @property
    def words(self) -> Mapping[str, str]:
        """The words of the pages in this language."""
        return load_words(self.language, TEMPLATES / "desk.toml")

    @property
    def timezone(self) -> str:
        """The notice's time zone, in which days and hours are shown."""
        return self.governance.notice.document.timezone

    def now(self) -> datetime.datetime:
        """Return the present time in the notice's time zone."""
        return self.governance.requests.subjects.clock.now().astimezone(load_zone(self.timezone))

    def today(self) -> datetime.date:
        """Return the present day in the notice's time zone."""
        return to_local_day(self.timezone, self.governance.requests.subjects.clock.now())

    def day_of(self, moment: datetime.datetime) -> datetime.date:
        """Return the day of a moment in the notice's time zone."""
        return to_local_day(self.timezone, moment)

    def moment_of(self, moment: datetime.datetime) -> str:
        """Return a moment in the notice's time zone, as it is shown."""
        return f"{moment.astimezone(load_zone(self.timezone)):%Y-%m-%d %H:%M}"

    @property
    def titles_language(self) -> str:
        """The language of the notice's titles: this one, or else one that the notice has."""
        return nearest_language(self.governance.notice.document.title, self.language)

    def kinds(self) -> dict[str, str]:
        """Return the titles of the requests that the notice grants, by id."""
        rights = self.governance.notice.document.rights
        if rights is None:
            return {}
        return {right.id: title_in(right.title, self.language) for right in rights.request}

    # ---- Answers --------------------------------------------------------------------------------------------------

    def render_page(self, template: str, *, here: str, status: int = 200, **names: Any) -> Response:
        """Return a page; `here` is the address at which the other language is shown."""
        style = load_desk_style_sheet()
        other = next(language for language in LANGUAGES if language != self.language)
        text = (
            make_desk_environment()
            .get_template(template)
            .render(
                visit=self,
                words=self.words,
                kinds=self.kinds(),
                style=style,
                token=self.tokens.sign(self.session, self.name),
                other=other,
                switched=here + ("&" if "?" in here else "?") + urlencode({"language": other}),
                **{"faults": {}, **names},
            )
        )
        return self.remember(
            HTMLResponse(text, status, {"content-security-policy": make_security_policy(style) + "'self'"})
        )

    def render_report(self, disclosure: disclosure_page.Disclosure, number: int) -> Response:
        """Return a report as a page to print, with a link back that is not printed."""
        style = disclosure_page.load_style_sheet() + (TEMPLATES / "report.css").read_text("utf-8")
        names = disclosure_page.make_template_context(disclosure, style)
        text = (
            make_desk_environment()
            .get_template("desk_report.html")
            .render(names, desk=self.words, back=self.url(f"/requests/{number}"), desk_language=self.language)
        )
        return self.remember(
            HTMLResponse(text, 200, {"content-security-policy": make_security_policy(style) + "'none'"})
        )

    def download_report(self, disclosure: disclosure_page.Disclosure, number: int) -> Response:
        """Return a report as a JSON file named by the number of its request."""
        headers = {"content-disposition": f'attachment; filename="request-{number}.json"'}
        return Response(disclosure.to_json(), 200, headers, "application/json")

    def show_turned_away(self, status: int, why: str, number: int | None = None) -> Response:
        """Return a page that says why nothing was done.

        The page leads back to the request of this number, or to the list.
        """
        back = self.url() if number is None else self.url(f"/requests/{number}")
        return self.render_page("desk_turned.html", here=back, status=status, why=why, number=number, back=back)

    def redirect(self, url: str) -> Response:
        """Redirect the browser to a page, so that reloading the page sends no form again."""
        return self.remember(RedirectResponse(url, 303))

    def remember(self, response: Response) -> Response:
        """Add cookies to a response: the session's if it is new, and the language's if it was switched."""
        options: dict[str, Any] = {
            "path": self.url(),
            "secure": self.request.url.scheme == "https",
            "httponly": True,
            # Lax, so that who comes by a link in a letter keeps the session of their other windows. Forms of other
            # sites are sent without it.
            "samesite": "lax",
        }
        if self.request.cookies.get(SESSION) != self.session:
            response.set_cookie(SESSION, self.session, **options)
        if self.request.query_params.get("language") == self.language:
            response.set_cookie(LANGUAGE, self.language, max_age=YEAR, **options)
        return response
