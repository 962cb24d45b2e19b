"""A site for shared expenses, ihatemoney, with purposes that its routes keep to, and states of its database."""

from __future__ import annotations

import datetime
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Self
from unittest import mock

import email_validator
from flask.testing import FlaskClient
from ihatemoney.currency_convertor import CurrencyConverter
from ihatemoney.models import Bill, Person, Project, db
from ihatemoney.run import create_app
from pydantic import BaseModel
from sqlalchemy import event

import purposeguard as pg
from purposeguard.integrations.flask import Purposes

NOTICE: Final = pg.Notice.load(Path(__file__).with_name("notice.toml"))
NAME, CONTACT, CODE, MEMBER, AMOUNT, NOTE = (NOTICE.source(f"1({letter})") for letter in "abcdef")
LEDGER, SETTLING, INVITATION, SETTINGS, OPERATING, PARTICIPANTS = (
    NOTICE.purpose(clause) for clause in ("2(1)①", "2(2)①", "2(3)①", "2(3)②", "2(4)①", "2(5)①")
)
API: Final = "/api/projects/<string:project_id>"
PURPOSES: Final = {
    LEDGER: ("GET /<project_id>/", "POST /<project_id>/add", f"GET {API}/bills"),
    SETTLING: ("GET /<project_id>/statistics", "GET /<project_id>/settle_bills", f"GET {API}/statistics"),
    INVITATION: ("GET /<project_id>/invite", "POST /<project_id>/invite"),
    SETTINGS: ("GET /<project_id>/edit", "POST /password-reminder"),
    OPERATING: ("GET /dashboard",),
    PARTICIPANTS: (
        f"GET {API}/members",
        "GET /<project_id>/members/<member_id>/edit",
        "POST /<project_id>/members/<member_id>/edit",
    ),
}
"""The purposes of routes that use no more than they may."""
ROUTES: Final = [route for routes in PURPOSES.values() for route in routes]
FORMS: Final[Mapping[str, Mapping[str, Any]]] = {
    "POST /<project_id>/add": {
        "date": "2031-05-06",
        "what": "cheese",
        "payer": 1,
        "payed_for": [1],
        "bill_type": "Expense",
        "amount": "25",
        "original_currency": "XXX",
    },
    "POST /<project_id>/invite": {"emails": "ben@example.net"},
    "POST /password-reminder": {"id": "trip"},
    "POST /<project_id>/members/<member_id>/edit": {"name": "Zoe Z.", "weight": "1"},
}
CODE_OF_TRIP: Final = "pbkdf2:sha1:1$a$3d4764863830aee60240de2553ca32a4499fa47a"
NAMES: Final = ("Zoe", "Max", "Ann", "Bob")
"""The members."""
DAY: Final = datetime.date(2031, 5, 6)


email_validator.CHECK_DELIVERABILITY = False  # It asks the network for the domains of addresses.


class ProjectRow(BaseModel):
    """A project as it is in the database."""

    contact_email: Annotated[str, CONTACT] = "trip@example.org"
    password: Annotated[str, CODE] = ""


class MemberRow(BaseModel):
    """A participant as it is in the database."""

    name: Annotated[str, MEMBER] = "Zoe"
    weight: Annotated[float, MEMBER] = 1
    activated: Annotated[bool, MEMBER] = True


class BillRow(BaseModel):
    """A bill as it is in the database."""

    amount: Annotated[float, AMOUNT] = 100
    date: Annotated[datetime.date, AMOUNT] = DAY
    payer_id: Annotated[int, AMOUNT] = 1
    what: Annotated[str, NOTE] = "sausages"
    external_link: Annotated[str, NOTE] = ""


class Settings:
    """The configuration."""

    SQLALCHEMY_DATABASE_URI = ""
    SECRET_KEY = "of no use to anybody"  # noqa: S105
    TESTING = True
    WTF_CSRF_ENABLED = False
    RATELIMIT_ENABLED = False
    ACTIVATE_ADMIN_DASHBOARD = True
    ADMIN_PASSWORD = "pbkdf2:sha1:1$a$0"  # noqa: S105
    MAIL_SUPPRESS_SEND = True
    PASSWORD_HASH_METHOD = "pbkdf2:sha1:1"  # noqa: S105
    PASSWORD_HASH_SALT_LENGTH = 1


