"""What an object says after the purpose that it was loaded for: it is asked again, wherever code holds it."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from sqlalchemy import JSON, Column, Engine, ForeignKey, Table, create_engine, delete, inspect, orm, select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import Composite, DeclarativeBase, Mapped, Session, composite, mapped_column, relationship
from sqlalchemy.orm.exc import ObjectDeletedError
from sqlalchemy.pool import StaticPool

import purposeguard as pg
from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import AsyncGuardedSession, GuardedSession, protect
from purposeguard.errors import PurposeGuardError, PurposeMissing, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from purposeguard.testing import capture_decisions
from tests.adapters.sqlalchemy.shop import Base, Customer, Letter, Order, Person, Shop, customer
from tests.oversights import STOPPED, Told

Left = Callable[[Session, Any], None]


LEFT: dict[str, Left] = {
    "in its session": lambda session, found: None,
    "closed": lambda session, found: session.close(),
    "expunged": lambda session, found: session.expunge(found),
    "with all others": lambda session, found: session.expunge_all(),
    "reset": lambda session, found: session.reset(),
}


@pytest.mark.parametrize("left", LEFT)
def test_an_object_that_code_holds_is_asked_again(left: str, shop: Shop, guard: Guard) -> None:
    session = GuardedSession(shop.guarded(guard))
    with guard.purpose(tm.ProductProvision):
        found = session.get_one(Customer, 1)
        LEFT[left](session, found)
        assert (found.device, found.email) == ("d1", "e1")
    with pytest.raises(PurposeMissing, match=r"^(?:read of an object|select) of `customers` in .* \(test_objects\.py:"):
        _ = found.device
    with guard.purpose(tm.RenewalGuidance):
        assert found.id == 1
        assert found.email == "e1"
        with pytest.raises(PurposeViolation):
            _ = found.device
        assert found.email == "e1"
    with guard.purpose(tm.ProductProvision):
        assert found.device == "d1"
    session.close()


def test_an_object_that_a_generator_hands_out_is_asked_for_its_consumer(shop: Shop, guard: Guard) -> None:
    session = GuardedSession(shop.guarded(guard))

    def customers() -> Iterator[Customer]:
        with guard.purpose(tm.ProductProvision):
            for key in (1, 2):
                customer = session.get_one(Customer, key)
                assert customer.device == f"d{key}"
                yield customer

    with guard.purpose(tm.RenewalGuidance):
        for found in customers():
            assert found.email == f"e{found.id}"
            with pytest.raises(PurposeViolation):
                _ = found.device
    for found in customers():
        with pytest.raises(PurposeMissing):
            _ = found.device
    session.close()


def test_a_purpose_inside_another_asks_again(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard)) as session, guard.purpose(tm.ProductProvision):
        found = session.get_one(Customer, 1)
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            _ = found.device
        assert found.device == "d1"


def test_a_session_that_nobody_keeps_leaves_its_objects_asked(shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    with guard.purpose(tm.ProductProvision):
        found = GuardedSession(engine).get_one(Customer, 1)
        gc.collect()
        assert found.device == "d1"
    with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
        _ = found.device


@pytest.mark.parametrize("left", LEFT)
def test_rows_are_asked_for_again(left: str, shop: Shop, governed: Guard) -> None:
    session = GuardedSession(shop.guarded(governed))
    with governed.purpose(tm.ProductProvision):
        found = session.get_one(Person, 2)  # stopped renewal guidance alone
        LEFT[left](session, found)
        assert found.email == "p2"
    with governed.purpose(tm.RenewalGuidance), pytest.raises((UnlabelledData, ObjectDeletedError)):
        _ = found.email
    session.close()


def test_collections_of_rows_are_asked_for_again(shop: Shop, governed: Guard) -> None:
    with GuardedSession(shop.guarded(governed)) as session:
        with governed.purpose(tm.ProductProvision):
            letter = session.scalars(select(Letter).where(Letter.id == 2).options(orm.joinedload(Letter.person))).one()
            assert letter.person is not None
        with governed.purpose(tm.RenewalGuidance):
            person: Any = letter.person
            assert person is None
    with GuardedSession(shop.guarded(governed)) as session:
        with governed.purpose(tm.ProductProvision):
            letter = session.scalars(select(Letter).where(Letter.id == 2).options(orm.joinedload(Letter.person))).one()
        session.close()
        with governed.purpose(tm.RenewalGuidance), pytest.raises(UnlabelledData):
            _ = letter.person
        with governed.purpose(tm.ProductProvision):
            assert letter.person is not None


def test_what_was_loaded_without_a_purpose_is_the_applications_own(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard)) as session:
        new = customer(60)
        assert new.email == "e60"
        session.add(new)
        assert new.email == "e60"
        session.flush()
        assert new.email == "e60"
        new.device = "another"
        with guard.purpose(tm.RenewalGuidance):
            with pytest.raises(PurposeViolation):
                _ = new.plan + (new.orders[0].total * "" or "") + session.get_one(Customer, 1).device  # type: ignore[operator]
            assert new.device == "another"  # what was just given to it
        session.rollback()


def test_objects_of_other_engines_are_not_asked(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard)) as session, guard.purpose(tm.ProductProvision):
        session.get_one(Customer, 1)
    with Session(shop.plain) as plain:
        found = plain.get_one(Customer, 1)
        assert found.device == "d1"
    assert found.device == "d1"


def test_a_task_or_thread_without_the_purpose_reads_nothing(shop: Shop, guard: Guard) -> None:
    session = GuardedSession(shop.guarded(guard))
    caught: list[BaseException] = []

    async def read(found: Customer) -> None:
        with pytest.raises(PurposeMissing) as error:
            _ = found.device
        caught.append(error.value)

    async def main() -> None:
        with guard.purpose(tm.ProductProvision):
            found = session.get_one(Customer, 1)
            await asyncio.create_task(read(found))  # its context is a copy: the use is the same
            assert found.device == "d1"

    asyncio.run(main())
    with guard.purpose(tm.ProductProvision):
        found = session.get_one(Customer, 1)
        thread = threading.Thread(target=lambda: asyncio.run(read(found)))
        thread.start()
        thread.join()
        assert found.device == "d1"
    assert len(caught) == 2
    session.close()


def test_what_is_only_observed_is_recorded_and_given(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard)) as session:
        with guard.purpose(tm.ProductProvision):
            found = session.get_one(Customer, 1)
        with guard.purpose(tm.RenewalGuidance, mode="observe"), capture_decisions(guard) as decisions:
            assert found.device == "d1"
        assert [one for one in decisions if not one.allowed]
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            _ = found.device


def _merged(session: Session, found: Any, engine: Engine) -> Any:
    with GuardedSession(engine) as other:
        return other.merge(found, load=False).device


def _added(session: Session, found: Any, engine: Engine) -> Any:
    session.expunge(found)
    with GuardedSession(engine) as other:
        other.add(found)
        return found.device


def _added_below(session: Session, found: Any, engine: Engine) -> Any:
    session.expunge_all()
    with GuardedSession(engine) as other:
        other.add(Order(id=900, total=1, customer=found))
        other.expunge_all()
        return found.device


def _asked_between(session: Session, found: Any, engine: Engine) -> Any:
    session.scalars(select(Customer.id)).all()
    return found.device


def _deleted(session: Session, found: Any, engine: Engine) -> Any:
    session.delete(found)
    session.rollback()
    return found.device


def _by_inspection(session: Session, found: Any, engine: Engine) -> Any:
    return inspect(found).attrs.device.value


def _refreshed(session: Session, found: Any, engine: Engine) -> Any:
    session.refresh(found, ["email"])
    return found.device


def _populated(session: Session, found: Any, engine: Engine) -> Any:
    statement = select(Customer).options(orm.selectinload(Customer.orders)).execution_options(populate_existing=True)
    return session.scalars(statement).first().device  # type: ignore[union-attr]


def _device(found: Any) -> Any:
    return found.device


WAYS: dict[str, Callable[[Session, Any, Engine], Any]] = {
    "merged into another session": _merged,
    "added to another session": _added,
    "added to another session below something": _added_below,
    "after another statement": _asked_between,
    "from the identity map": lambda session, found, engine: _device(next(iter(session.identity_map.values()))),
    "by a hybrid": lambda session, found, engine: found.address + found.device,
    "by a proxy": lambda session, found, engine: (list(found.totals), found.device),
    "by getattr": lambda session, found, engine: getattr(found, "device"),  # noqa: B009
    "by the descriptor": lambda session, found, engine: Customer.device.__get__(found, Customer),
    "by inspection": _by_inspection,
    "deleted, and rolled back": _deleted,
    "refreshed in part": _refreshed,
    "populated again": _populated,
}


@pytest.mark.parametrize("way", WAYS)
def test_there_is_no_way_round(way: str, shop: Shop, guard: Guard) -> None:
    engine = shop.guarded(guard)
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            found = session.scalars(select(Customer).options(orm.undefer(Customer.spent))).first()  # type: ignore[attr-defined]
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            WAYS[way](session, found, engine)


def test_a_deleted_object_is_asked(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard)) as session:
        with guard.purpose(tm.ProductProvision):
            found = session.get_one(Customer, 1)
            for order in list(found.orders):
                session.delete(order)
            session.delete(found)
            session.commit()
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            _ = found.device


def _of_another_session(session: Session, found: Any) -> Any:
    with GuardedSession(session.get_bind()) as other:
        return other.merge(found, load=False).device


def _restored(session: Session, found: Any) -> Any:
    session.rollback()
    return found.device


def _expunged(session: Session, found: Any) -> Any:
    session.expunge(found)
    return found.device


def _committed(session: Session, found: Any) -> Any:
    session.commit()
    return found.device


AFTER_DELETION: dict[str, Callable[[Session, Any], Any]] = {
    "read": lambda session, found: found.device,
    "committed": _committed,
    "expunged": _expunged,
    "merged": lambda session, found: session.merge(found).device,
    "merged into another session": _of_another_session,
    "rolled back": _restored,
}


@pytest.mark.parametrize("way", AFTER_DELETION)
def test_what_a_deleted_object_holds_was_loaded_for_the_purpose_of_its_deletion(
    way: str, shop: Shop, guard: Guard
) -> None:
    with GuardedSession(shop.guarded(guard)) as session:
        with guard.purpose(tm.ProductProvision):
            found = session.get_one(Customer, 1)
            for order in list(found.orders):
                session.delete(order)
            session.delete(found)
            session.flush()
            assert found.device == "d1"
        with guard.purpose(tm.RenewalGuidance):
            session.scalars(select(Customer.email)).all()  # the session moves to this purpose
            with pytest.raises(Exception) as caught:  # noqa: PT011  # SQLAlchemy refuses to merge it, in its own words
                AFTER_DELETION[way](session, found)
        assert way.startswith("merged") or isinstance(caught.value, PurposeViolation)


def test_a_deletion_that_a_savepoint_takes_back_is_no_way_round(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard)) as session:
        with guard.purpose(tm.ProductProvision):
            found = session.get_one(Customer, 1)
            begun = session.begin_nested()
            for order in list(found.orders):
                session.delete(order)
            session.delete(found)
            session.flush()
        with guard.purpose(tm.RenewalGuidance):
            session.scalars(select(Customer.email)).all()
            begun.rollback()
            with pytest.raises(PurposeViolation):
                _ = found.device


def test_an_object_whose_deletion_is_taken_back_asks_its_session_again(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard)) as session, guard.purpose(tm.RenewalGuidance):
        session.autoflush = False
        found = session.scalars(select(Customer).options(orm.load_only(Customer.email)).where(Customer.id == 1)).one()
        with session.begin_nested() as begun:
            session.execute(delete(Order).where(Order.customer_id == 1))
            session.execute(delete(Customer).where(Customer.id == 1))  # the session takes the object for deleted
            assert found.email == "e1"
            begun.rollback()
        with guard.purpose(tm.ProductProvision):
            assert session.scalars(select(Customer).where(Customer.id == 1)).one() is found
        with pytest.raises(PurposeViolation):
            _ = found.device


def test_a_deleted_object_tells_its_purpose_what_it_told_before(shop: Shop, governed: Guard) -> None:
    with GuardedSession(shop.guarded(governed)) as session:
        with governed.purpose(tm.RenewalGuidance):
            person = session.scalars(select(Person).where(Person.id == 3)).one()
            for letter in list(person.letters):
                session.delete(letter)
            session.delete(person)
            session.flush()
            assert person.email == "p3"
            session.commit()
            assert person.email == "p3"
        with governed.purpose(tm.ProductProvision), pytest.raises(UnlabelledData):
            _ = person.email


def test_what_is_put_together_of_columns_is_asked_for_again(guard: Guard) -> None:
    class Own(DeclarativeBase): ...

    class Point:
        def __init__(self, x: str, y: str) -> None:
            self.x, self.y = x, y

        def __composite_values__(self) -> tuple[str, str]:
            return self.x, self.y

    class Place(Own):
        __tablename__ = "places"
        id: Mapped[int] = mapped_column(primary_key=True)
        x: Mapped[Annotated[str, tm.ProductData]]
        y: Mapped[Annotated[str, tm.ProductData]]
        point: Composite[Point] = composite(Point, "x", "y")

    Place.both = orm.column_property(Place.x + Place.y)
    engine = create_engine("sqlite://", poolclass=StaticPool)
    Own.metadata.create_all(engine)
    protect(engine, guard, Own)
    with GuardedSession(engine) as session:
        session.add(Place(id=1, x="a", y="b"))
        session.commit()
        for closes in (False, True):
            with guard.purpose(tm.ProductProvision):
                found: Any = session.get_one(Place, 1)
                assert (found.point.x, found.both) == ("a", "ab")
                if closes:
                    session.close()
            with guard.purpose(tm.RenewalGuidance):
                with pytest.raises(PurposeViolation):
                    _ = found.point
                with pytest.raises(PurposeViolation):
                    _ = found.both
    Place.late = orm.column_property(Place.x + "!")
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            found = session.scalars(select(Place)).one()
            assert found.late == "a!"
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            _ = found.late
    engine.dispose()
    Own.registry.dispose()


def test_async_objects_are_asked_again(tmp_path: Any, guard: Guard) -> None:
    async def main() -> None:
        engine = protect(create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/shop.db"), guard, Base, not_personal=[])
        make = async_sessionmaker(engine, class_=AsyncGuardedSession)
        async with make() as session:
            with guard.purpose(tm.ProductProvision):
                found = await session.get_one(Customer, 1)
                assert found.device == "d1"
            with guard.purpose(tm.RenewalGuidance):
                for _ in range(2):
                    with pytest.raises(PurposeViolation):
                        _ = found.device
                    assert (await session.scalars(select(Customer.id))).all()
        with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
            _ = found.device
        await engine.dispose()

    plain = Shop(create_engine(f"sqlite:///{tmp_path}/shop.db"), "")
    plain.fill()
    plain.close()
    asyncio.run(main())


def test_a_class_that_is_mapped_to_a_query_is_asked_for_again(guard: Guard) -> None:
    class Own(DeclarativeBase): ...

    class Place(Own):
        __tablename__ = "places"
        id: Mapped[int] = mapped_column(primary_key=True)
        x: Mapped[Annotated[str, tm.ProductData]]
        y: Mapped[Annotated[str, tm.Registration]]

    class Seen(Own):
        __table__ = select(Place.id, Place.x, (Place.y + "!").label("z")).subquery()

    engine = create_engine("sqlite://", poolclass=StaticPool)
    Own.metadata.create_all(engine)
    with Session(engine) as plain:
        plain.add(Place(id=1, x="a", y="b"))
        plain.commit()
    protect(engine, guard, Own)
    for left in (lambda session: None, lambda session: session.close()):
        with GuardedSession(engine) as session:
            with guard.purpose(tm.ProductProvision):
                found: Any = session.scalars(select(Seen)).one()
                left(session)
                assert (found.x, found.z) == ("a", "b!")
            with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeViolation):
                _ = found.x
            with guard.purpose(tm.TrafficAnalysis), pytest.raises(PurposeViolation):
                _ = found.z
    engine.dispose()
    Own.registry.dispose()


def test_an_object_of_another_engine_than_its_class_is_bound_to_is_asked(shop: Shop, guard: Guard) -> None:
    first, second = shop.guarded(guard), shop.guarded(guard)
    for bind in (first, shop.plain):
        with GuardedSession(bind) as session:
            with guard.purpose(tm.ProductProvision):
                statement = select(Customer).where(Customer.id == 1)
                found = session.scalars(statement, bind_arguments={"bind": second}).one()
                assert found.device == "d1"
            with guard.purpose(tm.RenewalGuidance), pytest.raises(PurposeGuardError):
                _ = found.device


class Pets(DeclarativeBase): ...


class Owner(Pets):
    __tablename__ = "owners"
    id: Mapped[int] = mapped_column(primary_key=True)
    by_name: Mapped[dict[str, Pet]] = relationship(collection_class=orm.attribute_keyed_dict("name"))
    by_chip: Mapped[dict[str, Pet]] = relationship(collection_class=orm.attribute_keyed_dict("chip"), viewonly=True)
    by_any: Mapped[dict[str, Pet]] = relationship(
        collection_class=orm.mapped_collection(lambda pet: pet.name), viewonly=True
    )


class Pet(Pets):
    __tablename__ = "pets"
    id: Mapped[int] = mapped_column(primary_key=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("owners.id"))
    name: Mapped[Annotated[str, tm.ProductData]]
    chip: Mapped[Annotated[str, pg.NotPersonal]]
    likes: Mapped[Annotated[dict[str, str], tm.ProductData]] = mapped_column(MutableDict.as_mutable(JSON), default=dict)


def test_keys_of_a_mapping_are_asked_for_again(guard: Guard) -> None:
    engine = protect(create_engine("sqlite://", poolclass=StaticPool), guard, Pets, not_personal=[Owner])
    Pets.metadata.create_all(engine)
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            session.add(Owner(by_name={"rex": Pet(name="rex", chip="7")}))
            session.commit()
            owner = session.get_one(Owner, 1)
            assert (list(owner.by_name), list(owner.by_chip), list(owner.by_any)) == (["rex"], ["7"], ["rex"])
        with guard.purpose(tm.RenewalGuidance):
            for name in ("by_name", "by_any"):
                with pytest.raises(PurposeViolation):
                    getattr(owner, name)
            assert list(owner.by_chip) == ["7"]
        with guard.purpose(tm.ProductProvision):
            assert list(owner.by_name) == ["rex"]
        with guard.purpose(tm.RenewalGuidance):
            assert session.scalars(select(Pet.chip)).all() == ["7"]  # from now on the session is for this purpose
            with pytest.raises(PurposeViolation):
                _ = owner.by_name


class Clubs(DeclarativeBase): ...


member = Table(
    "member",
    Clubs.metadata,
    Column("person", ForeignKey("somebody.id"), primary_key=True, info={"purposeguard": [pg.Subject, tm.ProductData]}),
    Column("club", ForeignKey("club.id"), primary_key=True),
)


class Club(Clubs):
    __tablename__ = "club"
    id: Mapped[int] = mapped_column(primary_key=True)


class Somebody(Clubs):
    __tablename__ = "somebody"
    id: Mapped[Annotated[int, pg.NotPersonal]] = mapped_column(primary_key=True)
    clubs: Mapped[list[Club]] = relationship(secondary=member)


@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_how_related_objects_were_found_is_asked_for_again(*, left: bool, asked_before: bool, guard: Guard) -> None:
    told = Told()
    for one in (guard, Guard(tm.NOTICE, governance=told)):
        told.all_preferences = {}
        engine = protect(create_engine("sqlite://", poolclass=StaticPool), one, Clubs, not_personal=[Club])
        Clubs.metadata.create_all(engine)
        with GuardedSession(engine) as session:
            session.add(Somebody(id=1, clubs=[Club(id=1)]))
            session.commit()
            with one.purpose(tm.ProductProvision):
                kept = session.get_one(Somebody, 1)
                assert len(kept.clubs) == 1
            if left:
                session.expunge_all()
            with one.purpose(tm.RenewalGuidance):
                if asked_before:
                    session.scalars(select(Club.id)).all()
                with pytest.raises(PurposeViolation):
                    _ = kept.clubs
            told.all_preferences = {"1": STOPPED}
            if one is not guard:
                with one.purpose(tm.SecurityInformation, channel="email"):
                    if left:
                        with pytest.raises(UnlabelledData):
                            _ = kept.clubs
                    else:
                        assert not kept.clubs


def test_an_object_leaves_a_session_that_has_asked_nothing(shop: Shop, guard: Guard) -> None:
    with GuardedSession(shop.guarded(guard)) as session:
        made = customer(1)
        session.add(made)
        session.expunge(made)
        assert made.email == customer(1).email


def test_what_was_loaded_is_asked_for_after_a_change_in_place(guard: Guard) -> None:
    engine = protect(create_engine("sqlite://", poolclass=StaticPool), guard, Pets, not_personal=[Owner])
    Pets.metadata.create_all(engine)
    with GuardedSession(engine) as session:
        with guard.purpose(tm.ProductProvision):
            session.add(Owner(by_name={"rex": Pet(name="rex", chip="7", likes={"food": "meat"})}))
            session.commit()
            owner = session.get_one(Owner, 1)
            pet = owner.by_name["rex"]
            pet.likes["place"] = "sofa"
            owner.by_name["max"] = Pet(name="max", chip="8")
        with guard.purpose(tm.RenewalGuidance):
            for read in (lambda: pet.likes, lambda: owner.by_name):
                with pytest.raises(PurposeViolation):
                    read()
        with guard.purpose(tm.ProductProvision):
            assert (dict(pet.likes), sorted(owner.by_name)) == ({"food": "meat", "place": "sofa"}, ["max", "rex"])
            session.commit()


def test_a_row_is_decided_by_itself_once_a_class_that_says_whose_it_is_was_mapped() -> None:
    class Papers(DeclarativeBase): ...

    class Paper(Papers):
        __tablename__ = "papers"
        __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_identity": "paper"}

        id: Mapped[int] = mapped_column(primary_key=True)
        kind: Mapped[str]
        words: Mapped[Annotated[str, tm.Registration]]

    guard = Guard(tm.NOTICE, governance=Told({"7": STOPPED}))
    plain = create_engine("sqlite://", poolclass=StaticPool)
    with plain.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE papers (id INTEGER PRIMARY KEY, kind TEXT, words TEXT, owner INTEGER)")
        connection.exec_driver_sql("INSERT INTO papers VALUES (1, 'paper', 'secret', 7)")
    with GuardedSession(protect(plain, guard, Papers)) as session, guard.purpose(tm.ProductProvision):
        paper = session.get_one(Paper, 1)
    with guard.purpose(tm.RenewalGuidance):
        assert paper.words == "secret"  # Nothing says yet whose it is.

        class Letters(Paper):
            __mapper_args__ = {"polymorphic_identity": "letter"}

            owner: Mapped[Annotated[int | None, pg.Subject("customer"), pg.NotPersonal]]

        with pytest.raises(UnlabelledData, match="load it anew"):
            _ = paper.words
    plain.dispose()
