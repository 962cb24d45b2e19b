"""A notice: one revision of a published privacy notice, with its vocabulary as classes and its grants."""

from __future__ import annotations

import datetime
import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from purposeguard.errors import (
    Fault,
    NoticeError,
    UnknownChannel,
    UnknownCondition,
    UnknownPurpose,
    UnknownSource,
    UnknownTerm,
    format_id,
    hides_own_frames,
)
from purposeguard.notice.grants import Grants, compute_grants, compute_prohibitions, source_rows
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.languages import nearest_language, title_in
from purposeguard.notice.parsing import (
    ParsedTables,
    locate_faults,
    merge_overlays,
    parse_toml,
    read_toml,
    validate_tables,
)
from purposeguard.notice.passages import PassageReader, digest_of_words
from purposeguard.notice.schema import Document, Named, Prohibition, index_by_id, list_ids
from purposeguard.notice.texts import Passage, Texts, iter_texts_by_language
from purposeguard.notice.vocabulary import (
    Family,
    Purpose,
    Source,
    TermMeta,
    find_nearest,
    fold,
    is_union,
    make_slug,
    union_members,
)

Titles = Mapping[str, str]

SEVERAL: Final = (
    "an activity is for one purpose: state each in a block of its own, or declare a `[[family]]` of them in the notice "
    "and name that"
)
_SWAPPED: Final = {
    "source": "is a purpose, not a source: name the data, by the clause that it is collected under",
    "purpose": "is a source, not a purpose: name what the data is for; sources come first, then the purpose",
}


