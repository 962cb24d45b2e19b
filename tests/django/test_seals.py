"""A sealed value is never stored, looked for or shown by Django, however it is given."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest
from django import forms
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.backends.signed_cookies import SessionStore as CookieStore
from django.core.cache import cache, caches
from django.core.mail import EmailMessage
from django.core.serializers.json import DjangoJSONEncoder
from django.core.signing import dumps
from django.db import connection, models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce, Concat
from django.forms.models import model_to_dict, modelform_factory
from django.http import HttpResponse, JsonResponse, QueryDict, StreamingHttpResponse
from django.template import Context, Template, engines
from django.urls import reverse
from django.utils.encoding import force_str
from django.utils.functional import lazystr
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import mark_safe

import purposeguard as pg
from examples.django_shop.privacy import guard
from purposeguard.notices import trendmicro_jp as tm

CANARY = "Aiko Sakura"
SEAL: Any = pg.Personal(CANARY, tm.Registration)


def customers() -> Any:
    from examples.django_shop.models import Customer

    return Customer.objects


def events() -> Any:
    from examples.django_shop.models import Event

    return Event.objects


def saved() -> None:
    one = customers().get(pk=1)
    one.name = SEAL
    one.save()


def bulk_updated() -> None:
    one = customers().get(pk=1)
    one.name = SEAL
    customers().bulk_update([one], ["name"])


def executed(many: bool = False) -> None:
    with connection.cursor() as cursor:
        text = "INSERT INTO django_shop_customer (name, email, last_scan) VALUES (%s, %s, %s)"
        if many:
            cursor.executemany(text, iter([("a", "b", "c"), (SEAL, "b", "c")]))
        else:
            cursor.execute(text, [SEAL, "b", "c"])


def in_a_session() -> None:
    session = SessionStore()
    session["name"] = SEAL
    session.save()


def in_a_signed_cookie() -> None:
    session = CookieStore()
    session["name"] = SEAL
    session.save()


def in_a_cookie() -> None:
    HttpResponse().set_cookie("name", SEAL)


def by_a_form() -> None:
    from examples.django_shop.models import Customer

    form = modelform_factory(Customer, fields=["name", "email", "last_scan"])({"name": SEAL, "email": "a@example.org"})
    form.save()


def by_an_expression(expression: Any) -> None:
    customers().filter(pk=1).update(name=expression)


STORING: dict[str, Any] = {
    "create": lambda: customers().create(name=SEAL, email="a@example.org"),
    "save": saved,
    "bulk_create": lambda: customers().bulk_create([customers().model(name=SEAL), customers().model(name="b")]),
    "bulk_update": bulk_updated,
    "update": lambda: customers().update(name=SEAL),
    "get_or_create": lambda: customers().get_or_create(name=SEAL),
    "get_or_create by default": lambda: customers().get_or_create(email="b@example.org", defaults={"name": SEAL}),
    "update_or_create": lambda: customers().update_or_create(pk=1, defaults={"name": SEAL}),
    "a Value": lambda: by_an_expression(Value(SEAL)),
    "a typed Value": lambda: by_an_expression(Value(SEAL, output_field=models.CharField())),
    "a Case": lambda: by_an_expression(Case(When(pk=1, then=SEAL))),
    "a Concat": lambda: by_an_expression(Concat("email", Value(SEAL))),
    "a Coalesce": lambda: by_an_expression(Coalesce(SEAL, Value("x"))),
    "a sum": lambda: by_an_expression(F("email") + SEAL),
    "JSON": lambda: events().create(customer_id=1, details=SEAL),
    "a key of JSON": lambda: events().create(customer_id=1, details={"name": [SEAL]}),
    "a list": lambda: customers().create(name=[SEAL], email="a@example.org"),
    "a lazy text": lambda: customers().create(name=lazystr(SEAL), email="a@example.org"),
    "a key in JSON": lambda: events().create(customer_id=1, details={SEAL: 1}),
    "a number": lambda: events().create(customer_id=1, seconds=SEAL),
    "a foreign key": lambda: events().create(customer_id=SEAL),
    "a primary key": lambda: customers().create(pk=SEAL),
    "a cursor": executed,
    "many by a cursor": lambda: executed(many=True),
    "a form": by_a_form,
    "a session": in_a_session,
    "a signed cookie": in_a_signed_cookie,
    "a cookie": in_a_cookie,
    "the cache": lambda: cache.set("name", SEAL),
    "many in the cache": lambda: cache.set_many({"a": 1, "name": [SEAL]}),
    "a key of the cache": lambda: cache.set(SEAL, 1),
    "the cache of the default": lambda: caches["default"].get_or_set("name", lambda: SEAL),
    "a signature": lambda: dumps({"name": SEAL}),
    "a pickled query": lambda: pickle.dumps(customers().filter(name=SEAL).query),
}

ASKING: dict[str, Any] = {
    "filter": lambda: list(customers().filter(name=SEAL)),
    "exclude": lambda: list(customers().exclude(name=SEAL)),
    "get": lambda: customers().get(name=SEAL),
    "in": lambda: list(customers().filter(name__in=["a", SEAL])),
    "icontains": lambda: list(customers().filter(name__icontains=SEAL)),
    "startswith": lambda: list(customers().filter(name__startswith=SEAL)),
    "regex": lambda: list(customers().filter(name__regex=SEAL)),
    "range": lambda: list(customers().filter(name__range=("a", SEAL))),
    "gt": lambda: list(customers().filter(name__gt=SEAL)),
    "Q": lambda: list(customers().filter(~Q(name=SEAL) | Q(pk=1))),
    "an annotation": lambda: list(customers().annotate(x=Value(SEAL))),
    "alias": lambda: list(customers().alias(x=Value(SEAL, output_field=models.TextField())).filter(x="a")),
    "an order": lambda: list(customers().order_by(SEAL)),
    "F": lambda: list(customers().filter(name=F(SEAL))),
    "JSON": lambda: list(events().filter(details__name=SEAL)),
    "JSON contained": lambda: list(events().filter(details={"name": SEAL})),
    "a date": lambda: list(customers().filter(contracts__renews_on=SEAL)),
    "a pk": lambda: customers().get(pk=SEAL),
    "in_bulk": lambda: customers().in_bulk([SEAL]),
    "raw": lambda: list(customers().raw("SELECT id, name FROM django_shop_customer WHERE name = %s", [SEAL])),
    "raw by name": lambda: list(
        customers().raw("SELECT id, name FROM django_shop_customer WHERE name = %(name)s", {"name": SEAL})
    ),
    "extra": lambda: list(customers().extra(where=["name = %s"], params=[SEAL])),
    "delete": lambda: customers().filter(name=SEAL).delete(),
}


class Form(forms.Form):
    name = forms.CharField()
    day = forms.DateField(required=False)
    kind = forms.ChoiceField(required=False, choices=[("a", SEAL)])


def rendered(text: str, **context: Any) -> str:
    return str(Template(text).render(Context({"seal": SEAL, "one": {"name": SEAL}, "many": [SEAL], **context})))


def sent(response: Any) -> bytes:
    return b"".join(response)


SHOWING: dict[str, Any] = {
    "a variable": lambda: rendered("{{ seal }}"),
    "not escaped": lambda: rendered("{% autoescape off %}{{ seal }}{% endautoescape %}"),
    "safe": lambda: rendered("{{ seal|safe }}"),
    "within": lambda: rendered("{{ one.name }}"),
    "a filter": lambda: rendered("{{ seal|upper }}"),
    "a default": lambda: rendered("{{ seal|default:'x' }}"),
    "a length": lambda: rendered("{{ seal|length }}|{{ seal }}"),
    "in a loop": lambda: rendered("{% for x in many %}{{ x }}{% endfor %}"),
    "a loop over it": lambda: rendered("{% for x in seal %}x{% endfor %}"),
    "a condition": lambda: rendered("{% if seal %}x{% endif %}"),
    "joined": lambda: rendered("{{ many|join:', ' }}"),
    "in a list": lambda: rendered("{{ many }}"),
    "in a mapping": lambda: rendered("{{ one }}"),
    "in a URL": lambda: rendered("{% url 'customer-detail' seal %}"),
    "firstof": lambda: rendered("{% firstof nothing seal %}"),
    "a script": lambda: rendered("{{ one|json_script:'x' }}"),
    "another engine": lambda: engines["django"].from_string("{{ x }}").render({"x": SEAL}),
    "form initial": lambda: str(Form(initial={"name": SEAL})["name"]),
    "a choice": lambda: str(Form()["kind"]),
    "a bound form": lambda: str(Form({"name": SEAL})["name"]),
    "format_html": lambda: format_html("<b>{}</b>", SEAL),
    "mark_safe": lambda: mark_safe(SEAL),  # noqa: S308  # to see that it is refused
    "escaped": lambda: conditional_escape(SEAL),
    "force_str": lambda: force_str(SEAL),
    "a response": lambda: HttpResponse(SEAL),
    "parts of a response": lambda: HttpResponse(["a", SEAL]),
    "a stream": lambda: sent(StreamingHttpResponse([SEAL])),
    "a header": lambda: HttpResponse(headers={"X-Name": SEAL}),
    "JSON": lambda: JsonResponse({"name": SEAL}),
    "the encoder": lambda: DjangoJSONEncoder().encode([SEAL]),
    "a query": lambda: _query().urlencode(),
    "reversed": lambda: reverse("customer-detail", args=[SEAL]),
    "mail": lambda: EmailMessage("Hello", SEAL, "a@example.org", ["b@example.org"]).message().as_bytes(),
    "the head of mail": lambda: EmailMessage(SEAL, "x", "a@example.org", ["b@example.org"]).message(),
}


def _query() -> QueryDict:
    query = QueryDict(mutable=True)
    query["name"] = SEAL
    return query


def _refused(call: Any) -> None:
    """Some of Django's fields answer a faulty value with an error of their own; none is to hold the value."""
    with (
        guard.purpose(tm.ProductProvision),
        pytest.raises(Exception) as refusal,  # noqa: PT011  # of which kind it is, is Django's
        transaction.atomic(),
    ):
        call()
    assert not isinstance(refusal.value, AssertionError)
    shown = "".join(traceback.format_exception(refusal.value))
    assert CANARY not in shown.replace(f'"{CANARY}"', "")


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("way", STORING)
def test_a_seal_is_not_stored(way: str) -> None:
    _refused(STORING[way])
    with connection.cursor() as cursor, guard.purpose(tm.ProductProvision):
        for table, column in (("customer", "name"), ("event", "details"), ("event", "kind")):
            cursor.execute(f"SELECT {column} FROM django_shop_{table}")  # noqa: S608  # names of this test
            texts = str(cursor.fetchall())
            assert "sealed" not in texts
            assert CANARY not in texts


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("way", ASKING)
def test_a_seal_is_not_looked_for(way: str) -> None:
    customers().create(name="<sealed 1.1(a)>", email="a@example.org")
    _refused(ASKING[way])


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("vendor", ["sqlite"])
@pytest.mark.parametrize("way", SHOWING)
def test_a_seal_is_not_shown(way: str) -> None:
    _refused(SHOWING[way])


