"""Finds an application's guard by name; forecasts which activity may call which access function, now or later.

Nothing of the application runs but the import of its modules.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from purposeguard.cli.files import CommandProblem
from purposeguard.cli.words import learn
from purposeguard.errors import PurposeGuardError
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source
from purposeguard.policy.context import BY_ANY_CHANNEL, NONE_KNOWN
from purposeguard.policy.diff import Comparison
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.policy.table import PolicyTable
from purposeguard.runtime.access import AccessFunction
from purposeguard.runtime.declarations import EntrustmentDeclaration
from purposeguard.runtime.handover import HandOverFunction
from purposeguard.runtime.registry import WHOLE, Access, Activity, TaggedTable
from purposeguard.runtime.site import Site
from purposeguard.runtime.snapshot import PolicySnapshot


def find_guard(target: str, imports: Iterable[str] = ()) -> Guard:
    """Return the guard `MODULE:GUARD`, after its module and the `imports` are imported.

    Raises:
        Problem: a module cannot be imported, or there is no guard of this name in it.
    """
    guard = find(target, imports)
    if not isinstance(guard, Guard):
        raise CommandProblem(f"`{target}` is no guard but a {type(guard).__name__}")
    for notice in guard.history:
        learn(notice)
    return guard


def find(target: str, imports: Iterable[str] = ()) -> Any:
    """Return the object `MODULE:NAME`, after its module and the `imports` are imported.

    Raises:
        Problem: a module cannot be imported, or there is nothing of this name in it.
    """
    module, colon, path = target.partition(":")
    if not (module and colon and path):
        raise CommandProblem(f"`{target}` names no guard: give MODULE:GUARD, e.g. `shop.privacy:guard`")
    # A console script, unlike `python -m`, does not search the current directory.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    target_object: Any = import_application(module)
    for name in imports:
        import_application(name)
    for name in path.split("."):
        if not hasattr(target_object, name):
            guards = ", ".join(_iter_guards(module))
            there = f"it has {guards}" if guards else "it has no guard at all"
            raise CommandProblem(f"{module} has no `{path}` (help: {there})")
        target_object = getattr(target_object, name)
    return target_object


def _iter_guards(module: str) -> Iterator[str]:
    """Yield the guards of a module, as a command line names them."""
    for name, value in vars(sys.modules[module]).items():
        if isinstance(value, Guard):
            yield f"`{module}:{name}`"


def import_application(name: str) -> ModuleType:
    """Return the module of this name.

    Raises:
        Problem: it is not found, or fails while it is imported.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # The report must not contain what the module prints.
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a foreign module raises is reported; nothing is decided by it
        raise CommandProblem(_import_failure(name, error)) from error


def _import_failure(name: str, error: BaseException) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and (name == missing or name.startswith(f"{missing}.")):
        return f"there is no module `{missing}` (help: start where it can be imported, or set PYTHONPATH)"
    place = _find_foreign_frame(error)
    where = "" if place is None else f"\n  at {place.filename}, line {place.lineno}"
    message = str(error) or "no message"
    return f"{name} cannot be imported: {type(error).__name__}: {message}{where}"


def _find_foreign_frame(error: BaseException) -> traceback.FrameSummary | None:
    """Return the last frame of an error that is neither in this package nor in the machinery of imports."""
    package = str(Path(__file__).parent.parent)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        imports = frame.filename.startswith("<frozen") or "importlib" in Path(frame.filename).parts
        if not imports and not frame.filename.startswith(package):
            return frame
    return None


def read_annotations(guard: Guard) -> dict[Site, str]:
    """Resolve annotations that name classes defined later.

    Returns: The reason for each site whose annotations cannot be resolved.
    """
    unread: dict[Site, str] = {}
    declared: list[Access | EntrustmentDeclaration] = [*guard.accesses, *guard.entrustments]
    for declaration in declared:
        if declaration.label is None:
            reason = _resolve(declaration)
            if reason is not None:
                unread[declaration.site] = reason
    return unread


