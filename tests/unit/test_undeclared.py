"""What objects hold outside of their fields, and what they compute: it is looked at, and left behind if denied."""

from __future__ import annotations

import collections
import copy
import dataclasses
import functools
import pickle
import types
import weakref
from typing import TYPE_CHECKING, Annotated, Any

import attrs
import pytest
from pydantic import BaseModel, PrivateAttr, computed_field

import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.values.plan import make_plan
from purposeguard.values.type_schema import SILENT, read_shape
from purposeguard.values.walk import ArgumentScan
from purposeguard.values.withheld import is_copy
from tests.unit.customers import withheld
from tests.unit.marked_rows import Data as Marked
from tests.unit.marked_rows import read, reading
from tests.unit.models import D, Device, Email, P, R, Sealing, guard
from tests.unit.oversights import SUSPENDED, guarded
from tests.unit.samples import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nowhere import Undefined  # type: ignore[import-not-found]


@dataclasses.dataclass
class Row:
    email: Email = "e"
    device: Device = "d"


@dataclasses.dataclass
class Data:
    email: Email = "e"


@dataclasses.dataclass
class Holding:
    email: Email = "e"
    anything: Any = None


class Plain:
    """An object without fields."""

    def __init__(self, kept: Any = None) -> None:
        self.kept = kept


class Text(str):  # noqa: SLOT000  # it is to have a `__dict__`
    """A text with attributes."""


class SlottedPlain:
    __slots__ = ("kept", "never")


def with_attribute(value: Any, kept: Any) -> Any:
    value.kept = kept
    return value


def handed(value: Any, cls: Any = object) -> pg.Label:
    """The label of what is met in a value that is handed over."""
    found = ArgumentScan()
    found.scan_argument(value, read_shape(cls), "it")
    return pg.Label.join(*found.labels)


def slotted(kept: Any) -> Any:
    return with_attribute(SlottedPlain(), kept)


HOLDERS: dict[str, Callable[[Any], Any]] = {
    "object": Plain,
    "slots": slotted,
    "object-in-object": lambda row: Plain(Plain(row)),
    "container": lambda row: Plain({"k": [row]}),
    "namespace": lambda row: types.SimpleNamespace(row=row),
    "partial": lambda row: functools.partial(print, row),
    "error": lambda row: ValueError("x", row),
    "weak": weakref.ref,
    "text": lambda row: with_attribute(Text("a"), row),
    "method": lambda row: types.MethodType(print, row),
    "built-in": lambda row: [row].append,
    "wrapper": lambda row: row.__str__,
}


@pytest.mark.parametrize("holder", HOLDERS.values(), ids=HOLDERS)
def test_rows_in_attributes_of_an_object_are_refused(holder: Any) -> None:
    row = Row()
    value = Holding(anything=holder(row))
    with pytest.raises(pg.UnlabelledData, match=r"`anything` is a .* that holds rows in its attributes"):
        withheld(value)
    assert withheld(value, purpose=tm.ProductProvision) is value
    assert handed(value) == R | D
    harmless = Holding(anything=holder(Data()))
    assert withheld(harmless) is harmless


class Page(list[Any]):
    """A list with attributes."""


class Pages(dict[str, Any]):
    """A dict with attributes."""


@pytest.mark.parametrize("container", [Page, Pages, collections.OrderedDict])
def test_rows_in_attributes_of_a_container_are_refused(container: Any) -> None:
    value = with_attribute(container(), Row())
    with pytest.raises(pg.UnlabelledData, match="beside its items: give a list or a dict"):
        withheld(Holding(anything=value))
    with pytest.raises(pg.UnlabelledData, match="beside its items: give a list or a dict"):
        withheld(value, list[Row] if container is Page else dict[str, Row])
    kept = Holding(anything=with_attribute(container(), [Data()]))
    assert withheld(kept) is kept


def test_attributes_that_lead_back_are_no_circle_of_rows() -> None:
    holder = Plain()
    holder.kept = [holder]
    row = Holding(anything=holder)
    holder.kept.append(row)
    assert withheld(row) is row
    assert handed(row) == R


def test_an_attribute_does_not_lead_back_to_what_was_left_out() -> None:
    row = Row()
    value = Holding(anything=[row, Plain()])
    value.anything[1].kept = value
    with pytest.raises(pg.UnlabelledData, match="is a Holding that an attribute of what is in it leads back to"):
        withheld(value)
    many = [row]
    many.append(Holding(anything=Plain(many)))  # type: ignore[arg-type]
    with pytest.raises(pg.UnlabelledData, match="is a list that an attribute of what is in it leads back to"):
        withheld(many)


