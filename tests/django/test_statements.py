"""What the ORM, `raw`, cursors, commands and migrations execute is held to the notice, on both databases."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Avg, Count, Exists, F, OuterRef, Q, TextField, Value, Window
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat, Lower, RowNumber, Substr, TruncMonth, Upper
from django.test.utils import CaptureQueriesContext, override_settings

import purposeguard as pg
from examples.django_shop.privacy import governance, guard
from purposeguard.adapters.django import permitted
from purposeguard.adapters.django.session import HeldConnections
from purposeguard.errors import PurposeGuardError, PurposeMissing, UnlabelledData, UnresolvedStatement
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import FlowViolation, PurposeViolation

SHARED = pytest.mark.usefixtures("shop")
OWN = pytest.mark.usefixtures("own_shop")


def models() -> Any:
    from examples.django_shop import models

    return models


RENEWALS: dict[str, Any] = {
    "values": lambda m: list(m.Customer.objects.values("name", "contracts__product").order_by("name")),
    "only": lambda m: [one.name for one in m.Customer.objects.only("name")],
    "defer": lambda m: [one.name for one in m.Customer.objects.defer("last_scan")],
    "icontains": lambda m: list(m.Customer.objects.filter(name__icontains="IKO").values_list("name")),
    "of another column": lambda m: list(
        m.Customer.objects.filter(email__startswith=Lower(Substr("name", 1, 3))).values("id")
    ),
    "regex": lambda m: list(m.Customer.objects.filter(name__iregex="^a").values_list("name")),
    "annotate": lambda m: list(
        m.Customer.objects.values("id").annotate(n=Count("contracts", filter=Q(contracts__product="shield")))
    ),
    "functions": lambda m: list(m.Contract.objects.values(month=TruncMonth("renews_on")).annotate(n=Count("id"))),
    "window": lambda m: list(m.Contract.objects.values(place=Window(RowNumber(), order_by=F("renews_on").asc()))),
    "subquery": lambda m: list(
        m.Customer.objects.filter(Exists(m.Contract.objects.filter(customer=OuterRef("pk")))).values("name")
    ),
    "prefetch": lambda m: [
        contract.product
        for one in m.Customer.objects.only("name").prefetch_related("contracts")
        for contract in one.contracts.all()
    ],
    "select_related": lambda m: [
        one.customer.name for one in m.Contract.objects.select_related("customer").only("product", "customer__name")
    ],
    "concat": lambda m: list(
        m.Customer.objects.values(line=Concat("name", Value(" "), "email", output_field=TextField()))
    ),
    "union": lambda m: list(m.Customer.objects.values_list("name").union(m.Contract.objects.values_list("product"))),
    "iterator": lambda m: [one.name for one in m.Customer.objects.only("name").iterator(chunk_size=1)],
    "get_or_create": lambda m: m.Contract.objects.only("product").filter(product="shield").first().product,
    "update of a column": lambda m: m.Customer.objects.filter(name="Ren Ito").update(name=Upper("name")),
    "exists": lambda m: m.Customer.objects.filter(email="ren@example.org").exists(),
    "raw": lambda m: [one.name for one in m.Customer.objects.raw("SELECT id, name FROM django_shop_customer")],
    "locked": lambda m: [one.name for one in _locked(m)],
}


def _locked(m: Any) -> Any:
    with transaction.atomic():
        return list(m.Customer.objects.select_for_update().only("name"))


@SHARED
@pytest.mark.parametrize("name", RENEWALS)
def test_what_the_purpose_may_use_is_read_and_needs_a_purpose(name: str) -> None:
    with pytest.raises(PurposeMissing), transaction.atomic():
        RENEWALS[name](models())
    with guard.purpose(tm.RenewalGuidance):
        assert RENEWALS[name](models())
    with pytest.raises(PurposeViolation), transaction.atomic(), guard.purpose(tm.AnyInquiryResponse):
        RENEWALS[name](models())


REFUSED: dict[str, Any] = {
    "all columns": lambda m: list(m.Customer.objects.all()),
    "values": lambda m: list(m.Customer.objects.values_list("last_scan", flat=True)),
    "a condition": lambda m: list(m.Customer.objects.filter(last_scan__gt="2026").values("id")),
    "an exclusion": lambda m: list(m.Customer.objects.exclude(events__kind="crash").values("id")),
    "an order": lambda m: list(m.Customer.objects.order_by("last_scan").values("id")),
    "a count": lambda m: m.Customer.objects.filter(last_scan="2026-05-02").count(),
    "a mean": lambda m: m.Event.objects.aggregate(Avg("seconds")),
    "an annotation": lambda m: list(m.Customer.objects.annotate(n=Count("events", filter=Q(events__kind="x")))),
    "a deferred field": lambda m: m.Customer.objects.only("name").first().last_scan,
    "a refresh": lambda m: m.Customer.objects.only("name").first().refresh_from_db(fields=["last_scan"]),
    "a prefetch": lambda m: list(m.Customer.objects.only("name").prefetch_related("events")),
    "a related row": lambda m: list(m.Customer.objects.only("name").first().events.all()),
    "a key within JSON": lambda m: list(m.Event.objects.filter(details__depth=1).values("id")),
    "earliest": lambda m: m.Event.objects.values("id").earliest("seconds"),
    "in_bulk": lambda m: m.Customer.objects.in_bulk(),
    "update from it": lambda m: m.Customer.objects.update(name=F("last_scan")),
    "delete by it": lambda m: m.Event.objects.filter(kind="crash").delete(),
    "raw": lambda m: list(m.Customer.objects.raw("SELECT id, last_scan AS name FROM django_shop_customer")),
    "a cursor": lambda m: _cursor("SELECT last_scan FROM django_shop_customer"),
    "a star": lambda m: _cursor("SELECT * FROM django_shop_customer"),
    "a raw expression": lambda m: list(
        m.Customer.objects.values(x=RawSQL("SELECT max(last_scan) FROM django_shop_customer", []))
    ),
    "extra": lambda m: list(m.Customer.objects.extra(select={"x": "last_scan"}).values("x")),
    "bulk_update": lambda m: m.Customer.objects.bulk_update(m.Customer.objects.only("name"), ["last_scan"]),
}


def _cursor(text: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(text)
        return cursor.fetchall()


@SHARED
@pytest.mark.parametrize("name", REFUSED)
def test_what_the_purpose_may_not_use_is_refused_wherever_it_stands(name: str) -> None:
    with guard.purpose(tm.RenewalGuidance), pytest.raises((PurposeViolation, FlowViolation)):
        REFUSED[name](models())


@SHARED
def test_rows_are_written_without_a_purpose_and_read_with_one() -> None:
    m = models()
    made = m.Customer.objects.bulk_create([m.Customer(name=name, email="x@example.org") for name in "ABC"])
    m.Customer.objects.filter(pk=made[0].pk).update(name="D")
    made[1].name = "E"
    made[1].save()
    m.Customer(pk=made[2].pk).delete()
    with guard.purpose(tm.RenewalGuidance):
        assert set(m.Customer.objects.filter(email="x@example.org").values_list("name", flat=True)) == {"D", "E"}


@SHARED
def test_signals_run_for_the_purpose_of_what_sends_them() -> None:
    from django.db.models.signals import post_save

    m, seen = models(), []

    def saved(instance: Any, **_: Any) -> None:
        seen.append(m.Customer.objects.filter(pk=instance.pk).values_list("name", "last_scan").get())

    post_save.connect(saved, sender=m.Customer, weak=False)
    try:
        with guard.purpose(tm.ProductProvision):
            m.Customer.objects.create(name="C", last_scan="today")
        assert seen == [("C", "today")]
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            m.Customer.objects.create(name="D", last_scan="today")
        with pytest.raises(PurposeMissing):
            m.Customer.objects.create(name="E", last_scan="today")
    finally:
        post_save.disconnect(saved, sender=m.Customer)


@SHARED
def test_data_does_not_flow_into_a_column_whose_tag_does_not_cover_it() -> None:
    m = models()
    with guard.purpose(tm.ProductImprovement):
        with pytest.raises(FlowViolation) as refusal:
            m.Customer.objects.update(email=F("last_scan"))
        assert refusal.value.target == "django_shop_customer"
        with pytest.raises(FlowViolation):
            _cursor(
                "INSERT INTO django_shop_segment (customer_id, title) SELECT customer_id, kind FROM django_shop_event"
            )


def test_the_tables_of_models_are_declared() -> None:
    tables = {table.name: dict(table.columns) for table in guard.tables}
    assert tables["django_shop_customer"]["last_scan"] == pg.Label(tm.ProductData)
    assert "django_content_type" not in tables


@SHARED
def test_permitted_rows_come_without_the_columns_that_may_not_be_used() -> None:
    m = models()
    with guard.purpose(tm.RenewalGuidance):
        one = permitted(m.Customer.objects.order_by("id")).first()
        assert one.name == "Aiko Mori"
        assert one.get_deferred_fields() == {"last_scan"}
        with pytest.raises(PurposeViolation):
            _ = one.last_scan
    with guard.purpose(tm.ProductProvision):
        assert permitted(m.Customer.objects.order_by("id")).first().get_deferred_fields() == set()
    where = r"^select of `django_shop_customer` in .*\.test_permitted_rows_.* \(test_statements\.py:"
    with pytest.raises(PurposeMissing, match=where):
        permitted(m.Customer.objects.all())
    with pytest.raises(PurposeMissing, match=where):
        m.Customer.objects.filter(name="Aiko Mori").first()


@SHARED
@pytest.mark.parametrize("reads", ["orm", "raw"])
def test_rows_of_who_stopped_a_use_are_left_out(reads: str) -> None:
    m = models()
    m.Customer.objects.create(name="50%s", email="%s@example.org")

    def names() -> list[str]:
        if reads == "orm":
            return list(m.Customer.objects.filter(name__contains="").order_by("id").values_list("name", flat=True))
        text = "SELECT id, name FROM django_shop_customer WHERE name <> %s ORDER BY id"
        return [one.name for one in m.Customer.objects.raw(text, ["nobody"])]

    ren = m.Customer(pk=2).pk
    with guard.purpose(tm.ProductGuidance, channel="email"):
        assert names() == ["Aiko Mori", "Ren Ito", "50%s"]
        stopped = governance.restrict(ren, tm.ProductGuidance)
        try:
            assert names() == ["Aiko Mori", "50%s"]
            # What refers to a subject is about that subject.
            assert list(m.Contract.objects.values_list("product", flat=True)) == ["shield"]
            assert set(m.Customer.objects.values_list("contracts__product", flat=True)) == {"shield", None}
            assert m.Customer.objects.filter(name="Ren Ito").update(name="nobody") == 0
        finally:
            governance.lift(stopped)
        assert names() == ["Aiko Mori", "Ren Ito", "50%s"]


@SHARED
@pytest.mark.parametrize("name", ["callproc", "copy", "executescript", "stream"])
def test_a_cursor_executes_statements_alone(name: str) -> None:
    with connection.cursor() as cursor, pytest.raises(UnresolvedStatement, match=name):
        getattr(cursor, name)("SELECT * FROM django_shop_customer")


@SHARED
@pytest.mark.parametrize(
    "text",
    [
        "EXPLAIN SELECT name FROM django_shop_customer", "SELECT name FROM django_shop_customer; SELECT 1",
        "DROP TABLE django_shop_customer", "CREATE INDEX i ON django_shop_customer (name)",
        'SAVEPOINT "x"; SELECT name FROM django_shop_customer', "PRAGMA table_info(django_shop_customer)", "VACUUM",
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused(text: str) -> None:
    with guard.purpose(tm.ProductProvision), pytest.raises(UnresolvedStatement):
        _cursor(text)


@SHARED
def test_a_parameter_of_an_odd_name_is_refused() -> None:
    text = "SELECT ('%(k')s, ', last_scan, ' FROM django_shop_customer"
    with guard.purpose(tm.ProductProvision), connection.cursor() as cursor, pytest.raises(UnresolvedStatement):
        cursor.execute(text, {"k'": 1})


@SHARED
def test_another_thread_has_no_purpose() -> None:
    def read() -> Any:
        try:
            return list(models().Customer.objects.values("name"))
        finally:
            connection.close()

    with guard.purpose(tm.ProductProvision), ThreadPoolExecutor(1) as pool, pytest.raises(PurposeMissing):
        pool.submit(read).result()


@SHARED
def test_a_table_that_no_model_has_is_refused() -> None:
    with guard.purpose(tm.ProductProvision), pytest.raises(UnlabelledData):
        _cursor("SELECT name FROM elsewhere")


@OWN
def test_a_wrapper_that_was_there_first_takes_nothing_away() -> None:
    def aside(execute: Any, *args: Any) -> Any:
        return execute(*args)

    connection.close()
    with connection.execute_wrapper(aside), guard.purpose(tm.ProductProvision):
        assert models().Customer.objects.count() == 2
    with pytest.raises(PurposeMissing):
        list(models().Customer.objects.all())


@OWN
def test_statements_are_held_where_queries_are_logged() -> None:
    with override_settings(DEBUG=True), CaptureQueriesContext(connection):
        with pytest.raises(PurposeMissing):
            list(models().Customer.objects.all())
        with connection.cursor() as cursor, pytest.raises(pg.SealedValue):
            cursor.execute("SELECT %s", [pg.Personal("Aiko", tm.Registration)])
        with guard.purpose(tm.ProductProvision):
            assert len(models().Customer.objects.all()) == 2


@SHARED
def test_commands_run_for_their_purpose() -> None:
    out = io.StringIO()
    call_command("remind", stdout=out)
    assert out.getvalue() == "aiko@example.org: shield\nren@example.org: cloud\n"
    with pytest.raises(CommandError, match="outside any purpose"):
        call_command("dumpdata", "django_shop", stdout=out)


@OWN
def test_migrations_are_exempt_and_nothing_beside_them() -> None:
    m = models()
    call_command("migrate", "django_shop", "0001", verbosity=0)
    m.Customer.objects.create(name="C", email="C@EXAMPLE.ORG", last_scan="")
    call_command("migrate", "django_shop", verbosity=0)
    with guard.purpose(tm.ProductProvision):
        assert m.Customer.objects.get(name="C").email == "C@example.org"
    with pytest.raises(PurposeMissing):
        m.Customer.objects.get(name="C")


@OWN
def test_a_schema_editor_reads_nothing() -> None:
    with connection.schema_editor() as editor:
        with pytest.raises(PurposeGuardError):
            editor.execute("CREATE TABLE copied AS SELECT name FROM django_shop_customer")
        with pytest.raises(PurposeGuardError):
            editor.execute("INSERT INTO django_shop_segment (title) SELECT kind FROM django_shop_event")


@OWN
def test_a_database_is_emptied_and_asked_about_its_tables() -> None:
    assert "django_shop_customer" in connection.introspection.table_names()
    call_command("flush", interactive=False, verbosity=0)
    assert models().Customer.objects.count() == 0


def test_functions_of_the_databases_own_are_named_in_a_setting() -> None:
    statements = HeldConnections(guard, {"shorten"}).statements("sqlite")
    statements.analyse("SELECT shorten(name) FROM django_shop_customer")
    with pytest.raises(
        UnresolvedStatement, match=r'`lengthen` is no function .* `PURPOSEGUARD_FUNCTIONS={"lengthen"}`'
    ):
        statements.analyse("SELECT lengthen(name) FROM django_shop_customer")
    with pytest.raises(TypeError, match=r"PURPOSEGUARD_FUNCTIONS.* takes several"):
        HeldConnections(guard, "shorten")
