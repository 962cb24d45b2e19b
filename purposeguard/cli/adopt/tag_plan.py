"""Plan how the tags of `tags.toml` are written into classes: which file changes, and which fields are left."""

from __future__ import annotations

import ast
import functools
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, NamedTuple, cast, get_args, get_origin

from purposeguard.adapters.tags import KEY, OneSpec, tag_of
from purposeguard.cli.adopt.code_edits import PRIVACY, QUALIFIERS, ClassEdit, FieldEdit, FileEdit, Form, ImportSpec
from purposeguard.cli.adopt.source_files import ClassSource, SourceFile, Statement
from purposeguard.cli.application import import_application
from purposeguard.cli.files import CommandProblem
from purposeguard.errors import Fault, PurposeGuardError
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import TermMeta, clause_sort_key
from purposeguard.project.tags import NOT_PERSONAL, TABLE, Fields, FieldTag, TagFile
from purposeguard.values.annotations import can_have_statements, external_tags_of, is_taggable, iter_attributes
from purposeguard.values.markers import TABLES_ALONE, ByRow, Mark
from purposeguard.values.type_schema import NOBODY, read_argument_shape

_COLUMN_CALLS: Final = frozenset({"Column", "mapped_column"})
_NO_FIELDS: Final = frozenset({"ClassVar", "InitVar"})
_LOCALS: Final = "<locals>"


class Vocabulary(NamedTuple):
    """The generated module whose classes are the tags in the code."""

    module: str
    alias: str
    notice: Notice


class AppliedField(NamedTuple):
    """A field whose tag is in the code, or would be."""

    entry: str
    name: str
    place: str
    """The class, `module.qualname`."""
    is_new: bool


class LeftFields(NamedTuple):
    """Fields of an entry that stay in `tags.toml` alone."""

    entry: str
    names: tuple[str, ...]
    reason: str


@dataclass(slots=True)
class TagPlan:
    """The changes that write tags into the code."""

    edits: dict[Path, FileEdit] = field(default_factory=dict)
    applied: list[AppliedField] = field(default_factory=list)
    left: list[LeftFields] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """A sentence for each module that cannot be imported."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A class that `tags.toml` matches."""

    file: SourceFile
    module: str
    source: ClassSource
    tags: Mapping[str, FieldTag]
    cls: type


class NameResolver:
    """The names under which a file uses things of other modules. What it does not import yet is added to the edit."""

    def __init__(self, file: SourceFile, module: ModuleType, edit: FileEdit, reserved: Iterable[str]) -> None:
        self._file = file
        self._module = module
        self._edit = edit
        self._reserved = frozenset(reserved)
        self._chosen: dict[tuple[str, str | None], str] = {}

    def use(self, module: str, name: str | None, alias: str) -> str:
        """Return the name of a module, or of something in it, and import it if necessary.

        Args:
            module: The module.
            name: What is used of it; None for the module itself.
            alias: The preferred name. Another one is chosen if it has another meaning in the file.
        """
        target = (module, name)
        if name is not None and module in self._file.modules:
            return name
        if target not in self._chosen:
            self._chosen[target] = self._find_imported(module, name) or self._add_import(module, name, alias)
        return self._chosen[target]

    def _find_imported(self, module: str, name: str | None) -> str | None:
        parent, _, last = module.rpartition(".")
        spellings: set[tuple[str, str | None]] = {(module, name)} if name else {(module, None), (parent, last)}
        if module == "typing":
            spellings.add(("typing_extensions", name))
        for local, imported in self._file.imports.items():
            if imported in spellings and local not in self._reserved:
                return local
        return None

    def _add_import(self, module: str, name: str | None, alias: str) -> str:
        chosen, number = alias, 1
        while self._is_taken(chosen):
            number += 1
            chosen = f"{alias}_{number}"
        parent, _, last = module.rpartition(".")
        if name is None and parent:
            module, name = parent, last
        own_name = name or module
        self._edit.imports[ImportSpec(module, name, None if chosen == own_name else chosen)] = None
        return chosen

    def _is_taken(self, name: str) -> bool:
        # A name that the module has without binding it comes from an import of `*`.
        return name in self._file.bound_names or name in self._reserved or name in vars(self._module)