def _resolve(declared: Access | EntrustmentDeclaration) -> str | None:
    """Resolve the annotations of a declaration. Return the reason if they cannot be resolved."""
    resolve = _find_resolver(declared)
    if resolve is None:
        annotation = "return annotation is" if isinstance(declared, Access) else "parameters' annotations are"
        return f"its {annotation} read at its first call, and it cannot be found by its name before"
    try:
        resolve()
    except PurposeGuardError as error:
        return str(error).removeprefix(f"{declared.name}: ")
    return None


def says_whose(access: Access) -> bool:
    """Return True if the rows of an access function name their subjects: they are then decided row by row."""
    for layer in _layers(access):
        reader = getattr(layer, "__purposeguard_access__", None)
        if isinstance(reader, AccessFunction) and reader.access is access and reader.marked:
            return True
    return False


def _find_resolver(declared: Access | EntrustmentDeclaration) -> Callable[[], object] | None:
    """Return the method that reads the annotations of a declared function; None if the function is not found."""
    for layer in _layers(declared):
        reader = getattr(layer, "__purposeguard_access__", None)
        if isinstance(reader, AccessFunction) and reader.access is declared:
            return reader.resolve_label
        hand_over = getattr(layer, "__purposeguard_entrustment__", None)
        if isinstance(hand_over, HandOverFunction) and hand_over.declared is declared:
            return hand_over.resolve_shapes
    return None


def _layers(declared: Access | EntrustmentDeclaration) -> Iterator[Any]:
    """Yield the declared function and its decorators, outermost first."""
    fn: Any = sys.modules.get(declared.module)
    for name in declared.qualname.split("."):
        fn = inspect.getattr_static(fn, name, None)
    seen: set[int] = set()
    while fn is not None and id(fn) not in seen:
        seen.add(id(fn))
        yield fn
        fn = getattr(fn, "__func__", None) or getattr(fn, "__wrapped__", None)


@dataclass(frozen=True, slots=True)
class ForecastOutcome:
    """What happens if this activity calls this access function.

    An activity that is only observed is not refused: what would be is logged.
    """

    activity: Activity
    access: Access
    verdict: str
    """`allowed`; `withheld`, if it runs and `fields` are missing from what it returns; `refused`; or `unknown`."""
    fields: tuple[str, ...] = ()
    """The fields that are withheld."""
    reasons: tuple[str, ...] = ()
    """Why the call is refused, or fields are withheld."""
    closed: tuple[str, ...] = ()
    """The sealed fields that the activity gets and may not open."""


def outcome(guard: Guard, activity: Activity, access: Access, unread: str | None = None) -> ForecastOutcome:
    """Return the forecast of one combination, by the decisions that the call itself would ask for."""
    by_row = says_whose(access)

    def why_not(label: Label) -> tuple[str, ...]:
        return standing_against(Decision(guard.engine.get_permissions(activity).decide(label)), by_row=by_row)

    return forecast(why_not, activity, access, unread)


def standing_against(decision: Decision, *, by_row: bool) -> tuple[str, ...]:
    """Return the reasons that refuse a call.

    The list is empty if only consent is missing and rows name their subjects: each row is then decided by itself.
    """
    return () if by_row and is_about_the_subject(decision) else decision.reasons


def forecast(
    why_not: Callable[[Label], tuple[str, ...]], activity: Activity, access: Access, unread: str | None = None
) -> ForecastOutcome:
    """Return the outcome of an activity calling an access function; `why_not` gives the reasons to refuse a label."""
    if access.label is None and not access.sealed:
        return ForecastOutcome(activity, access, "unknown", reasons=(unread or "its sources are not known",))
    if access.withhold:
        return _forecast_withheld(why_not, activity, access)
    reasons = () if access.label is None else why_not(access.label)
    if reasons:
        return ForecastOutcome(activity, access, "refused", reasons=reasons)
    closed = _collect_refusals(why_not, access.sealed)
    return ForecastOutcome(activity, access, "allowed", closed=tuple(closed))


