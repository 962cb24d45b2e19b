"""Objects of which the purpose may use a part: loaded without the rest, which is refused where it is read."""

from __future__ import annotations

import datetime
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, event, inspect, select
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import Session, aliased, attributes, joinedload, selectinload, with_polymorphic
from sqlalchemy.orm.attributes import History
from sqlalchemy.orm.exc import DetachedInstanceError, ObjectDeletedError

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession, RowLeftOut
from purposeguard.errors import PurposeMissing, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from tests.adapters.sqlalchemy.shop import Customer, Letter, Login, Order, Person, Shop, Visit


@pytest.fixture
def session(shared: Shop, guard: Guard) -> Iterator[GuardedSession]:
    with GuardedSession(shared.guarded(guard), defer_denied=True) as made:
        yield made


def _refused(found: Any, name: str) -> None:
    with pytest.raises(PurposeViolation) as caught:
        getattr(found, name)
    assert caught.value.field == f"{type(found).__tablename__}.{name}"
    assert name not in vars(found)


def test_an_object_is_loaded_without_what_the_purpose_may_not_use(session: GuardedSession, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance):
        for found in session.scalars(select(Customer).order_by(Customer.id)):
            assert (found.name, found.email, found.active) == (f"n{found.id}", f"e{found.id}", True)
            _refused(found, "device")
        assert session.get_one(Customer, 3).address == "n3 <e3>"
    with guard.purpose(tm.ProductProvision):
        assert found.device == "d4"
    with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
        _ = found.device


def test_it_is_refused_where_it_is_named(session: GuardedSession, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance):
        for query in (
            select(Customer.id, Customer.device),
            select(Customer).where(Customer.device == "d1"),
            select(Customer).order_by(Customer.device),
        ):
            with pytest.raises(PurposeViolation):
                session.execute(query)


def test_a_session_that_defers_nothing_refuses_the_whole(shared: Shop, guard: Guard) -> None:
    session = GuardedSession(shared.guarded(guard))
    with session, guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
        session.scalars(select(Customer))


def test_what_is_expired_is_loaded_without_it_too(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard), defer_denied=True) as session:
        with guard.purpose(tm.RenewalGuidance):
            found = session.get_one(Customer, 1)
            found.name = "new"
            session.commit()
            assert (found.name, found.email) == ("new", "e1")
            _refused(found, "device")
            session.expire(found)
            _refused(found, "device")
            assert found.email == "e1"
            session.refresh(found)
            assert found.name == "new"
            _refused(found, "device")
            session.expire(found)
            assert found.email == "e1"
        with guard.purpose(tm.ProductProvision):
            assert found.device == "d1"
        with guard.purpose(tm.RenewalGuidance):
            added = Customer(id=9, email="e9", name="n9", device="d9", plan="gold")
            session.add(added)
            session.commit()
            assert added.email == "e9"
            _refused(added, "device")
            session.delete(added)
            session.commit()
            assert found.email == "e1"


def test_what_was_left_out_is_not_loaded_without_a_session(session: GuardedSession, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance):
        login = session.scalars(select(Login)).one()
        session.expire(login)
        assert login.account == "ann"
        kept = pickle.loads(pickle.dumps(login))
    with guard.purpose(tm.TrafficAnalysis), pytest.raises(DetachedInstanceError, match="`ip` was left out"):
        _ = kept.ip


def test_nothing_personal_is_loaded_for_no_purpose(session: GuardedSession) -> None:
    found = session.get_one(Customer, 2)
    assert (found.id, found.active) == (2, True)
    with pytest.raises(PurposeMissing):
        _ = found.name


@pytest.mark.parametrize("how", ["lazy", "joined", "selectin"])
def test_related_objects_are_loaded_without_it(session: GuardedSession, guard: Guard, how: str) -> None:
    load = {"lazy": (), "joined": (joinedload(Order.customer),), "selectin": (selectinload(Order.customer),)}[how]
    with guard.purpose(tm.RenewalGuidance):
        order = session.scalars(select(Order).options(*load).where(Order.id == 1)).unique().one()
        assert order.customer.email == "e1"
        _refused(order.customer, "device")


def test_aliases_and_several_entities(session: GuardedSession, guard: Guard) -> None:
    other = aliased(Customer)
    with guard.purpose(tm.RenewalGuidance):
        query = select(Customer, other, Order.total).join(other, other.id > Customer.id).join(Customer.orders)
        first, second, total = session.execute(query.order_by(Customer.id, other.id, Order.id)).all()[0]
        assert (first.email, second.email, total) == ("e1", "e2", 10)
        for found in (first, second):
            _refused(found, "device")