class Notice(Immutable):
    """A privacy notice in one dated revision. Immutable; two notices are equal when their documents are."""

    __slots__ = (
        "_families",
        "_own_purposes",
        "_purposes",
        "_sources",
        "channels",
        "conditions",
        "document",
        "families",
        "grants",
        "prohibited",
        "purposes",
        "sources",
        "words",
    )

    document: Document
    """The whole file as models."""
    sources: tuple[type[Source], ...]
    """The source classes, in the notice's order."""
    purposes: tuple[type[Purpose], ...]
    """The purpose classes, in the notice's order."""
    families: tuple[Family, ...]
    """The families of purposes, in the notice's order."""
    channels: tuple[str, ...]
    """The ids of the channels."""
    conditions: tuple[str, ...]
    """The ids of the conditions."""
    grants: Mapping[type[Source], Mapping[type[Purpose], str]]
    """Source class → the purposes that it is granted, each with the granting clause."""
    prohibited: Mapping[tuple[str, str], Prohibition]
    """Source id and purpose id → the row that forbids the pair whatever is stated."""
    words: Mapping[str, str]
    """SHA-256 → the words with this hash in the files beside the notice. Empty if it was not read from a file."""
    _own_purposes: frozenset[object]
    """The purpose classes, to recognize classes of other notices."""
    _sources: Mapping[str, object]
    """Folded spelling (id, slug or class name) → the source class."""
    _purposes: Mapping[str, object]
    """Folded spelling (id, slug or class name) → the purpose class."""
    _families: Mapping[str, object]
    """Folded spelling (slug or name) → the family."""

    def __init__(
        self,
        document: Document,
        classes: Mapping[str, object] | None = None,
        words: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Make a notice from a validated document. Applications call `load`, `loads`, `parse` or `bundled` instead.

        Args:
            document: The tables of the notice, validated.
            classes: The namespace of a generated module, whose classes become the vocabulary; None to make new classes.
            words: SHA-256 → the words with this hash in the files beside the notice.

        Raises:
            NoticeError: `classes` are not those of the notice, because the generated module is stale.
        """
        pairs = compute_grants(document)
        made = build_classes(document, pairs) if classes is None else _bind_classes(document, pairs, classes)
        purposes = {row.id: cast("type[Purpose]", made[row.class_]) for row in document.purposes}
        families: list[Family] = []
        for row in document.family:
            members = tuple(map(purposes.__getitem__, row.purposes))
            families.append(Family(row.class_, row.slug, row.title.model_dump(), members))
        grants: dict[type[Source], Mapping[type[Purpose], str]] = {}
        for source_row in source_rows(document):
            granted = {purposes[purpose]: clause for purpose, clause in pairs[source_row.id].items()}
            grants[cast("type[Source]", made[source_row.class_])] = MappingProxyType(granted)
        self._fill(
            document=document,
            sources=tuple(grants),
            purposes=tuple(purposes.values()),
            families=tuple(families),
            channels=tuple(list_ids(document.channel)),
            conditions=tuple(list_ids(document.condition)),
            grants=MappingProxyType(grants),
            prohibited=MappingProxyType(compute_prohibitions(document)),
            words=MappingProxyType(dict(words)),
            _own_purposes=frozenset(purposes.values()),
            _sources=_index_spellings(grants),
            _purposes=_index_spellings(purposes.values()),
            _families=_index_spellings(families),
        )

    @classmethod
    @hides_own_frames
    def load(cls, path: str | Path, *overlays: str | Path) -> Notice:
        """Read a notice from a TOML file, and product overlays (rule 8) from further ones.

        The words that a `text` has in a file are looked for in the folder of the file that says so.

        Raises:
            NoticeError: with every fault of the files, each with its place.
        """
        reader = PassageReader()
        return cls._parse_with_overlays(
            _read_file_with_hashes(reader, Path(path)), map(Path, overlays), str(path), reader
        )

    def overlaid(self, *overlays: str | Path) -> Notice:
        """Return this notice with product overlays (rule 8) from files.

        Raises:
            NoticeError: with every fault of the files, each with its place.
        """
        return self._parse_with_overlays(self.dump(), map(Path, overlays), self.id, PassageReader(self.words))

    @classmethod
    def _parse_with_overlays(
        cls, tables: Mapping[str, Any], overlays: Iterable[Path], origin: str, reader: PassageReader
    ) -> Notice:
        own = [*reader.faults]
        extra = []
        for path in overlays:
            extra.append((str(path), _read_file_with_hashes(reader, path)))
            if faults := reader.faults[len(own) :]:
                raise NoticeError(locate_faults(faults, extra[-1][1]), str(path))
        return cls(validate_tables(merge_overlays(tables, extra), origin, own), words=reader.words)

    @classmethod
    @hides_own_frames
    def loads(cls, text: str, origin: str = "notice") -> Notice:
        """Read a notice from a TOML text.

        Raises:
            NoticeError: with every fault of the text, each with its place.
            TypeError: it is no text.
        """
        return cls.parse(parse_toml(text, origin), origin)

    @classmethod
    @hides_own_frames
    def parse(
        cls, tables: Mapping[str, Any], origin: str = "notice", classes: Mapping[str, object] | None = None
    ) -> Notice:
        """Read a notice from the tables of a TOML file, or those that `dump` returns.

        Args:
            tables: the tables of the file, as a mapping.
            origin: the name of the file in error messages.
            classes: the namespace of a generated module, whose classes become the vocabulary in place of new ones.

        Raises:
            NoticeError: with every fault of the tables; or `classes` are not those of the notice: the module is stale.
            TypeError: `tables` is no mapping, but for example the path or the text of a file.
        """
        return cls(validate_tables(tables, origin), classes)

    @classmethod
    @hides_own_frames
    def bundled(cls, name: str) -> Notice:
        """Return a notice that comes with the library, e.g. `trendmicro-jp`.

        Raises:
            NoticeError: no notice of this name is bundled.
        """
        import pkgutil  # noqa: PLC0415  # most applications have a notice of their own

        # Found by name, so that the core imports no notice.
        package = importlib.import_module("purposeguard.notices")
        names = {module.name.replace("_", "-"): module.name for module in pkgutil.iter_modules(package.__path__)}
        if name not in names:
            message = f"no bundled notice is called {format_id(name, sorted(names))}"
            raise NoticeError([Fault("", message, f"bundled are: {', '.join(sorted(names))}")], "bundled notice")
        module = importlib.import_module(f"purposeguard.notices.{names[name]}")
        return cast("Notice", module.NOTICE)

    def dump(self) -> dict[str, Any]:
        """Return the tables of the notice file, as plain JSON values; `Notice.parse(notice.dump()) == notice`."""
        return self.document.model_dump(mode="json", by_alias=True, exclude_defaults=True)

    def text(self, row: object, language: str = "en") -> tuple[str, str] | None:
        """Return the language and the words of a row's `text`, in the nearest language that it has.

        Return None if the row has no text. If this notice was not read with the file that holds the words, their place
        stands for them.
        """
        texts = getattr(row, "text", None)
        if not isinstance(texts, Texts):
            return None
        tag = nearest_language(texts, language)
        return tag, self.words_of(texts[tag])

    def words_of(self, passage: Passage) -> str:
        """Return the words of a passage, or its place if this notice was not read with the file that holds them."""
        words = passage.words or self.words.get(passage.sha256 or "")
        return f"({passage.place})" if words is None else words

    @property
    def id(self) -> str:
        """The notice's own name, the same in all its revisions."""
        return self.document.id

    @property
    def revision(self) -> datetime.date:
        """The day from which this revision holds."""
        return self.document.revision

    @property
    def notices(self) -> tuple[Notice, ...]:
        """The notices in force: this one. A `JointNotice` has several."""
        return (self,)

    def words_digest(self, purpose: object) -> str:
        """Return a digest of all that a person reads of a purpose: its titles and published words, in every language.

        Raises:
            UnknownPurpose: the notice has no such purpose.
        """
        term = self.purpose(purpose)
        document = next(notice.document for notice in self.notices if term in notice.purposes)
        return next(digest_of_words(row) for row in document.purposes if row.id == term.clause)

    def key(self, term: type[Source | Purpose]) -> str:
        """Return the id by which records name a source or purpose.

        Where several notices are in force, the id contains that of the notice.
        """
        return term.clause

    def revision_of(self, clauses: Iterable[str]) -> datetime.date:  # noqa: ARG002  # over several notices it tells
        """Return the revision under which a declaration about these purposes is made.

        `clauses` are the ids by which records name the purposes.
        """
        return self.revision

    @property
    def languages(self) -> tuple[str, ...]:
        """The tags of all languages of titles and texts, in the order of the file."""
        tags: dict[str, None] = {}
        for notice in self.notices:
            for by_language in iter_texts_by_language(notice.document):
                tags.update(dict.fromkeys(by_language))
        return tuple(tags)

    def source(self, given: object) -> type[Source]:
        """Return the source category of an id, a class name, a slug or a class of this notice.

        Raises:
            UnknownSource: with the nearest ids.
        """
        if isinstance(given, TermMeta) and given in self.grants:
            return cast("type[Source]", given)
        return cast("type[Source]", self._find(given, self._sources, UnknownSource))

    def purpose(self, given: object) -> type[Purpose]:
        """Return the purpose of an id, a class name, a slug or a class of this notice.

        Raises:
            UnknownPurpose: with the nearest ids.
        """
        if isinstance(given, TermMeta) and given in self._own_purposes:
            return cast("type[Purpose]", given)
        return cast("type[Purpose]", self._find(given, self._purposes, UnknownPurpose))

    def family(self, given: object) -> Family:
        """Return the family of a name, a slug or the union of its members.

        Raises:
            UnknownPurpose: with the nearest names.
        """
        for family in self.families:
            if family == given:
                return family
        return cast("Family", self._find(given, self._families, UnknownPurpose))

    def channel(self, given: object) -> str:
        """Return the channel of a name; case, blanks and hyphens do not matter.

        Raises:
            UnknownChannel: with the nearest names.
        """
        name = _match_spelling(given, self.channels)
        if name is not None:
            return name
        hint = f"the notice knows {', '.join(self.channels)}" if self.channels else "the notice names no channels"
        titled: dict[str, None] = {}
        for notice in self.notices:
            for row in notice.document.channel:
                if given in row.title.model_dump().values():
                    titled[row.id] = None
        raise UnknownChannel(given, hint, lambda: tuple(titled) or find_nearest(given, self.channels))

    def condition(self, given: object) -> str:
        """Return the condition of a name; case, blanks and hyphens do not matter.

        Raises:
            UnknownCondition: with the nearest names.
        """
        name = _match_spelling(given, self.conditions)
        if name is not None:
            return name
        hint = f"the notice knows {', '.join(self.conditions)}" if self.conditions else "the notice has no conditions"
        raise UnknownCondition(given, hint, lambda: find_nearest(given, self.conditions))

    def purpose_or_family(self, given: object) -> type[Purpose] | Family:
        """Return the purpose or family that a purpose argument means.

        Raises:
            UnknownPurpose: the notice has no such purpose or family.
        """
        if isinstance(given, str):
            folded = fold(given)
            term = self._purposes.get(folded or "") or self._families.get(folded or "")
            if term is not None:
                return cast("type[Purpose] | Family", term)
            names = [*_list_spellings(self.purposes), *(family.name for family in self.families)]
            raise UnknownPurpose(given, self._holder, lambda: find_nearest(given, names))
        if isinstance(given, TermMeta):
            return self.purpose(given)
        return self.family(given)

    @property
    def _holder(self) -> str:
        return f"notice {self.id} ({self.revision}) has none of this id"

    def _find(self, given: object, known: Mapping[str, object], error: type[UnknownTerm]) -> object:
        if isinstance(given, str):
            term = known.get(fold(given) or "")
            if term is not None:
                return term
            names = _list_spellings(dict.fromkeys(known.values()))
            raise error(given, self._holder, lambda: find_nearest(given, names))
        if isinstance(given, TermMeta):
            raise error(given, self._explain_unknown(given, error))
        if error is UnknownPurpose and isinstance(given, (list, tuple, set, frozenset)):
            raise error(given, SEVERAL)
        if error is UnknownPurpose and is_union(given):
            names = [family.name for family in self.families]
            why = (
                "no declared family has just these purposes, and no other union is a purpose (rule 3): declare a "
                "`[[family]]` of them in the notice, or state each in a block of its own"
            )
            near = [family.name for family in self.families if not union_members(given).isdisjoint(family.members)]
            raise error(given, why, lambda: tuple(near[:3]) or find_nearest(given, names))
        raise error(given, "an id is a text or a class")

    def _explain_unknown(self, given: Any, error: type[UnknownTerm]) -> str:
        if given is Source or given is Purpose:
            return f"is the base of all {error.kind}s"
        if given in self.grants or given in self.purposes:
            return _SWAPPED[error.kind]
        spellings = self._sources if error is UnknownSource else self._purposes
        advice = "use this one's classes"
        if fold(given.clause) in spellings:
            advice += f", or the id `{given.clause}`"
        else:
            advice += f": it has no id `{given.clause}`"
        return f"is a class of another notice, of another copy of {self.id}, or made by hand: {advice}"

    def __eq__(self, other: object) -> bool:
        return self.document == other.document if isinstance(other, Notice) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.id, self.revision))

    def __repr__(self) -> str:
        return f"<Notice {self.id} {self.revision}: {len(self.sources)} sources, {len(self.purposes)} purposes>"

    def _repr_html_(self) -> str:
        """Render a table of the purposes that each source may serve, for notebooks."""
        from purposeguard.notice.notebook import render_grants  # noqa: PLC0415  # a program outside notebooks starts without

        return "".join(render_grants(notice.document) for notice in self.notices)


