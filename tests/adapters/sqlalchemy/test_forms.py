"""Forms of statements that applications write give what they gave, and narrowed what the other rows give."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy import orm
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session, aliased

from purposeguard import Guard
from purposeguard.adapters.sqlalchemy import GuardedSession
from purposeguard.notices import trendmicro_jp as tm
from tests.adapters.sqlalchemy.shop import Customer, Letter, Login, Order, Person, Shop, Visit, exports

Form = Callable[[Session], Any]


def _rows(statement: Any) -> Form:
    return lambda session: sorted(session.execute(statement).all(), key=repr)


def _objects(statement: Any, tell: Callable[[Any], Any]) -> Form:
    return lambda session: sorted((tell(found) for found in session.scalars(statement).unique()), key=repr)


def _after(*steps: Form) -> Form:
    """What the last of several steps gives."""
    return lambda session: [step(session) for step in steps][-1]


def _letters(person: Person) -> Any:
    return person.id, [letter.id for letter in person.letters]


FEW = orm.load_only(Person.email, Person.day)
other = aliased(Person)
numbered = sa.select(
    Person.id,
    sa.func.row_number().over(partition_by=sa.extract("year", Person.day), order_by=Person.email.desc()).label("n"),
).subquery()
early = (
    sa.select(Person.id.label("id"), sa.literal(0).label("depth"))
    .where(Person.email == "p3")
    .cte("early", recursive=True)
)
chain = early.union_all(
    sa.select(Person.id, early.c.depth + 1).join(early, Person.id == early.c.id + 1).where(Person.email != "p9")
)
recent = aliased(Person, sa.select(Person).where(Person.day > datetime.date(2024, 5, 2)).subquery())
given = sa.values(sa.column("k", sa.Integer), name="given").data([(1,), (4,)])
visits = orm.with_polymorphic(Visit, [Login])

PEOPLE: dict[str, Form] = {
    "exists().where": _rows(sa.select(Person.email).where(sa.exists().where(Letter.person_id == Person.id))),
    "no row exists": _rows(
        sa.select(Letter.id).where(
            ~sa.exists().where(Person.id < Letter.person_id, Person.email != "p9"), Letter.id > 2
        )
    ),
    "any, has": _rows(sa.select(Letter.id).join(Letter.person).where(Letter.person.has(Person.email != "p4"))),
    "extract": _rows(sa.select(Person.email, sa.extract("month", Person.day), sa.extract("day", Person.day))),
    "a window": _rows(sa.select(numbered.c.id).where(numbered.c.n <= 2)),
    "windows": _rows(sa.select(Person.id, sa.func.sum(Person.id).over(order_by=Person.email, rows=(None, 0)))),
    "count().filter": _rows(
        sa.select(sa.func.count(Person.id).filter(Person.email != "p3"), sa.func.max(Person.email))
    ),
    "distinct": _rows(sa.select(sa.func.count(sa.distinct(Person.email)), sa.func.count(Person.email.distinct()))),
    "distinct rows": _rows(sa.select(sa.func.substr(Person.email, 1, 1)).distinct()),
    "LIKE … ESCAPE": _rows(sa.select(Person.email).where(Person.email.like("p%", escape="/"))),
    "autoescape": _rows(
        sa.select(Person.email).where(sa.or_(*(Person.email.contains(x, autoescape=True) for x in "3%_")))
    ),
    "case": _rows(sa.select(sa.case((Person.id > 3, "late"), else_=Person.email))),
    "a tuple": _rows(sa.select(Person.email).where(sa.tuple_(Person.id, Person.email).in_([(1, "p1"), (4, "p4")]))),
    "no value": _rows(sa.select(Person.email).where(Person.id.in_([]))),
    "aliased": _rows(sa.select(Person.email, other.email).join(other, other.id == Person.id + 1)),
    "an outer join": _rows(sa.select(Person.email, other.email).outerjoin(other, other.id == Person.id + 1)),
    "a full join": _rows(sa.select(Person.email, other.email).join(other, other.id == Person.id + 1, full=True)),
    "an entity of a subquery": _objects(sa.select(recent).options(orm.load_only(recent.email)), lambda one: one.email),
    "a recursive CTE": _rows(sa.select(chain)),
    "union": _rows(
        sa.union(sa.select(Person.email).where(Person.id > 4), sa.select(Person.email).where(Person.id < 4))
    ),
    "except": _rows(sa.except_(sa.select(Person.email), sa.select(Person.email).where(Person.id == 4))),
    "intersect": _rows(sa.intersect(sa.select(Person.email), sa.select(Person.email).where(Person.id > 3))),
    "a scalar subquery": _rows(
        sa.select(Letter.id, sa.select(Person.email).where(Person.id == Letter.person_id).scalar_subquery()).where(
            Letter.id > 2
        )
    ),
    "a bundle": _objects(sa.select(orm.Bundle("whole", Person.id, Person.email)), lambda one: one.email),
    "text with columns": _rows(
        sa.text("SELECT id, email FROM people WHERE id > :n").bindparams(n=1).columns(Person.id, Person.email)
    ),
    "selectinload": _objects(sa.select(Person).options(FEW, orm.selectinload(Person.letters)), _letters),
    "joinedload": _objects(sa.select(Person).options(FEW, orm.joinedload(Person.letters)), _letters),
    "subqueryload": _objects(sa.select(Person).options(FEW, orm.subqueryload(Person.letters)), _letters),
    "contains_eager": _objects(
        sa.select(Person).join(Person.letters).options(FEW, orm.contains_eager(Person.letters)), _letters
    ),
    "raiseload": _objects(sa.select(Person).options(FEW, orm.raiseload(Person.letters)), lambda one: one.email),
    "a lazy load": _objects(sa.select(Person).options(FEW), _letters),
    "yield_per": lambda session: sorted(
        one.email for one in session.scalars(sa.select(Person).options(FEW).execution_options(yield_per=2))
    ),
    "get": lambda session: [session.get(Person, n, options=[FEW]) is None for n in (1, 4, 99)],
    "Query": lambda session: (
        session.query(Person.email).filter_by(id=4).scalar(),
        session.query(session.query(Person.id).filter(Person.email < "p3").exists()).scalar(),
        session.query(sa.func.min(Person.email)).scalar(),
    ),
    "insert().from_select": _after(
        lambda session: session.execute(sa.insert(exports).from_select(["email"], sa.select(Person.email))),
        _rows(sa.select(exports.c.email)),
    ),
    "update … returning": lambda session: sorted(
        session.execute(sa.update(Person).where(Person.email < "p5").values(email="new").returning(Person.id))
    ),
    "delete … returning": lambda session: sorted(
        session.scalars(
            sa.delete(Letter)
            .where(Letter.person_id.in_(sa.select(Person.id).where(Person.email > "p3")))
            .returning(Letter.id)
        )
    ),
}

OTHERS: dict[str, Form] = {
    "~flag": _rows(sa.select(Customer.email).where(sa.or_(~Customer.active, Customer.active.is_(True)))),
    "a hybrid": _rows(sa.select(Customer.address)),
    "a savepoint": _after(
        lambda session: session.begin_nested().rollback(),
        lambda session: session.begin_nested().commit(),
        _rows(sa.select(sa.func.count(Order.id))),
    ),
    "of_type": _rows(sa.select(visits.id, visits.Login.account).where(visits.Login.account != "bob")),
    "a subclass": _objects(sa.select(Login).options(orm.load_only(Login.account)), lambda one: one.account),
    "bulk_insert_mappings": _after(
        lambda session: session.bulk_insert_mappings(sa.inspect(Letter), [{"id": n, "person_id": 4} for n in (90, 91)]),
        _rows(sa.select(Letter.id)),
    ),
    "merge, refresh": _after(
        lambda session: session.merge(Letter(id=4, person_id=5)),
        lambda session: session.flush(),
        lambda session: session.refresh(session.get_one(Letter, 4)),
        lambda session: session.get_one(Letter, 4).person_id,
    ),
}

POSTGRESQL: dict[str, Form] = {
    "values": _rows(sa.select(Person.email).join(given, given.c.k == Person.id)),
    "lateral": _rows(
        sa.select(
            Person.email, (found := sa.select(Letter.id).where(Letter.person_id == Person.id).lateral("found")).c.id
        )
        .select_from(Person)
        .join(found, sa.true())
    ),
    "ANY of an array": _rows(sa.select(Person.email).where(Person.id == sa.any_(postgresql.array([1, 4])))),
    "unnest": _rows(
        sa.select(Person.email).join(
            each := sa.func.unnest(postgresql.array([1, 4])).table_valued("k", name="each").render_derived(),
            each.c.k == Person.id,
        )
    ),
    "FOR UPDATE SKIP LOCKED": _objects(
        sa.select(Person).options(FEW).with_for_update(skip_locked=True), lambda one: one.email
    ),
    "FETCH FIRST": _rows(sa.select(Person.email).order_by(Person.id).fetch(2)),
}


def _forms(shop: Shop) -> dict[str, Form]:
    return PEOPLE | (POSTGRESQL if shop.plain.dialect.name == "postgresql" else {})


def _results(engine: sa.Engine, kind: type[Session], forms: dict[str, Form], *before: Any) -> dict[str, Any]:
    """What each form gives; what it writes is taken back."""
    results: dict[str, Any] = {}
    with engine.connect() as connection:
        for name, form in forms.items():
            for statement in before:
                connection.execute(statement)
            with kind(connection, join_transaction_mode="control_fully") as session:
                results[name] = form(session)
            connection.rollback()
    return results


def test_guarded_forms_give_what_they_gave(shared: Shop, guard: Guard) -> None:
    forms = _forms(shared) | OTHERS
    expected = _results(shared.plain, Session, forms)
    with guard.purpose(tm.RenewalGuidance):
        assert _results(shared.guarded(guard), GuardedSession, forms) == expected


def test_narrowed_forms_give_what_the_other_rows_give(shared: Shop) -> None:
    guard, stopped = Guard(tm.NOTICE, governance=shared.told), [1, 2]
    without = sa.delete(Letter).where(Letter.person_id.in_(stopped)), sa.delete(Person).where(Person.id.in_(stopped))
    expected = _results(shared.plain, Session, _forms(shared), *without)
    with guard.purpose(tm.RenewalGuidance):
        assert _results(shared.guarded(guard), GuardedSession, _forms(shared)) == expected