def _forecast_withheld(
    why_not: Callable[[Label], tuple[str, ...]], activity: Activity, access: Access
) -> ForecastOutcome:
    """Return the outcome for an access function that withholds fields."""
    for label in (access.named, access.whole, access.sealed.get(WHOLE)):
        reasons = () if label is None else why_not(label)
        if reasons:
            return ForecastOutcome(activity, access, "refused", reasons=reasons)
    withheld = _collect_refusals(why_not, _labels_by_path(access))
    fields: list[str] = []
    reasons_once: dict[str, None] = {}
    for path, reasons in withheld.items():
        if not any(_is_inside(path, other) for other in withheld):
            fields.append(path)
            reasons_once |= dict.fromkeys(reasons)
    verdict = "withheld" if withheld else "allowed"
    return ForecastOutcome(activity, access, verdict, tuple(fields), tuple(reasons_once))


def _collect_refusals(
    why_not: Callable[[Label], tuple[str, ...]], labels: Mapping[str, Label]
) -> dict[str, tuple[str, ...]]:
    """Return the paths whose labels are refused, with the reasons."""
    refused: dict[str, tuple[str, ...]] = {}
    for path, label in labels.items():
        reasons = why_not(label)
        if reasons:
            refused[path] = reasons
    return refused


def _labels_by_path(access: Access) -> dict[str, Label]:
    """Return path → label of what is withheld together: a plain list and its items are one path."""
    labels: dict[str, Label] = {}
    for path, label in (*access.fields.items(), *access.sealed.items()):
        whole = path
        while whole.endswith("[]"):
            whole = whole.removesuffix("[]")
        if whole:  # else it is the returned value as a whole, which cannot be withheld
            labels[whole] = labels[whole] | label if whole in labels else label
    return labels


def _is_inside(path: str, other: str) -> bool:
    return path.startswith((f"{other}.", f"{other}["))