def test_what_an_attribute_gives_when_it_is_iterated_is_its_code() -> None:
    value = Holding(anything=Plain())
    value.anything.kept = iter([Row()])
    assert withheld(value) is value


def test_code_and_the_library_s_own_objects_are_not_searched() -> None:
    for kept in (guard, Plain, print, types, test_rows_in_attributes_of_a_container_are_refused, P):
        value = Holding(anything=kept)
        assert withheld(value) is value
    for cls in (str, int, types.FunctionType, pg.Guard, types.ModuleType):
        assert make_plan(cls, SILENT).state is None


def test_objects_that_hold_each_other_are_searched_so_deep() -> None:
    inner = Plain(Row())
    deep = Plain(Plain(Plain(Plain(inner))))
    assert withheld(Holding(anything=deep)).anything is deep
    with pytest.raises(pg.UnlabelledData):  # met again, and less deep
        withheld(Holding(anything=[deep, inner]))


def test_a_row_that_would_lead_back_to_the_one_around_it_is_copied() -> None:
    parent = Row()
    child = with_attribute(Data(), parent)
    parent.email = child
    left = withheld(parent)
    assert "kept" not in vars(left.email)
    assert left.email.email == "e"


def test_what_is_not_understood_beside_fields_is_left_behind() -> None:
    class Lazy:
        def __iter__(self) -> Iterator[Any]:
            return iter([Row()])

    for kept in (Lazy(), iter([Row()]), pg.Personal("d", tm.ProductData)):
        value = with_attribute(Data(), kept)
        assert not hasattr(withheld(value), "kept")
        assert value.kept is kept


def test_what_is_only_observed_keeps_what_is_beside_fields() -> None:
    tape = Tape()
    observing = pg.Guard(tm.NOTICE, mode="observe", ledger=tape)
    for value in (with_attribute(Data(), Row()), with_attribute(Data(), iter([Row()])), Chained()):
        with observing.purpose(P) as use:
            assert use.withhold(value) is value
    assert tape.denials


def test_rows_of_others_are_left_behind_where_rows_are_narrowed() -> None:
    value = with_attribute(Marked(key=1), [Marked(key=SUSPENDED)])
    left = read(Marked, value, narrow=True)
    assert vars(left) == {"key": 1, "email": "e"}
    with pytest.raises(pg.SubjectViolation):
        read(Marked, value)
    value = with_attribute(Marked(key=1), iter([Row()]))
    assert vars(read(Marked, value, narrow=True)) == {"key": 1, "email": "e"}
    assert read(Marked, value, guard=guarded(mode="observe")) is value
    mine = with_attribute(Marked(key=1), [Marked(key=2)])
    assert read(Marked, mine, narrow=True) is mine


@dataclasses.dataclass
class Chained:
    """Gives rows of its own class without end, among others."""

    email: Email = "e"
    device: Device = "d"
    depth: int = 0

    @property
    def next(self) -> Chained:
        return Chained(depth=self.depth + 1)

    @property
    def wrong(self) -> Row:
        raise KeyError("not there")

    @property
    def needing(self) -> Row:
        return Row(email=self.device)

    @property
    def itself(self) -> Chained:
        return self

    @property
    def late(self) -> Row:
        row: Row = LATE[0]
        return row

    @property
    def sealed(self) -> Any:
        return None


LATE: list[Any] = []


def test_computed_rows_of_the_same_class_are_followed_so_far() -> None:
    left = withheld(Chained())
    for step in (1, 2, 3):
        left = left.next
        assert (left.email, left.depth) == ("e", step)
        with pytest.raises(pg.PurposeViolation):
            _ = left.device
    with pytest.raises(pg.PurposeViolation):
        _ = left.next


def test_what_cannot_be_computed_is_refused_by_its_label() -> None:
    left = withheld(Chained())
    for name in ("wrong", "needing"):
        with pytest.raises(pg.PurposeViolation, match=f"`{name}` was withheld"):
            getattr(left, name)
    LATE[:] = [Row()]
    with pytest.raises(pg.PurposeViolation):
        _ = left.late
    LATE.clear()


def test_computing_for_the_library_alone_is_not_reported() -> None:
    tape = Tape()
    with pg.Guard(tm.NOTICE, ledger=tape).purpose(P) as use:
        left = use.withhold(Chained())
        assert not tape.denials
        with pytest.raises(pg.PurposeViolation):
            _ = left.needing
    assert len(tape.denials) == 1


class Unsure(BaseModel):
    email: Email = "e"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def anything(self) -> Any:
        if not LATE:
            raise KeyError("not there")
        return LATE[0]


