"""What `manage.py check` says, and what the applications of Django refuse when they start."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, connections, models
from django.db.backends.sqlite3.base import DatabaseWrapper
from django.db.backends.utils import CursorWrapper
from django.test.utils import isolate_apps, override_settings

import purposeguard as pg
from examples.django_shop.privacy import guard
from purposeguard.adapters.django import columns_of_model
from purposeguard.adapters.django.apps import RowsConfig
from purposeguard.adapters.django.session import HeldConnections
from purposeguard.adapters.django.tags import faults_of, tables_of
from purposeguard.errors import UnlabelledData, UnresolvedStatement
from purposeguard.integrations.django.apps import RequestsConfig
from purposeguard.notices import trendmicro_jp as tm


def found() -> dict[str, list[str]]:
    messages: dict[str, list[str]] = {}
    for message in run_checks(tags=["purposeguard"]):
        messages.setdefault(str(message.id).removeprefix("purposeguard."), []).append(str(message.msg))
    return messages


def faults(model: Any) -> list[tuple[str, str]]:
    return [(fault.id, fault.message) for fault in faults_of(model, tm.NOTICE)]


def test_nothing_is_wrong_with_the_shop() -> None:
    assert found() == {}


def test_what_nobody_said_anything_of_is_an_error() -> None:
    with override_settings(PURPOSEGUARD_TAGS={"auth.User": pg.NotPersonal, "shop": pg.NotPersonal}):
        messages = found()
    assert "sessions.Session.session_data carries no tag" in " ".join(messages["E001"])
    assert not any("auth." in message for message in messages["E001"])
    assert messages["E003"] == ["PURPOSEGUARD_TAGS names `shop`, and no application or model is called so"]


def test_tags_of_no_source_and_of_no_field_are_errors() -> None:
    with override_settings(PURPOSEGUARD_TAGS={"sessions.Session": {"session_dat": "1.1(z)", "session_data": "1.1(z)"}}):
        messages = found()
    assert any("1.1(z)" in message for message in messages["E002"])
    assert any("`session_dat`" in message for message in messages["E003"])


def test_what_is_missing_in_the_settings_is_a_warning() -> None:
    with override_settings(MIDDLEWARE=[]):
        assert found() == {"W003": ["refusals are answered as errors of the server"]}


@isolate_apps()
def test_fields_are_tagged_in_each_way() -> None:
    class Base(models.Model):
        name: Annotated[str, tm.Registration] = models.CharField(max_length=9)

        class Meta:
            abstract = True
            app_label = "django_shop"

        class Privacy:
            city = tm.Registration

    class Person(Base):
        city = models.CharField(max_length=9)
        plan: Annotated[str, tm.Registration, tm.Contract] = models.CharField(max_length=9)
        note = models.TextField()
        key = models.CharField(max_length=9, unique=True)

        class Meta(Base.Meta):
            abstract = False

        class Privacy:
            note = (tm.Contract, tm.Registration)
            key = pg.Subject

    class Pet(models.Model):
        owner = models.ForeignKey(Person, models.CASCADE, to_field="key")
        keeper = models.ForeignKey(Person, models.CASCADE, related_name="+")
        friends = models.ManyToManyField(Person)

        class Meta:
            app_label = "django_shop"

    class Child(Person):
        toy = models.CharField(max_length=9)

        class Meta(Base.Meta):
            abstract = False

    columns = columns_of_model(Person, tm.NOTICE)
    both = pg.Label(tm.Registration, tm.Contract)
    assert {name: columns[name].label for name in ("name", "city", "plan", "note")} == {
        "name": pg.Label(tm.Registration),
        "city": pg.Label(tm.Registration),
        "plan": both,
        "note": both,
    }
    pet = columns_of_model(Pet, tm.NOTICE)
    assert [pet[name].mark for name in ("id", "owner", "keeper")] == [None, pg.Subject, None]
    assert faults(Person) == faults(Pet) == faults(Pet.friends.through) == []
    assert set(columns_of_model(Child, tm.NOTICE)) == {*columns, "person_ptr"}
    assert [fault[0] for fault in faults(Child)] == ["E001"]


@isolate_apps()
def test_faults_are_told_of_each_field() -> None:
    class Wrong(models.Model):
        plain = models.CharField(max_length=9)
        purpose: Annotated[str, tm.RenewalGuidance] = models.CharField(max_length=9)
        nowhere: Annotated[str, "elsewhere"] = models.CharField(max_length=9)
        unknown: Missing = models.CharField(max_length=9)  # type: ignore[name-defined]  # noqa: F821  # on purpose

        class Meta:
            app_label = "django_shop"

        class Privacy:
            id = pg.Subject
            other = tm.Registration

    assert [fault[0] for fault in faults(Wrong)] == ["E001", "E002", "E001", "E002", "E003"]


@isolate_apps()
def test_two_models_of_a_table_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    class One(models.Model):
        name: Annotated[str, tm.Registration] = models.CharField(max_length=9)

        class Meta:
            app_label = "django_shop"
            db_table = "same"

    class Two(models.Model):
        name: Annotated[str, tm.Contract] = models.CharField(max_length=9)

        class Meta:
            app_label = "django_shop"
            db_table = "same"

    monkeypatch.setattr("purposeguard.adapters.django.tags.every_model", lambda: [One, Two])
    with pytest.raises(UnlabelledData, match="two models have the table `same`"):
        tables_of(tm.NOTICE)


@pytest.mark.parametrize("config", [RowsConfig, RequestsConfig])
@pytest.mark.parametrize("stated", [None, "nowhere.guard", "examples.django_shop.privacy.governance"])
def test_nothing_starts_without_a_guard(config: Any, stated: Any) -> None:
    installed = apps.get_app_config(config.label)
    with override_settings(PURPOSEGUARD_GUARD=stated), pytest.raises((TypeError, ImportError)):
        config(config.name, installed.module).ready()


@pytest.mark.parametrize("vendor", ["sqlite"])
def test_a_django_that_asks_no_wrappers_is_noticed(shop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del shop
    # The wrapper that the other object adds goes with this list.
    monkeypatch.setattr(connections["default"], "execute_wrappers", list(connection.execute_wrappers))
    monkeypatch.setattr(
        "django.db.backends.utils.CursorWrapper._execute_with_wrappers",
        lambda self, sql, params, many, executor: executor(sql, params, many, {}),
    )
    with pytest.raises(ImproperlyConfigured, match="not asked about"):
        HeldConnections(guard)._hold_connection(connection=connection)


def test_a_django_that_makes_cursors_otherwise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DatabaseWrapper, "_prepare_cursor", lambda self, cursor: CursorWrapper(cursor, self))
    other = DatabaseWrapper({**connection.settings_dict, "NAME": ":memory:"}, "other")
    try:
        other.connection = other.get_new_connection(other.get_connection_params())
        with pytest.raises(ImproperlyConfigured, match="not asked about"):
            HeldConnections(guard)._hold_connection(connection=other)
    finally:
        other.close()


def test_settings_name_functions_and_statements_that_read_nothing(shop: None, monkeypatch: pytest.MonkeyPatch) -> None:
    del shop
    monkeypatch.setattr(HeldConnections, "install", lambda self: None)  # the connections stay as they are held
    config = apps.get_app_config("purposeguard_rows")
    config = type(config)(config.name, config.module)
    with override_settings(PURPOSEGUARD_PASSES=["VACUUM"], PURPOSEGUARD_FUNCTIONS=["pg_backend_pid"]):
        config.ready()
    statements = config.held.statements(connection.vendor)
    statements.check("VACUUM")
    statements.check("SELECT pg_backend_pid()")
    for text in ("REINDEX", "SELECT pg_stat_get_backend_pid(1)"):
        with pytest.raises(UnresolvedStatement):
            statements.check(text)
    with override_settings(PURPOSEGUARD_PASSES="VACUUM"), pytest.raises(TypeError, match="PURPOSEGUARD_PASSES"):
        config.ready()
