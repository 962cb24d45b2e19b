"""Tags of columns: the sources of the values in a table, and the roles of columns in their rows.

A tag is written under one metadata key, `purposeguard`, on fields of Arrow and on columns of Spark.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from purposeguard.containers import drop_none_values, pick_keys
from purposeguard.errors import NoticeError, UnknownSource, UnlabelledData, format_name
from purposeguard.notice.history import History
from purposeguard.notice.immutable import Immutable
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.schema import list_ids
from purposeguard.notice.several import Notices
from purposeguard.notice.vocabulary import NotPersonal, Source, TermMeta, list_term_ids
from purposeguard.project.tags import Fields, FieldTag, TagFile
from purposeguard.values.annotations import evaluate_annotation, is_taggable, module_names
from purposeguard.values.markers import ByRow, Collected, Ended, Mark, RowSource, Subject, SubjectMark
from purposeguard.values.type_schema import Model, Shape

KEY: Final = "purposeguard"
"""The metadata key for the tag of a column."""

Revisions = Notice | History | Notices
"""The notice, or all its revisions, or several notices, whose sources tags name."""

OneSpec = type[Source] | str | Label | Mark
Spec = OneSpec | Iterable[OneSpec]
"""A specification of a tag: a source class, an id, a label, `NotPersonal`, `ByRow`, a mark, or several of these."""

NOT_PERSONAL: Final = Label(NotPersonal)

TAG_ERRORS: Final = (UnlabelledData, UnknownSource, NoticeError)
"""The errors of tags that cannot be read, or that contradict each other."""


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Tag:
    """The sources and the role of a column."""

    label: Label = NOT_PERSONAL
    """The sources that all values were collected under; `Label(NotPersonal)` if they are not personal."""
    by_row: bool = dataclasses.field(default=False, kw_only=True)
    """True if each value was also collected under the source that its row names."""
    mark: Mark | None = dataclasses.field(default=None, kw_only=True)
    """The role of the column in its rows (`Subject`, `Collected`, `Ended`, `RowSource`), if it has one."""

    @property
    def is_personal(self) -> bool:
        """True if its values are, or may be, personal data."""
        return self.by_row or self.label is not NOT_PERSONAL

    def __repr__(self) -> str:
        parts = [repr(self.label)]
        if self.by_row:
            parts.append("by row")
        if self.mark is not None:
            parts.append(repr(self.mark))
        return f"<Tag {', '.join(parts)}>"


NOT_PERSONAL_TAG: Final = Tag()
"""The tag of a column that is not personal and has no mark."""


class Columns(Immutable, Mapping[str, Tag]):
    """The tags of a table's columns, by name, in their order. A column without an entry is unlabelled.

    Raises:
        UnlabelledData: two columns bear a mark that one column may bear.
    """

    __slots__ = ("_hash", "_marked", "_subjects", "_tags")

    _tags: dict[str, Tag]
    _marked: dict[Mark, str]
    _subjects: tuple[tuple[str, SubjectMark], ...]
    _hash: int

    def __init__(self, tags: Mapping[str, Tag]) -> None:
        own = dict(tags)
        for mark in (RowSource, Collected, Ended):
            names = [f"`{name}`" for name, tag in own.items() if tag.mark is mark]
            if len(names) > 1:
                raise UnlabelledData(f"{' and '.join(names)} are both marked {mark!r}, and one is to say it of a row")
        marked: dict[Mark, str] = {}
        for name, tag in own.items():
            if tag.mark is not None:
                marked.setdefault(tag.mark, name)
        subjects = tuple((name, tag.mark) for name, tag in own.items() if isinstance(tag.mark, SubjectMark))
        self._fill(_tags=own, _marked=marked, _subjects=subjects, _hash=hash(tuple(own.items())))

    def __getitem__(self, name: str) -> Tag:
        return self._tags[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tags)

    def __len__(self) -> int:
        return len(self._tags)

    def __eq__(self, other: object) -> bool:
        return list(self._tags.items()) == list(other._tags.items()) if isinstance(other, Columns) else NotImplemented

    def __hash__(self) -> int:
        return self._hash

    def columns_with_mark(self, mark: Mark) -> str | None:
        """Return the column that bears a mark; None if no column bears it."""
        return self._marked.get(mark)

    def subjects(self) -> tuple[tuple[str, SubjectMark], ...]:
        """Return the columns that hold subjects' ids, each with its mark."""
        return self._subjects

    def __repr__(self) -> str:
        return f"<Columns {', '.join(self._tags)}>"


