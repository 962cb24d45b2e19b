"""The decisions about columns and rows that all adapters share.

An adapter finds out which columns are used. A `Demand` lists them with their labels. A `Decider` decides it under the
use that is under way, records it in the ledger, and makes the rule for the rows that may be used.
"""

from __future__ import annotations

import datetime
import itertools
import sys
import weakref
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import PurePath
from types import FrameType, MappingProxyType
from typing import Any, Final, cast

import cachetools

from purposeguard.adapters.row_kinds import BranchFinder, NeededLabel, NeededLabels
from purposeguard.adapters.row_rule import KeySet, RowRule, ZoneRule
from purposeguard.adapters.tags import NOT_PERSONAL, Columns, Revisions, Tag
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.guard import Guard
from purposeguard.locks import make_lock
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.retention import to_local_day
from purposeguard.notice.timezones import UTC
from purposeguard.notice.vocabulary import NotPersonal
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.explanation import Decision
from purposeguard.policy.row_context import NOTHING_KNOWN
from purposeguard.policy.table import PolicyTable
from purposeguard.policy.violations import FlowViolation
from purposeguard.runtime.current_use import (
    ReportUnresolved,
    find_current_use,
    is_observing,
    require_current_use,
)
from purposeguard.runtime.engine import Engine
from purposeguard.runtime.execution import GREENLET
from purposeguard.runtime.observer import Fields
from purposeguard.runtime.protocols import Roster, RosterOversight
from purposeguard.runtime.registry import TaggedTable
from purposeguard.runtime.site import Site
from purposeguard.runtime.snapshot import Permissions
from purposeguard.runtime.use import Use, use_cached_labels
from purposeguard.values.markers import Collected, Ended, RowSource

_MAX_CACHED_RULES: Final = 1000
"""The number of row rules in the cache of a decider."""

_LIBRARIES: Final = sys.stdlib_module_names | {
    *("purposeguard", "sqlalchemy", "sqlmodel", "django", "pyspark", "py4j", "pandas", "polars", "pyarrow"),
    *("narwhals", "greenlet", "gevent", "eventlet"),
}
"""The packages that may stand between the application and the adapter that it calls."""


class Demand(Immutable):
    """The personal columns that a statement, a plan or a frame uses."""

    __slots__ = ("columns", "fields", "kind", "labels", "narrowing_refusal", "rows", "tables")

    columns: Fields
    """All of the personal columns, each with its name in a refusal and its label."""

    fields: tuple[tuple[str, Label], ...]
    """The personal columns of tables that are decided as a whole, each with its name in a refusal and its label."""
    rows: tuple[tuple[str, str, Tag], ...]
    """The personal columns of tables whose rows are decided one by one, each with name, table and tag."""
    labels: frozenset[Label]
    """The labels of `fields`."""
    narrowing_refusal: str
    """The message of the refusal if rows of a table must be left out first and are not; otherwise empty."""
    kind: str
    """The kind of the statement, for messages (see `describe_statement`)."""
    tables: tuple[str, ...]
    """The tables of the statement, for messages."""

    def __init__(
        self,
        fields: Iterable[tuple[str, Label]],
        rows: Iterable[tuple[str, str, Tag]] = (),
        narrowing_refusal: str = "",
        *,
        kind: str = "read",
        tables: Iterable[str] = (),
    ) -> None:
        labelled = tuple(fields)
        labels = frozenset(label for _, label in labelled)
        row_columns = tuple(rows)
        self._fill(
            columns=(*labelled, *((field, tag.label) for field, _, tag in row_columns)),
            fields=labelled,
            rows=row_columns,
            labels=labels,
            narrowing_refusal=narrowing_refusal,
            kind=kind,
            tables=tuple(tables),
        )

    @classmethod
    def together(cls, demands: Iterable[Demand]) -> Demand:
        """Return one demand for all that several demands ask for. Its kind is that of the first."""
        fields: list[tuple[str, Label]] = []
        rows: list[tuple[str, str, Tag]] = []
        tables: list[str] = []
        narrowing_refusal = kind = ""
        for demand in demands:
            fields += demand.fields
            rows += demand.rows
            tables += demand.tables
            narrowing_refusal = narrowing_refusal or demand.narrowing_refusal
            kind = kind or demand.kind
        return cls(fields, rows, narrowing_refusal, kind=kind or "read", tables=tables)

    @property
    def is_personal(self) -> bool:
        """True if anything personal is used. Otherwise no purpose is needed."""
        return bool(self.fields or self.rows)

    def __repr__(self) -> str:
        names = [name for name, _ in self.fields]
        for name, _, _ in self.rows:
            names.append(name)
        return f"<Demand {', '.join(names) or 'nothing personal'}>"