def test_classes_that_derive_from_others(session: GuardedSession, guard: Guard) -> None:
    both = with_polymorphic(Visit, [Login])
    with guard.purpose(tm.RenewalGuidance):
        for entity in (both, Visit, Login):
            logins = [found for found in session.scalars(select(entity)) if isinstance(found, Login)]
            assert [found.account for found in logins] == ["ann"]
            with pytest.raises(PurposeViolation):
                _ = logins[0].ip
            session.expunge_all()


def test_rows_are_left_out_beside(shop: Shop, governed: Guard) -> None:
    with GuardedSession(shop.guarded(governed), defer_denied=True) as session:
        with governed.purpose(tm.RenewalGuidance):
            found = session.scalars(select(Person).order_by(Person.id)).all()
            # The note of the fourth is of a source that is denied.
            assert [person.email for person in found] == ["p3", "p5", "p6"]
        with pytest.raises((PurposeMissing, UnlabelledData)):
            _ = session.scalars(select(Person)).first().email  # type: ignore[union-attr]  # refused before


def test_what_is_only_observed_is_loaded(session: GuardedSession, guard: Guard) -> None:
    with guard.purpose(tm.RenewalGuidance, mode="observe"):
        found = session.get_one(Customer, 1)
        assert vars(found)["device"] == found.device == "d1"


def test_it_takes_one_statement(session: GuardedSession, guard: Guard) -> None:
    executed: list[str] = []
    event.listen(session.get_bind(), "before_cursor_execute", lambda *args: executed.append(args[2]))
    with guard.purpose(tm.RenewalGuidance):
        for found in session.scalars(select(Customer)):
            assert found.email
    assert len(executed) == 1
    assert "device" not in executed[0]


def test_a_row_that_is_left_out_is_told_from_one_that_is_gone(shop: Shop, governed: Guard) -> None:
    with Session(shop.plain) as plain:
        plain.execute(delete(Letter))
        plain.execute(delete(Person).where(Person.id.in_([1, 6])))
        plain.commit()
    day = datetime.date(2024, 5, 1)
    with GuardedSession(shop.guarded(governed)) as session, governed.purpose(tm.RenewalGuidance):
        stopped, other = (Person(id=number, source="1.1(a)", note="n", email="e", day=day) for number in (1, 6))
        session.add_all([stopped, other])
        session.flush()
        session.refresh(other)
        with pytest.raises(RowLeftOut, match="is there, and may not be used"):
            session.refresh(stopped)
        session.commit()
        assert other.email == "e"
        with pytest.raises(RowLeftOut, match="`Person`"):
            _ = stopped.email
        with Session(shop.plain) as plain:
            plain.execute(delete(Person).where(Person.id == 6))
            plain.commit()
        session.rollback()
        with pytest.raises(ObjectDeletedError):
            _ = other.email
        with pytest.raises(InvalidRequestError, match="Could not refresh") as caught:
            session.refresh(other)
    assert not isinstance(caught.value, RowLeftOut)


READS: dict[str, Callable[[Any], Any]] = {
    "an attribute": lambda found: found.device,
    "its history": lambda found: inspect(found).attrs.device.load_history(),
    "its value": lambda found: inspect(found).attrs.device.value,
    "by its name": lambda found: attributes.get_attribute(found, "device"),
}


@pytest.mark.parametrize("read", READS)
def test_an_expired_column_that_may_not_be_used_is_refused_where_it_is_read(
    read: str, shop: Shop, guard: Guard
) -> None:
    with GuardedSession(shop.guarded(guard), defer_denied=True) as session:
        with guard.purpose(tm.RenewalGuidance):
            found = session.get_one(Customer, 1)
            for expire in (lambda: session.expire(found), session.rollback):
                expire()
                with pytest.raises(PurposeViolation) as caught:
                    READS[read](found)
                assert caught.value.field == "customers.device"
                assert found.email == "e1"  # The others can still be loaded.
        for expire in (lambda: None, lambda: session.expire(found), session.rollback):
            expire()
            with pytest.raises(PurposeMissing):
                READS[read](found)
            assert found.id == 1
        with guard.purpose(tm.ProductProvision):
            assert READS[read](found) in ("d1", History((), ["d1"], ()))