def test_what_may_be_anything_and_cannot_be_computed_is_not_read_later() -> None:
    left = withheld(Unsure())
    LATE[:] = [Row()]
    with pytest.raises(
        pg.UnlabelledData, match=r"Unsure\.anything could not be computed when the object was inspected"
    ):
        _ = left.anything
    assert type(left).anything.name == "anything"
    for again in (copy.copy(left), copy.deepcopy(left), pickle.loads(pickle.dumps(left)), left.model_copy()):
        with pytest.raises(pg.UnlabelledData):
            _ = again.anything
    LATE[:] = [iter([Row()])]
    with guard.purpose(P) as use:
        [row] = use.withhold(Unsure()).anything
        with pytest.raises(pg.PurposeViolation):
            _ = row.device
    LATE[:] = [Plain(Row())]
    with pytest.raises(pg.UnlabelledData):
        _ = withheld(Unsure()).anything
    LATE[:] = [pg.Personal("d", tm.ProductData)]
    with pytest.raises(pg.PurposeViolation):
        _ = withheld(Unsure()).anything
    LATE.clear()


def test_what_was_decided_stays_with_each_copy() -> None:
    LATE[:] = [[Row()]]
    left = withheld(Unsure())
    LATE.clear()
    for one in (left, copy.copy(left), copy.deepcopy(left), pickle.loads(pickle.dumps(left)), left.model_copy()):
        assert one.anything[0].email == "e"
        assert one.model_dump() == {"email": "e", "anything": [{"email": "e"}]}
        with pytest.raises(pg.PurposeViolation):
            _ = one.anything[0].device
    assert copy.deepcopy(left).anything[0] is not left.anything[0]
    assert left == copy.copy(left)
    assert withheld(left) is left
    assert repr(left) == "Unsure(email='e')"


class Refusing(BaseModel):
    email: Email = "e"
    kept: Any = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def own(self) -> Row:
        return read_device()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def broken(self) -> Data:
        raise KeyError("not there")


@guard.access
def read_device() -> Row:
    return Row()


def test_code_that_may_not_read_refuses_by_itself() -> None:
    value = Refusing()
    assert withheld(value) is value
    changed = withheld(Refusing(kept=Row()))
    with guard.purpose(P), pytest.raises(pg.PurposeViolation):
        _ = changed.own
    with pytest.raises(KeyError):  # it may be used, whatever it is
        _ = changed.broken
    assert handed(value) == R | D


def test_copies_of_copies_keep_what_is_left() -> None:
    LATE[:] = [[Row()]]
    once = withheld(Unsure())
    LATE[:] = ["later"]
    twice = withheld(once, purpose=tm.WebFeedback)
    LATE.clear()
    with pytest.raises(pg.PurposeViolation):
        _ = twice.email
    with pytest.raises(pg.PurposeViolation):
        _ = twice.anything[0].email


@dataclasses.dataclass
class Unreadable:
    email: Email
    other: Undefined


class Undecided(BaseModel):
    email: Email = "e"

    @property
    def unresolved(self) -> Undefined:
        return Row()

    @property
    def unreadable(self) -> Unreadable:
        return Row()  # type: ignore[return-value]


def test_a_property_whose_annotation_cannot_be_read_may_give_anything() -> None:
    left = withheld(Undecided())
    assert is_copy(type(left))
    for row in (left.unresolved, left.unreadable):
        with pytest.raises(pg.PurposeViolation):
            _ = row.device
    assert handed(Undecided()) == R | D


class Circle(BaseModel):
    key: Annotated[int, pg.Subject] = 1
    email: Email = "e"

    @property
    def others(self) -> list[Circle]:
        return [Circle(key=number) for number in LATE]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def first(self) -> Marked | None:
        return Marked(LATE[0])

    @computed_field  # type: ignore[prop-decorator]
    @property
    def any_of_them(self) -> Any:
        return [Marked(number) for number in LATE[9]]


def test_computed_rows_of_others_are_left_out() -> None:
    LATE[:] = [SUSPENDED, 2]
    left = read(Circle, Circle(), narrow=True)
    assert [row.key for row in left.others] == [2]
    assert left.first is None
    with pytest.raises(pg.UnlabelledData):
        _ = left.others[0].others[0].others[0].others
    again = copy.copy(left)
    assert [row.key for row in again.others] == [2]
    with pytest.raises(IndexError):
        _ = left.any_of_them
    LATE.clear()
    with pytest.raises(pg.UnlabelledData, match="could not be computed"):
        _ = read(Circle, Circle(), narrow=True).first


