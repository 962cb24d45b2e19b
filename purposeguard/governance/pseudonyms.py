"""The pseudonyms that name persons in tables and ledger, and the keys that link them, perhaps in another database.

The store without its keys does not tell who a person is. Once a person's key is destroyed, nobody can tell.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import operator
import secrets
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite

from purposeguard.containers import exclude
from purposeguard.governance.engines import make_unavailable_error
from purposeguard.governance.schema import Moment, identity, metadata
from purposeguard.locks import make_lock
from purposeguard.runtime.clock import UTC

KEYS: Final = "purposeguard_keys"
"""The execution option of connections that holds the keys of their store."""

AT_A_TIME: Final = 5_000
"""The number of persons in one statement."""

vault: Final = sa.Table(
    "purposeguard_keys",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("mark", sa.String(32), nullable=False),  # known to the store as well
    sa.Column("secret", sa.LargeBinary, nullable=False),
    sa.Column("former", sa.LargeBinary),  # of digests in a store that was made before there were pseudonyms
    sa.Column("issued", sa.BigInteger, nullable=False),
    sa.Column("applied", sa.BigInteger, nullable=False),  # the last row of `forgotten` that was applied
    sa.Column("made", Moment, nullable=False),
    sa.CheckConstraint("id = 1", name="one_row"),
)
"""A single row with the secret and the state of the keys."""

pseudonym: Final = sa.Table(
    "purposeguard_pseudonym",
    metadata,
    sa.Column("subject", sa.String(200), primary_key=True),
    sa.Column("pseudonym", sa.String(32), nullable=False, unique=True),
    sa.Column("key", sa.LargeBinary),  # none: of a store that was made before there were pseudonyms
)
"""The key of each person: the only table that links pseudonyms to persons.

A pseudonym is `digest_subject(key, subject)` of a random key, so that a swap of pseudonyms is noticed.
"""


# PostgreSQL would keep a sample of the ids beside the table, also of those that are gone.
@event.listens_for(pseudonym, "after_create")
def _keep_no_sample(_table: sa.Table, connection: sa.Connection, **_: object) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("ALTER TABLE purposeguard_pseudonym ALTER COLUMN subject SET STATISTICS 0")


barred: Final = sa.Table(
    "purposeguard_barred",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True),
    sqlite_with_rowid=False,
)
"""The forgotten persons whose data may never be used again, as digests keyed with the secret.