NO_RULES: Final[Mapping[str, RowRule | None]] = MappingProxyType({})


class Decider:
    """The decisions of one guard for adapters. Can be used from any thread.

    Args:
        guard: The guard.
        rows: The advice at the end of a refusal because rows must be narrowed first.
        columns: The advice at the end of a refusal because a column may not be used.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        rows: str = "keep those that may be used first, with `permitted` or `narrowed`",
        columns: str = "leave the column out, also where it only chooses or orders rows",
    ) -> None:
        self.engine: Final[Engine] = guard.engine
        self._register = guard.inventory
        self._advice_on_rows = rows
        self._advice_on_columns = columns
        self._rules: cachetools.LRUCache[object, RowRule] = cachetools.LRUCache(_MAX_CACHED_RULES)
        self._latest_roster: Roster | None = None
        # The governance that was asked last, and its roster. Checking an object against a protocol takes microseconds.
        self._roster_oversight: tuple[object, RosterOversight | None] = None, None
        self._keys: weakref.WeakKeyDictionary[Roster, dict[frozenset[SubjectPreferences], KeySet]] = (
            weakref.WeakKeyDictionary()
        )
        self._recent: weakref.WeakValueDictionary[frozenset[SubjectPreferences], KeySet] = weakref.WeakValueDictionary()
        self._lock = make_lock()  # It guards all of the caches above.

    @property
    def revisions(self) -> Revisions:
        """The revisions of the notice, whose sources tags may name."""
        return self.engine.snapshot.matrix.revisions

    def declare(self, tables: Mapping[str, Columns]) -> None:
        """Add tables with their tags to the tables that the application declares (`Guard.tables`)."""
        for table in iter_declared_tables(tables):
            self._register.add_table(table)

    # ---- demands ---------------------------------------------------------------------------------------------------

    def demand(
        self,
        tables: Mapping[str, tuple[Columns, Iterable[str]]],
        narrowed: Container[str] = frozenset(),
        *,
        kind: str = "read",
        target: str | None = None,
    ) -> Demand:
        """Return the demand of a statement that uses these columns.

        Args:
            tables: By table, its tags and the names of the columns used. A table without a name is `""`.
            narrowed: The tables whose forbidden rows are left out.
            kind: The kind of the statement.
            target: The table that the statement writes to.

        Raises:
            UnlabelledData: a column carries no tag.
        """
        fields: list[tuple[str, Label]] = []
        rows: list[tuple[str, str, Tag]] = []
        narrowing_refusal = ""
        for table, (columns, names) in tables.items():
            used = _require_tags(columns, names, table)
            personal = {name: tag for name, tag in used.items() if tag.is_personal}
            is_decided_by_row = self.must_decide_rows(columns, personal)
            if is_decided_by_row and table not in narrowed and not narrowing_refusal:
                narrowing_refusal = f"{_to_be_narrowed(table, columns, personal)}: {self._advice_on_rows}"
            for name, tag in personal.items():
                field = f"{table}.{name}" if table else name
                if is_decided_by_row:
                    rows.append((field, table, tag))
                else:
                    fields.append((field, tag.label))
        table_names = tables if target is None else (target, *tables)
        return Demand(fields, rows, narrowing_refusal, kind=kind, tables=table_names)

    def must_decide_rows(self, columns: Columns, used: Mapping[str, Tag]) -> bool:
        """Return True if each row must be decided by itself when these columns of a table are used.

        That depends on the tags and the guard, never on the preferences of subjects.
        """
        is_personal = False
        for tag in used.values():
            if tag.by_row:
                return True
            is_personal = is_personal or tag.is_personal
        if not is_personal:
            return False
        if columns.columns_with_mark(Collected) or columns.columns_with_mark(Ended):
            return True
        return bool(columns.subjects()) and self.engine.oversight is not None

    # ---- decisions ---------------------------------------------------------------------------------------------------

    def current_use(self, kind: str, tables: Iterable[str]) -> Use[Any] | None:
        """Return the use under way, or None if no use is under way and that is only observed.

        Args:
            kind: The kind of the statement, for the refusal.
            tables: The tables of the statement, for the refusal.

        Raises:
            PurposeMissing: no purpose is under way. The message says which statement was refused, and who runs it.
        """
        use = find_current_use(self.engine)
        return use if use is not None else require_current_use(self.engine, describe_statement(kind, tables))

    def check_demand(
        self, demand: Demand, rules: Mapping[str, RowRule | None] = NO_RULES, *, reads: Fields | None = None
    ) -> None:
        """Check that the use under way may use all that is demanded, and record it in the ledger.

        Args:
            demand: The demand.
            rules: By table, the rule of the rows that are kept. It bounds the sources of rows that name their own.
            reads: The columns whose reading is reported now, by default all columns of the demand.

        Raises:
            PurposeMissing: no purpose is under way.
            PurposeViolation: the purpose may not use a column; `field` names the first.
            UnlabelledData: rows must be decided one by one, and those that may not be used are not left out.
            UnknownSource: a tag is of another notice, or of a clause that is gone.
        """
        if not demand.is_personal:
            return
        if self.engine.observers.read:
            self.report_read(demand.columns if reads is None else reads)
        if not demand.rows and use_cached_labels(self.engine.innermost(), demand.labels):
            return
        self.check_demand_under(self.current_use(demand.kind, demand.tables), demand, rules)

    def use_if_cached(self, labels: frozenset[Label]) -> bool:
        """Record the use of data with these labels if caches allow it, and no observer asks for reads.

        Returns:
            True if the data may be used. False if the caches do not suffice, and nothing was recorded.
        """
        return not self.engine.observers.read and use_cached_labels(self.engine.innermost(), labels)

    def report_read(self, columns: Fields) -> None:
        """Report to the observers that the use under way is about to read these columns, if there are any."""
        if not columns:
            return
        use = find_current_use(self.engine)
        self.engine.report_read(columns, use.activity if use is not None else None)

    def refuse_unresolved(self, error: PurposeGuardError, event: str, columns: Fields = ()) -> None:
        """Raise the error of a statement or data flow that cannot be analyzed. In observe mode, report it instead.

        Args:
            error: The error.
            event: A description that contains neither values nor the text of the statement.
            columns: The personal columns that it could use, each with its label.
        """
        if not self.is_observing():
            raise error
        use = find_current_use(self.engine)
        self.engine.refuse_unresolved(error, event, columns, use.activity if use is not None else None)

    def report_unresolved(self, event: str, columns: Fields = ()) -> ReportUnresolved:
        """Return a block whose errors are only reported in observe mode. The arguments are as above."""
        return ReportUnresolved(self.engine, event, columns)

    def is_observing(self) -> bool:
        """Return True if violations are only observed here, so that statements must run unchanged."""
        return is_observing(self.engine)

    def check_demand_under(
        self, use: Use[Any] | None, demand: Demand, rules: Mapping[str, RowRule | None] = NO_RULES
    ) -> None:
        """Check a demand as `check_demand` does, under a use that `current_use` returned.

        The columns of tables that are decided as a whole come first, then those whose rows are decided one by one, then
        the rows that were to be left out. Uses are counted last, so that a refusal counts none.

        If the use is None, the missing purpose was only observed and is reported already. Then nothing is checked.
        """
        if use is None or not demand.is_personal:
            return
        permissions = use.handle.get_permissions()  # Read once, so that one revision decides everything.
        denied: set[Label] = set()
        decided_labels: set[Label] = set()
        # The use of each label is reported to observers once: True reports a use, None reports nothing.
        for field, label in demand.fields:
            reported_use = True if label not in decided_labels else None
            decided_labels.add(label)
            decision = use.handle.decide_and_report(label, (), permissions, used=reported_use, field=field)
            self._note_denial(decision, label, field, use, denied)
        allowed_row_labels: dict[Label, None] = {}
        for field, table, tag in demand.rows:
            reported_use = True if tag.label not in decided_labels else None
            decided_labels.add(tag.label)
            decision = _decide_label(use, permissions, tag.label, by_row=True, used=reported_use, field=field)
            self._note_denial(decision, tag.label, field, use, denied)
            if tag.label not in denied:
                allowed_row_labels[label_in(rules.get(table), tag)] = None
        if demand.narrowing_refusal:
            event = f"{demand.kind} of {', '.join(dict.fromkeys(filter(None, demand.tables)))}"
            self.engine.refuse_unresolved(UnlabelledData(demand.narrowing_refusal), event, demand.columns, use.activity)
        for label in demand.labels - denied:
            use.handle.count_use(label, (), permissions, 1)
        for label in allowed_row_labels:
            # A `ByRow` column has this label where no rule says which sources its rows name: there is nothing to count.
            if label is not NOT_PERSONAL:
                use.handle.count_use(label, (NOTHING_KNOWN,), permissions, 1)

    def _note_denial(
        self, decision: Decision | None, label: Label, field: str, use: Use[Any], denied: set[Label]
    ) -> None:
        if decision is not None and label not in denied:
            denied.add(label)  # If denials are only observed, each label is reported once.
            self.engine.refuse(decision, use, field=field, advice=self._advice_on_columns)

    def find_denied_columns(
        self, use: Use[Any], columns: Columns, names: Iterable[str], table: str = ""
    ) -> dict[str, Decision]:
        """Return the columns that a use may not use in any row, each with the reason, without recording it.

        Raises:
            UnlabelledData: a column carries no tag.
        """
        reasons: dict[str, Decision] = {}
        permissions = use.handle.get_permissions()
        for name, tag in _require_tags(columns, names, table).items():
            if tag.label is NOT_PERSONAL:
                continue
            is_decided_by_row = self.must_decide_rows(columns, {name: tag})
            decision = _decide_label(use, permissions, tag.label, by_row=is_decided_by_row)
            if decision is not None:
                if self.engine.observers.decided:  # Only denials are reported here. Columns in use are decided again.
                    _decide_label(use, permissions, tag.label, by_row=is_decided_by_row, used=False, field=name)
                reasons[name] = decision
        return reasons

    # ---- row rules ---------------------------------------------------------------------------------------------------

    def make_row_rule(self, use: Use[Any], columns: Columns, names: Iterable[str], table: str = "") -> RowRule | None:
        """Return the rule for the rows of a table that may be used; None if rows are not decided one by one.

        The columns themselves are checked by `check_demand`, or left out by `find_denied_columns`.

        Args:
            use: The use.
            columns: The tags of the table.
            names: The columns that are used.
            table: The name of the table, for messages.

        Raises:
            UnlabelledData: a column carries no tag, or its rows name their sources and no column is marked `RowSource`.
            TypeError: governance has no roster of all subjects.
            StoreUnavailable: the roster cannot be read now.
        """
        used = _require_tags(columns, names, table)
        if not self.must_decide_rows(columns, used):
            return None
        needed = _find_needed_labels(used)
        source = _require_row_source(columns, used, table)
        subjects = columns.subjects() if self.engine.oversight is not None else ()
        roster = self.get_roster() if subjects else None
        permissions = use.handle.get_permissions()
        key = (permissions, columns, needed, self._find_today(columns, permissions))
        cached = self._find_cached_rule(key, roster)
        if cached is not None:
            return cached
        collected, ended = columns.columns_with_mark(Collected), columns.columns_with_mark(Ended)
        zone_rules: list[ZoneRule] = []
        for zone, parts in _find_zones(columns, permissions, needed).items():
            finder = BranchFinder(self.engine, permissions, parts, needed, roster=roster, keys_of=self._keys_of)
            branches = finder.branches(
                by_row=source is not None, collected=collected is not None, ended=ended is not None
            )
            zone_rules.append(ZoneRule(zone, branches))
        rule = RowRule(permissions.matrix.notice, tuple(zone_rules), source, collected, ended, subjects)
        with self._lock:
            if roster is None or roster is self._latest_roster:
                self._rules[key] = rule
        return rule

    def _find_today(self, columns: Columns, permissions: Permissions) -> tuple[datetime.date, ...]:
        """Return the present day in the time zone of each notice, or no days if rows of the table hold none."""
        if not _has_days(columns):
            return ()
        now = self.engine.clock.now()
        return tuple(to_local_day(part.periods.timezone, now) for part in permissions.matrix.parts)

    def _find_cached_rule(self, key: object, roster: Roster | None) -> RowRule | None:
        """Return the cached rule of a key, if it was made by this roster. A new roster empties the cache."""
        with self._lock:
            if roster is not None and roster is not self._latest_roster:
                self._rules.clear()  # The rules hold the keys of the previous roster, which may be millions.
                self._latest_roster = roster
            return self._rules.get(key)

    def get_roster(self) -> Roster:
        """Return all subjects with preferences on record.

        Raises:
            TypeError: governance has no roster.
            StoreUnavailable: the roster cannot be read now.
        """
        oversight = cast("object", self.engine.oversight)
        known, roster_oversight = self._roster_oversight
        if known is not oversight:
            roster_oversight = oversight if isinstance(oversight, RosterOversight) else None
            self._roster_oversight = oversight, roster_oversight
        if roster_oversight is None:
            raise TypeError(
                f"{type(oversight).__qualname__} has no `roster`, so it cannot be told which of many rows are about "
                "subjects who stopped a use, or agreed to it"
            )
        answer = self.ask_governance(roster_oversight)
        if not isinstance(answer, Roster):
            raise TypeError(f"`roster` of {type(oversight).__qualname__} gave no Roster")
        return answer

    def ask_governance(self, oversight: RosterOversight) -> object:
        """Return the answer of governance about all subjects.

        The adapter of an async engine overrides this, so that the event loop goes on meanwhile.
        """
        return oversight.roster()

    def _keys_of(self, roster: Roster, all_preferences: frozenset[SubjectPreferences]) -> KeySet:
        with self._lock:
            keys_by_preferences = self._keys.setdefault(roster, {})
            keys = keys_by_preferences.get(all_preferences)
            if keys is None:
                groups = [group for preferences, group in roster.groups.items() if preferences in all_preferences]
                keys = KeySet(itertools.chain.from_iterable(groups))
                before = self._recent.get(all_preferences)
                if before is not None and before.keys == keys.keys:
                    keys = before  # Only the preferences of other subjects changed.
                keys_by_preferences[all_preferences] = self._recent[all_preferences] = keys
            return keys


def _decide_label(
    use: Use[Any],
    permissions: Permissions,
    label: Label,
    *,
    by_row: bool,
    used: bool | None = None,
    field: str | None = None,
) -> Decision | None:
    """Return the denial of a label, or None if it may be used.

    Args:
        use: The use.
        permissions: The permissions of the use.
        label: The label.
        by_row: True if rows are decided one by one. Then only a denial that holds for every row is returned.
        used: The report to observers. True reports that data is about to be used, False reports a question, and None
            reports nothing.
        field: The name of the column.
    """
    if not by_row:
        return use.handle.decide_and_report(label, (), permissions, used=used, field=field)
    return None if label is NOT_PERSONAL else use.handle.decide_before_rows(label, permissions, used=used, field=field)


def _find_needed_labels(used: Mapping[str, Tag]) -> NeededLabels:
    """Return the different labels of the personal columns, for deciding their rows."""
    needed: dict[NeededLabel, None] = {}
    for tag in used.values():
        if tag.is_personal:
            needed[NeededLabel(tag.label, tag.by_row)] = None
    return tuple(needed)


def _require_row_source(columns: Columns, used: Mapping[str, Tag], table: str) -> str | None:
    """Return the column that names the sources of rows; None if no used column depends on it.

    Raises:
        UnlabelledData: a used column depends on the source of its row, and no column names it.
    """
    for name, tag in used.items():
        if tag.by_row:
            source = columns.columns_with_mark(RowSource)
            if source is None:
                raise UnlabelledData(
                    f"{_place(table, name)} was collected under the source that its row names, and no column here is "
                    "marked RowSource, to name it"
                )
            return source
    return None


def _find_zones(columns: Columns, permissions: Permissions, needed: NeededLabels) -> dict[str, dict[PolicyTable, None]]:
    """Return the notices that decide on the rows of a table, by time zone. Without days one zone serves for all."""
    has_days = _has_days(columns)
    zones: dict[str, dict[PolicyTable, None]] = {}
    for label, by_row in needed:
        # A row may name a source of any notice.
        for part, _ in permissions.matrix.split_label(NOT_PERSONAL if by_row else label):
            zones.setdefault(part.periods.timezone if has_days else UTC, {})[part] = None
    return zones


def _has_days(columns: Columns) -> bool:
    """Return True if rows hold the day on which they were collected, or on which their subject's use ended."""
    return columns.columns_with_mark(Collected) is not None or columns.columns_with_mark(Ended) is not None