def columns_of(revisions: Revisions, tags: object, file: TagFile | None = None) -> Columns:
    """Return the tags of a table.

    The fields of a tagged class (a pydantic model, dataclass, TypedDict, NamedTuple or attrs class) are columns.
    Fields without a tag are not personal, as everywhere. In a mapping each column needs a tag.

    Args:
        revisions: The notice, or all its revisions, or several notices.
        tags: `Columns`, a tagged class whose rows are in the table, or a mapping of column names to tags.
        file: The file `tags.toml` of the guard, if there is one, which may tag the fields of the class.

    Raises:
        NoticeError: the file and the annotations of the class do not agree.
        TypeError: `tags` is none of these, or the tag of a column is something else.
        UnknownSource: a source is of no known revision.
        UnlabelledData: a column has no tag, or the class is marked in a way that a table cannot be.
    """
    if isinstance(tags, Columns):
        for tag in tags.values():
            _resolve_term(revisions, tag.label)
        return tags
    if is_taggable(tags):
        return Columns(drop_none_values(read_class(revisions, tags, file)))
    if isinstance(tags, Mapping):
        return Columns({str(name): tag_of(revisions, spec, str(name)) for name, spec in tags.items()})
    kinds = "a tagged class, a mapping of names to sources, or `Columns`"
    raise TypeError(f"the tags of a table are {kinds}, not {type(tags).__name__}")


def read_class(revisions: Revisions, cls: type, file: TagFile | None) -> dict[str, Tag | None]:
    """Return the tags of all fields of a tagged class, None for undecided ones. Raise the errors of `columns_of`."""
    annotated: dict[str, FieldTag | None] = {}
    for name, shape in Model(cls).columns().items():
        where = f"{cls.__qualname__}.{name}"
        annotated[name] = make_field_tag(revisions, specs_of(shape, where), where)
    stated = file.find_fields(cls) if file is not None else None
    tags = merge_file_tags(revisions, file, [stated], drop_none_values(annotated), cls.__qualname__)
    return {name: tags.get(name, NOT_PERSONAL_TAG) for name in annotated}


class UndefinedName(UnlabelledData):
    """An annotation names something that is not defined when the program runs, such as an import for type checkers."""


def hint_of(annotation: object, owner: type, where: str, names: Mapping[str, object] = MappingProxyType({})) -> Any:
    """Return the annotation of a class's attribute with its names resolved.

    Args:
        annotation: The annotation.
        owner: The class.
        where: The name of the attribute, for the error.
        names: Further names that may occur in the annotation and need not be names of the module.

    Raises:
        UndefinedName: a name in the annotation is not defined.
    """
    try:
        return evaluate_annotation(annotation, {**names, **module_names(owner)}, dict(vars(owner)))
    except NameError as error:
        raise UndefinedName(
            f"{where}: its annotation names `{error.name}`, which is not defined, so its tag is unknown; define it at "
            "module level"
        ) from error


def specs_of(shape: Shape, where: str) -> list[OneSpec]:
    """Return the tags in an annotation of a column: the sources of everything in its values, and marks.

    Raises:
        UnlabelledData: a part of its values is marked.
    """
    if shape.marks_within != shape.marks:
        raise UnlabelledData(f"{where} has marked items, and a column says one thing of a row")
    return [*shape.sources, *shape.marks]