The rows are not stored in the order of their making, which would link them to the rows of `forgotten`.
"""

TABLES: Final = (vault, pseudonym, barred)
"""The tables of the keys, in the store itself or in a database of their own."""

forgotten: Final = sa.Table(
    "purposeguard_forgotten",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("pseudonym", sa.String(32), nullable=False, index=True),
    sa.Column("bar", sa.Boolean, nullable=False),
)
"""The pseudonyms whose keys are destroyed, in the order of the commits, so that keys from an older copy are found."""


class KeyDatabase(Protocol):
    """A database that holds keys alone."""

    where: str

    def reading(self, *, single: bool = False) -> contextlib.AbstractContextManager[sa.Connection]:
        """Return a context manager for a connection that reads, as `Store.reading` does."""
        ...

    def writing(self) -> contextlib.AbstractContextManager[sa.Connection]:
        """Return a context manager for a transaction, as `Store.writing` does."""
        ...


class KnownSubjects(NamedTuple):
    """The known pseudonyms by person, and the barred persons."""

    names: dict[str, str]
    barred: frozenset[str]


def select_list_members(dialect: str, name: str) -> sa.Select[Any]:
    """Return a query for the members of a list parameter, which costs less than a parameter for each member."""
    expand = sa.func.json_each if dialect == "sqlite" else sa.func.json_array_elements_text
    return sa.select(expand(sa.bindparam(name, type_=sa.JSON)).table_valued("value").c.value)


def _select_known(dialect: str) -> sa.Executable:
    some = sa.exists(sa.select(barred.c.digest))
    return (
        sa.select(pseudonym.c.subject, pseudonym.c.pseudonym, sa.literal_column("0"), sa.literal_column("0"))
        .where(pseudonym.c.subject.in_(select_list_members(dialect, "subjects")))
        .union_all(sa.select(sa.null(), vault.c.mark, vault.c.issued, sa.case((some, 1), else_=0)))
    )


def _select_subjects(dialect: str) -> sa.Executable:
    condition = pseudonym.c.pseudonym.in_(select_list_members(dialect, "pseudonyms"))
    return sa.select(pseudonym.c.pseudonym, pseudonym.c.subject).where(condition)


def _select_barred(dialect: str) -> sa.Executable:
    return sa.select(barred.c.digest).where(barred.c.digest.in_(select_list_members(dialect, "digests")))


DIALECTS: Final = ("sqlite", "postgresql")
BARRED: Final = {dialect: _select_barred(dialect) for dialect in DIALECTS}
KNOWN: Final = {dialect: _select_known(dialect) for dialect in DIALECTS}
SUBJECTS: Final = {dialect: _select_subjects(dialect) for dialect in DIALECTS}


class PseudonymKeys:
    """The keys of a store, which link persons to their pseudonyms.

    Attributes:
        apart: The database of the keys; None if they are in the store itself.
        issued: The least number of pseudonyms issued, as far as the store knows. Keys that issued fewer are an older
            copy and are refused: they would not know who restricted a use since.
    """

    def __init__(self) -> None:
        self.apart: KeyDatabase | None = None
        self.issued = 0
        self._mark = ""
        self._secret = b""
        self._former: bytes | None = None
        self._lock = make_lock()  # guards `issued`

    def learn(self, row: Any) -> None:
        """Take over the values of the row of the vault."""
        self._mark, self._secret, self._former = row.mark, bytes(row.secret), row.former

    def rely_on(self, issued: int) -> None:
        """Note how many pseudonyms were issued."""
        with self._lock:
            self.issued = max(self.issued, issued)

    # ---- looking ----------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def reading(self, connection: sa.Connection) -> Generator[sa.Connection]:
        """Return a context manager for a connection to the keys; `connection` is one to the store."""
        if self.apart is None:
            yield connection
        else:
            with self.apart.reading(single=True) as own:
                yield own

    @contextlib.contextmanager
    def writing(self, connection: sa.Connection) -> Generator[sa.Connection]:
        """Return a context manager for a connection that changes the keys.

        The changes belong to the transaction of the store, or to one of the keys' own that ends before it.
        """
        if self.apart is None:
            yield connection
        else:
            with self.apart.writing() as own:
                yield own

    def find_known(self, connection: sa.Connection, subjects: Collection[str]) -> KnownSubjects:
        """Return the pseudonyms of these persons, and which of them are barred.

        Raises:
            StoreUnavailable: the keys cannot be read, or are not those of the store as it is now.
        """
        with self.reading(connection) as own:
            rows = own.execute(KNOWN[own.dialect.name], {"subjects": list(subjects)}).all()
            names: dict[str, str] = {}
            states: list[tuple[str, int]] = []
            may_be_barred = False
            for subject, name_or_mark, issued, has_barred in rows:
                if subject is not None:
                    names[subject] = name_or_mark
                else:  # A row about the keys themselves, from each place that holds them.
                    states.append((name_or_mark, issued))
                    may_be_barred |= bool(has_barred)
            self._check(states)
            return KnownSubjects(names, self._find_barred(own, subjects) if may_be_barred else frozenset())

    def find_barred(self, connection: sa.Connection, subjects: Collection[str]) -> frozenset[str]:
        """Return the barred persons among these."""
        with self.reading(connection) as own:
            return self._find_barred(own, subjects)

    def _find_barred(self, own: sa.Connection, subjects: Collection[str]) -> frozenset[str]:
        digests = dict(zip(map(self.digest_for_bar, subjects), subjects, strict=True))
        barred_digests = own.execute(BARRED[own.dialect.name], {"digests": list(digests)}).scalars()
        return frozenset(map(digests.__getitem__, barred_digests))

    def _check(self, rows: Sequence[tuple[str, int]]) -> None:
        if self.apart is None:
            return
        if [mark for mark, _ in rows] != [self._mark]:
            fault = "does not hold the keys of this store"
            raise make_unavailable_error(self.apart.where, fault, "name the database that was given as `keys` before")
        if rows[0][1] < self.issued:
            fault = "is an older copy of the keys: it lacks some that the store relies on"
            raise make_unavailable_error(
                self.apart.where, fault, "put back a later copy of the keys (see `Deploy governance`)"
            )

    def find_subjects(self, connection: sa.Connection, pseudonyms: Iterable[str]) -> dict[str, str]:
        """Return the persons by their pseudonyms, without those whose keys are destroyed."""
        remaining = iter(dict.fromkeys(pseudonyms))
        subjects: dict[str, str] = {}
        while batch := list(islice(remaining, AT_A_TIME)):
            with self.reading(connection) as own:
                subjects.update(map(tuple, own.execute(SUBJECTS[own.dialect.name], {"pseudonyms": batch})))
        return subjects

    def digest_for_bar(self, subject: str) -> str:
        """Return the digest that identifies a barred person."""
        return hashlib.blake2b(subject.encode(), key=self._secret, digest_size=32, person=b"barred").hexdigest()

    def find_name(self, connection: sa.Connection, subject: str) -> str | None:
        """Return the pseudonym of a person, or the digest in its place if hand-overs are older than pseudonyms."""
        name = self.find_known(connection, [subject]).names.get(subject)
        if name is None and self._former is not None:
            return digest_subject(self._former, subject)
        return name

    # ---- issuing ----------------------------------------------------------------------------------------------------

    def issue(self, connection: sa.Connection, subjects: Iterable[str]) -> dict[str, str]:
        """Return the pseudonyms of these persons, and make those that are missing."""
        remaining = iter(sorted(set(subjects)))  # Sorted, so that two processes that issue at once cannot deadlock.
        names: dict[str, str] = {}
        while batch := list(islice(remaining, AT_A_TIME)):
            present = self.find_known(connection, batch).names
            missing = exclude(batch, present)
            if missing:
                self._add(connection, missing)
                present = self.find_known(connection, batch).names
            names |= present
        return names

    def _add(self, connection: sa.Connection, subjects: Sequence[str]) -> None:
        former = dict(self._former_names(connection, subjects))
        rows = [_make_key_row(subject, former.get(subject)) for subject in subjects]
        with self.writing(connection) as own:
            insert = sqlite.insert if own.dialect.name == "sqlite" else postgresql.insert
            if self.apart is not None:
                number = sa.update(vault).values(issued=vault.c.issued + len(rows)).returning(vault.c.issued)
                self.rely_on(own.execute(number).scalar_one())
            own.execute(insert(pseudonym).on_conflict_do_nothing(index_elements=["subject"]), rows)

    def _former_names(self, connection: sa.Connection, subjects: Sequence[str]) -> Iterator[tuple[str, str]]:
        """Yield the digests that identified these persons before there were pseudonyms."""
        if self._former is None:
            return
        digests = {digest_subject(self._former, subject): subject for subject in subjects}
        table = sa.table("purposeguard_provided_subject", sa.column("pseudonym"))
        query = sa.select(table.c.pseudonym).distinct()
        query = query.where(table.c.pseudonym.in_(select_list_members(connection.dialect.name, "digests")))
        for (digest,) in connection.execute(query, {"digests": list(digests)}):
            yield digests[digest], digest

    # ---- destroying -------------------------------------------------------------------------------------------------

    def destroy(self, connection: sa.Connection) -> None:
        """Destroy the keys of forgotten persons, including those that an older copy brought back."""
        with self.writing(connection) as own:
            # The update locks the row, so that no other process destroys keys meanwhile.
            applied = own.execute(sa.update(vault).values(applied=vault.c.applied).returning(vault.c.applied))
            after = sa.select(forgotten).where(forgotten.c.seq > applied.scalar_one()).order_by(forgotten.c.seq)
            rows = iter(connection.execute(after).all())
            while batch := list(islice(rows, AT_A_TIME)):
                pseudonyms = [row.pseudonym for row in batch]
                barred_pseudonyms = {row.pseudonym for row in batch if row.bar}
                subject_rows = own.execute(SUBJECTS[own.dialect.name], {"pseudonyms": pseudonyms}).all()
                names: list[str] = []
                digests: set[str] = set()
                for name, subject in subject_rows:
                    names.append(name)
                    if name in barred_pseudonyms:
                        digests.add(self.digest_for_bar(subject))
                _bar_subjects(own, digests)
                gone = pseudonym.c.pseudonym.in_(select_list_members(own.dialect.name, "pseudonyms"))
                own.execute(sa.delete(pseudonym).where(gone), {"pseudonyms": names})
                own.execute(sa.update(vault).values(applied=batch[-1].seq))

    def has_keys_to_destroy(self, connection: sa.Connection) -> bool:
        """Return True if keys are to be destroyed.

        That is so if a process ended before it destroyed them, or if an older copy of the keys was put back.
        """
        last = connection.execute(sa.select(sa.func.max(forgotten.c.seq))).scalar_one() or 0
        with self.reading(connection) as own:
            return last > (own.execute(sa.select(vault.c.applied)).scalar_one_or_none() or 0)

    def unbar(self, connection: sa.Connection, subjects: Iterable[str]) -> None:
        """Lift the bar on these persons."""
        digests = list(map(self.digest_for_bar, subjects))
        with self.writing(connection) as own:
            own.execute(sa.delete(barred).where(barred.c.digest.in_(digests)))


def _bar_subjects(own: sa.Connection, digests: Collection[str]) -> None:
    if not digests:
        return
    # PostgreSQL keeps rows in the order in which they were written: all are written anew.
    present = own.execute(sa.delete(barred).returning(barred.c.digest)).scalars()
    own.execute(sa.insert(barred), [{"digest": digest} for digest in sorted({*present, *digests})])


def get_keys(connection: sa.Connection) -> PseudonymKeys:
    """Return the keys of the store to which a connection leads."""
    return cast("PseudonymKeys", connection.get_execution_options()[KEYS])


def _make_key_row(subject: str, former: str | None) -> dict[str, Any]:
    """Return the row of a person's key. A new key is made unless the person has a name already."""
    key = secrets.token_bytes(32) if former is None else None
    return {"subject": subject, "pseudonym": former if key is None else digest_subject(key, subject), "key": key}