def iter_declared_tables(tables: Mapping[str, Columns]) -> Iterator[TaggedTable]:
    """Yield the tables that have personal columns, for the registry.

    A `ByRow` column declares the sources that its tag names. The sources of its rows are known only to the rows.
    """
    for name, columns in tables.items():
        personal: list[tuple[str, Label]] = []
        for column, tag in columns.items():
            if tag.label is not NOT_PERSONAL:
                personal.append((column, tag.label))
        if personal:
            yield TaggedTable(name or "(frame)", tuple(personal), bool(columns.subjects()))


def describe_statement(kind: str, tables: Iterable[str]) -> str:
    """Describe a statement, for example ``select of `customer` in shop.report (shop.py:31)``.

    The description contains neither its text nor its parameters, which may be personal.
    """
    names = ", ".join(f"`{table}`" for table in dict.fromkeys(tables) if table)
    of = f" of {names}" if names else ""
    for frame in _frames():
        module = _module(frame)
        if module.partition(".")[0] not in _LIBRARIES:
            site = Site(module, frame.f_code.co_qualname, frame.f_lineno)
            return f"{kind}{of} in {site.dotted} ({PurePath(frame.f_code.co_filename).name}:{site.line})"
    return f"{kind}{of}"


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _frames() -> Iterator[FrameType]:
    """Yield the frames that run here, beginning with the innermost, and then those of the parent greenlets."""
    frame: FrameType | None = sys._getframe(1)
    getcurrent = getattr(sys.modules.get(GREENLET), "getcurrent", None)  # None while another thread imports it.
    greenlet: Any = None if getcurrent is None else getcurrent()
    while frame is not None or greenlet is not None:
        while frame is not None:
            yield frame
            frame = frame.f_back
        if greenlet is not None:
            greenlet = greenlet.parent
            frame = None if greenlet is None else greenlet.gr_frame