class TagPlanner:
    """Plans the changes for the classes of a project.

    Args:
        tags: The tags, if there are any. Their notice is that of the vocabulary.
        vocabulary: The module whose classes are written.
    """

    def __init__(self, tags: TagFile | None, vocabulary: Vocabulary) -> None:
        self._tags = tags
        self._path = "" if tags is None else tags.path
        self._entries: Mapping[str, Fields] = {} if tags is None else tags.entries
        self._vocabulary = vocabulary
        self._matched: set[str] = set()
        self._targets: list[_Target] = []
        self._by_class: dict[type, list[_Target]] = defaultdict(list)
        self._by_file: dict[Path, list[_Target]] = defaultdict(list)
        self._modules: set[str] = set()
        self._known: dict[str, set[str]] = defaultdict(set)
        self._modules_by_name: dict[str, ModuleType | CommandProblem] = {}
        self._pattern_starts: list[str] = []
        for header in self._entries:
            start, wildcard, _ = header.partition("*")
            if wildcard:
                self._pattern_starts.append(start)
            else:
                self._modules.update(_iter_prefixes(header))
        self._names: dict[Path, NameResolver] = {}
        self._stated: dict[tuple[type, str], FieldTag] = {}
        self._inherited: list[tuple[_Target, str, FieldTag, type]] = []
        self._left: dict[tuple[str, str], dict[str, None]] = {}
        self.plan = TagPlan()

    def read(self, file: SourceFile) -> None:
        """Find the classes of a file that the tags match, and import it if there are any."""
        if self._tags is None or not any(map(self._may_match, file.modules)):
            return
        try:
            classes = file.classes
        except SyntaxError as error:
            self._report_unreadable(file, error)
            return
        for qualname, sources in classes.items():
            for module in file.modules:
                tags = self._tags.find_class(module, qualname)
                if tags is not None:
                    self._matched.update(tag.entry for tag in tags.values())
                    self._add_target(file, module, sources, tags)
                    break

    def finish(self) -> TagPlan:
        """Return the plan for all files that were read."""
        for target in self._targets:
            for name, tag in target.tags.items():
                self._plan_field(target, name, tag)
        for target, name, tag, owner in self._inherited:
            if self._stated.get((owner, name)) == tag:
                self._add_applied(target, name, tag, is_new=False)
            else:
                reason = f"it belongs to {owner.__module__}.{owner.__qualname__}, for which there is no such entry"
                self._leave(tag, name, reason)
        for target in self._targets:
            self._add_privacy_base(target)
        for header in self._entries:
            if header.startswith(TABLE):
                self._leave_entry(header, "tables are tagged in the file alone")
            elif header not in self._matched:
                self._leave_entry(header, "no file of the project defines such a class")
            else:
                known = self._known[header]
                unknown = {name: tag for name, tag in self._entries[header].items() if name not in known}
                self._leave_all(unknown, "no class of this entry has such a field")
        for (entry, reason), names in self._left.items():
            self.plan.left.append(LeftFields(entry, tuple(names), reason))
        return self.plan

    def _leave_entry(self, header: str, reason: str) -> None:
        self._leave_all(self._entries[header], reason)

    # ---- classes -----------------------------------------------------------------------------------------------------

    def _may_match(self, module: str) -> bool:
        prefix = f"{module}."
        return module in self._modules or any(
            prefix.startswith(start) or start.startswith(prefix) for start in self._pattern_starts
        )

    def _report_unreadable(self, file: SourceFile, error: SyntaxError) -> None:
        """Report a file that cannot be parsed as a fault if an entry names its module."""
        entries = [header for header in self._entries if any(header.startswith(f"{m}.") for m in file.modules)]
        if entries:
            fault = Fault("", f"cannot be parsed: {error.msg}", None, str(file.path), error.lineno or 1, error.offset)
            self.plan.faults.append(fault)
        self._matched.update(entries)

    def _add_target(
        self, file: SourceFile, module: str, sources: list[ClassSource], tags: Mapping[str, FieldTag]
    ) -> None:
        source = sources[0]
        if _LOCALS in source.qualname:
            self._leave_all(tags, f"{module}.{source.qualname} is defined in a function")
            return
        if len(sources) > 1:
            lines = ", ".join(str(each.line) for each in sources)
            self._leave_all(tags, f"{module}.{source.qualname} is defined in several places, lines {lines}")
            return
        try:
            cls: Any = self._import_module(module)
        except CommandProblem as problem:
            failure = str(problem)
            if failure not in self.plan.failures:
                self.plan.failures.append(failure)
            self._leave_all(tags, f"{module} cannot be imported")
            return
        if Path(cls.__file__).resolve() != file.path.resolve():
            self._leave_all(tags, f"`{module}` is imported from another file, {cls.__file__}")
            return
        for name in source.qualname.split("."):
            cls = getattr(cls, name, None)
        if not isinstance(cls, type) or (cls.__module__, cls.__qualname__) != (module, source.qualname):
            self._leave_all(tags, f"`{module}.{source.qualname}` is not this class when the program runs")
            return
        target = _Target(file, module, source, tags, cls)
        self._targets.append(target)
        self._by_class[cls].append(target)
        self._by_file[file.path].append(target)

    def _import_module(self, name: str) -> ModuleType:
        """Return a module.

        Raises:
            CommandProblem: It cannot be imported. Another attempt would fail in another way, as parts of it are there.
        """
        if name not in self._modules_by_name:
            try:
                self._modules_by_name[name] = import_application(name)
            except CommandProblem as problem:
                self._modules_by_name[name] = problem
        module = self._modules_by_name[name]
        if isinstance(module, CommandProblem):
            raise module
        return module

    def _leave_all(self, tags: Mapping[str, FieldTag], reason: str) -> None:
        for name, tag in tags.items():
            self._leave(tag, name, reason)

    def _leave(self, tag: FieldTag, name: str, reason: str) -> None:
        self._known[tag.entry].add(name)
        self._left.setdefault((tag.entry, reason), {})[name] = None

    def _add_applied(self, target: _Target, name: str, tag: FieldTag, *, is_new: bool) -> None:
        self._stated[target.cls, name] = tag
        self._known[tag.entry].add(name)
        place = f"{target.module}.{target.source.qualname}"
        self.plan.applied.append(AppliedField(tag.entry, name, place, is_new))

    # ---- fields ------------------------------------------------------------------------------------------------------

    def _plan_field(self, target: _Target, name: str, tag: FieldTag) -> None:
        if tag.is_undecided:
            self._leave(tag, name, "it is undecided")
            return
        present = self._read_present(target, name, tag)
        if present is None:
            return
        missing = _find_missing(tag, present)
        if missing == NOTHING:
            self._add_applied(target, name, tag, is_new=False)
            return
        form = self._choose_form(target, name, tag)
        if form is not None:
            edit = self.plan.edits.setdefault(target.file.path, FileEdit())
            class_edit = edit.classes.setdefault(target.source.qualname, ClassEdit())
            class_edit.fields[name] = FieldEdit(form, tuple(self._write_tags(target, missing)))
            if form in ("annotation", "mapped") and not _has_metadata(target.source.fields[name][0]):
                edit.annotated = self._get_names(target).use("typing", "Annotated", "Annotated")
            elif form == "info" and _has_no_value(target.source.fields[name][0]):
                edit.mapped_column = self._get_names(target).use("sqlalchemy.orm", "mapped_column", "mapped_column")
            self._add_applied(target, name, tag, is_new=True)

    def _read_present(self, target: _Target, name: str, tag: FieldTag) -> FieldTag | None:
        """Return the tag that the code states already. Report a fault if it differs, and return None."""
        where = f"{target.source.qualname}.{name}"
        try:
            specs = list(_read_specs(target.cls, name))
            sources = [spec for spec in specs if not isinstance(spec, Mark)]
            label = tag_of(self._vocabulary.notice, sources, where).label if sources else None
        except _UnresolvedAnnotation as error:
            self._leave(tag, name, str(error))
            return None
        except PurposeGuardError as error:
            self._add_fault(target, name, f"its tag cannot be read: {error}")
            return None
        marks = tuple(spec for spec in specs if isinstance(spec, Mark))
        differs = (label is not None and label != tag.sources) or (marks and set(marks) != set(tag.marks))
        if differs:
            present = ", ".join([*map(repr, marks), *([] if label is None else [repr(label)])])
            stated = ", ".join([*map(repr, tag.marks), repr(tag.sources)])
            file = f"{self._path}, line {tag.position.line}"
            self._add_fault(target, name, f"the code says {present}, and {file}, says {stated}")
            return None
        return FieldTag(label, marks)

    def _add_fault(self, target: _Target, name: str, message: str) -> None:
        statements = target.source.fields.get(name)
        line = statements[0].lineno if statements else target.source.line
        place = f"{target.source.qualname}.{name}"
        advice = "correct one of them, or remove it"
        self.plan.faults.append(Fault(place, message, advice, str(target.file.path), line, None))

    def _choose_form(self, target: _Target, name: str, tag: FieldTag) -> Form | None:
        """Return where the tag of a field is written. Leave the field and return None if that is not possible."""
        source = target.source
        if is_django_model(target.cls):
            if not _is_concrete_field(target.cls, name):
                return None
            if PRIVACY not in source.fields:
                return "privacy"
            reason = f"the model has a `{PRIVACY}` that is no class"
        elif name in source.members:
            reason = "it is a method or a property"
        elif name not in source.fields:
            owner = _find_owner(target.cls, name)
            if owner is not None:
                self._inherited.append((target, name, tag, owner))
            return None
        elif len(source.fields[name]) > 1:
            reason = "the class defines it in several places"
        elif TABLES_ALONE & set(tag.marks) and not is_mapped(target.cls):
            reason = f"the mark {tag.marks[0]} is for tables"
        else:
            form = _choose_form_of_statement(target.cls, name, source.fields[name][0])
            if form is not None:
                return form
            reason = "a field of this kind carries no tag in the code"
        self._leave(tag, name, reason)
        return None

    def _write_tags(self, target: _Target, missing: FieldTag) -> Iterator[str]:
        """Yield the expressions for a tag: its marks, then its sources."""
        names = self._get_names(target)
        for mark in missing.marks:
            yield f"{names.use('purposeguard', None, 'pg')}.{mark!r}"
        if missing.sources is NOT_PERSONAL:
            if ByRow not in missing.marks:
                yield f"{names.use('purposeguard', None, 'pg')}.NotPersonal"
        elif missing.sources is not None:
            vocabulary = names.use(self._vocabulary.module, None, self._vocabulary.alias)
            for each in sorted(missing.sources.sources, key=clause_sort_key):
                yield f"{vocabulary}.{each.__name__}"

    def _get_names(self, target: _Target) -> NameResolver:
        return self.get_names(target.file, target.module)

    def get_names(self, file: SourceFile, module: str) -> NameResolver:
        """Return the names of a file, which is imported as `module`. The plan then has an edit of the file."""
        if file.path not in self._names:
            reserved: set[str] = set()
            for each in self._by_file[file.path]:
                if is_django_model(each.cls):
                    reserved.update(each.tags)  # They are names in `class Privacy`.
            edit = self.plan.edits.setdefault(file.path, FileEdit())
            self._names[file.path] = NameResolver(file, sys.modules[module], edit, reserved)
        return self._names[file.path]

    def _add_privacy_base(self, target: _Target) -> None:
        """Let a new class `Privacy` inherit from that of the model's bases, as type checkers expect."""
        edit = self._find_class_edit(target.cls)
        if edit is None or PRIVACY in target.source.members or len(target.cls.__bases__) != len(target.source.bases):
            return
        bases: list[str] = []
        for base, written in zip(target.cls.__bases__, target.source.bases, strict=True):
            if any(PRIVACY in vars(each) or self._find_class_edit(each) is not None for each in base.__mro__):
                bases.append(f"{written}.{PRIVACY}")
        edit.privacy_bases = tuple(bases)

    def _find_class_edit(self, cls: type) -> ClassEdit | None:
        """Return the changes to a model; None if there are none."""
        for target in self._by_class.get(cls, ()):
            edit = self.plan.edits.get(target.file.path, FileEdit()).classes.get(target.source.qualname)
            if edit is not None and is_django_model(cls):
                return edit
        return None


