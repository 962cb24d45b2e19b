"""What is shown of values outside any purpose: objects, dicts made from them, texts made from them, exceptions."""

from __future__ import annotations

import collections
import dataclasses
import functools
import json
import traceback
import types
from collections.abc import Callable
from typing import Annotated, Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

import purposeguard as pg
from purposeguard.integrations import _masking_classes
from purposeguard.integrations._masking_errors import MaskedFailure
from purposeguard.integrations._masking_texts import DEEPEST, MOST_TEXTS, MaskedTexts
from purposeguard.integrations.masking import LONGEST, MOST_ITEMS, Look, Masker
from purposeguard.notices import trendmicro_jp as tm
from tests.integrations.people import (
    DEVICE,
    EMAIL,
    ID,
    NAME,
    Address,
    Broken,
    Customer,
    Envelope,
    Point,
    Visit,
    contact,
    customer,
    household,
    must_hold_none,
    row,
)

MASKER = Masker()
SHOWN = "Customer(customer_id=<subject>, full_name=<1.1(a)>, email=<1.1(a)>, device=<1.1(b)>, plan='standard')"


Bare = collections.namedtuple("Bare", "full_name email")  # noqa: PYI024


class Hiding(dict[str, Any]):
    def items(self) -> Any:
        return ()


class Showing(str):
    __slots__ = ()

    def __str__(self) -> str:
        return NAME

    __repr__ = __str__


@dataclasses.dataclass
class Around:
    inside: object

    def __repr__(self) -> str:
        return f"Around {self.inside!r}"


def circle() -> list[Any]:
    inside: list[Any] = [customer()]
    inside.append(inside)
    return inside


def nested(depth: int) -> Any:
    value: Any = customer()
    for _ in range(depth):
        value = [value]
    return value


HOLDING = {
    "model": customer(),
    "seal": pg.Personal(NAME, tm.Registration),
    "seal of a seal": pg.Personal(customer(), tm.Registration).map(str),
    "model with seals": contact(),
    "dataclass with models": household(),
    "NamedTuple": Point(DEVICE, 1.5),
    "attrs": Address(EMAIL),
    "mapped": row(),
    "list": [1, [customer()]],
    "tuple": (customer(), "x"),
    "set": {Point(DEVICE, 1.5)},
    "deque": collections.deque([customer()]),
    "dict": {"k": {"customer": customer()}},
    "keys": {Point(DEVICE, 1.5): 1},
    "views": {"k": customer()}.values(),
    "read-only dict": types.MappingProxyType({"k": customer()}),
    "generator": (one for one in [customer()]),
    "exception": ValueError("no", customer()),
    "dump": customer().model_dump(),
    "dump by alias": customer().model_dump(by_alias=True),
    "dump without": customer().model_dump(exclude={"customer_id", "email"}),
    "dump of one field": customer().model_dump(include={"full_name"}),
    "dump and more": {**customer().model_dump(), "at": "noon"},
    "asdict": dataclasses.asdict(household()),
    "vars": vars(row()),
    "column and relationship": {"reader_name": NAME, "loans": []},
    "columns": {"stored_name": NAME, "row_id": ID, "total": 3},
    "TypedDict": Visit(visit_email=EMAIL, page="/"),
    "OrderedDict": collections.OrderedDict(customer().model_dump()),
    "bare namedtuple": Bare(NAME, EMAIL),
    "dict that hides its items": Hiding(customer().model_dump()),
    "text that shows another": Showing("x"),
    "partial": functools.partial(print, customer()),
    "untagged around it": Around(customer()),
    "unknown": Envelope(customer()),
    "unknown in a list": [Envelope(customer())],
    "broken": Broken(),
    "circle": circle(),
    "deep": nested(DEEPEST * 2),
    "very deep": nested(5_000),
    "many": [customer()] * (MOST_ITEMS * 3),
    "bytes": customer().model_dump_json().encode(),
}


@pytest.mark.parametrize("name", HOLDING)
def test_what_is_tagged_is_shown_as_its_clause(name: str) -> None:
    must_hold_none(repr(MASKER.masked(HOLDING[name])))
    must_hold_none(repr(MASKER.entries({"given": HOLDING[name]})))


def test_what_is_not_tagged_stays() -> None:
    assert repr(MASKER.masked(customer())) == SHOWN
    assert MASKER.masked({"dump": customer().model_dump()})["dump"] == {
        "customer_id": "<subject>",
        "full_name": "<1.1(a)>",
        "email": "<1.1(a)>",
        "device": "<1.1(b)>",
        "plan": "standard",
    }
    assert repr(MASKER.masked(household())).endswith("street=<1.1(a)>, rooms=3)")


