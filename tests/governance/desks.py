"""A request desk over a store, mounted in an application, and a browser without a screen that fills in its forms."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection
from html.parser import HTMLParser
from typing import Any, Final

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.testclient import TestClient

import purposeguard as pg
from purposeguard.governance import Governance
from purposeguard.governance.web import RIGHTS, Clerk, Right, desk
from tests.governance.disclosures import NOTICE, customer
from tests.governance.support import PATIENCE, Time

SECRET: Final = "of-the-tests-and-of-nothing-else-0"  # noqa: S105  # it protects nothing
PREFIX: Final = "/office/desk"
SUBJECT: Final = "880133771"


class Said(Exception):
    """An error of an application whose message is personal."""


@dataclasses.dataclass
class Desk:
    """A desk. A clerk is who the header `x-clerk` names, by the rights in `x-may`, or all of them."""

    governance: Governance
    time: Time
    app: Starlette
    failing: list[Exception]
    """What reading the data of a person raises, if there is something in it."""

    @property
    def requests(self) -> Any:
        return self.governance.requests

    def opened(self, kind: str = "disclosure", **more: Any) -> int:
        """The number of a new request."""
        return int(self.requests.open(kind, **{"subject": SUBJECT, **more}).id)

    def verified(self, kind: str = "disclosure", **more: Any) -> int:
        number = self.opened(kind, **more)
        self.requests.verify(number, how="by telephone", by="clerk 1")
        return number

    def browser(self, name: str = "Aiko Mori", may: Collection[Right] = RIGHTS, **options: Any) -> Browser:
        headers: Any = {"x-clerk": name.encode(), "x-may": " ".join(sorted(may)).encode()}
        client = TestClient(self.app, headers=headers, follow_redirects=False, **options)
        return Browser(client)


def clerk_of(request: Request) -> Clerk | None:
    name = request.headers.get("x-clerk")
    if name is None:
        return None
    rights: Any = request.headers["x-may"].split()
    return Clerk(name.encode("latin-1").decode(), rights)


def made(url: str, *, now: datetime.datetime, prefix: str = PREFIX, notice: pg.Notice = NOTICE) -> Desk:
    time = Time(now)
    governance = Governance(None, notice=notice, clock=time.clock)
    governance.open(url, timeout=PATIENCE)  # clerks of several threads wait for each other
    pg.Guard(notice, governance=governance, clock=time.clock)
    failing: list[Exception] = []

    @governance.holding("customers", title={"en": "Customers", "ja": "お客さま"})
    def customers(key: str) -> Any:
        for error in failing:
            raise error
        return customer(id=key) if key == SUBJECT else None

    mounted = desk(governance, clerk=clerk_of, secret=SECRET)
    return Desk(governance, time, Starlette(routes=[Mount(prefix, mounted)]), failing)


class Form:
    """A form of a page: its fields as they are filled in, and where it goes."""

    def __init__(self, action: str) -> None:
        self.action = action
        self.fields: dict[str, Any] = {}


class Page(HTMLParser):
    """A page as a browser sees it: its title, its forms, its links and its text."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.answer = answer
        self.status = answer.status_code
        self.title = ""
        self.forms: dict[str, Form] = {}
        self.links: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self._select = self._area = ""
        self._in: str | None = None
        self._form = Form("")
        self.feed(answer.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self._in = tag
        name = given.get("name", "")
        if tag == "form":
            self._form = self.forms.setdefault(given["action"].rpartition("/")[2], Form(given["action"]))
        elif tag == "a":
            self.links.append(given["href"])
        elif tag == "textarea":
            self._form.fields[name] = ""
            self._area = name
        elif tag == "select":
            self._select = name
            self._form.fields[name] = ""
        elif tag == "option" and "selected" in given:
            self._form.fields[self._select] = given["value"]
        elif tag == "input" and (given["type"] not in ("radio", "checkbox") or "checked" in given):
            self._form.fields[name] = given["value"]

    def handle_endtag(self, tag: str) -> None:
        self._in = None

    def handle_data(self, data: str) -> None:
        if self._in == "title":
            self.title += data
        elif self._in == "textarea":
            self._form.fields[self._area] += data.removeprefix("\n")
        elif self._in != "style":
            self.text += data

    @property
    def buttons(self) -> set[str]:
        """The last parts of the paths to which forms are sent by POST."""
        return {name for name, form in self.forms.items() if "token" in form.fields}


class Browser:
    """Fills in forms as they stand on a page. `seen` has each URL that was asked for or that a page has."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.seen: list[str] = []

    def get(self, path: str = "/", **options: Any) -> Page:
        return self._page(self.client.get(path if path.startswith(PREFIX) else PREFIX + path, **options))

    def send(self, page: Page, form: str, **changed: Any) -> Page:
        """Sends a form with these fields changed; a field that is None is left out."""
        fields = {name: value for name, value in (page.forms[form].fields | changed).items() if value is not None}
        return self._page(self.client.post(page.forms[form].action, data=fields))

    def followed(self, page: Page) -> Page:
        assert page.status == 303, page.text
        return self.get(page.answer.headers["location"])

    def _page(self, answer: httpx2.Response) -> Page:
        page = Page(answer)
        self.seen += [str(answer.request.url), answer.headers.get("location", ""), *page.links]
        self.seen += [form.action for form in page.forms.values()]
        return page


def tables(governance: Governance) -> list[tuple[Any, ...]]:
    """All that is on record of requests: to compare before and after."""
    with governance.store.reading() as connection:
        names = ("purposeguard_request", "purposeguard_request_step", "purposeguard_declaration")
        return [tuple(row) for name in names for row in connection.exec_driver_sql(f"SELECT * FROM {name} ORDER BY 1")]  # noqa: S608  # names from above