def test_computed_rows_of_one_who_stopped_all_use_are_refused_and_not_handed_over() -> None:
    LATE[:] = [SUSPENDED]
    with pytest.raises(pg.SubjectViolation):
        read(Circle, Circle())
    LATE.clear()
    with pytest.raises(pg.UnlabelledData, match="may hold rows that say whose they are, and cannot be computed"):
        handed(Circle())


@attrs.define
class Cached:
    email: Email = "e"

    @functools.cached_property
    def row(self) -> Row:
        return Row()

    @functools.cached_property
    def note(self):
        return "n"


@pytest.mark.parametrize("cls", [Cached, Chained, Refusing])
def test_an_access_function_reads_what_classes_declare_outside_of_their_fields(cls: Any) -> None:
    load = reading(guard, cls, cls)
    with guard.purpose(P), pytest.raises(pg.PurposeViolation):
        load()
    with guard.purpose(tm.ProductProvision):
        assert isinstance(load(), cls)


def test_seals_keep_the_tags_of_what_is_beside_fields() -> None:
    assert pg.Personal(with_attribute(Data(), Row()), tm.Contract).label.sources == {
        tm.Contract,
        tm.Registration,
        tm.ProductData,
    }
    assert pg.Personal(Cached(), tm.Contract).label.sources == {tm.Contract, tm.Registration, tm.ProductData}


class Reading(BaseModel):
    key: Annotated[int, pg.Subject] = 1
    email: Email = "e"

    @computed_field  # type: ignore[prop-decorator]
    @property
    def own(self) -> Row:
        return read_device()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def broken(self) -> Data:
        raise KeyError("not there")


def test_what_computed_fields_may_not_read_or_cannot_give_is_no_reason_to_leave_rows_out() -> None:
    value = Reading()
    [left] = read(list[Reading], [value], guard=guard, narrow=True, withhold=True)
    assert left is value


def test_what_is_not_understood_is_left_behind_where_rows_are_narrowed() -> None:
    class Lazy:
        def __iter__(self) -> Iterator[Any]:
            return iter(())

    value = with_attribute(Marked(key=1), Lazy())
    assert vars(read(Marked, value)) == {"key": 1, "email": "e"}
    assert read(Marked, value, guard=guarded(mode="observe")) is value


class Private(BaseModel):
    email: Email = "e"
    _row: Any = PrivateAttr(default=None)


class Outer(BaseModel):
    email: Email = "e"
    inner: list[Private]


def test_private_attributes_of_rows_in_rows_are_looked_at() -> None:
    inner = Private()
    outer = [Outer(inner=[inner])]
    assert withheld(outer) is outer
    inner._row = "plain"
    assert withheld(outer) is outer
    inner._row = Row()
    [left] = withheld(outer)
    assert left.inner[0]._row is None
    assert left.inner[0].email == "e"


def test_a_row_of_seals_with_more_is_no_row_as_announced() -> None:
    value = Sealing(pg.Personal("p", tm.Registration))
    own = guarded()
    load = reading(own, Sealing, value)
    with own.purpose(P):
        assert load() is value
        assert load() is value
        value.more = Marked(key=SUSPENDED)
        with pytest.raises(pg.SubjectViolation):
            load()


class Contract(BaseModel):
    plan: Annotated[str, tm.Contract] = "p"


@guard.access
def read_contract() -> Contract:
    return Contract()


@dataclasses.dataclass
class Customer:
    device: Device = "d"
    email: Email = "e"

    @property
    def contract(self) -> Contract:
        return read_contract()


def test_a_copy_of_a_copy_leaves_code_that_may_not_read_to_itself() -> None:
    once = withheld(Customer())
    with guard.purpose(P):
        assert once.contract.plan == "p"
    twice = withheld(once, purpose=tm.WebFeedback)
    with guard.purpose(P):
        assert twice.contract.plan == "p"
    with guard.purpose(tm.WebFeedback), pytest.raises(pg.PurposeViolation):
        _ = twice.contract


@dataclasses.dataclass
class Subscriber(Customer):
    key: Annotated[int, pg.Subject] = 1


def test_what_a_label_decides_is_not_computed() -> None:
    assert handed(Customer()) == R | D | pg.Label(tm.Contract)
    rows = [Subscriber(), Subscriber(key=SUSPENDED)]
    own = guarded()
    with own.purpose(tm.ProductProvision):  # where the guard of `read_contract` has no purpose
        [left] = reading(own, list[Subscriber], rows, narrow=True)()
        assert left is rows[0]
    with own.purpose(tm.WebFeedback), pytest.raises(pg.PurposeViolation):
        reading(own, list[Subscriber], rows)()
