"""Forms of statements that applications write give what they gave, and narrowed what the other rows give."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    Engine,
    Integer,
    any_,
    case,
    column,
    delete,
    distinct,
    except_,
    exists,
    extract,
    func,
    insert,
    inspect,
    intersect,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    union,
    update,
    values,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import (
    Bundle,
    Session,
    aliased,
    contains_eager,
    joinedload,
    load_only,
    raiseload,
    selectinload,
    subqueryload,
    with_polymorphic,
)

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


FEW = load_only(Person.email, Person.day)
other = aliased(Person)
numbered = select(
    Person.id, func.row_number().over(partition_by=extract("year", Person.day), order_by=Person.email.desc()).label("n")
).subquery()
early = (
    select(Person.id.label("id"), literal(0).label("depth")).where(Person.email == "p3").cte("early", recursive=True)
)
chain = early.union_all(
    select(Person.id, early.c.depth + 1).join(early, Person.id == early.c.id + 1).where(Person.email != "p9")
)
recent = aliased(Person, select(Person).where(Person.day > datetime.date(2024, 5, 2)).subquery())
given = values(column("k", Integer), name="given").data([(1,), (4,)])
visits = with_polymorphic(Visit, [Login])

PEOPLE: dict[str, Form] = {
    "exists().where": _rows(select(Person.email).where(exists().where(Letter.person_id == Person.id))),
    "no row exists": _rows(
        select(Letter.id).where(~exists().where(Person.id < Letter.person_id, Person.email != "p9"), Letter.id > 2)
    ),
    "any, has": _rows(select(Letter.id).join(Letter.person).where(Letter.person.has(Person.email != "p4"))),
    "extract": _rows(select(Person.email, extract("month", Person.day), extract("day", Person.day))),
    "a window": _rows(select(numbered.c.id).where(numbered.c.n <= 2)),
    "windows": _rows(select(Person.id, func.sum(Person.id).over(order_by=Person.email, rows=(None, 0)))),
    "count().filter": _rows(select(func.count(Person.id).filter(Person.email != "p3"), func.max(Person.email))),
    "distinct": _rows(select(func.count(distinct(Person.email)), func.count(Person.email.distinct()))),
    "distinct rows": _rows(select(func.substr(Person.email, 1, 1)).distinct()),
    "LIKE … ESCAPE": _rows(select(Person.email).where(Person.email.like("p%", escape="/"))),
    "autoescape": _rows(select(Person.email).where(or_(*(Person.email.contains(x, autoescape=True) for x in "3%_")))),
    "case": _rows(select(case((Person.id > 3, "late"), else_=Person.email))),
    "a tuple": _rows(select(Person.email).where(tuple_(Person.id, Person.email).in_([(1, "p1"), (4, "p4")]))),
    "no value": _rows(select(Person.email).where(Person.id.in_([]))),
    "aliased": _rows(select(Person.email, other.email).join(other, other.id == Person.id + 1)),
    "an outer join": _rows(select(Person.email, other.email).outerjoin(other, other.id == Person.id + 1)),
    "a full join": _rows(select(Person.email, other.email).join(other, other.id == Person.id + 1, full=True)),
    "an entity of a subquery": _objects(select(recent).options(load_only(recent.email)), lambda one: one.email),
    "a recursive CTE": _rows(select(chain)),
    "union": _rows(union(select(Person.email).where(Person.id > 4), select(Person.email).where(Person.id < 4))),
    "except": _rows(except_(select(Person.email), select(Person.email).where(Person.id == 4))),
    "intersect": _rows(intersect(select(Person.email), select(Person.email).where(Person.id > 3))),
    "a scalar subquery": _rows(
        select(Letter.id, select(Person.email).where(Person.id == Letter.person_id).scalar_subquery()).where(
            Letter.id > 2
        )
    ),
    "a bundle": _objects(select(Bundle("whole", Person.id, Person.email)), lambda one: one.email),
    "text with columns": _rows(
        text("SELECT id, email FROM people WHERE id > :n").bindparams(n=1).columns(Person.id, Person.email)
    ),
    "selectinload": _objects(select(Person).options(FEW, selectinload(Person.letters)), _letters),
    "joinedload": _objects(select(Person).options(FEW, joinedload(Person.letters)), _letters),
    "subqueryload": _objects(select(Person).options(FEW, subqueryload(Person.letters)), _letters),
    "contains_eager": _objects(
        select(Person).join(Person.letters).options(FEW, contains_eager(Person.letters)), _letters
    ),
    "raiseload": _objects(select(Person).options(FEW, raiseload(Person.letters)), lambda one: one.email),
    "a lazy load": _objects(select(Person).options(FEW), _letters),
    "yield_per": lambda session: sorted(
        one.email for one in session.scalars(select(Person).options(FEW).execution_options(yield_per=2))
    ),
    "get": lambda session: [session.get(Person, n, options=[FEW]) is None for n in (1, 4, 99)],
    "Query": lambda session: (
        session.query(Person.email).filter_by(id=4).scalar(),
        session.query(session.query(Person.id).filter(Person.email < "p3").exists()).scalar(),
        session.query(func.min(Person.email)).scalar(),
    ),
    "insert().from_select": _after(
        lambda session: session.execute(insert(exports).from_select(["email"], select(Person.email))),
        _rows(select(exports.c.email)),
    ),
    "update … returning": lambda session: sorted(
        session.execute(update(Person).where(Person.email < "p5").values(email="new").returning(Person.id))
    ),
    "delete … returning": lambda session: sorted(
        session.scalars(
            delete(Letter)
            .where(Letter.person_id.in_(select(Person.id).where(Person.email > "p3")))
            .returning(Letter.id)
        )
    ),
}

OTHERS: dict[str, Form] = {
    "~flag": _rows(select(Customer.email).where(or_(~Customer.active, Customer.active.is_(True)))),
    "a hybrid": _rows(select(Customer.address)),
    "a savepoint": _after(
        lambda session: session.begin_nested().rollback(),
        lambda session: session.begin_nested().commit(),
        _rows(select(func.count(Order.id))),
    ),
    "of_type": _rows(select(visits.id, visits.Login.account).where(visits.Login.account != "bob")),
    "a subclass": _objects(select(Login).options(load_only(Login.account)), lambda one: one.account),
    "bulk_insert_mappings": _after(
        lambda session: session.bulk_insert_mappings(inspect(Letter), [{"id": n, "person_id": 4} for n in (90, 91)]),
        _rows(select(Letter.id)),
    ),
    "merge, refresh": _after(
        lambda session: session.merge(Letter(id=4, person_id=5)),
        lambda session: session.flush(),
        lambda session: session.refresh(session.get_one(Letter, 4)),
        lambda session: session.get_one(Letter, 4).person_id,
    ),
}

POSTGRESQL: dict[str, Form] = {
    "values": _rows(select(Person.email).join(given, given.c.k == Person.id)),
    "lateral": _rows(
        select(Person.email, (found := select(Letter.id).where(Letter.person_id == Person.id).lateral("found")).c.id)
        .select_from(Person)
        .join(found, true())
    ),
    "ANY of an array": _rows(select(Person.email).where(Person.id == any_(postgresql.array([1, 4])))),
    "unnest": _rows(
        select(Person.email).join(
            each := func.unnest(postgresql.array([1, 4])).table_valued("k", name="each").render_derived(),
            each.c.k == Person.id,
        )
    ),
    "FOR UPDATE SKIP LOCKED": _objects(
        select(Person).options(FEW).with_for_update(skip_locked=True), lambda one: one.email
    ),
    "FETCH FIRST": _rows(select(Person.email).order_by(Person.id).fetch(2)),
}


def _forms(shop: Shop) -> dict[str, Form]:
    return PEOPLE | (POSTGRESQL if shop.plain.dialect.name == "postgresql" else {})


def _results(engine: Engine, kind: type[Session], forms: dict[str, Form], *before: Any) -> dict[str, Any]:
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
    without = delete(Letter).where(Letter.person_id.in_(stopped)), delete(Person).where(Person.id.in_(stopped))
    expected = _results(shared.plain, Session, _forms(shared), *without)
    with guard.purpose(tm.RenewalGuidance):
        assert _results(shared.guarded(guard), GuardedSession, _forms(shared)) == expected
