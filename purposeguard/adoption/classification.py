"""Propose the source of each field of a catalog, with a reason and a confidence.

Two questions are answered one after the other. Is the field personal? Its name, its type, the other fields of its class
and its references to people answer that. Which source of the notice is it from? Words that it has in common with the
titles of a source, the source of the other fields of its class, and the source of the people whom it refers to answer
that. If an answer is not clear, the field stays undecided, and the best guess is named.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from purposeguard.adoption.catalog import ClassCatalog, FoundClass, FoundField
from purposeguard.adoption.lexicon import (
    BIRTH,
    EMAIL,
    IDENTITY,
    NAME,
    PHONE,
    PersonalField,
    find_meaning,
    find_personal_fields,
    find_topic,
    make_singular,
    split_name,
    split_words,
)
from purposeguard.adoption.source_hints import SourceHint, SourceHints
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import NotPersonal, Source
from purposeguard.project.tags import UNDECIDED, FieldTag

THRESHOLD: Final = 0.5
"""The confidence below which a field stays undecided."""

NOT_PERSONAL: Final = NotPersonal.clause

Scores = Mapping[type[Source], float]
KnownTags = Callable[[FoundClass], Mapping[str, FieldTag]]
"""Returns the tags that the fields of a class have already."""

_TECHNICAL_TABLES: Final = frozenset(
    {
        "alembic_version",
        "auth_group",
        "auth_group_permissions",
        "auth_permission",
        "django_content_type",
        "django_migrations",
        "django_site",
        "spatial_ref_sys",
        "sqlite_sequence",
    }
)
_KINDS_OF_PEOPLE: Final = frozenset({BIRTH, EMAIL, IDENTITY, PHONE})
"""Kinds of data that show that a class is about a person."""

_ACTORS: Final = split_words(
    "by admin administrator approver assigned assignee editor last latest manager moderator operator reviewer"
)
"""Words of references to people who only worked on a row. The row is not about them."""

_ID_WORDS: Final = split_words("fk id identifier ids pk uid uuid")
_FREE_TEXTS: Final = split_words(
    "answer body comment content feedback info information memo message note reason remark reply text 備考 メモ"
)
"""Last words of fields into which people write anything."""

_NAMES_OF_THINGS: Final = frozenset({"name", "display_name", "名前"})
"""Names of fields that things have as well as people."""

_IGNORED_ENDINGS: Final = split_words(
    "base create created data dto entity form history in input internal model orm out output patch payload private "
    "public read request response row schema serializer summary update updated version view"
)
"""Last words of the name of a class that says the same of a thing as another class: `UserCreate`, `UserOut`."""

_WEIGHT_OF_CLASS: Final = 0.8
"""The weight of the name of a class and of its other fields. Words of the field itself count 1."""
_WEIGHT_OF_MODULE: Final = 0.3
_WEIGHT_OF_ABSENT: Final = 0.5
"""The weight of a source about people at whom no name hints."""
_WEIGHT_OF_COMMENT: Final = 0.3
_NO_TITLE: Final = "no title of the notice fits"
_TIE: Final = 0.05
"""The difference of scores below which two sources are equally likely."""


@dataclass(frozen=True, slots=True)
class FieldProposal:
    """The proposal for a field.

    Attributes:
        found: The class.
        field: The field.
        source: The id of a source, `not-personal` or `undecided`.
        reasons: The reasons, each a sentence without its stop.
        confidence: A number from 0 to 1. For an undecided field, that of the best guess.
        guess: The best guess for an undecided field, or several if they are equally likely.
        subject: True, or the realm of its ids, if the field certainly identifies the person whom the row is about.
    """

    found: FoundClass
    field: FoundField
    source: str
    reasons: tuple[str, ...]
    confidence: float
    guess: tuple[str, ...] = ()
    subject: bool | str = False


def _know_nothing(found: FoundClass) -> Mapping[str, FieldTag]:
    return {each.name: each.tag for each in found.fields if each.tag is not None}


def propose_sources(catalog: ClassCatalog, notice: Notice, known: KnownTags = _know_nothing) -> Iterable[FieldProposal]:
    """Propose a source for each field of a catalog that needs a tag and has none.

    Args:
        catalog: The classes and tables.
        notice: The notice whose sources are proposed.
        known: Returns the tags that a class has already. They count for its other fields, too.

    Returns:
        The proposals, in the order of the catalog. Each is made when it is asked for.
    """
    classification = _Classification(catalog, notice, known)
    for found in catalog.classes.values():
        yield from classification.propose(found)


@dataclass(slots=True)
class _Facts:
    """The facts about a class, from its names and references."""

    known: Mapping[str, FieldTag]
    personal: Mapping[str, PersonalField]
    is_person: bool = False
    identifies: bool = False
    """True if the key of a row certainly identifies a person."""
    is_configuration: bool = False
    is_organization: bool = False
    owners: tuple[FoundField, ...] = ()
    """References to the people whom a row is about."""
    belongs: str = ""
    """A reason for which the rows are about people, if the class is not itself about a person."""
    home: Scores | None = None
    """The sources of the class as a whole."""


class _Classification:
    """The proposals for the classes of a catalog, whose fields are read beside each other."""

    def __init__(self, catalog: ClassCatalog, notice: Notice, known: KnownTags) -> None:
        self._catalog = catalog
        self._hints = SourceHints(notice)
        self._notice = notice
        self._facts = {header: _find_facts(found, known(found)) for header, found in catalog.classes.items()}
        self._models_by_name = {
            "_".join(split_name(found.name)): found
            for found in catalog.classes.values()
            if found.kind != "class" and self._facts[found.header].is_person
        }
        for header, found in catalog.classes.items():
            self._find_owners(found, self._facts[header])
        for header, found in catalog.classes.items():
            self._find_whole(found, self._facts[header])
        self._identifying = sum(facts.identifies for facts in self._facts.values())
        self._originals = self._find_originals()
        self._proposed: dict[str, dict[str, FieldProposal]] = {}

    def propose(self, found: FoundClass) -> Iterable[FieldProposal]:
        """Return the proposals for the fields of a class that have no tag."""
        known = self._facts[found.header].known
        return [each for each in self._propose_all(found).values() if each.field.name not in known]

    def _propose_all(self, found: FoundClass) -> dict[str, FieldProposal]:
        proposed = self._proposed.get(found.header)
        if proposed is None:
            proposed = self._proposed[found.header] = {}
            original = self._originals.get(found.header)
            copied = {} if original is None else self._copy(found, original)
            for each in found.fields:
                if not each.is_nested:
                    proposed[each.name] = copied.get(each.name) or self._propose(found, each)
        return proposed

    # ---- classes -----------------------------------------------------------------------------------------------------

    def _find_owners(self, found: FoundClass, facts: _Facts) -> None:
        """Find the references to people whom the rows of a class are about."""
        facts.owners = tuple(each for each in found.fields if self._refers_to_person(each) and not _is_actor(each))
        facts.identifies = facts.identifies and not facts.owners
        if facts.owners and not facts.is_person and not facts.is_organization:
            facts.belongs = f"its class refers to a person by `{facts.owners[0].name}`"

    def _find_whole(self, found: FoundClass, facts: _Facts) -> None:
        """Find out if the rows of a class are parts of rows about people: the items of an order."""
        if facts.is_person or facts.belongs or facts.is_organization:
            return
        for each in found.fields:
            whole = self._facts.get(each.target)
            name = self._catalog.classes[each.target].name if whole is not None else ""
            if whole is not None and whole.belongs and found.name.startswith(name) and found.name != name:
                facts.belongs = f"its class is a part of {name}, which is about people"

    def _refers_to_person(self, each: FoundField) -> bool:
        target = self._facts.get(each.target)
        if target is not None or each.is_nested or each.value_type in ("date", "choice"):
            return target is not None and target.is_person
        words = _list_words_before_id(each.name)
        return bool(words) and len(words) < len(split_name(each.name)) and find_topic("_".join(words)).people

    def _find_target(self, each: FoundField) -> FoundClass | None:
        """Return the class that a field refers to, by its key or by its name: `owner_user_id` refers to `User`."""
        words = _list_words_before_id(each.name)
        return self._catalog.classes.get(each.target) or self._models_by_name.get(words[-1] if words else "")

    def _find_originals(self) -> dict[str, FoundClass]:
        """Return the model of which each class is a copy: a class of the same name that shares most of its fields."""
        models: defaultdict[str, list[FoundClass]] = defaultdict(list)
        for found in self._catalog.classes.values():
            if found.kind != "class":
                models[_strip_endings(found.name)].append(found)
        originals: dict[str, FoundClass] = {}
        for found in self._catalog.classes.values():
            stem = _strip_endings(found.name)
            candidates = models.get(stem, [])
            if found.kind != "class":
                # A table of versions of rows is a copy of the table of the rows.
                is_original = "_".join(split_name(found.name)) == stem
                candidates = [] if is_original else [model for model in candidates if model.name.lower() == stem]
            names = {each.name for each in found.fields if not each.is_nested}
            shared = [len(names.intersection(each.name for each in model.fields)) for model in candidates]
            if shared and max(shared) * 2 >= len(names) and shared.count(max(shared)) == 1:
                originals[found.header] = candidates[shared.index(max(shared))]
        return originals

    def _copy(self, found: FoundClass, original: FoundClass) -> dict[str, FieldProposal]:
        """Return the proposals for the fields that a class shares with a model."""
        facts = self._facts[original.header]
        proposals = self._propose_all(original)
        copied: dict[str, FieldProposal] = {}
        for each in found.fields:
            tag, proposal = facts.known.get(each.name), proposals.get(each.name)
            reason = f"`{original.name}` has the same field"
            sources = [] if tag is None else self._list_ids(tag)
            if len(sources) == 1:
                copied[each.name] = FieldProposal(found, each, sources[0], (reason,), 0.95)
            elif proposal is not None and not each.is_nested:
                copied[each.name] = FieldProposal(
                    found,
                    each,
                    proposal.source,
                    (reason, *proposal.reasons),
                    proposal.confidence,
                    proposal.guess,
                    subject=proposal.subject,
                )
        return copied

    def _score_class(self, found: FoundClass) -> Scores:
        """Return the sources of a class as a whole, with scores up to 1."""
        facts = self._facts[found.header]
        if facts.home is None:
            scores = self._count_votes(found, facts)
            greatest = max(scores.values(), default=1)
            facts.home = {source: score / greatest for source, score in scores.items()}
        return facts.home

    def _count_votes(self, found: FoundClass, facts: _Facts) -> Scores:
        """Return how much the names of a class, its fields and their tags speak for each source."""
        scores: defaultdict[type[Source], float] = defaultdict(float)
        for names, weight in (
            ((found.name, *found.labels), 1.0),
            ((found.header.rpartition(".")[0],), _WEIGHT_OF_MODULE),
        ):
            for hint in self._hints.find(" ".join(names), ""):
                scores[hint.source] += weight * hint.score
        for each in found.fields:
            if each.name in facts.personal and each.name not in facts.known:
                hints = self._find_own_hints(found, each)
                total = sum(hint.score for hint in hints)
                for hint in hints:
                    scores[hint.source] += hint.score / total  # Each field has one vote.
        for tag in facts.known.values():
            for source in tag.sources or ():
                if source in self._notice.grants:
                    scores[source] += 1
        return self._weigh(found, scores)

    def _weigh(self, found: FoundClass, scores: Scores) -> Scores:
        """Return scores, lowered for sources about groups of people to which the rows seem not to belong."""
        absent = self._hints.find_absent(found.header, *found.labels, *(each.name for each in found.fields))
        return {source: score * (_WEIGHT_OF_ABSENT if source in absent else 1) for source, score in scores.items()}

    # ---- fields ------------------------------------------------------------------------------------------------------

    def _propose(self, found: FoundClass, each: FoundField) -> FieldProposal:
        facts = self._facts[found.header]
        if found.table.rpartition(".")[2] in _TECHNICAL_TABLES:
            return _deny(found, each, "it is a table of the framework", 0.95)
        if each.is_key and each.is_generated:
            return _deny(
                found, each, "it is a key that is counted or drawn at random", 0.95, subject=self._find_realm(found)
            )
        if each.name in facts.personal:
            personal = facts.personal[each.name]
            certainty = 0.95 if personal.reason.endswith(personal.kind.description) else 0.85
            return self._choose_source(found, each, personal.reason, certainty)
        referring = self._propose_by_references(found, each)
        if referring is not None:
            return referring
        if facts.is_configuration:
            return self._propose_unrelated(found, each, "its class configures or counts something")
        if facts.is_person:
            return self._choose_source(found, each, "its class is about a person", 0.75)
        if facts.belongs:
            has_hint = bool(self._score_class(found) or self._find_own_hints(found, each))
            return self._choose_source(found, each, facts.belongs, 0.8 if has_hint else 0.5)
        return self._propose_unrelated(found, each, "nothing in its class refers to a person")

    def _propose_by_references(self, found: FoundClass, each: FoundField) -> FieldProposal | None:
        """Return a proposal for a field that refers to a person, or whose name begins like such a reference."""
        if self._refers_to_person(each):
            return self._propose_reference(found, each)
        companion = self._find_companion(found, each)
        if companion is not None:
            return self._choose_source(found, each, f"its name begins like `{companion.name}`", 0.7)
        return None

    def _find_companion(self, found: FoundClass, each: FoundField) -> FoundField | None:
        """Return a reference to a person that begins like a field: `last_post_user_id` for `last_post_title`."""
        if each.target:
            return None
        beginning = split_name(each.name)[:2]
        for other in found.fields:
            words = _list_words_before_id(other.name)
            if other is not each and len(words) > 2 and words[:2] == beginning and self._refers_to_person(other):
                return other
        return None

    def _propose_reference(self, found: FoundClass, each: FoundField) -> FieldProposal:
        """Propose the source of a reference to a person: that of the people."""
        facts = self._facts[found.header]
        target = self._find_target(each)
        is_only = [each.name] == [owner.name for owner in facts.owners]
        subject = self._find_realm(target) if is_only and target is not None else False
        if target is None:
            return self._choose_source(found, each, "its name is that of a reference to a person", 0.8)
        ranked = sorted(self._score_class(target).items(), key=lambda item: -item[1])
        reason = f"it refers to {target.name}, which is about people"
        if not ranked:
            return FieldProposal(found, each, UNDECIDED, (reason, _NO_TITLE), 0.0)
        return _choose(found, each, ranked, (reason,), 0.85, subject=subject)

    def _find_realm(self, found: FoundClass) -> bool | str:
        """Return the realm of the keys of a class; True if there is one realm, False if they identify no person."""
        if not self._facts[found.header].identifies:
            return False
        return True if self._identifying == 1 else "-".join(split_name(found.name))

    def _propose_unrelated(self, found: FoundClass, each: FoundField, reason: str) -> FieldProposal:
        """Propose that a field of a class about no person is not personal, unless it may hold anything."""
        words = split_name(each.name)
        is_free = bool(words) and make_singular(words[-1]) in _FREE_TEXTS and each.value_type in ("text", None)
        if is_free or (each.is_open and each.value_type is None):
            hints = [hint.source.clause for hint in self._hints.find("", each.name)[:1]]
            return FieldProposal(found, each, UNDECIDED, ("it may hold anything that people write",), 0.3, tuple(hints))
        meaning = find_meaning(each.name)
        if meaning is not None and each.value_type in ("text", None):
            if meaning.kind is NAME and each.name.lower() not in _NAMES_OF_THINGS:
                guess = [hint.source.clause for hint in self._hints.find("", each.name, NAME)[:1]]
                reasons = (f"its name indicates {NAME.description}", reason)
                return FieldProposal(found, each, UNDECIDED, reasons, 0.45, tuple(guess))
            return _deny(found, each, reason, 0.6)
        return _deny(found, each, reason, 0.9 if each.value_type not in ("text", None) or each.is_key else 0.75)

    def _find_own_hints(self, found: FoundClass, each: FoundField) -> list[SourceHint]:
        """Return the sources that the names and the kind of a field hint at."""
        personal = self._facts[found.header].personal.get(each.name)
        kind = None if personal is None else personal.kind
        return self._hints.find("", " ".join((each.name, *each.labels)), kind)

    def _choose_source(self, found: FoundClass, each: FoundField, reason: str, certainty: float) -> FieldProposal:
        """Propose the source of a field that is personal."""
        facts = self._facts[found.header]
        scores: defaultdict[type[Source], float] = defaultdict(float)
        own = self._find_own_hints(found, each)
        for hint in own:
            scores[hint.source] += hint.score
        for hint in self._hints.find("", each.comment) if each.comment else ():
            scores[hint.source] += _WEIGHT_OF_COMMENT * hint.score
        for source, score in self._score_class(found).items():
            scores[source] += _WEIGHT_OF_CLASS * score
        if not scores and len(self._notice.sources) == 1:
            scores[self._notice.sources[0]] = 1
        for owner in () if scores else facts.owners:
            target = self._find_target(owner)
            for source, score in (self._score_class(target) if target is not None else {}).items():
                scores[source] += score
        ranked = sorted(self._weigh(found, scores).items(), key=lambda item: -item[1])
        if not ranked:
            return FieldProposal(found, each, UNDECIDED, (reason, _NO_TITLE), 0.0)
        best = next((hint for hint in own if hint.source is ranked[0][0]), None)
        return _choose(found, each, ranked, (reason, _explain(best)), certainty)

    def _list_ids(self, tag: FieldTag) -> list[str]:
        return [] if tag.sources is None else [source.clause for source in tag.sources]


def _find_facts(found: FoundClass, known: Mapping[str, FieldTag]) -> _Facts:
    topic = find_topic(found.name)
    personal = find_personal_fields(found.name, [each.description for each in found.fields])
    of_people = [each for each in personal.values() if each.kind in _KINDS_OF_PEOPLE]
    others = sum(not each.is_key and not each.is_nested for each in found.fields) - len(of_people)
    has_person = len(of_people) > 1 or len(of_people) >= max(others, 1)
    is_person = topic.people or (has_person and not (topic.organization or topic.configuration))
    identifies = topic.people and found.kind != "class" and split_name(found.name)[-1] != "address"
    return _Facts(known, personal, is_person, identifies, topic.configuration, topic.organization)


def _list_words_before_id(name: str) -> list[str]:
    """Return the words of a name without `id` at its end."""
    words = split_name(name)
    while words and words[-1] in _ID_WORDS:
        words.pop()
    return words


def _is_actor(each: FoundField) -> bool:
    return not _ACTORS.isdisjoint(split_name(each.name))


def _strip_endings(name: str) -> str:
    words = split_name(name)
    if len(words) > 1 and words[0] == "historical":
        words.pop(0)
    while len(words) > 1 and words[-1] in _IGNORED_ENDINGS:
        words.pop()
    return "_".join(words)


def _deny(
    found: FoundClass, each: FoundField, reason: str, confidence: float, *, subject: bool | str = False
) -> FieldProposal:
    return FieldProposal(found, each, NOT_PERSONAL, (reason,), confidence, subject=subject)


def _choose(
    found: FoundClass,
    each: FoundField,
    ranked: list[tuple[type[Source], float]],
    reasons: tuple[str, ...],
    certainty: float,
    *,
    subject: bool | str = False,
) -> FieldProposal:
    """Propose the first of several sources, unless another one is equally likely."""
    best = ranked[0][1]
    second = ranked[1][1] if len(ranked) > 1 else 0.0
    confidence = round(certainty * (0.6 + 0.4 * (best - second) / best), 2)
    likely = [source.clause for source, score in ranked if best - score < _TIE]
    if len(likely) > 1:
        named = ", ".join(likely[:3])
        reasons = (*reasons, f"{named} are equally likely")
        return FieldProposal(found, each, UNDECIDED, reasons, confidence, tuple(likely), subject=subject)
    if confidence < THRESHOLD:
        return FieldProposal(found, each, UNDECIDED, reasons, confidence, tuple(likely), subject=subject)
    return FieldProposal(found, each, likely[0], reasons, confidence, subject=subject)


def _explain(hint: SourceHint | None) -> str:
    """Return the reason for which a source is the best one for a field."""
    if hint is None:
        return "its class fits a title of the source"
    if hint.words:
        return f"`{hint.words[0]}` is in a title of the source"
    if hint.kind is not None:
        return "a title of the source names such data"
    return f"`{hint.topics[0]}` fits a title of the source"
