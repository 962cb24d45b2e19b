"""Instances of models that check each read of a personal field."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from contextvars import copy_context
from typing import Annotated, Any

import pytest
from django.apps import apps
from django.core import serializers
from django.db import models
from django.db.models.functions import Lower
from django.db.models.signals import class_prepared
from django.forms.models import model_to_dict
from django.test import Client
from django.test.utils import isolate_apps
from rest_framework.serializers import ModelSerializer

from examples.django_shop.privacy import governance, guard
from purposeguard.adapters.django import permitted
from purposeguard.adapters.django.apps import get_held_connections
from purposeguard.adapters.django.instances import _CheckedRead
from purposeguard.adapters.django.session import HeldConnections
from purposeguard.errors import PurposeMissing, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation, SubjectViolation
from purposeguard.runtime.entry_point import EntryPoint
from tests.support import RecordingReads

pytestmark = pytest.mark.usefixtures("shop", "checked")

SCAN = "django_shop_customer.last_scan"


def stop_checks() -> None:
    """Let `from_db` of all models note nothing and descriptors be as Django made them."""
    class_prepared.disconnect(dispatch_uid="purposeguard_instances")
    for model in apps.get_models(include_auto_created=True):
        for descriptor in vars(model).values():
            if isinstance(descriptor, _CheckedRead):
                _, descriptor.__class__ = type(descriptor).__bases__
        for cls in model.__mro__:
            load = getattr(vars(cls).get("from_db"), "__func__", None)
            if load is not None:
                load.purposeguard_wrapper.checks = None


@pytest.fixture
def checked() -> Iterator[HeldConnections]:
    held = get_held_connections()
    held.check_instances()
    yield held
    held.instances = None
    stop_checks()


def model() -> Any:
    from examples.django_shop.models import Customer

    return Customer


def load(**options: Any) -> Any:
    """A customer, loaded for a purpose that may use everything."""
    with guard.purpose(tm.ProductProvision, activity="load"):
        return model().objects.order_by("id").only(*options.get("only", ())).first()


def test_a_value_is_read_for_the_purpose_of_the_reader() -> None:
    customer = load()
    with guard.purpose(tm.ProductProvision):
        assert customer.last_scan == "2026-05-02"
    with guard.purpose(tm.RenewalGuidance):
        assert customer.email == "aiko@example.org"
        with pytest.raises(PurposeViolation) as caught:
            customer.last_scan  # noqa: B018  # The read is the test.
        assert caught.value.field == SCAN
        with guard.purpose(tm.ProductProvision):
            assert customer.last_scan == "2026-05-02"
    with pytest.raises(PurposeMissing, match="read of an object of `django_shop_customer`"):
        customer.email  # noqa: B018  # The read is the test.
    assert customer.id == customer.pk  # The key is not personal.


WAYS: dict[str, Callable[[Any], Any]] = {
    "getattr": lambda customer: customer.last_scan,
    "a form": model_to_dict,
    "serializable_value": lambda customer: customer.serializable_value("last_scan"),
    "dumped data": lambda customer: serializers.serialize("json", [customer]),
    "a copy": lambda customer: copy.copy(customer).last_scan,
    "a deep copy": lambda customer: copy.deepcopy(customer).last_scan,
    "a pickle": lambda customer: pickle.loads(pickle.dumps(customer)).last_scan,  # of this test
    "a relation": lambda customer: customer.events.all()[0].customer.last_scan,
    "a serializer": lambda customer: CustomerSerializer()(customer).data,
    "a deferred field": lambda customer: load(only=["id", "name"]).last_scan,
    "a bulk": lambda customer: type(customer).objects.defer("last_scan").in_bulk(field_name="last_scan"),
}


def CustomerSerializer() -> Any:  # Models cannot be imported before Django is set up.
    return type(
        "CustomerSerializer",
        (ModelSerializer,),
        {"Meta": type("Meta", (), {"model": model(), "fields": ["name", "last_scan"]})},
    )


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_a_value_is_checked(way: str) -> None:
    with guard.purpose(tm.RenewalGuidance), pytest.raises((PurposeViolation, ValueError)):
        WAYS[way](load())


def test_values_that_the_application_sets_are_its_own() -> None:
    customer = load()
    with guard.purpose(tm.RenewalGuidance):
        customer.last_scan = "2026-06-01"
        assert copy.copy(customer).last_scan == customer.last_scan == "2026-06-01"
        customer.save(update_fields=["last_scan"])
        assert model()(last_scan="new").last_scan == "new"
    with guard.purpose(tm.ProductProvision):
        customer.refresh_from_db()
        assert customer.last_scan == "2026-06-01"
    with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
        customer.last_scan  # noqa: B018  # The read is the test.
    made = model()(name="Yuki", email="yuki@example.org")
    made.save()
    assert made.name == "Yuki"


def test_django_saves_and_compares_without_reading() -> None:
    customer, other = load(), load()
    with guard.purpose(tm.RenewalGuidance):
        customer.name = "Aiko"
        customer.save()
        assert customer == other
        assert len({customer, other}) == 1
        assert customer.get_deferred_fields() == set()
        customer.full_clean()
    with guard.purpose(tm.ProductProvision):
        other.refresh_from_db()
        assert (other.name, other.last_scan) == ("Aiko", "2026-05-02")


def test_a_value_that_is_loaded_again_is_of_that_purpose() -> None:
    customer = load(only=["id", "name"])
    with guard.purpose(tm.RenewalGuidance):
        assert customer.email == "aiko@example.org"
        del customer.email
        assert "email" not in vars(customer)
        assert customer.email == "aiko@example.org"
        del customer.email
        with pytest.raises(AttributeError):
            del customer.email
        restricted = permitted(model().objects.order_by("id")).first()
        with guard.purpose(tm.ProductProvision):
            restricted.refresh_from_db(fields=["last_scan"])
            assert restricted.last_scan == "2026-05-02"
        with pytest.raises(PurposeViolation):
            restricted.last_scan  # noqa: B018  # The read is the test.


def test_an_iterator_that_goes_on_under_another_purpose_is_checked() -> None:
    from examples.django_shop.models import Contract

    customers = model().objects
    raw = "SELECT * FROM django_shop_customer ORDER BY id"
    with guard.purpose(tm.ProductProvision):
        iterators = [
            customers.order_by("id").iterator(),
            customers.raw(raw).iterator(),
            (contract.customer for contract in Contract.objects.select_related("customer").order_by("id").iterator()),
        ]
        for iterator in iterators:
            assert next(iterator).last_scan == "2026-05-02"
    for iterator in iterators:
        with guard.purpose(tm.RenewalGuidance):
            customer = next(iterator)
            assert customer.email == "ren@example.org"
            with pytest.raises(PurposeViolation):
                customer.last_scan  # noqa: B018  # The read is the test.
    unfinished = customers.iterator()
    with guard.purpose(tm.ProductProvision):
        next(unfinished)
    with pytest.raises(PurposeMissing):
        next(unfinished).email  # noqa: B018  # The read is the test.
    for iterator in (*iterators, unfinished):
        iterator.close()  # The traceback of the refusal keeps it, and the database is closed before.


def test_what_is_loaded_into_an_instance_of_the_application_is_checked() -> None:
    made = model()(pk=load().pk, email="own")
    with guard.purpose(tm.ProductProvision):
        made.refresh_from_db(fields=["last_scan"])
        assert made.last_scan == "2026-05-02"
    assert made.email == "own"
    with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
        made.last_scan  # noqa: B018  # The read is the test.


def test_a_field_whose_reading_was_reported_before_is_checked(reads: RecordingReads) -> None:
    with guard.purpose(tm.ProductProvision, activity="look", mode="observe"):
        customer = model().objects.order_by("id").first()
        reads.clear()
        assert customer.last_scan == customer.last_scan == "2026-05-02"
    assert reads.reads == [(SCAN, "look")]
    assert customer.last_scan == "2026-05-02"
    assert reads.reads[1:] == [(SCAN, None)]
    with guard.purpose(tm.RenewalGuidance, mode="enforce"), pytest.raises(PurposeViolation):
        customer.last_scan  # noqa: B018  # The read is the test.


def test_a_field_counts_once_for_all_objects_of_a_use_and_entry_point(reads: RecordingReads) -> None:
    def scan_all() -> list[str]:
        return [customer.last_scan for customer in model().objects.order_by("id")]

    for _ in range(2):
        with guard.purpose(tm.ProductProvision, activity="look", mode="observe"):
            reads.clear()
            assert len(scan_all()) == len(scan_all()) == 2
            assert reads.reads.count((SCAN, "look")) == 1
            with EntryPoint.route("GET", "/"):
                scan_all()
            assert reads.reads.count((SCAN, "look")) == 2


def test_what_was_observed_outside_any_purpose_is_refused_after_an_activity_that_enforces(
    reads: RecordingReads,
) -> None:
    customer = model().objects.order_by("id").first()
    assert customer.last_scan == "2026-05-02"
    with guard.purpose(tm.ProductProvision, mode="enforce"):
        context = copy_context()
    with pytest.raises(PurposeMissing):
        context.run(lambda: customer.last_scan)
    assert (SCAN, None) in reads.reads


def test_the_subject_of_the_row_counts() -> None:
    with guard.purpose(tm.ProductProvision):
        aiko, ren = model().objects.order_by("id")
        without_key = model().objects.defer("id").first()
    restriction = governance.restrict(aiko.pk, tm.RenewalGuidance)
    try:
        with guard.purpose(tm.RenewalGuidance):
            assert ren.email == "ren@example.org"
            with pytest.raises(SubjectViolation):
                aiko.email  # noqa: B018  # The read is the test.
            with pytest.raises(SubjectViolation):
                without_key.email  # noqa: B018  # The read is the test.
            vars(without_key).pop("id")
            with pytest.raises(UnlabelledData, match=r"customer\.id` is marked and was not loaded"):
                without_key.email  # noqa: B018  # The read is the test.
    finally:
        governance.lift(restriction)


def test_pages_work_as_before() -> None:
    from django.contrib.auth.models import User

    with guard.purpose(tm.ProductProvision):
        staff = User.objects.create_superuser("boss")
        customer = model().objects.order_by("id").first()
    client = Client()
    client.force_login(staff)
    page = f"/office/django_shop/customer/{customer.pk}/change/"
    assert b"aiko@example.org" in client.get(page).content
    answer = client.post(page, {"name": "Aiko", "email": "a@example.org", "last_scan": "2026-05-02"})
    assert answer.status_code == 302
    assert client.get("/customers").status_code == client.get("/renewals").status_code == 200
    assert client.get("/api/renewals/").status_code == 200
    with guard.purpose(tm.ProductProvision):
        assert list(model().objects.values_list("email", flat=True).order_by("id")) == [
            "a@example.org",
            "ren@example.org",
        ]


def test_reads_are_recorded_under_the_activity_that_reads(reads: RecordingReads) -> None:
    customer = load()
    reads.clear()
    with guard.purpose(tm.RenewalGuidance, activity="remind", mode="observe"):
        assert customer.last_scan == "2026-05-02"
        customer.save()
    assert (SCAN, "remind") in reads.reads
    assert ("django_shop_customer.name", "remind") not in reads.reads
    assert customer.email == "aiko@example.org"
    assert ("django_shop_customer.email", None) in reads.reads


def test_columns_count_when_they_are_read(reads: RecordingReads) -> None:
    from examples.django_shop.models import Contract

    customers = model().objects
    with guard.purpose(tm.ProductProvision, activity="look", mode="observe"):
        customer = customers.filter(email__contains="aiko").annotate(scan=Lower("last_scan")).get()
        assert reads.columns == {"django_shop_customer.email", SCAN}
        reads.clear()
        assert customer.name == "Aiko Mori"
        assert reads.reads == [("django_shop_customer.name", "look")]
        reads.clear()
        contract = Contract.objects.select_related("customer").get(customer=customer)
        assert not reads.columns
        assert contract.customer.email == "aiko@example.org"
        assert reads.columns == {"django_shop_customer.email"}
        reads.clear()
        assert customers.values("name")
        assert customers.raw("SELECT id, last_scan FROM django_shop_customer")[0]
        assert reads.columns == {"django_shop_customer.name", SCAN}
    reads.clear()
    assert customers.first() is not None
    assert not reads.columns


def test_rows_that_cannot_be_decided_are_recorded(reads: RecordingReads) -> None:
    customer = load()
    del vars(customer)["id"]
    reads.clear()
    with guard.purpose(tm.RenewalGuidance, activity="remind", mode="observe"):
        assert customer.email == "aiko@example.org"
    ((event, _, error),) = reads.unresolved_events
    assert event == "read of django_shop.Customer.email"
    assert isinstance(error, UnlabelledData)


@isolate_apps()
def test_descriptors_of_files_and_foreign_keys_stay_what_they_are(checked: HeldConnections) -> None:
    class Letter(models.Model):
        scan: Annotated[str, tm.ProductData] = models.FileField()
        parent: Annotated[int, tm.ProductData] = models.ForeignKey("self", models.CASCADE, null=True)

        class Meta:
            app_label = "django_shop"

        @classmethod
        def from_db(cls, db: Any, field_names: Any, values: Any) -> Any:
            return super().from_db(db, field_names, values)

    assert checked.instances is not None
    with guard.purpose(tm.ProductProvision):
        letter = Letter.from_db("default", ["id", "scan", "parent_id"], [1, "a.txt", 1])
        assert (letter.scan.name, letter.scan.field) == ("a.txt", Letter._meta.get_field("scan"))
        letter.parent = letter
        assert letter.parent_id == 1
    descriptor: Any = Letter.scan
    assert descriptor.field.name == "scan"
    with guard.purpose(tm.RenewalGuidance), pytest.raises(UnlabelledData, match="the table of no installed model"):
        letter.scan  # noqa: B018  # The read is the test.
    with guard.purpose(tm.RenewalGuidance, activity="look", mode="observe"):
        assert letter.scan.name == "a.txt"