def _iter_prefixes(name: str) -> Iterator[str]:
    """Yield the modules in which a class of this dotted name may be."""
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _has_no_value(statement: Statement) -> bool:
    return statement.value is None


# ---- what a class is -------------------------------------------------------------------------------------------------


def is_django_model(cls: type) -> bool:
    """Return True if a class is a model of Django."""
    models = sys.modules.get("django.db.models")
    return models is not None and issubclass(cls, models.Model)


def is_mapped(cls: type) -> bool:
    """Return True if a class is mapped by SQLAlchemy."""
    return hasattr(cls, "__mapper__")


def _find_owner(cls: type, name: str) -> type | None:
    """Return the base class that annotates or assigns a field; None if there is none."""
    for base in cls.__mro__[1:]:
        if name in vars(base) or name in _collect_annotations(base):
            return base
    return None


def _is_concrete_field(model: Any, name: str) -> bool:
    """Return True if a model of Django has a field of this name in its table."""
    return any(each.name == name and each.concrete for each in model._meta.get_fields())


def _choose_form_of_statement(cls: type, name: str, statement: Statement) -> Form | None:
    """Return the place of the tag of a field that this statement defines; None if there is no place for it."""
    is_column = _is_column_call(statement.value)
    if isinstance(statement, ast.Assign):
        is_plain = len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name)
        return "info" if is_plain and is_column else None
    annotation = statement.annotation
    head = _get_head(annotation)
    if head.endswith("Mapped"):
        # SQLAlchemy looks up an `Annotated` of the application as a whole, so it must stay as it is.
        if not _contains_annotated(_unwrap_mapped(_collect_annotations(cls).get(name, object))):
            return "mapped"
        return "info" if statement.value is None or is_column else None
    if is_taggable(cls):
        is_bare = isinstance(annotation, (ast.Name, ast.Attribute)) and head == "Final"
        return None if head in _NO_FIELDS or is_bare else "annotation"
    return "info" if is_column else None