def _match_spelling(given: object, names: Iterable[str]) -> str | None:
    """Return the name that a text is a spelling of; None if there is none."""
    wanted = fold(given) if isinstance(given, str) else None
    for name in names:
        if wanted is not None and fold(name) == wanted:
            return name
    return None


def _read_file_with_hashes(reader: PassageReader, path: Path) -> ParsedTables:
    """Read the tables of a notice file, and add the hashes of the words in files beside it."""
    read = read_toml(path)
    tables = ParsedTables(reader.add_hashes(read, path.parent))
    tables.written = read.written
    return tables


def compute_bases(document: Document, pairs: Grants) -> dict[str, tuple[str, ...]]:
    """Return the names of the base classes of each source, by its id.

    The bases are the parent and the purposes that the parent may not serve. Parents come before their items, since
    their classes must be made first.
    """
    rows = index_by_id(source_rows(document))
    parent = {row.id: row.parent for row in document.source if row.parent}
    class_of = {row.id: row.class_ for row in document.purposes}
    bases: dict[str, tuple[str, ...]] = {}
    for source_id in rows:
        chain = [source_id]
        while (above := parent.get(chain[-1])) and above not in bases:
            chain.append(above)
        for clause in reversed(chain):
            above = parent.get(clause)
            missing = pairs[clause].keys() - pairs[above].keys() if above else pairs[clause]
            own = tuple(class_name for purpose, class_name in class_of.items() if purpose in missing)
            bases.setdefault(clause, (rows[above].class_, *own) if above else (*own, "Source"))
    return bases


