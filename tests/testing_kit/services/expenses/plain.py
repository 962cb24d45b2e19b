"""Tests that a team would have without the library's tools."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.testing_kit.services.expenses.service import API, ROUTES, Scene


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with Scene() as made:
        yield made


@pytest.fixture(autouse=True)
def fill(scene: Scene) -> None:
    scene.fill({})


@pytest.mark.parametrize("route", ROUTES)
def test_route_answers(scene: Scene, route: str) -> None:
    assert scene.send(route)[0] in "23"


def test_bills_are_listed(scene: Scene) -> None:
    assert "sausages" in scene.send("GET /<project_id>/")


def test_bill_is_added(scene: Scene) -> None:
    scene.send("POST /<project_id>/add")
    assert '"cheese"' in scene.send(f"GET {API}/bills")


def test_statistics_tell_balances(scene: Scene) -> None:
    assert '"balance": 50.0' in scene.send(f"GET {API}/statistics")


def test_participants_are_listed(scene: Scene) -> None:
    assert '"name": "Max"' in scene.send(f"GET {API}/members")


def test_participant_is_renamed(scene: Scene) -> None:
    scene.send("POST /<project_id>/members/<member_id>/edit")
    assert '"name": "Zoe Z."' in scene.send(f"GET {API}/members")


def test_invitation_is_mailed(scene: Scene) -> None:
    assert "ben@example.net" in scene.send("POST /<project_id>/invite")


def test_reminder_is_mailed(scene: Scene) -> None:
    assert "trip@example.org" in scene.send("POST /password-reminder")