def _has_metadata(statement: Statement) -> bool:
    """Return True if the annotation of a field, within qualifiers and `Mapped`, is an `Annotated[…]`."""
    expression: ast.expr | None = getattr(statement, "annotation", None)
    while isinstance(expression, ast.Subscript):
        head = _get_head(expression)
        if head == "Annotated":
            return True
        if head not in QUALIFIERS and not head.endswith("Mapped"):
            return False
        expression = expression.slice
    return False


def _is_column_call(value: ast.expr | None) -> bool:
    """Return True for a call that makes a column, and whose `info` can be changed."""
    if not isinstance(value, ast.Call) or _get_head(value.func) not in _COLUMN_CALLS:
        return False
    return all(keyword.arg != "info" or isinstance(keyword.value, ast.Dict) for keyword in value.keywords)


def _get_head(expression: ast.expr) -> str:
    """Return the last name before the brackets of an annotation: `Mapped` of `orm.Mapped[str]`."""
    match expression:
        case ast.Subscript(value=value):
            return _get_head(value)
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Constant(value=str(text)):
            try:
                return _get_head(ast.parse(text.strip(), mode="eval").body)
            except SyntaxError:
                return ""
        case _:
            return ""


# ---- the tags in the code --------------------------------------------------------------------------------------------


class _UnresolvedAnnotation(Exception):
    """An annotation names something that is not defined when the program runs."""


