"""What the toolkit says of an application that was not written for it. The page in docs/how-to tells it at length."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from regstack.models.user import BaseUser

import purposeguard as pg
from purposeguard.testing import Interference, Leaked, arranging, canaries, capture_decisions, noninterference
from purposeguard.testing.strategies import instances
from tests.third_party import service
from tests.third_party.conftest import PASSWORD, Club, user

ADMIN = BaseUser(**user(0, email="admin@example.com", is_superuser=True))
SUPPORT = "/admin/users/user-7"


def aiko(club: Club, **fields: Any) -> Any:
    known = {"email": "aiko@example.com", "full_name": "Aiko", "phone_number": "+14155550100"}
    return BaseUser(**user(7, hashed_password=club.hashed(), **known, **fields))


class Asked(BaseModel):
    """A request, who makes it, and what of the user whom it is about must be so."""

    method: str
    path: str
    purpose: str
    body: dict[str, Any] | None = None
    own: bool = False
    user: dict[str, Any] = {}

    @property
    def route(self) -> str:
        return f"{self.method} {self.path.replace('user-7', '{user_id}')}"

    def send(self, club: Club, someone: Any) -> Any:
        with arranging():
            club.fill(ADMIN, someone)
            headers = club.signed_in(someone if self.own else ADMIN)
        return club.client.request(self.method, self.path, headers=headers, json=self.body)


REQUESTS = [
    Asked(method="POST", path="/register", purpose="2(2)①", body={"email": "aiko@example.com", "password": PASSWORD}),
    Asked(method="GET", path="/me", purpose="2(3)①", own=True),
    Asked(method="PATCH", path="/me", purpose="2(3)①", body={"full_name": "Aiko Tanaka"}, own=True),
    Asked(method="GET", path="/admin/stats", purpose="2(4)②"),
    Asked(method="GET", path="/admin/users", purpose="2(4)①"),
    Asked(method="GET", path=SUPPORT, purpose="2(4)①"),
    Asked(method="PATCH", path=SUPPORT, purpose="2(4)①", body={"full_name": "Aiko Tanaka"}),
    Asked(method="DELETE", path=SUPPORT, purpose="2(4)①"),
    Asked(method="POST", path=f"{SUPPORT}/resend-verification", purpose="2(4)①", user={"is_verified": False}),
]
WHOLE_ROW = {"users.hashed_password", "users.phone_number", "users.last_login"}
READ = {
    "POST /register": {"users.phone_number", "users.last_login"},
    "GET /admin/users": WHOLE_ROW,
    "GET /admin/users/{user_id}": WHOLE_ROW,
    "PATCH /admin/users/{user_id}": WHOLE_ROW,
    "DELETE /admin/users/{user_id}": WHOLE_ROW | {"login_attempts.email"},  # by which they are found and deleted
    "POST /admin/users/{user_id}/resend-verification": WHOLE_ROW,
}
"""What a route reads, in its statements, and its purpose may not use. Of each source the first column."""

SHOWN = {
    "GET /admin/users": {"phone_number", "last_login"},
    "GET /admin/users/{user_id}": {"phone_number", "last_login"},
    "PATCH /admin/users/{user_id}": {"phone_number", "last_login"},
    "POST /admin/users/{user_id}/resend-verification": {"hashed_password"},
}
"""What of it comes out."""

each_request = pytest.mark.parametrize("asked", REQUESTS, ids=[f"{n}-{one.method}" for n, one in enumerate(REQUESTS)])


def test_every_route_has_a_purpose(club: Club) -> None:
    stated = {route for routes in service.ROUTES.values() for route in routes}
    paths = club.app.openapi()["paths"]
    assert stated == {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert {one.qualname for one in club.guard.activities} >= stated


def test_everything_personal_is_tagged_from_outside() -> None:
    assert pg.untagged(BaseUser) == ("id",)
    assert pg.sources_of(BaseUser)["hashed_password"] == pg.Label(service.CREDENTIAL)
    for table, told in service.TABLES.items():
        columns = {column.name for column in table.columns}
        assert columns == set(told if isinstance(told, dict) else told.model_fields)


@each_request
def test_what_is_read(club: Club, asked: Asked) -> None:
    with capture_decisions(club.guard) as decided:
        answer = asked.send(club, aiko(club, **asked.user))
    assert answer.status_code < 500
    activity = f"{service.__name__}.{asked.route}"
    assert {one.field for one in decided if not one.allowed} == READ.get(asked.route, set())
    assert {one.activity for one in decided if not one.allowed} <= {
        activity
    }  # to find out who asks reads no more than it may


@each_request
def test_what_comes_out(club: Club, asked: Asked) -> None:
    shown: set[str] = set()
    try:
        with canaries(club.guard, asked.purpose) as marked:
            asked.send(club, marked.instance(BaseUser, **user(7, email="aiko@example.com", **asked.user)))
    except Leaked as leaked:
        shown = set(leaked.fields)
    assert shown == SHOWN.get(asked.route, set())


def proof(club: Club, asked: Asked) -> Callable[[], None]:
    fixed = user(7, email="aiko@example.com", **asked.user)

    @settings(max_examples=3, database=None, deadline=None, derandomize=True, phases=[Phase.generate])
    @noninterference(club.guard, asked.purpose)
    @given(someone=instances(BaseUser, **{name: st.just(value) for name, value in fixed.items()}))
    def test_request(someone: BaseUser) -> None:
        asked.send(club, someone)

    return test_request


@pytest.mark.parametrize("number", [0, 1, 3, 7])
def test_what_makes_no_difference(club: Club, number: int) -> None:
    """Registering, one's own page, statistics, and to delete a user: read is more than shows in anything."""
    proof(club, REQUESTS[number])()