def require_tag(columns: Columns, name: str, table: str = "") -> Tag:
    """Return the tag of a column.

    Raises:
        UnlabelledData: the column has no tag.
    """
    tag = columns.get(name)
    if tag is None:
        raise UnlabelledData(
            f"{_place(table, name)} carries no tag, so nothing says what it may be used for: tag it with its source, "
            "or say `NotPersonal`"
        )
    return tag


def _require_tags(columns: Columns, names: Iterable[str], table: str) -> dict[str, Tag]:
    """Return the tags of several columns, by name.

    Raises:
        UnlabelledData: a column has no tag.
    """
    tags: dict[str, Tag] = {}
    for name in names:
        tags[name] = require_tag(columns, name, table)
    return tags


def label_in(rule: RowRule | None, tag: Tag) -> Label:
    """Return the label of a column's values in the rows that a rule keeps."""
    return rule.label_of(tag.label) if rule is not None and tag.by_row else tag.label


def require_covering(target: str, column: str, into: Label, value: Label) -> None:
    """Check that the tag of a column names each source of the values that flow into it.

    The item of a clause is not covered by its parent, which may allow less or be kept longer.

    Args:
        target: The table.
        column: The column.
        into: The label of the column.
        value: The label of the values.

    Raises:
        FlowViolation: the column's label lacks a source of the values.
    """
    missing = value.sources - into.sources - {NotPersonal}
    if missing:
        raise FlowViolation(target, column, Label(*missing))


def label_known(rule: RowRule | None, tag: Tag, notice: Notice) -> Label:
    """Return the label as `label_in` does. Without a rule, rows that name their sources may have any of the notice."""
    return tag.label | Label(*notice.sources) if rule is None and tag.by_row else label_in(rule, tag)


def _place(table: str, name: str) -> str:
    return f"`{table}.{name}`" if table else f"`{name}`"


def _to_be_narrowed(table: str, columns: Columns, used: Mapping[str, Tag]) -> str:
    """Return the reason why the rows of a table are decided one by one, for a message."""
    for name, tag in used.items():
        if tag.by_row:
            return f"{_place(table, name)} was collected under the source that its row names"
    rows = f"the rows of `{table}`" if table else "the rows"
    for name, _ in columns.subjects():
        return f"{rows} say whose they are, in `{name}`"
    day = columns.columns_with_mark(Collected) or columns.columns_with_mark(Ended)
    return f"{rows} say from when they are, in `{day}`"