def build_classes(document: Document, pairs: Grants) -> Mapping[str, type]:
    """Make new classes for all sources and purposes of a document. Return them by class name."""
    made: dict[str, type] = {"Source": Source}
    for purpose in document.purposes:
        made[purpose.class_] = TermMeta(purpose.class_, (Purpose,), _make_namespace(purpose))
    rows = index_by_id(source_rows(document))
    for source_id, base_names in compute_bases(document, pairs).items():
        row = rows[source_id]
        made[row.class_] = TermMeta(row.class_, tuple(made[base] for base in base_names), _make_namespace(row))
    return made


def _make_namespace(row: Named) -> dict[str, Any]:
    return {
        "clause": row.id,
        "slug": row.slug,
        "title": row.title.model_dump(),
        "__doc__": f"{title_in(row.title, 'en')} ({row.id}).",
        "__module__": "purposeguard.notice.notice",
    }


def _bind_classes(document: Document, pairs: Grants, classes: Mapping[str, object]) -> Mapping[str, object]:
    """Check that the classes of a generated module are those of the document, and return them.

    Raises:
        NoticeError: they are not.
    """
    expected = build_classes(document, pairs)
    faults = []
    for row in (*document.purposes, *source_rows(document)):
        existing, want = classes.get(row.class_), expected[row.class_]
        term = cast("type[Source | Purpose]", existing) if isinstance(existing, TermMeta) else None
        if (
            term is None
            or (term.clause, term.slug, term.title) != (row.id, row.slug, row.title.model_dump())
            or [base.__name__ for base in term.__mro__] != [base.__name__ for base in want.__mro__]
        ):
            faults.append(Fault(row.class_, "is not the class that the notice states", "run `purposeguard codegen`"))
    if faults:
        raise NoticeError(faults, f"generated module of {document.id}")
    return classes


def _index_spellings(terms: Iterable[type[Source | Purpose] | Family]) -> Mapping[str, object]:
    """Return the terms by their folded spellings.

    The slug is folded as well: a slug with digits (`old-tier2-data`) folds to another text than its class name.
    """
    terms_by_spelling: dict[str, object] = {}
    slugs: dict[str, object] = {}
    for term in terms:
        clause, name = (term.name, term.name) if isinstance(term, Family) else (term.clause, term.__name__)
        for spelling in (clause, name):
            terms_by_spelling[fold(spelling) or spelling] = term
        slugs.setdefault(fold(make_slug(name)) or name, term)
    return MappingProxyType(slugs | terms_by_spelling)


def _list_spellings(terms: Iterable[object]) -> list[str]:
    spellings: list[str] = []
    for term in terms:
        if isinstance(term, Family):
            spellings += term.name, term.slug
        else:
            named = cast("type[Source]", term)
            spellings += named.clause, named.__name__, named.slug
    return spellings
