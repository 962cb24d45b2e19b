"""The sentences of `purposeguard diff`: one for each change between two revisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from purposeguard.notice.grants import ClauseHierarchy, source_rows
from purposeguard.notice.languages import title_in
from purposeguard.notice.vocabulary import make_slug
from purposeguard.policy.diff import Change, Comparison

WHAT: Final[Mapping[str, str]] = {
    "source": "source",
    "purpose": "purpose",
    "family": "family",
    "overlay": "product overlay",
    "derivation": "derivation",
    "channel": "channel",
    "condition": "condition",
    "prohibition": "prohibition",
    "clause": "clause",
    "notice": "notice",
    "recipient": "kind of recipient",
    "provision": "provision to third parties",
    "incorporated": "incorporated notice",
    "measure": "safeguard",
    "means": "means of handing over",
    "request": "request that subjects may make",
    "requester": "who may make requests",
    "retention": "retention",
    "table": "table",
    "country": "country",
    "extension": "extension",
}

COMPARED: Final[Mapping[str, str]] = {
    "source": "sources",
    "purpose": "purposes",
    "family": "families",
    "clause": "clauses",
    "condition": "conditions",
    "channel": "channels",
    "derivation": "derivations",
    "overlay": "product overlays",
    "prohibition": "prohibitions",
    "extension": "extensions",
    "recipient": "kinds of recipient",
    "provision": "provisions to third parties",
    "incorporated": "incorporated notices",
    "country": "countries",
    "measure": "safeguards",
    "means": "means of handing over",
    "request": "requests that subjects may make",
    "retention": "periods",
    "table": "tables",
    "text": "texts",
}
"""What is counted, in the plural."""

AROUND: Final = 20
LONGEST: Final = 200
"""Characters around a difference of words that are shown, and those that are shown at most."""

BASES: Final[Mapping[str | None, str]] = {
    None: "no stated basis",
    "consent": "consent",
    "contract": "a contract",
    "law": "law",
    "legitimate-interest": "a legitimate interest",
    "public-task": "a public task",
    "vital-interest": "a vital interest",
}

NEEDS: Final[Mapping[str | None, str]] = {
    None: "",
    "notice": " [needs notice]",
    "consent": " [needs consent]",
}

SENTENCES: Final[Mapping[str, str]] = {
    "granted": "{p} may use {s}{only}",
    "channels-opened": "{p} may also use {s} by {c}",
    "withdrawn": "{p} may no longer use {s}",
    "channels-closed": "{p} may no longer use {s} by {c}",
    "channels-named": "{p} names {is_}, before {was}",
    "earlier-lost": (
        "{p} may no longer use data of {s} that was collected earlier{by}: in the revision of {earlier} a "
        "number refers to another term, or to none"
    ),
    "basis": "{p} rests on {is_}, before on {was}",
    "conditions": "conditions of {p} for {s}: {is_}, before {was}",
    "extended": "{p} may also use data of {s} collected before {earlier}, {how}",
    "extension-dropped": (
        "{p} may no longer use data of {s} collected before {earlier}, unless the revision of that time "
        "granted it: the extension is gone"
    ),
    "period": "{s}: kept {for_} from {start}, before {before}",
    "law-period": "{s}: law needs it {for_} from {start}, before {before}",
    "country": "{code}{name}: {is_}; before, {was}",
    "supervision": "supervision of recipients is {new}, before {old}",
    "answer-days": "requests are answered {within}, before {before}",
    "added": "{kind} added: {name}",
    "removed": "{kind} removed: {name}",
    "title": "{kind} {name} is called “{is_}”, before “{was}”",
    "renamed": "{kind} {old} is {new} now",
    "reused": "{kind} {id} was {old_class}, and is {new_class} now",
    "class-unexplained": "{kind} {id} is {new_class} now, and was {old_class} in the revision of {since}",
    "words-unexplained": "the words of {kind} {id} are not those of the revision of {since}",
    "renamed-nothing": (
        "a `[[renamed]]` row says that {kind} {old} {became}, but the revision of {revision} has no {old}"
    ),
    "members": "{kind} {name}: `{key}` {members}",
    "value": "{kind} {name}: `{key}` is {is_}, before {was}",
    "home": "the controller's own country is {is_}, before {was}",
    "voluntary": "giving data is optional: is {is_}, before {was}",
    "controller": "the controller is {is_}, before {was}",
    "timezone": "the time zone is {is_}, before {was}",
    "table": "[{key}] is different",
    "text": "{kind} {name}: the words in {language} are {is_}, before {was}",
}
"""Kind of change → its sentence; `extension-basis` is said as `extended`."""

EARLIER: Final[Mapping[str, str]] = {
    "none": "",
    "no": ": only data collected from {later} on",
    "consent": "; also data collected earlier, of subjects who consent to it",
    "related": "; also data collected earlier, since it is related and notice was given on {notified}",
    "granted": "; also data collected earlier, since the revision of {earlier} granted it as well",
    "same-id": "; also data collected earlier, since the revision of {earlier} granted another purpose by this number",
}
"""What becomes of data that was collected earlier."""
BEFORE: Final = {
    "consent": ": also of subjects who did not agree, of whom data collected earlier is left out",
    "law": "; it no longer goes on past the period of retention",
}
AFTER: Final = {
    "consent": ": it serves only subjects who agree to it",
    "law": "; it goes on past the period of retention",
}
"""What changes with the legal basis that a purpose had, and with the one that it has."""


class ChangeWords:
    """Describes changes. A term has its name in the later revision that contains it."""

    def __init__(self, comparison: Comparison) -> None:
        self.old, self.new = comparison.old.revision, comparison.new.revision
        self._source_names: dict[str, str] = {}
        self._purpose_names: dict[str, str] = {}
        """The names of purposes, and of families by the names of their classes."""
        for document in (comparison.old.document, comparison.new.document):
            for source in source_rows(document):
                self._source_names[source.id] = f"{source.slug} ({source.id})"
            for purpose in document.purposes:
                self._purpose_names[purpose.id] = f"{purpose.slug} ({purpose.id})"
            for family in document.family:
                self._purpose_names[family.class_] = make_slug(family.class_)
        self._hierarchy = ClauseHierarchy(comparison.new.document)

    def _purposes(self, ids: Iterable[str]) -> str:
        """Return the names of purposes and families."""
        return join_names(self._purpose_names.get(id_, id_) for id_ in ids)

    def _sources(self, ids: Iterable[str]) -> str:
        """Return the names of sources; a clause in place of all its items."""
        sources = list(ids)
        shown: dict[str, None] = {}
        for source in sources:
            widest = source
            for clause in (source, *self._hierarchy.above(source)):
                if set(sources).issuperset(self._hierarchy.leaves(clause)):
                    widest = clause
            shown[widest] = None
        return join_names(self._source_names.get(source, source) for source in shown)

    def _name_term(self, facts: Mapping[str, Any]) -> str:
        """Return the name of the changed term."""
        if facts["what"] == "prohibition":
            return f"{self._sources(facts['sources'])} → {self._purposes(facts['purposes'])}"
        if "class" in facts:  # of a revision in which its id may mean another term
            return f"{make_slug(facts['class'])} ({facts['id']})"
        if facts["what"] in {"purpose", "family"}:
            return self._purpose_names.get(facts["id"], str(facts["id"]))
        if facts["what"] in {"source", "overlay", "derivation"}:
            return self._source_names.get(facts["id"], str(facts["id"]))
        return f"{facts['id']} ({_title(facts['title'])})" if facts.get("title") else str(facts["id"])

    def say(self, change: Change) -> str:
        """Return a change as a sentence, with the notice or consent that it needs."""
        return self.sentence(change) + NEEDS[change.needs]

    def sentence(self, change: Change) -> str:
        """Return a change as a sentence."""
        kind, facts = change.kind, change.facts
        values: dict[str, Any] = {**facts, "earlier": self.old, "later": self.new, **self._terms(facts)}
        if "old" in facts:
            values |= self._values(kind, facts)
        if kind == "renamed":
            text = _describe_renaming(facts, values)
        else:
            text = SENTENCES["extended" if kind == "extension-basis" else kind].format(**values)
        for tail in _tails(kind, facts):
            text += tail.format(**values)
        return text

    def _terms(self, facts: Mapping[str, Any]) -> dict[str, str]:
        """Return the names that are filled into a change's sentence."""
        names = {"only": "", "by": ""}
        if "purposes" in facts or "purpose" in facts:
            names["p"] = self._purposes(facts.get("purposes") or [facts["purpose"]])
        if "sources" in facts:
            names["s"] = self._sources(facts["sources"])
        if "channels" in facts:
            channels = join_names(facts["channels"])
            names |= {"c": channels, "only": f" by {channels} alone", "by": f" by {channels}"}
        if "what" in facts:
            names["kind"] = WHAT[facts["what"]]
            names["name"] = self._name_term(facts) if "id" in facts or "sources" in facts else ""
        if "code" in facts:
            names["name"] = f" ({_title(facts['title'])})" if facts["title"] else ""
        if "basis" in facts:
            related = f"since it is related and notice was given on {facts['notified']}"
            names["how"] = related if facts["basis"] == "related" else "of subjects who consent to it"
        if facts.get("served"):
            names["served"] = self._purposes(facts["served"])
        if "start" in facts:
            names["start"] = "collection" if facts["start"] == "collection" else "the end of use"
        if "added" in facts:
            names["members"] = ", ".join(_describe_members(facts["added"], facts["removed"]))
        return names

    def _values(self, kind: str, facts: Mapping[str, Any]) -> dict[str, str]:  # noqa: PLR0911  # One return for each kind of change.
        """Return the old and the new value in words."""
        old, new = facts["old"], facts["new"]
        if kind == "title":
            was, is_ = _titles(old, new)
            return {"was": was, "is_": is_, "name": str(facts["id"]) if "id" in facts else self._name_term(facts)}
        if kind in {"period", "law-period", "answer-days"}:
            word = "within" if kind == "answer-days" else "for"
            before, after = _format_days(word, old), _format_days(word, new)
            return {"before": before, "for_": after, "within": after}
        if kind == "text":
            was, is_ = _differing(old or "", new or "")
            return {"was": was, "is_": is_}
        if kind == "renamed-nothing":
            return {"became": "is gone" if new is None else f"became {new}"}
        if kind == "channels-named":
            return {"was": _channels(facts, "old"), "is_": _channels(facts, "new")}
        if kind == "basis":
            return {"was": _bases(old), "is_": _bases(new)}
        if kind == "conditions":
            return {"was": _where(old), "is_": _where(new)}
        if facts.get("what") == "provision":  # what a clause leaves out is no bound
            return {"was": _format_value(old or "not stated"), "is_": _format_value(new or "not stated")}
        say = _country if kind == "country" else _format_value
        return {"was": say(old), "is_": say(new)}