FIELDS = [
    *(models.BinaryField(), models.BooleanField(), models.CharField(), models.DateField(), models.DateTimeField()),
    *(models.DecimalField(max_digits=4, decimal_places=1), models.DurationField(), models.EmailField()),
    *(models.FileField(), models.FilePathField(), models.FloatField(), models.GenericIPAddressField()),
    *(models.IntegerField(), models.BigAutoField(primary_key=True), models.JSONField(), models.SlugField()),
    *(models.TextField(), models.TimeField(), models.URLField(), models.UUIDField(), models.SmallIntegerField()),
]


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("field", FIELDS, ids=lambda field: type(field).__name__)
def test_no_field_makes_a_seal_ready_for_a_database(field: Any) -> None:
    field.set_attributes_from_name("it")

    def stored() -> None:
        with connection.cursor() as cursor:  # some values are made ready by the driver
            cursor.execute("SELECT %s", [field.get_db_prep_save(SEAL, connection)])

    _refused(stored)


def test_what_a_template_does_without_is_left_out() -> None:
    # Filters of Django's that answer a TypeError with an empty text.
    assert "sealed" not in str(Form(initial={"day": SEAL})["day"])
    assert rendered("{{ seal|stringformat:'s' }}{{ seal.upper }}{{ seal|date }}") == ""


def test_a_seal_is_printed_and_logged_as_ever() -> None:
    assert f"{SEAL}" == str(SEAL) == repr(SEAL) == "<sealed 1.1(a)>"
    assert model_to_dict(customers().model(name=SEAL))["name"] is SEAL