def test_what_makes_a_difference(club: Club) -> None:
    with pytest.raises(Interference) as caught:
        proof(club, REQUESTS[8])()
    assert caught.value.fields == ("someone.hashed_password",)
    assert "DELETE FROM pending_registrations" in str(caught.value)


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The same, enforced: what comes out of the repository lacks what the purpose may not use."""
    with Club(pg.Guard(service.NOTICE), tmp_path_factory.mktemp("held"), statements=False) as made:
        yield made


@each_request
def test_held_to_the_notice_it_refuses_where_something_would_come_out_and_works_elsewhere(
    held: Club, asked: Asked
) -> None:
    answer = asked.send(held, aiko(held, **asked.user))
    assert (answer.status_code == 403) == (asked.route in SHOWN)


def test_statements_are_refused_by_what_they_read(tmp_path: Path) -> None:
    with Club(pg.Guard(service.NOTICE), tmp_path, statements=True) as club:
        refused = {asked.route for asked in REQUESTS if asked.send(club, aiko(club, **asked.user)).status_code == 403}
    assert refused == set(READ)


def test_signing_in_and_being_locked_out(held: Club) -> None:
    held.fill(ADMIN, aiko(held))
    answers = [
        held.client.post("/login", json={"email": "aiko@example.com", "password": password})
        for password in (PASSWORD, *["wrong password"] * 6)
    ]
    assert [one.status_code for one in answers] == [200, *[401] * 5, 429]


def test_what_is_left_of_a_user_who_was_deleted(held: Club) -> None:
    """Codes for a second factor, by the user's id, until the time for them is over and somebody sweeps."""
    someone = aiko(held)
    held.fill(ADMIN, someone)
    headers = held.signed_in(someone)
    answer = held.client.post(
        "/phone/start", headers=headers, json={"phone_number": "+14155550101", "current_password": PASSWORD}
    )
    assert answer.status_code == 202
    assert held.client.request("DELETE", "/account", headers=headers, json={"current_password": PASSWORD}).is_success
    left = {table.name: [str(row) for row in held.rows(table)] for table in service.TABLES}
    assert {name for name, rows in left.items() if "user-7" in str(rows)} == {"mfa_codes"}
    assert "aiko@example.com" not in str(left)
    assert "+14155550101" not in str(left)


def test_what_a_listener_may_not_use_is_refused_and_then_swallowed(
    held: Club, caplog: pytest.LogCaptureFixture
) -> None:
    """Listeners get the whole user, and what they raise is logged and forgotten: nothing fails where one is refused.

    Those that are coroutines run in tasks of their own, where there is no purpose.
    """
    heard: list[str] = []

    def on_deleted(user: Any) -> None:
        heard.append(user.email)
        heard.append(user.phone_number)

    async def on_deleted_later(user: Any) -> None:
        await held.rs.users.get_by_email(user.email)

    held.rs.hooks.on("user_deleted", on_deleted)
    held.rs.hooks.on("user_deleted", on_deleted_later)
    held.fill(ADMIN, aiko(held))
    answer = held.client.delete(SUPPORT, headers=held.signed_in(ADMIN))
    held.rs.hooks._handlers.clear()
    assert answer.status_code == 200
    assert heard == ["aiko@example.com"]
    records = [one for one in caplog.records if one.name == "regstack.hooks"]
    assert [one.exc_info and one.exc_info[0] for one in records] == [pg.PurposeViolation, pg.PurposeMissing]
    assert "+14155550100" not in caplog.text


def test_the_report_of_the_run(tmp_path: Path) -> None:
    """In a process of its own, as a run of a service's tests would be."""
    report = tmp_path / "report.json"
    run = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-m",
        "not deep",
        "-p",
        "no:cacheprovider",
        f"--purposeguard-json={report}",
        __file__,
    ]
    subprocess.run([*run, "-k", "test_held_to_the_notice"], check=True, capture_output=True, timeout=900)
    told = json.loads(report.read_text("utf-8"))
    ran = {one["activity"]: one["ran"] > 0 for one in told["activities"]}
    routes = {f"{service.__name__}.{route}" for routes in service.ROUTES.values() for route in routes}
    assert set(ran) == {*routes, "who asks", "who asks, as an administrator"}
    assert {one for one, did in ran.items() if did} == {
        *(f"{service.__name__}.{one.route}" for one in REQUESTS),
        *("who asks", "who asks, as an administrator"),
    }