def tag_of(revisions: Revisions, spec: object, column: str) -> Tag:
    """Return the tag that a specification describes.

    Raises:
        TypeError, UnknownSource, UnlabelledData: as for `columns_of`.
    """
    if isinstance(spec, Tag):
        _resolve_term(revisions, spec.label)
        return spec
    parts = [spec] if isinstance(spec, (str, TermMeta, Label, Mark)) else spec
    if isinstance(parts, (bytes, Mapping)) or not isinstance(parts, Iterable):
        raise TypeError(f"`{column}`: a tag is a source class, an id, a label or a mark, not {type(spec).__name__}")
    sources: set[type[Source]] = set()
    marks: list[Mark] = []
    for part in parts:
        if isinstance(part, Mark):
            marks.append(part)
        else:
            sources |= _read_source(revisions, part, column).sources
    by_row = ByRow in marks
    roles = [mark for mark in marks if mark is not ByRow]
    if len(roles) > 1:
        raise UnlabelledData(f"`{column}` is marked {' and '.join(map(repr, roles))}: a column says one thing of a row")
    if not sources and not marks:
        raise UnlabelledData(
            f"`{column}` carries no tag: name its source, or say `NotPersonal` where it is not personal (rule 4)"
        )
    if RowSource in roles and (by_row or sources - {NotPersonal}):
        raise UnlabelledData(f"`{column}` is marked RowSource, so it holds ids of sources, and no personal data")
    return Tag(Label(*sources) if sources else NOT_PERSONAL, by_row=by_row, mark=roles[0] if roles else None)


def make_field_tag(revisions: Revisions, specs: Iterable[OneSpec], column: str) -> FieldTag | None:
    """Return the tag that specifications in the code describe, as `tags.toml` would; None if there are none.

    Raises:
        TypeError, UnknownSource, UnlabelledData: as for `columns_of`.
    """
    parts = list(specs)
    if not parts:
        return None
    tag = to_field_tag(tag_of(revisions, parts, column))
    if all(isinstance(part, Mark) for part in parts):
        return dataclasses.replace(tag, sources=None)
    return tag


def to_field_tag(tag: Tag) -> FieldTag:
    """Return the tag of a column as `tags.toml` would state it."""
    marks: list[Mark] = [] if tag.mark is None else [tag.mark]
    return FieldTag(tag.label, (*marks, ByRow) if tag.by_row else tuple(marks))


def merge_file_tags(
    revisions: Revisions, file: TagFile | None, stated: Iterable[Fields | None], annotated: Fields, table: str
) -> dict[str, Tag | None]:
    """Unite the tags of columns in the code with those in `tags.toml`.

    Args:
        revisions: The notice, or all its revisions, or several notices.
        file: The file, if there is one.
        stated: What its entries say about the columns. They must agree, with each other and with the code.
        annotated: The tags in the code.
        table: The name of the table, for messages.

    Returns:
        The tags by column. None for a column that is undecided.

    Raises:
        NoticeError: two of them do not agree.
        UnlabelledData: a column is undecided and marked.
    """
    by_file: Fields = {}
    merged = annotated
    if file is not None:
        for fields in filter(None, stated):
            by_file = file.merge(fields, by_file)
        merged = file.merge(by_file, annotated)
    tags: dict[str, Tag | None] = {}
    for name, tag in merged.items():
        where = f"{table}.{name}"
        if tag.sources is not None:
            tags[name] = tag_of(revisions, [tag.sources, *tag.marks], where)
        elif name not in by_file:
            tags[name] = tag_of(revisions, tag.marks, where)
        elif tag.marks:
            raise UnlabelledData(
                f"`{where}` is marked {tag.marks[0]!r} and undecided, by `{tag.entry}` (line {tag.position.line}): "
                "decide its source, because rows depend on it"
            )
        else:
            tags[name] = None
    return tags


def complete_table(
    revisions: Revisions, file: TagFile | None, table: str, tags: Mapping[str, Tag | None]
) -> dict[str, Tag | None]:
    """Return the tags of a table's columns, united with those in `tags.toml`.

    Args:
        revisions: The notice, or all its revisions, or several notices.
        file: The file, if there is one.
        table: The name of the table, with its schema if it has one.
        tags: All columns of the table, each with its tag or None.

    Raises:
        NoticeError: the two do not agree.
        UnlabelledData: a column is undecided and marked.
    """
    schema, _, name = table.rpartition(".")
    stated = file.find_table(name, schema or None) if file is not None else None
    if not stated:
        return dict(tags)
    own = {column: to_field_tag(tag) for column, tag in drop_none_values(tags).items()}
    merged = merge_file_tags(revisions, file, [pick_keys(stated, tags)], own, table)
    return {column: merged.get(column) for column in tags}


def _read_source(revisions: Revisions, spec: object, column: str) -> Label:
    """Return the label of a source, an id or a label.

    Raises:
        UnknownSource: the source is unknown. The message names the column.
    """
    try:
        return _label(revisions, spec)
    except UnknownSource as error:
        unknown = error
    where = f"`{column}` is told by it"
    why = f"{unknown.why}, and {where}" if unknown.why else where
    raise UnknownSource(spec, why, lambda: unknown.suggestions)