@functools.cache
def _collect_statements(owner: type) -> dict[str, Any]:
    return {each.name: each for each in iter_attributes(owner)} if can_have_statements(owner) else {}


def _collect_annotations(owner: type) -> dict[str, Any]:
    """Return the annotations in the body of a class, resolved."""
    return {name: each.annotation for name, each in _collect_statements(owner).items()}


def _read_specs(cls: type, name: str) -> Iterator[OneSpec]:
    """Yield the tags that the code gives a field, in the class and its bases.

    Raises:
        _UnresolvedAnnotation: An annotation cannot be resolved.
        PurposeGuardError: Something that seems to be meant as a tag is none.
    """
    for owner in cls.__mro__:
        statement = _collect_statements(owner).get(name)
        specs: list[OneSpec] = list(external_tags_of(owner).get(name, ()))
        if statement is not None:
            if statement.missing:
                raise _UnresolvedAnnotation(f"its annotation names `{statement.missing[0][1]}`, which is not imported")
            specs += _read_annotation_specs(statement.annotation)
        privacy = vars(owner).get(PRIVACY)
        specs += _list_specs(vars(privacy).get(name) if isinstance(privacy, type) else None)
        member = vars(owner).get(name)
        info = getattr(getattr(member, "column", member), "info", None)
        specs += _list_specs(info.get(KEY) if isinstance(info, Mapping) else None)
        yield from specs
        if specs and is_django_model(cls):
            return  # Django reads the nearest class that tags the field.
    columns = getattr(getattr(cls, "__mapper__", None), "columns", {})
    if name in columns:
        yield from _list_specs(columns[name].info.get(KEY))


def _read_annotation_specs(annotation: Any) -> Iterator[OneSpec]:
    shape = read_argument_shape(_unwrap_mapped(annotation), NOBODY)
    label = shape.own_label
    yield from () if label is None else label
    yield from shape.seal
    yield from shape.marks


def _list_specs(spec: Any) -> tuple[OneSpec, ...]:
    if spec is None:
        return ()
    single = isinstance(spec, (str, TermMeta, Label, Mark))
    return cast("tuple[OneSpec, ...]", (spec,) if single else tuple(spec))


def _unwrap_mapped(annotation: Any) -> Any:
    """Return the type within `Mapped[…]`; any other annotation unchanged."""
    origin = get_origin(annotation)
    is_mapped_type = isinstance(origin, type) and origin.__name__.endswith("Mapped")
    return get_args(annotation)[0] if is_mapped_type else annotation


def _contains_annotated(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return True
    return any(map(_contains_annotated, get_args(annotation)))


NOTHING: Final = FieldTag(None)
"""The missing part of a tag that the code states completely."""


def _find_missing(tag: FieldTag, present: FieldTag) -> FieldTag:
    """Return the part of a tag that the code does not state."""
    sources = tag.sources if present.sources is None else None
    marks = tag.marks if not present.marks else ()
    if sources is NOT_PERSONAL and ByRow in tag.marks:
        sources = None
    return FieldTag(sources, marks)
