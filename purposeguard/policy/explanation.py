"""Decisions: explained verdicts. They say by which clause, why not, and what instead.

This module is not trusted: the verdict says whether a use is allowed, and nothing here can change it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, starmap
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Final

from purposeguard.containers import drop_none, intersect
from purposeguard.errors import escape_controls
from purposeguard.locks import cached_property
from purposeguard.notice.label import Label
from purposeguard.notice.languages import title_in
from purposeguard.notice.retention import for_law
from purposeguard.notice.schema import Prohibition
from purposeguard.notice.vocabulary import Family, NotPersonal, Purpose, Source, list_members
from purposeguard.policy.context import BEFORE_ALL, NONE_KNOWN, UNNAMED, Context, DenialReason
from purposeguard.policy.joint import JointTable
from purposeguard.policy.table import PolicyTable, Row
from purposeguard.policy.verdict import Verdict


class Decision:
    """The answer to one question, with its reasons. It is true if the use is allowed, and `str()` explains it.

    Explanations are computed when they are read.
    """

    label: Label
    """The sources of the data."""
    purpose: type[Purpose] | Family
    """The purpose class or family."""
    channel: str | None
    """The channel, if one was stated."""
    allowed: bool
    """True if the use is allowed."""
    context: Context
    """The facts about the subject, the days and the conditions that were taken into account."""

    def __init__(self, verdict: Verdict) -> None:
        self.allowed, self._matrix, self.label, self.purpose, self.channel, self.context, self._declared = verdict

    def __bool__(self) -> bool:
        return self.allowed

    @cached_property
    def _key(self) -> Callable[[type[Source | Purpose]], str]:
        return term_key(self._matrix)

    def _name(self, term: type[Source | Purpose] | Family) -> str:
        return format_term(term, self._key)

    @cached_property
    def reason(self) -> DenialReason | None:
        """Return the reason for a denial: the purpose, the channel, the subject, …; None if the use is allowed."""
        if self.allowed:
            return None
        if self._declared:
            return DenialReason.CHANNEL
        if self._has_ungranted_source:
            return DenialReason.GRANT  # The missing grant counts before any other reason.
        reasons = map(self._find_denial_reason, self.denied)
        return min(drop_none(reasons), default=DenialReason.GRANT)

    @cached_property
    def denied(self) -> tuple[type[Source], ...]:
        """Return the sources that may not serve the purpose (by the channel, for the subject), ordered by clause."""
        return tuple(source for source in self.label if not self._may_serve(source))

    @property
    def _has_ungranted_source(self) -> bool:
        """True if no clause grants some source the purpose or a member of the family. This usual case is quick."""
        return any(map(self._lacks_grant, self.label.sources))

    def _lacks_grant(self, source: type[Source]) -> bool:
        if source is NotPersonal:
            return False
        granted, purpose = self._matrix.notice.grants[self._matrix.current_source(source)], self.purpose
        return granted.keys().isdisjoint(purpose.members) if isinstance(purpose, Family) else purpose not in granted

    def _source_row(self, source: type[Source]) -> Row:
        if self.context is NONE_KNOWN:
            return self._matrix.resolve_row(source, self.channel)
        return self._matrix.row_for(Label(source), self.channel, self.context)

    def _may_serve(self, source: type[Source]) -> bool:
        return self.purpose in self._source_row(source)

    def _find_denial_reason(self, source: type[Source]) -> DenialReason | None:
        """Return the reason why a source may not serve the purpose; None if it may.

        Of the reasons against the members of a family, return the one that is nearest to an allowed use.
        """
        if source is NotPersonal:
            return None if self._may_serve(source) else DenialReason.CHANNEL
        if self._lacks_grant(source):
            return DenialReason.GRANT
        reasons = set(self._find_member_reasons(source, self.context))
        return None if None in reasons else max(drop_none(reasons))

    def _find_member_reasons(self, source: type[Source], context: Context) -> Iterator[DenialReason | None]:
        """Yield the reason why a source may not serve each member of the purpose in a context; None where it may."""
        for member in list_members(self.purpose):
            yield self._matrix.find_denial_reason(source, member, self.channel, context)

    @cached_property
    def grants(self) -> Mapping[type[Source], str]:
        """For each source that may serve the purpose, the clause that grants it."""
        clauses: dict[type[Source], str] = {}
        for source in self.label:
            granted = self._matrix.notice.grants.get(self._matrix.current_source(source), {})
            row = self._source_row(source)
            for member in list_members(self.purpose):
                if member in granted and member in row:
                    clauses.setdefault(source, granted[member])
        return MappingProxyType(clauses)

    @cached_property
    def alternatives(self) -> tuple[type[Purpose], ...]:
        """Return the purposes that the whole label may serve (by the channel, for the subject), in order."""
        row = self._matrix.row_for(self.label, self.channel, self.context)
        return tuple(purpose for purpose in self._matrix.notice.purposes if purpose in row)

    @cached_property
    def reasons(self) -> tuple[str, ...]:
        """Explain a denial, in one sentence for each refused source. Empty if the use is allowed."""
        if self._declared and not self.allowed:
            only = " or ".join(self._matrix.list_admitted_channels(self.purpose))
            return (f"{self._name(self.purpose)} names its channels and closes the list: {only}",)
        return tuple(self._explain_denial(source) or self._explain_missing_grant(source) for source in self.denied)

    def _explain_missing_grant(self, source: type[Source]) -> str:
        return f"no clause grants {self._name(self.purpose)} to {self._key(source)}"

    def _explain_denial(self, source: type[Source]) -> str | None:
        """Explain why a source is refused. Return None if the only reason is that no clause grants it the purpose."""
        purpose = self._name(self.purpose)
        reason = self._find_denial_reason(source)
        if reason is not None and reason > DenialReason.CHANNEL:
            return self._explain_denial_despite_grant(reason, source)
        if reason is DenialReason.CHANNEL:
            only = ", ".join(self._matrix.list_admitted_channels(self.purpose)) or "none"
            return f"{purpose} may reach people whose data is {self._key(source)} by {only} only, not by {self.channel}"
        current = self._matrix.current_source(source)
        for member in list_members(self.purpose):
            own = self._matrix.table_of(source).notice
            rule = own.prohibited.get((current.clause, member.clause)) if member in own.purposes else None
            if rule is not None:
                return f"{self._key(source)} is forbidden to serve {self._name(member)}: {title_in(rule.reason, 'en')}"
        items = self._matrix.children.get(current, ())
        denied = [item for item in items if not self._may_serve(item)]
        if denied and len(denied) < len(items):
            first = self._explain_denial(denied[0]) or self._explain_missing_grant(denied[0])
            return f"{self._key(source)} stands for any of its items, and {first}"
        return None

    def _is_beyond_law(self, source: type[Source]) -> bool:
        """Return True if law no longer needs the source, and the purpose rests on law for it."""
        table = self._matrix.table_of(source)
        current = table.current_source(source)
        if table.prefix + for_law(current.clause) not in self.context.overdue:
            return False
        for member in intersect(list_members(self.purpose), table.notice.grants[current]):
            groups = table.grounds.get_grounds(current.clause, member.clause)
            if any(ground.basis == "law" for ground in chain.from_iterable(groups)):
                return True
        return False

    def _of_periods(self, source: type[Source]) -> str:
        """Say which period is over: the one for which a source may be kept, or the one for which law needs it."""
        data = self._key(source)
        if self._is_beyond_law(source):
            return f"the period for which law needs {data} is over, and nothing else lets it be used (clause 8)"
        return f"the period for which {data} may be kept is over, save for a use based on law (clause 8)"

    def _explain_denial_despite_grant(self, reason: DenialReason, source: type[Source]) -> str:
        """Explain why a source is refused although some clause grants it the purpose."""
        match reason:
            case DenialReason.CONDITION:
                return self._explain_conditions(source)
            case DenialReason.REVISION:
                return self._explain_revision(source)
            case DenialReason.RETENTION:
                return self._of_periods(source)
            case _:
                return self._explain_subject_denial(reason, source)

    def _explain_revision(self, source: type[Source]) -> str:
        """Explain why the revision under which a source was collected does not grant it the purpose."""
        purpose, data = self._name(self.purpose), self._key(source)
        then = self._matrix.collection_revision(source, self.context)
        own = self._matrix.table_of(source)
        now = own.notice.revision
        if then is None or then == BEFORE_ALL:
            first = own.history.notices[0].revision
            return (
                f"{data} was collected before {first}, the earliest revision in the guard's history, so "
                "nothing says what was promised then (rule 9)"
            )
        if self.context.channel_unstated and self._lacks_channel(source):
            return (
                f"{data} was collected under the revision of {then}, in which {purpose} names its "
                "channels and closes the list, and no channel is stated: `channel=…` (rules 7 and 9)"
            )
        missing = self._missing_conditions(source, lambda after: after is None or after > DenialReason.REVISION)
        if missing:
            return (
                f"{data} was collected under the revision of {then}, which grants {purpose} where "
                f"{_advise_stating(missing)} (rule 9)"
            )
        return (
            f"{data} was collected under the revision of {then}, which does not grant {purpose}, and that "
            f"of {now} does not extend it to such data (rule 9)"
        )

    def _explain_subject_denial(self, reason: DenialReason, source: type[Source]) -> str:
        """Explain why the subject, or a missing name of the subject, forbids the use of a source."""
        purpose, data = self._name(self.purpose), self._key(source)
        preferences = self.context.preferences
        if preferences is None or preferences is UNNAMED:
            rests = f"people may opt out of {purpose}, and " if preferences is None else ""
            rests = f"{purpose} rests on consent, and " if reason is DenialReason.CONSENT else rests
            missing = self._missing_conditions(source, lambda after: after is None)
            instead = f", unless {_advise_stating(missing)}" if missing else ""
            named = "name the subject by `subject=…`, or mark the field that says it with `Subject`"
            return f"{rests}it is not said whose data of {data} this is: {named}{instead}"
        if reason is DenialReason.CONSENT:
            missing = self._missing_conditions(source, lambda after: after is None)
            unless = f", unless {_advise_stating(missing)}" if missing else ""
            return f"{purpose} rests on consent here, which the subject did not give, or took back{unless}"
        if preferences.erased:
            return "the subject asked for the data to be erased (clause 7)"
        scope = "all use" if preferences.all_suspended else f"the use for {purpose}"
        return f"the subject asked for {scope} of the data to stop (clause 7)"

    def _explain_conditions(self, source: type[Source]) -> str:
        """Explain why a source is refused that may serve the purpose under conditions only."""
        purpose, data, current = self._name(self.purpose), self._key(source), self._matrix.current_source(source)
        missing = self._missing_conditions(source, lambda after: after is None or after > DenialReason.CONDITION)
        own = self._matrix.table_of(source)
        rules: tuple[Prohibition, ...] = ()
        if not isinstance(self.purpose, Family):
            rules = own.grounds.forbidden_unless(current.clause, self.purpose.clause)
        for rule in rules:
            if not self.context.conditions.issuperset(own.prefix + condition for condition in rule.unless):
                reason = title_in(rule.reason, "en")
                return f"{data} is forbidden to serve {purpose}: {reason}; save where {_advise_stating(missing)}"
        return f"{data} serves {purpose} only where {_advise_stating(missing)}"

    def _missing_conditions(
        self, source: type[Source], lifted: Callable[[DenialReason | None], bool]
    ) -> tuple[str, ...]:
        """Return the conditions that would lift a denial if they were stated as well, in the notice's order.

        `lifted` tells whether a denial reason, or None, counts as lifted. The result is empty if no conditions help.
        """

        def lifts(conditions: Iterable[str]) -> bool:
            context = self.context._replace(conditions=self.context.conditions.union(conditions))
            return any(map(lifted, self._find_member_reasons(source, context)))

        needed = dict.fromkeys(self._matrix.notice.conditions)
        for condition in self.context.conditions:
            needed.pop(condition, None)
        if not lifts(needed):
            return ()
        for candidate in tuple(needed):  # More conditions never allow less, so each can be tried alone.
            if lifts(needed.keys() - {candidate}):
                del needed[candidate]
        return tuple(needed)

    def _lacks_channel(self, source: type[Source]) -> bool:
        """Return True if the revision of collection grants the refused use by some channels, which it names."""
        reasons = set(self._find_member_reasons(source, self.context._replace(channel_unstated=False)))
        return not reasons <= {DenialReason.REVISION, DenialReason.GRANT}

    @cached_property
    def headline(self) -> str:
        """Return the decision in one line."""
        if self.allowed:
            return f"{self._name(self.purpose)} may use {_join_names(map(self._name, self.label))}"
        if self._declared and not self.allowed:
            by = "without a stated channel" if self.channel is None else f"by {self.channel}"
            return f"{self._name(self.purpose)} may not be pursued {by}"
        by = f" by {self.channel}" if self.reason is DenialReason.CHANNEL else ""
        whose = " of this subject" if is_about_the_subject(self) else ""
        return f"{self._name(self.purpose)} may not use {_join_names(map(self._name, self.denied))}{whose}{by}"

    @cached_property
    def details(self) -> tuple[str, ...]:
        """Return lines that say which clauses grant the use, or why it is denied and what could be done instead."""
        if self.allowed:
            return tuple(f"{self._key(source)}: granted by {clause}" for source, clause in self.grants.items())
        if self._declared:
            return self.reasons
        explanations = filter(None, map(self._explain_denial, self.denied))
        return (*explanations, *(self._advise_on_grants() if self.reason is DenialReason.GRANT else ()))

    def _advise_on_grants(self) -> Iterator[str]:
        """Yield lines about a missing grant: what may serve the purpose, and what the data may serve instead."""
        for member in list_members(self.purpose):
            yield _describe_grants(self._matrix, member)
        for source in self.denied:
            yield f"{self._key(source)} may serve: {_describe_permitted_purposes(self._matrix, source)}"
        row = self._matrix.row_for(self.label, self.channel, self.context)
        families = [family for family in self._matrix.families.get(self.purpose, ()) if family in row]
        if len(self.label) > 1 and (self.alternatives or not families):
            purposes = ", ".join(purpose.slug for purpose in self.alternatives[:6]) or "nothing; keep the data apart"
            yield f"combined, {_join_names(map(self._key, self.label))} may serve: {purposes}"
        for family in families:
            yield f"its family {family.slug} may use the data, each source by a clause of its own"

    def __str__(self) -> str:
        return escape_controls("\n  ".join([self.headline, *self.details]))

    def _repr_html_(self) -> str:
        """Render the decision as an HTML list for notebooks, with the same lines as `str()`."""
        from purposeguard.notice.notebook import render_list  # noqa: PLC0415  # as in the notice

        return render_list(
            f"{'✓' if self.allowed else '✗'} {escape_controls(self.headline)}", map(escape_controls, self.details)
        )

    def __repr__(self) -> str:
        verdict = "allowed" if self.allowed else "denied"
        by = f" by {self.channel}" if self.channel else ""
        return f"<Decision {verdict}: {self.label} for {format_term(self.purpose)}{by}>"

    def __reduce__(self) -> tuple[Any, ...]:
        # A violation may be sent to another process. It contains the facts and not the compiled notice.
        return _thaw, (_collect_facts(self) | {"grants": dict(self.grants)},)


_FACTS = (
    "allowed",
    "label",
    "purpose",
    "channel",
    "context",
    "reason",
    "denied",
    "grants",
    "alternatives",
    "reasons",
    "headline",
    "details",
)


def _collect_facts(decision: Decision) -> dict[str, Any]:
    return {name: getattr(decision, name) for name in _FACTS}


def _thaw(facts: dict[str, Any]) -> Decision:
    decision = Decision.__new__(Decision)
    decision.__dict__.update(facts | {"grants": MappingProxyType(facts["grants"])})
    return decision


def override_decision(decision: Decision, reason: DenialReason, headline: str, reasons: tuple[str, ...]) -> Decision:
    """Return a decision that refuses the same use for reasons that lie outside the table."""
    facts = _collect_facts(decision) | {"allowed": False, "reason": reason}
    return _thaw(facts | {"headline": headline, "reasons": reasons, "details": reasons})


def qualify_decision(decision: Decision, matrix: JointTable) -> Decision:
    """Return the decision for records: with classes whose ids contain that of their notice."""
    facts = _collect_facts(decision)
    purpose = decision.purpose
    facts["label"] = matrix.to_record_label(decision.label)
    facts["denied"] = tuple(map(matrix.make_record_class, decision.denied))
    facts["purpose"] = purpose if isinstance(purpose, Family) else matrix.make_record_class(purpose)
    return _thaw(facts)


def make_external_decision(
    label: Label,
    purpose: type[Purpose],
    *,
    allowed: bool,
    headline: str,
    reasons: tuple[str, ...] = (),
    reason: DenialReason | None = None,
) -> Decision:
    """Make a decision about something that no table knows. It is made elsewhere, and reported like any other."""
    return _thaw(
        {
            "allowed": allowed,
            "label": label,
            "purpose": purpose,
            "channel": None,
            "context": NONE_KNOWN,
            "reason": reason,
            "denied": () if allowed else tuple(label),
            "grants": {},
            "alternatives": (),
            "reasons": reasons,
            "headline": headline,
            "details": reasons,
        }
    )


def is_about_the_subject(decision: Decision) -> bool:
    """Return True if a use is denied because the subject stopped it or did not agree to it (clause 7)."""
    return decision.reason in (DenialReason.SUBJECT, DenialReason.CONSENT)


BY_CLAUSE: Final[Callable[[type[Source | Purpose]], str]] = attrgetter("clause")
"""The function that gives the id of a term where one notice is in force."""


def term_key(matrix: PolicyTable) -> Callable[[type[Source | Purpose]], str]:
    """Return the function that gives the id of a term in messages about this table."""
    return matrix.record_id if isinstance(matrix, JointTable) else BY_CLAUSE


def format_term(term: type[Source | Purpose] | Family, key: Callable[[type[Source | Purpose]], str] = BY_CLAUSE) -> str:
    """Format a term for messages: `renewal-guidance (1.2(1)①)`."""
    ids = map(key, term.members if isinstance(term, Family) else (term,))
    return f"{term.slug} ({', '.join(ids)})"


def _advise_stating(conditions: Iterable[str]) -> str:
    """Name conditions and say how to state them: "`adult` holds, which is stated by `conditions={"adult"}`"."""
    names = list(conditions)
    verb = "holds" if len(names) == 1 else "hold"
    quoted, written = _join_names(f"`{name}`" for name in names), ", ".join(f'"{name}"' for name in names)
    return f"{quoted} {verb}, which is stated by `conditions={{{written}}}`"


def _describe_grants(matrix: PolicyTable, purpose: type[Purpose]) -> str:
    """Describe which clauses grant a purpose, and to which sources."""
    text = matrix.texts.get(purpose)
    if text is None:
        notice = matrix.notice
        key = term_key(matrix)
        prefix = key(purpose).removesuffix(purpose.clause)
        clauses: dict[str, None] = {}
        holders: list[str] = []
        for source in matrix.items:
            clause = notice.grants[source].get(purpose)
            if clause is not None:
                clauses[prefix + clause] = None
                holders.append(key(source))
        grant, whose = ", ".join(clauses) or key(purpose), ", ".join(holders) or "no source"
        text = matrix.texts[purpose] = f"{grant} grants {purpose.slug} to: {whose}"
    return text


def _describe_permitted_purposes(matrix: PolicyTable, source: type[Source]) -> str:
    """Describe the purposes that a source may serve: the first few by name, and all by clause."""
    present = matrix.current_source(source)
    text = matrix.texts.get(present)
    if text is None:
        text = matrix.texts[present] = _format_clause_ranges(matrix.notice.grants[present])
    return text


def _format_clause_ranges(granted: Mapping[type[Purpose], str]) -> str:
    if not granted:
        return "nothing"
    shown = ", ".join(purpose.slug for purpose in islice(granted, 4))
    if len(granted) > 4:
        shown += f" and {len(granted) - 4} more"
    by_clause: dict[str, list[str]] = {}
    for purpose, clause in granted.items():
        by_clause.setdefault(clause, []).append(purpose.clause.removeprefix(clause))
    return f"{shown} ({', '.join(starmap(_format_range, by_clause.items()))})"


def _format_range(clause: str, items: Sequence[str]) -> str:
    return clause + (items[0] if len(items) == 1 else f"{items[0]}-{items[-1]}")


def _join_names(names: Iterable[str]) -> str:
    """Join names to a phrase: `a`, `a and b`, `a, b and c`."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