def _describe_members(added: Sequence[str], removed: Sequence[str]) -> Iterator[str]:
    if added:
        yield f"with {join_names(added)}"
    if removed:
        yield f"without {join_names(removed)}"


def _format_days(word: str, days: int | None) -> str:
    return "without a period" if days is None else f"{word} {days} days"


def join_names(ids: Iterable[str]) -> str:
    """Return `a, b and c`."""
    *others, final = [*ids] or [""]
    return f"{', '.join(others)} and {final}" if others else final


def _title(title: Mapping[str, str]) -> str:
    return title_in(title, "en")


def _titles(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, str]:
    """Return both titles in English, or else in the first language in which they differ."""
    if _title(old) != _title(new):
        return _title(old), _title(new)
    for language in (*new, *old):
        if old.get(language) != new.get(language):
            return old.get(language, ""), new.get(language, "")
    return "", ""  # Titles that are equal are not compared.


def _differing(old: str, new: str) -> tuple[str, str]:
    """Return the parts in which two texts differ, with a little context; `none` stands for a missing text."""
    old, new = " ".join(old.split()), " ".join(new.split())
    if old == new:  # two places, of which nobody has the words
        return _wrap_value(old, 0, 0), _wrap_value(new, 0, 0)
    start = _alike(old, new)
    end = _alike(old[start:][::-1], new[start:][::-1])
    return _wrap_value(old, start, end), _wrap_value(new, start, end)


