"""Ways around what a subject asked for that are known to lead through: limits.md has a line on each."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.json import encode_sealed
from tests.bypass.subjects import NAME, P, Row, Safe
from tests.unit.oversights import STOPPED, Office, guarded


def test_limit_whoever_names_a_subject_is_believed() -> None:
    with guarded().purpose(P) as use:
        assert use.open(Safe(key=7, email=NAME).email, subject=8) == "name"


def test_limit_without_a_subject_nobody_is_asked_unless_that_is_required() -> None:
    guard = guarded()
    with guard.purpose(P) as use:
        assert use.open(Safe(key=7, email=NAME).email) == "name"
        assert encode_sealed(Safe(key=7, email=NAME).email) == "name"


def test_limit_a_plain_model_does_not_say_whose_its_seals_are_when_it_is_written() -> None:
    class Bare(BaseModel):
        key: Annotated[int, pg.Subject]
        email: pg.Personal[str, tm.Registration]

    with guarded().purpose(P):
        assert Bare(key=7, email=NAME).model_dump() == {"key": 7, "email": "name"}
    with guarded(Office(requires_subject=True)).purpose(P), pytest.raises(Exception, match="name the subject"):
        Bare(key=8, email=NAME).model_dump()


def test_limit_rows_are_those_that_an_annotation_names() -> None:
    guard = guarded()

    @guard.access(tm.Registration)
    def load() -> list[Any]:
        return [Row(key=7)]

    with guard.purpose(P):
        assert load()[0].email == "e"


def test_limit_what_was_given_out_stays_out() -> None:
    office = Office({})
    guard = guarded(office)

    @guard.access
    def load() -> Row:
        return Row(key=1)

    with guard.purpose(P):
        row = load()
        office.all_preferences["1"] = STOPPED
        assert row.email == "e"


def test_limit_another_guard_asks_whom_it_asks() -> None:
    with pg.Guard(tm.NOTICE).purpose(P) as use:
        assert use.open(Safe(key=7, email=NAME).email) == "name"