def test_attributes_beside_the_items_of_a_list_are_not_shown() -> None:
    class Page(list[Any]):
        owner: object = None

    page = Page([customer()])
    page.owner = customer()
    assert repr(MASKER.masked(page)) == f"[{SHOWN}]"


@pytest.mark.parametrize(
    "value",
    [None, 7, 1.5, "text", b"\xff\xfe", (1, "a"), [{"a": [1]}], {1, 2}, {"level": 3, "at": "noon"}, int, len, pytest],
    ids=repr,
)
def test_what_holds_nothing_personal_is_the_same_object(value: object) -> None:
    assert MASKER.masked(value) is value


def test_classes_that_are_named_as_harmless_are_shown() -> None:
    given = Envelope("x")
    assert Masker(shown=[Envelope]).masked(given) is given


TEXTS = {
    "repr": repr(customer()),
    "str": str(customer()),
    "in a list": str([customer()]),
    "a dict": str(customer().model_dump()),
    "JSON": customer().model_dump_json(),
    "JSON by alias": json.dumps(customer().model_dump(by_alias=True), indent=2),
    "a dataclass": repr(household().head),
    "query": f"GET /customers?full_name={NAME}&email={EMAIL}&page=2",
    "open quotes": f"Customer(email='{EMAIL}, full_name='{NAME}",
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_made_of_objects_and_dicts_are_masked(name: str) -> None:
    must_hold_none(MASKER.text(f"seen: {TEXTS[name]} and so on"))


def test_other_texts_stay() -> None:
    for text in ("GET /x status=200 plan=standard", "at 12:30:45: email=later", "def f(a: int) -> None: ..."):
        assert MASKER.text(text) == text
    assert MASKER.text(f"{customer()} done").endswith("plan='standard' done")
    assert len(MASKER.text("x" * LONGEST * 2)) < LONGEST + 20


def test_a_strict_masker_masks_any_entry_with_the_name_of_a_tagged_field() -> None:
    given = {"full_name": NAME, "at": "noon"}
    assert MASKER.masked(given) is given  # one field of a class that has two others that are tagged
    strict = Masker(strict=True)
    assert strict.masked(given) == {"full_name": "<1.1(a)>", "at": "noon"}
    assert strict.text(f"to full_name={NAME} at noon") == "to full_name=<1.1(a)>"


WORDS = ["Quimbaldo", "VanderMeer", "山田太郎", "アイコさま", "Müllerstraße", "Łukasiewicz"]
BETWEEN = [*" -'\"\n・\\。", "\u3000", "  ", ", ", "; ", " (", ") ", " [", "] ", " & ", "' ", " '", ' "', " > ", " :) "]


@st.composite
def spoken_values(draw: st.DrawFn) -> str:
    """A value of several words, with whatever people write between them."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
    return "".join(f"{draw(st.sampled_from(BETWEEN)) if number else ''}{word}" for number, word in enumerate(words))


FORMS: dict[str, Callable[[str, str], str]] = {
    "words": lambda name, email: f"full_name={name} email={email}",
    "commas": lambda name, email: f"saved full_name={name}, email={email}, plan=gold",
    "semicolons": lambda name, email: f"full_name = {name}; email = {email}; plan = gold",
    "a query": lambda name, email: f"/customers?full_name={name}&email={email}&page=2",
    "lines": lambda name, email: f"full_name: {name}\nemail: {email}\nplan: gold",
    "full-width signs": lambda name, email: f"full_name＝{name}、email＝{email}",
    "an object of words": lambda name, email: f"Customer(full_name={name}, email={email}) saved",
    "quoted by hand": lambda name, email: f"full_name='{name}' email=\"{email}\"",
    "repr": lambda name, email: repr({"full_name": name, "email": email, "plan": "gold"}),
    "repr of a list": lambda name, email: repr([{"plan": 7, "full_name": [name, (email,)], "email": email}]),
    "JSON": lambda name, email: json.dumps({"full_name": name, "email": email, "n": 1}),
    "JSON, not escaped": lambda name, email: json.dumps({"full_name": name, "email": email}, ensure_ascii=False),
    "masked before": lambda name, email: f"full_name=<1.1(a)> {name}, email={email}",
}


@pytest.mark.parametrize("form", FORMS)
@given(name=spoken_values(), email=spoken_values())
def test_no_word_of_a_value_is_left(form: str, name: str, email: str) -> None:
    text = FORMS[form](name, email)
    for masker in (MASKER, Masker(strict=True)):
        shown = masker.text(text)
        left = [word for word in WORDS if word in shown or json.dumps(word)[1:-1] in shown]
        assert not left, (text, shown)
        assert "<1.1(a)>" in shown


def test_what_stands_beside_masked_values_stays() -> None:
    for text, shown in {
        "full_name=Aiko van Quimby, email=a@b c d, plan=gold": "full_name=<1.1(a)>, email=<1.1(a)>, plan=gold",
        "full_name='A', email='b', plan='gold' done": "full_name=<1.1(a)>, email=<1.1(a)>, plan='gold' done",
        '{"full_name": "A", "email": ["a", "b"], "n": 7} end': '{"full_name": <1.1(a)>, "email": <1.1(a)>, "n": 7} end',
        "?full_name=Aiko&email=x&page=2": "?full_name=<1.1(a)>&email=<1.1(a)>&page=2",
        "email=(1, full_name='x'), plan=2": "email=<1.1(a)>, plan=2",
        "full_name=, email=, plan=2": "full_name=<1.1(a)>, email=<1.1(a)>, plan=2",
    }.items():
        assert MASKER.text(text) == shown


def test_the_one_tagged_field_of_a_class_is_enough_beside_other_keys() -> None:
    class Subscriber(BaseModel):
        seat: int
        solo_mail: Annotated[str, tm.Registration] = Field(alias="soloMail")

    masker = Masker(Subscriber)
    for key in ("solo_mail", "soloMail"):
        assert masker.entries({key: "aiko@example.com", "attempt": 2}) == {key: "<1.1(a)>", "attempt": 2}
    assert masker.entries({"seat": 4, "attempt": 2}) == {"seat": 4, "attempt": 2}


def test_parameters_of_queries_are_hidden() -> None:
    given = {"db.params": [NAME, ID], "db.query.parameter.0": EMAIL, "db.system": "sqlite"}
    shown = MASKER.entries(given)
    assert shown == {"db.params": "<not shown>", "db.query.parameter.0": "<not shown>", "db.system": "sqlite"}


def test_a_class_of_a_function_is_known_once_named_or_met() -> None:
    class Late(pydantic.BaseModel):
        late_name: Annotated[str, tm.Registration]
        late_email: Annotated[str, tm.Registration]

    late = Late(late_name=NAME, late_email=EMAIL)
    must_hold_none(repr(Masker(Late).masked(late.model_dump())))
    masker = Masker()
    must_hold_none(repr(masker.masked(late)))
    must_hold_none(repr(masker.masked(late.model_dump())))


def test_asking_reads_no_tags_of_classes_that_say_nothing() -> None:
    class Plain(pydantic.BaseModel):
        plain_name: str
        plain_email: str

    masker = Masker()
    given = {"plain_name": "x", "plain_email": "y"}
    assert masker.masked(given) is given
    pg.tag(Plain, plain_name=tm.Registration)  # it is not too late
    must_hold_none(repr(Masker(Plain).masked({"plain_name": NAME, "plain_email": "y"})))


def test_what_cannot_be_read_is_masked_whole() -> None:
    class Unresolved(pydantic.BaseModel):
        other: Annotated[Missing, tm.Registration]  # type: ignore[name-defined]  # noqa: F821

    given = Unresolved.model_construct(other=NAME)
    must_hold_none(repr(MASKER.masked(given)))


def test_the_memory_of_keys_is_bounded() -> None:
    masker = Masker()
    for number in range(_masking_classes.MOST_KEYS + 10):
        masker.masked({"email": "x", f"key{number}": "y", "full_name": "z"})
    assert len(_masking_classes.CLASSES._index.asked) <= _masking_classes.MOST_KEYS


def test_masked_texts_are_found_elsewhere() -> None:
    texts = MaskedTexts()
    other = "O'Brien\n"
    Look(MASKER, texts).mask([customer(), pg.Personal(other, tm.Registration)])
    text = f"{NAME!r} wrote from {EMAIL}, {DEVICE}; {ID}, {json.dumps(EMAIL)}, {other!r}"
    must_hold_none(texts.replace_in_text(text))
    assert "O'Brien" not in texts.replace_in_text(text)
    assert texts.replace_in_text("standard") == "standard"


def test_short_texts_are_found_as_words_only() -> None:
    texts = MaskedTexts()
    texts.add(["Ren", "xy", 41, True, None], "<1.1(a)>")
    assert texts.replace_in_text("Ren's rendering, Renovation 41 xy") == "<1.1(a)>'s rendering, Renovation 41 xy"
    assert texts.replace_in_text("from_Ren_7") == "from_<1.1(a)>_7"


def test_where_texts_are_too_many_none_is_shown() -> None:
    texts = MaskedTexts()
    texts.add([f"text {number}" for number in range(MOST_TEXTS + 10)], "<1.1(a)>")
    assert texts.replace_in_text("anything") == "<not shown>"


class Coded(Exception):
    def __init__(self, code: int, given: object) -> None:
        super().__init__(code, given)
        self.given = given

    def __str__(self) -> str:
        return f"code {self.args[0]} of {self.given}"


def raised(error: BaseException) -> BaseException:
    known = [customer()]
    try:
        raise error
    except BaseException as caught:
        del known
        return caught


def knows(message: str) -> BaseException:
    someone = customer()
    try:
        raise LookupError(message)
    except LookupError as caught:
        assert someone.plan
        return caught


ERRORS = {
    "an object": ValueError(customer()),
    "several": ValueError("no", customer(), {"email": EMAIL}),
    "a dict": KeyError(("a", customer())),
    "a text of an object": ValueError(f"no {customer()}"),
    "a message of its own": Coded(3, customer()),
    "an unknown object": Coded(3, Envelope(customer())),
    "a note": ValueError("no"),
    "an attribute": ValueError("no"),
    "a plain text that locals know": knows(f"no such person: {NAME}"),
    "a group": ExceptionGroup("many", [ValueError(customer()), ExceptionGroup("more", [KeyError(row())])]),
    "broken": ValueError(Broken()),
}
ERRORS["a note"].add_note(f"of {customer()!r}")
ERRORS["an attribute"].person = customer()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ERRORS)
def test_messages_of_exceptions_are_masked(name: str) -> None:
    error = ERRORS[name]
    shown = MaskedFailure(MASKER, raised(error)).to_masked_exception()
    text = "".join(traceback.format_exception(shown))
    must_hold_none(text)
    assert type(shown).__name__ == type(error).__name__
    assert "raise " in text or isinstance(error, BaseExceptionGroup)


def test_causes_are_masked_too() -> None:
    try:
        try:
            raise ValueError(customer())
        except ValueError as error:
            raise RuntimeError("again") from error
    except RuntimeError as error:
        shown = MaskedFailure(MASKER, error).to_masked_exception()
    text = "".join(traceback.format_exception(shown))
    must_hold_none(text)
    assert "again" in text
    assert "The above exception was the direct cause" in text
    assert isinstance(shown.__cause__, Exception)


def test_an_exception_with_nothing_personal_is_the_same_object() -> None:
    error = raised(ValueError("no such plan"))
    assert MaskedFailure(MASKER, error).to_masked_exception() is error


def test_a_refusal_is_shown_as_it_is() -> None:
    guard = pg.Guard(tm.NOTICE)
    try:
        guard.check(tm.ProductData, tm.RenewalGuidance)
    except pg.PurposeViolation as error:
        assert MaskedFailure(MASKER, error).to_masked_exception() is error  # noqa: PT017


def test_errors_of_validation_keep_where_and_what() -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        Customer.model_validate({"customer_id": EMAIL, "full_name": ID, "email": [NAME]})
    shown = str(MaskedFailure(MASKER, caught.value).to_masked_exception())
    must_hold_none(shown)
    assert "customer_id (int_parsing)" in shown


def test_locals_of_frames_are_masked() -> None:
    def inner(person: Customer, full_name: str, copied: str) -> None:
        dump = person.model_dump()
        raise ValueError(len((full_name, copied, dump)))

    with pytest.raises(ValueError, match="3") as caught:
        inner(customer(), NAME, EMAIL)
    shown = MaskedFailure(MASKER, caught.value).locals_at(__file__, caught.traceback[-1].lineno + 1, "inner")
    assert set(shown) == {"person", "full_name", "copied", "dump"}
    assert repr(shown["person"]) == SHOWN
    must_hold_none(repr(shown))
    assert shown["copied"] == "<1.1(a)>"  # a plain text: the person beside it tells
    assert MaskedFailure(MASKER, ValueError()).locals_at(__file__, 1, "inner") == {}