class TableOutcome(NamedTuple):
    """What happens if an activity uses a table."""

    activity: Activity
    table: TaggedTable
    refused: dict[str, tuple[str, ...]]
    """The columns that the activity may not use, each with the reasons."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """The reasons, each once."""
        return tuple(dict.fromkeys(chain.from_iterable(self.refused.values())))


def table_outcome(guard: Guard, activity: Activity, table: TaggedTable) -> TableOutcome:
    """Return the forecast of an activity using a table."""
    permissions = guard.engine.get_permissions(activity)

    def why_not(label: Label) -> tuple[str, ...]:
        return standing_against(Decision(permissions.decide(label)), by_row=table.of_subjects)

    return TableOutcome(activity, table, _collect_refusals(why_not, dict(table.columns)))


class Forecasts:
    """What happens if each of these activities calls each access function of a guard, and uses each of its tables.

    Raises:
        UnknownTerm: the notice in force has no such purpose, channel or condition.
    """

    def __init__(self, guard: Guard, activities: Sequence[Activity]) -> None:
        self.guard = guard
        self.activities = activities
        self.unread = read_annotations(guard)
        self.calls = list(self._forecast_calls())
        self.tables = [table_outcome(guard, activity, table) for activity in activities for table in guard.tables]
        self._reached = [outcome for outcome in self.calls if outcome.verdict != "refused"]

    def _forecast_calls(self) -> Iterator[ForecastOutcome]:
        """Yield the outcomes of calls. Activities that may use the same data have the same outcomes."""
        forecasts: dict[object, list[ForecastOutcome]] = {}
        for activity in self.activities:
            key = activity.purpose, activity.channel, activity.conditions
            if key not in forecasts:
                forecasts[key] = list(self._forecast_calls_of(activity))
            for call in forecasts[key]:
                yield dataclasses.replace(call, activity=activity)

    def _forecast_calls_of(self, activity: Activity) -> Iterator[ForecastOutcome]:
        for access in self.guard.accesses:
            yield outcome(self.guard, activity, access, self.unread.get(access.site))

    @property
    def used_tables(self) -> list[TableOutcome]:
        """Those of which the activity may use some column."""
        return [outcome for outcome in self.tables if len(outcome.refused) < len(outcome.table.columns)]

    def find_starved(self) -> list[Activity]:
        """Return the activities to which every access function and table is refused."""
        if not self.guard.accesses:
            return []
        fed = {id(call.activity) for call in self._reached} | {id(use.activity) for use in self.used_tables}
        return [activity for activity in self.activities if id(activity) not in fed]

    def silent(self) -> list[Activity]:
        """Return the activities that state no channel, although their clause names its channels."""
        return list(filter(self._lacks_channel, self.activities))

    def _lacks_channel(self, activity: Activity) -> bool:
        table = self.guard.engine.snapshot.matrix
        return activity.channel is None and table.must_state_channel(table.resolve_purpose(activity.purpose))

    def idle(self) -> list[Access]:
        """Return the access functions that are refused to every activity."""
        if not self.guard.activities:
            return []
        reached = {id(outcome.access) for outcome in self._reached}
        return [access for access in self.guard.accesses if id(access) not in reached]


def clauses_in(terms: Iterable[type[Source | Purpose]]) -> list[str]:
    """Return the ids of terms, such as the sources of a label."""
    return [term.clause for term in terms]


def clauses_of(purpose: type[Purpose] | Family) -> tuple[str, ...]:
    """Return the id of a purpose, or those of the members of a family."""
    return tuple(clauses_in(purpose.members if isinstance(purpose, Family) else (purpose,)))


def package_of(guard: Guard) -> str:
    """Return the package that all declarations share, with its dot; empty if there is none."""
    shared: list[str] = []
    declared = (*guard.activities, *guard.accesses, *guard.entrustments)
    for parts in zip(*(declaration.module.split(".") for declaration in declared), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(f"{parts[0]}.")
    return "".join(shared)


WIDTH = {"refused": 0, "unknown": 0, "withheld": 1, "allowed": 2}
"""How much of what it asks for an activity gets."""


@dataclasses.dataclass(frozen=True, slots=True)
class RevisionEffect:
    """The outcomes of one combination under two revisions."""

    before: ForecastOutcome
    """The outcome under the earlier revision."""
    after: ForecastOutcome
    """The outcome under the later one."""
    earlier: ForecastOutcome
    """The outcome under the later one for data collected under the earlier one."""

    def for_activity(self, activity: Activity) -> RevisionEffect:
        """Return the effect on another activity that may use the same data."""
        before, after, earlier = (
            dataclasses.replace(outcome, activity=activity) for outcome in (self.before, self.after, self.earlier)
        )
        return RevisionEffect(before, after, earlier)

    @property
    def shown(self) -> list[tuple[object, ...]]:
        """What people are shown of each outcome."""
        return list(map(attrgetter("verdict", "fields", "closed"), (self.before, self.after, self.earlier)))

    @property
    def differs(self) -> bool:
        """True if the revision changes the outcome."""
        before, after, earlier = self.shown
        return not before == after == earlier

    @property
    def stops(self) -> bool:
        """True if the activity gets less than before, of data of either revision."""
        return _gets_less(self.after, self.before) or _gets_less(self.earlier, self.before)

    @property
    def starts(self) -> bool:
        """True if the activity gets more than before, of data of either revision."""
        return _gets_less(self.before, self.after) or _gets_less(self.before, self.earlier)


def _gets_less(outcome: ForecastOutcome, other: ForecastOutcome) -> bool:
    if WIDTH[outcome.verdict] != WIDTH[other.verdict]:
        return WIDTH[outcome.verdict] < WIDTH[other.verdict]
    return not {*outcome.fields, *outcome.closed} <= {*other.fields, *other.closed}


def effects(guard: Guard, comparison: Comparison) -> list[RevisionEffect]:
    """Return every combination of an activity and an access function that the application declares."""
    unread = read_annotations(guard)
    revisions = _Revisions(guard, comparison)
    cached: dict[tuple[object, Site], RevisionEffect] = {}  # Activities for the same purpose fare alike.
    combinations: list[RevisionEffect] = []
    for activity in guard.activities:
        for access in guard.accesses:
            key = (activity.purpose, activity.channel, activity.conditions), access.site
            if key not in cached:
                sides = revisions.sides(activity, access)
                cached[key] = RevisionEffect(
                    *(forecast(side, activity, access, unread.get(access.site)) for side in sides)
                )
            combinations.append(cached[key].for_activity(activity))
    return combinations


class _Revisions:
    """Two revisions, and an application's terms in each."""

    def __init__(self, guard: Guard, comparison: Comparison) -> None:
        self._guard = guard
        self._past = PolicyTable(comparison.old)
        self._present = PolicyTable(comparison.new, history=comparison.history)
        matching = comparison.matching
        self._to_new = {"source": matching.source_ids, "purpose": matching.purpose_ids}
        self._to_old = {"source": _invert(matching.source_ids), "purpose": _invert(matching.purpose_ids)}

    def sides(self, activity: Activity, access: Access) -> Iterator[Callable[[Label], tuple[str, ...]]]:
        """Yield three functions that say why data is refused.

        They are for the earlier revision, the later one, and the later one with data collected under the earlier.
        """
        by_row = says_whose(access)
        past, present = self._past, self._present
        for table, collected in ((past, past.notice), (present, present.notice), (present, past.notice)):
            yield self._deciding(table, collected, activity, by_row=by_row)

    def _deciding(
        self, table: PolicyTable, collected: Notice, activity: Activity, *, by_row: bool
    ) -> Callable[[Label], tuple[str, ...]]:
        """Return a function that explains why one activity is refused a label.

        The table is that of one revision; the data was collected under `collected`.
        """
        notice, channel = table.notice, activity.channel
        conditions = activity.conditions.intersection(notice.conditions)
        purpose = self.in_(notice, activity.purpose)
        refused = _explain_full_refusal(table, activity, purpose)
        row_context = BY_ANY_CHANNEL if channel is None else NONE_KNOWN

        def why_not(label: Label) -> tuple[str, ...]:
            if label.sources == frozenset({NotPersonal}):
                return ()
            if refused is not None:
                return (refused,)
            sources: list[Any] = []
            for source in label:
                present = self.in_(collected, source)
                if present is None:
                    return (f"the revision of {collected.revision} has no source {source.clause}",)
                sources.append(present)
            for source in sources:
                if not isinstance(table.current_source(source), type):
                    return (f"the revision of {notice.revision} has no source {source.clause}",)
            snapshot = PolicySnapshot(table)
            verdict = snapshot.decide(Label(*sources), purpose, channel, row_context, conditions=conditions)
            return standing_against(Decision(verdict), by_row=by_row)

        return why_not

    def in_(self, notice: Notice, term: Any) -> Any:
        """Return a term of the application in one of the revisions; None if absent there."""
        if term is NotPersonal:
            return term
        if isinstance(term, Family):
            for family in notice.families:
                if family.name == term.name:
                    return family
            return None
        is_source = issubclass(term, Source)
        clause = self._clause(notice, "source" if is_source else "purpose", term)
        candidates: tuple[type[Source | Purpose], ...] = notice.sources if is_source else notice.purposes
        for candidate in candidates:
            if candidate.clause == clause:
                return candidate
        return None

    def _clause(self, notice: Notice, kind: str, term: Any) -> str | None:
        """Return the id that a term has in a revision: by what the two are compared by, or its own."""
        clause: str = term.clause
        revision = self._find_home(term).revision
        if revision == self._past.notice.revision and notice is self._present.notice:
            return self._to_new[kind].get(clause)
        if revision == self._present.notice.revision and notice is self._past.notice:
            return self._to_old[kind].get(clause)
        return clause

    def _find_home(self, term: Any) -> Notice:
        """Return the revision that a term belongs to; the one in force if no known one has it."""
        for notice in self._guard.history:
            if term in notice.sources or term in notice.purposes:
                return notice
        return self._guard.notice


def _invert(ids: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in ids.items()}


def _explain_full_refusal(table: PolicyTable, activity: Activity, purpose: type[Purpose] | Family | None) -> str | None:
    """Return the reason why an activity may use no data at all under this revision; None if it may use some."""
    revision = f"the revision of {table.notice.revision}"
    if purpose is None:
        return f"{revision} has no purpose {activity.purpose_id}"
    if activity.channel is not None and activity.channel not in table.notice.channels:
        return f"{revision} names no channel {activity.channel}"
    if activity.channel is None and table.must_state_channel(purpose):
        return f"{revision} names the channels of {activity.purpose_id}, and the activity states none"
    return None