def _label(revisions: Revisions, spec: object) -> Label:
    if isinstance(spec, Label):
        return _resolve_term(revisions, spec)
    if isinstance(spec, TermMeta):
        return _resolve_term(revisions, Label(cast("type[Source]", spec)))
    if spec == NotPersonal.clause:
        return NOT_PERSONAL
    return Label(_latest(revisions).source(spec))


def _resolve_term(revisions: Revisions, label: Label) -> Label:
    """Return the label.

    Raises:
        UnknownSource: a source is of no known revision.
    """
    notices = _every(revisions)
    for source in label.sources:
        if not any(source in notice.grants for notice in notices) and source is not NotPersonal:
            _latest(revisions).source(source)  # This raises UnknownSource with the reason.
    return label


def _every(revisions: Revisions) -> tuple[Notice, ...]:
    """Return all notices, of all revisions."""
    if isinstance(revisions, Notices):
        return tuple(itertools.chain.from_iterable(map(_every, revisions.members)))
    return tuple(revisions) if isinstance(revisions, History) else (revisions,)


def _latest(revisions: Revisions) -> Notice:
    return revisions if isinstance(revisions, Notice) else revisions.latest


# ---- as text ---------------------------------------------------------------------------------------------------------

_MARKS: Final[Mapping[str, Mark]] = {"subject": Subject, "collected": Collected, "ended": Ended, "source": RowSource}
MARKS: Final[Mapping[str, Mark]] = {**_MARKS, "by-row": ByRow}
"""The words for marks, besides `subject:realm`. Any other word is a source's id, or `not-personal`."""


def parts_of(written: object) -> list[OneSpec]:
    """Return the parts of a tag that is written as one word or several.

    Raises:
        ValueError: it is neither a word nor a list of words.
    """
    words: list[Any] = written if isinstance(written, list) else [written]
    if not words or not all(isinstance(word, str) for word in words):
        raise ValueError('must be an id of a source, or a mark, or a list of these: `["1.1(a)", "subject"]`')
    return list(map(_part_of, words))


def _part_of(word: str) -> OneSpec:
    if word in MARKS:
        return MARKS[word]
    return Subject(word.removeprefix("subject:")) if word.startswith("subject:") else word


def words_of(tag: Tag) -> list[str]:
    """Return the words for a tag, which `parts_of` reads."""
    words: list[str] = []
    if tag.label is not NOT_PERSONAL or not tag.by_row:
        words += list_term_ids(tag.label)
    if tag.by_row:
        words.append("by-row")
    word = _word_for_mark(tag.mark)
    if word is not None:
        realm = _realm_of(tag)
        words.append(word if realm is None else f"{word}:{realm}")
    return words


def _word_for_mark(mark: Mark | None) -> str | None:
    """Return the word for a mark without its realm; None if there is no mark, or no word for it."""
    if isinstance(mark, SubjectMark):
        return "subject"
    for word, named in _MARKS.items():
        if named is mark:
            return word
    return None


def _realm_of(tag: Tag) -> str | None:
    return tag.mark.realm if isinstance(tag.mark, SubjectMark) else None


LONGEST_TAG: Final = 10_000
"""Length of the longest encoded tag, in characters."""


