"""Tests that a team would have without the library's tools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testing_kit.services.accounts.service import PURPOSES, Scene

ROUTES = [
    *("GET /me", "PATCH /me", "GET /admin/stats", "GET /admin/users", "GET /admin/users/{user_id}"),
    *("PATCH /admin/users/{user_id}", "DELETE /admin/users/{user_id}", "POST /register", "POST /forgot-password"),
]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as made:
        yield made


@pytest.fixture(autouse=True)
def fill(scene: Scene) -> None:
    scene.fill({"phone_number": "+14155550100", "hashed_password": "a-hash"})


@pytest.mark.parametrize("route", ROUTES)
def test_route_answers(scene: Scene, route: str) -> None:
    assert any(route in routes for routes in PURPOSES.values())
    assert scene.send(route)[0] == "2"


def test_own_page_shows_the_account(scene: Scene) -> None:
    assert '"full_name":"Aiko"' in scene.send("GET /me")


def test_name_can_be_changed(scene: Scene) -> None:
    assert '"full_name":"Aiko T."' in scene.send("PATCH /me")


def test_statistics_count_accounts(scene: Scene) -> None:
    assert '"total_users":3,"active_users":3,"verified_users":3,"superusers":1' in scene.send("GET /admin/stats")


def test_list_holds_everybody_once(scene: Scene) -> None:
    assert scene.send("GET /admin/users").count('"email"') == 3


def test_deleted_account_is_gone(scene: Scene) -> None:
    scene.send("DELETE /admin/users/{user_id}")
    assert "aiko@example.com" not in scene.send("GET /admin/users").splitlines()[1]


def test_lost_password_sends_a_mail(scene: Scene) -> None:
    scene.send("POST /forgot-password")
    assert [mail.to for mail in scene.club.rs.email.outbox] == ["aiko@example.com"]