def _alike(text: str, other: str) -> int:
    """Return the number of equal characters at the beginning of two texts."""
    for index, (char, other_char) in enumerate(zip(text, other, strict=False)):
        if char != other_char:
            return index
    return min(len(text), len(other))


def _wrap_value(text: str, start: int, end: int) -> str:
    if not text:
        return "none"
    first, last = max(start - AROUND, 0), min(len(text) - end + AROUND, len(text))
    if first:  # with whole words, where blanks divide them
        first = text.find(" ", first, start) + 1 or first
    if last < len(text) and (blank := text.rfind(" ", len(text) - end, last)) >= 0:
        last = blank
    if last - first > LONGEST:
        last = first + LONGEST
    return f"“{'…' if first else ''}{text[first:last]}{'…' if last < len(text) else ''}”"


def describe_comparison(comparison: Comparison) -> list[str]:
    """Return lines that say what was compared and what was not."""
    counted = comparison.compared
    compared = [f"{name} ({counted[kind]})" for kind, name in COMPARED.items() if counted.get(kind)]
    rest = "not compared: what the files do not hold"
    without = counted["without-text"]
    if without:
        rest += f", such as the words of {without} {'row' if without == 1 else 'rows'} without `text`"
    return [", ".join(compared), rest]


def _format_value(value: Any) -> str:
    """Return a value of the notice file as text."""
    if isinstance(value, Mapping):
        return _title(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return join_names(value)
    return "none" if value is None else str(value)


def _bases(stated: Any) -> str:
    return " or ".join(stated) if isinstance(stated, tuple) else BASES[stated]


def _where(ways: tuple[str, ...]) -> str:
    return f"only where {' or '.join(ways)}" if ways else "always"


def _country(rule: Any) -> str:
    if rule == "refused":
        return "nothing may be handed there"
    if rule == "open":
        return "data may be handed there"
    recipient, products, *tasks = rule
    return f"data may be handed to {recipient} alone, for {products}, for {join_names(tasks)}"


def _channels(facts: Mapping[str, Any], key: str) -> str:
    if not facts[key]:
        return "no channel"
    return f"{join_names(facts[key])} {'alone' if facts[f'{key}_alone'] else 'for example'}"


def _describe_renaming(facts: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return a changed id or class name."""
    moved = facts["old"] != facts["new"]
    text = SENTENCES["renamed"].format(**values) if moved else ""
    if moved and facts["by"] == "stated":
        text += ": data collected earlier, consents and requests move with it"
    elif moved and facts["by"] == "class":
        text += " by its class, and no `[[renamed]]` row says so: data collected earlier does not move with it"
    if "new_class" not in facts:
        return text
    classes = "class {old_class} is {new_class} now".format(**values)
    return f"{text}; {classes}" if text else f"{values['kind']} {facts['new']}: {classes}"


def _tails(kind: str, facts: Mapping[str, Any]) -> Iterator[str]:
    """Yield the consequences of a change."""
    if kind in {"granted", "channels-opened"}:  # whose data, and collected when
        if facts.get("when"):
            yield f", {_where(facts['when'])}"
        if facts["consent"]:
            yield ", of subjects who agree to it"
        yield EARLIER[facts["earlier"]]
    elif kind == "channels-named" and facts["new_alone"] != facts["old_alone"]:
        yield f"; an activity {'must state its channel' if facts['new_alone'] else 'need state no channel'}"
    elif kind == "basis":
        tails = AFTER.get(facts["new"], ""), BEFORE.get(facts["old"], "")
        yield from tails if facts["new"] == "consent" else reversed(tails)  # consent first, then retention
    elif kind == "removed" and facts.get("served"):
        yield "; data collected of it no longer serves {served}"
    elif kind in {"class-unexplained", "words-unexplained"}:
        yield (
            ": say which one it is by `[[renamed]]` or `[[unchanged]]`: earlier data and consents would count for it"
        )