def digest_subject(key: bytes, subject: str) -> str:
    """Return the name of a subject under a key: their own, or the single key of an earlier version."""
    return hashlib.blake2b(subject.encode(), key=key, digest_size=16).hexdigest()


# ---- where they lie -------------------------------------------------------------------------------------------------


def attach_keys(
    connection: sa.Connection, own: PseudonymKeys, apart: KeyDatabase | None, where: str, *, move: bool
) -> None:
    """Have a store use its keys, which are in the store itself or in a database of their own.

    A new store gets its secret and its mark first. Without `apart`, the keys are read from the store. With `apart`,
    keys that are still in the store are moved there, and their tables in the store are dropped. Keys of persons are
    moved only if `move` says so. The keys in `apart` must then have the mark of the store, and be no older copy.

    Args:
        connection: A connection to the store, in the transaction that opens it.
        own: The keys object of the store, which is filled.
        apart: The database of the keys; None if they are in the store.
        where: The name of the store, for messages.
        move: True if keys of persons may be moved from the store to `apart`.

    Raises:
        StoreUnavailable: without `apart`, the store has no keys; with it, the store has keys of persons and `move` is
            False, or `apart` has no keys, those of another store, or an older copy.
    """
    own.apart = apart
    inside = sa.inspect(connection).has_table(vault.name)
    mark = connection.execute(sa.select(identity.c.mark)).scalar_one_or_none()
    if inside and mark is None:
        mark = _make_vault(connection)
    if apart is None:
        if not inside:
            raise make_unavailable_error(
                where, "keeps its keys apart", "name where, `keys=…`, or `PURPOSEGUARD_KEYS` of a command"
            )
        own.learn(connection.execute(sa.select(vault)).one())
        return
    if inside:
        # A process that still uses the keys in the store waits, and is then refused.
        if connection.dialect.name == "postgresql":
            names = ", ".join(map(operator.attrgetter("name"), TABLES))
            connection.execute(sa.text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
        empty = connection.execute(sa.select(pseudonym.c.subject).limit(1)).one_or_none() is None
        if not empty and not move:
            advice = "make a copy of it, then run `purposeguard store upgrade STORE --keys URL`"
            raise make_unavailable_error(where, "holds its keys itself, and they are to lie apart", advice)
        _move_keys(connection, apart, mark)
    with apart.reading() as there:
        row = there.execute(sa.select(vault)).one_or_none()
    own.rely_on(connection.execute(sa.text("SELECT issued FROM purposeguard_counter")).scalar_one())
    own._mark = mark or ""
    own._check([] if row is None else [(row.mark, row.issued)])
    own.learn(row)


def _make_vault(connection: sa.Connection) -> str:
    """Make the row of the vault, and note its mark in the store. Return the mark."""
    mark = secrets.token_hex(16)
    row = {"id": 1, "mark": mark, "secret": secrets.token_bytes(32), "issued": 0, "applied": 0}
    now = datetime.datetime.now(UTC)
    connection.execute(sa.insert(vault).values(**row, made=now))
    connection.execute(sa.insert(identity).values(id=1, mark=mark, made=now))
    return mark


def _move_keys(connection: sa.Connection, apart: KeyDatabase, mark: str | None) -> None:
    """Move the keys. A process that would still use the keys in the store misses their tables, and is refused."""
    with apart.writing() as there:
        present = there.execute(sa.select(vault.c.mark)).scalar_one_or_none()
        if present not in (None, mark):
            raise make_unavailable_error(
                apart.where, "holds the keys of another store", "name a database for these alone"
            )
        for table in TABLES:  # also after an interruption: the keys in the store count until they are dropped
            there.execute(sa.delete(table))
            rows = connection.execute(sa.select(table)).mappings()
            for some in rows.partitions(AT_A_TIME):
                there.execute(sa.insert(table), list(map(dict, some)))
    for table in TABLES:
        table.drop(connection)