class _WrittenTag(BaseModel):
    """A tag as JSON: keys sorted, defaults left out."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Literal[1]
    notice: str
    revision: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    sources: tuple[str, ...]
    by_row: bool = False
    mark: Literal["subject", "collected", "ended", "source"] | None = None
    realm: str | None = None


def encode(tag: Tag, revisions: Revisions) -> str:
    """Encode a tag as the text in a column's metadata.

    Raises:
        UnknownSource: a source is of no known revision.
        ValueError: the sources are of several revisions or notices. A column's tag is of one.
    """
    _resolve_term(revisions, tag.label)
    sources = [source for source in tag.label if source is not NotPersonal]
    notice = _latest_with_sources(revisions, sources)
    clauses = list_term_ids(sources)
    if not clauses and not tag.by_row:
        clauses = [NotPersonal.clause]
    written: dict[str, object] = {
        "notice": notice.id,
        "revision": notice.revision.isoformat(),
        "sources": clauses,
        "version": 1,
    }
    if tag.by_row:
        written["by_row"] = True
    mark, realm = _word_for_mark(tag.mark), _realm_of(tag)
    if mark is not None:
        written["mark"] = mark
    if realm is not None:
        written["realm"] = realm
    return json.dumps(written, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _latest_with_sources(revisions: Revisions, sources: Iterable[type[Source]]) -> Notice:
    """Return the last notice that has all these sources.

    Raises:
        ValueError: no notice has all of them.
    """
    for notice in reversed(_every(revisions)):
        if all(source in notice.grants for source in sources):
            return notice
    raise ValueError("the sources of a column are of several revisions of the notice, or notices: a tag is of one")


def decode(text: str | bytes, revisions: Revisions, column: str) -> Tag:
    """Decode the tag in a column's metadata.

    Raises:
        UnlabelledData: the tag is malformed.
        UnknownSource: the tag is of another notice or an unknown revision, or names a clause that the revision lacks.
    """
    if len(text) > LONGEST_TAG:
        raise UnlabelledData(f"the tag of `{column}` has {len(text):,} characters, which no tag has")
    try:
        written = _WrittenTag.model_validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"])) or "the whole of it"
        message = f"the tag of `{column}` cannot be read: {place}: {fault['msg']}"
    else:
        # Readers disagree on which value of a duplicate key counts.
        names = Counter(name for name, _ in json.loads(text, object_pairs_hook=list))
        ((name, count),) = names.most_common(1)
        if count == 1:
            return _read(written, revisions, column)
        message = f"the tag of `{column}` cannot be read: `{name}` is there twice"
    raise UnlabelledData(message)


def _read(written: _WrittenTag, revisions: Revisions, column: str) -> Tag:
    """Return the tag that a written tag describes.

    Raises:
        UnlabelledData: the parts of the tag contradict each other.
        UnknownSource: its notice, revision or clause is unknown.
    """
    notice = _find_notice(written, revisions, column)
    plain = written.sources == (NotPersonal.clause,)
    if not plain and NotPersonal.clause in written.sources:
        raise UnlabelledData(f"the tag of `{column}` says both that it is not personal and that it is")
    if not written.sources and not written.by_row:
        raise UnlabelledData(f"the tag of `{column}` names no source: an empty label is no licence (rule 4)")
    specs: list[OneSpec] = []
    if not plain:
        specs += [_clause(notice, clause, column) for clause in written.sources]
    if written.by_row:
        specs.append(ByRow)
    mark = None if written.mark is None else _MARKS[written.mark]
    if written.realm is not None:
        if mark is not Subject:
            raise UnlabelledData(f"the tag of `{column}` has a realm, and marks no subject")
        mark = _in_realm(written.realm, column)
    if mark is not None:
        specs.append(mark)
    return tag_of(revisions, specs or NotPersonal, column)


def _find_notice(written: _WrittenTag, revisions: Revisions, column: str) -> Notice:
    """Return the revision of the notice that a written tag names.

    Raises:
        UnknownSource: the notice or its revision is unknown.
    """
    notices = [notice for notice in _every(revisions) if notice.id == written.notice]
    if not notices:
        others = ", ".join(dict.fromkeys(list_ids(_every(revisions))))
        raise UnknownSource(written.notice, f"the tag of `{column}` is of another notice than {others}")
    dates: list[str] = []
    for notice in notices:
        dates.append(notice.revision.isoformat())
        if dates[-1] == written.revision:
            return notice
    why = (
        f"the tag of `{column}` is of a revision of {written.notice} that is not known here, only {', '.join(dates)}: "
    )
    raise UnknownSource(written.revision, f"{why}give the guard a History that has it")


def _clause(notice: Notice, clause: str, column: str) -> type[Source]:
    """Return the source of a clause that is written exactly as the notice prints it."""
    source = notice.source(clause)
    if source.clause != clause:
        raise UnlabelledData(f"the tag of `{column}` names {format_name(clause)}, which is written {source.clause}")
    return source


def _in_realm(realm: str, column: str) -> Mark:
    try:
        return Subject(realm)
    except ValueError as error:
        why = str(error)
    raise UnlabelledData(f"the tag of `{column}` cannot be read: {why}")