def fill_path(path: str) -> str:
    """Return the path of a route, with the project and its first member."""
    for name, value in (("<string:project_id>", "trip"), ("<project_id>", "trip"), ("<member_id>", "1")):
        path = path.replace(name, value)
    return path


class FormClient(FlaskClient):
    """A client that sends the forms of routes, and the code of the project. It begins a new session each time."""

    def open(self, path: str, method: str) -> Any:  # type: ignore[override]  # Tests send no more.
        self.delete_cookie("session")
        with self.session_transaction() as session:
            session["projects"] = {"trip": "Trip"}
            session["authz_claims"] = ["is_admin"]
        forms = {fill_path(route): form for route, form in FORMS.items()}
        return super().open(path, method=method, data=forms.get(f"{method} {path}"), auth=("trip", "trip"))


class Scene:
    """The application, with states of its database, and requests to it."""

    def __init__(self) -> None:
        self.guard = pg.Guard(NOTICE)
        Settings.SQLALCHEMY_DATABASE_URI = f"sqlite:///{tempfile.mkdtemp()}/trips.db"
        with mock.patch.object(CurrencyConverter, "get_rates", return_value={"USD": 1.0, "EUR": 0.8}):
            self.app = create_app(Settings)
        purposes = {route: self.guard.purpose(purpose) for purpose, routes in PURPOSES.items() for route in routes}
        Purposes(self.app, self.guard, purposes)
        self.app.test_client_class = FormClient
        self.client = self.app.test_client()
        rules = [rule for rule in self.app.url_map.iter_rules() if "static" not in rule.endpoint]
        named = [f"{method} {rule.rule}" for rule in rules for method in sorted(rule.methods - {"HEAD", "OPTIONS"})]
        self.unstated = [name for name in named if name not in ROUTES]
        self.notes: list[str] = []
        with self.app.app_context():
            event.listen(db.engine, "before_cursor_execute", self._note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def _note(self, _connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("INSERT"):
            self.notes.append(f"{statement} {parameters}")

    def fill(self, state: Mapping[str, Any]) -> None:
        """Put projects into the database. A state changes fields of the project, its members and its bills."""
        members = [{"name": name} | member for name, member in zip(NAMES, state.get("members", [{}, {}]), strict=False)]
        self.insert(
            ProjectRow(**state.get("project", {})),
            [MemberRow(**member) for member in members],
            [BillRow(**bill) for bill in state.get("bills", [{}])],
        )

    def insert(self, project: ProjectRow, members: Sequence[MemberRow], bills: Sequence[BillRow]) -> None:
        """Put a project with its members and bills into an empty database, beside another project."""
        with self.app.app_context():
            with db.engine.begin() as connection:
                for table in reversed(db.metadata.sorted_tables):
                    connection.exec_driver_sql(str(table.delete().compile(db.engine)))
                connection.exec_driver_sql("DELETE FROM sqlite_sequence")
            values = {"id": "trip", "name": "Trip", "default_currency": "XXX"} | project.model_dump()
            db.session.add(Project(**values | {"password": project.password or CODE_OF_TRIP}))
            db.session.add(
                Project(
                    id="other",
                    name="Other",
                    contact_email="m@example.org",
                    password=CODE_OF_TRIP,
                    default_currency="XXX",
                )
            )
            people = [Person(id=n, project_id="trip", **each.model_dump()) for n, each in enumerate(members, 1)]
            db.session.add_all(people)
            for bill in bills:
                payer = people[bill.payer_id % len(people) - 1].id if people else None
                values = bill.model_dump() | {
                    "payer_id": payer,
                    "original_currency": "XXX",
                    "project_default_currency": "XXX",
                }
                db.session.add(Bill(**values, owers=people))
            db.session.commit()

    def opt_out(self, purpose: str) -> None:
        """Raise an error: the rows name no person."""
        raise NotImplementedError(purpose)

    def send(self, route: str) -> str:
        """Send a request, and return what came of it: the response, statements and mails."""
        self.notes.clear()
        method, path = route.split()
        with self.app.mail.record_messages() as mails:
            response = self.client.open(fill_path(path), method=method)
        texts = [f"{mail.recipients} {mail.subject} {mail.extra_headers} {mail.body}" for mail in mails]
        return "\n".join([f"{response.status_code} {response.headers}", response.text, *self.notes, *texts])
