"""Changes to Python source code that keep its formatting: tags in annotations, and decorators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from typing_extensions import override

from purposeguard.adapters.tags import KEY
from purposeguard.cli.adopt.code_edits import (
    PRIVACY,
    QUALIFIERS,
    REGISTERING,
    ClassEdit,
    FieldEdit,
    FileEdit,
    FunctionEdit,
    ImportSpec,
)
from purposeguard.extras import Needs

with Needs(__name__, "adopt"):
    import libcst as cst
    from libcst import matchers
    from libcst.codemod import CodemodContext
    from libcst.codemod.visitors import AddImportsVisitor

_MAPPED_SUFFIX: Final = "Mapped"


def rewrite(content: bytes, edit: FileEdit) -> bytes:
    """Return the content of a file with the changes.

    Raises:
        SyntaxError: The file cannot be parsed.
    """
    try:
        module = cst.parse_module(content)
    except (cst.ParserSyntaxError, UnicodeDecodeError) as error:
        raise SyntaxError(str(error)) from error
    module = module.visit(_TagWriter(module, edit))
    return _add_imports(module, edit.imports).bytes


def _add_imports(module: cst.Module, specs: Iterable[ImportSpec]) -> cst.Module:
    """Add imports to the others at the top of a module. Only the part with imports is visited, because that is slow."""
    end = 1
    for index, statement in enumerate(module.body):
        if matchers.findall(statement, matchers.ClassDef() | matchers.FunctionDef()):
            break  # Imports below do not bind their names in time.
        if isinstance(statement, cst.SimpleStatementLine) and isinstance(
            statement.body[0], cst.Import | cst.ImportFrom
        ):
            end = index + 1
    context = CodemodContext()
    for spec in specs:
        AddImportsVisitor.add_needed_import(context, spec.module, spec.name, spec.alias)
    head = AddImportsVisitor(context).transform_module(module.with_changes(body=module.body[:end]))
    return module.with_changes(body=[*head.body, *module.body[end:]])


class _TagWriter(cst.CSTTransformer):
    """Writes the tags of fields. It visits only classes that change."""

    def __init__(self, module: cst.Module, edit: FileEdit) -> None:
        super().__init__()
        self._module = module
        self._edit = edit
        self._names: list[str] = []

    @property
    def _class(self) -> ClassEdit | None:
        return self._edit.classes.get(".".join(self._names))

    @override
    def visit_ClassDef(self, node: cst.ClassDef) -> bool:
        self._names.append(node.name.value)
        name = ".".join(self._names)
        changed = (*self._edit.classes, *self._edit.functions)
        return any(each == name or each.startswith(f"{name}.") for each in changed)

    @override
    def visit_FunctionDef(self, node: cst.FunctionDef) -> bool:
        return False

    @override
    def leave_FunctionDef(self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef) -> cst.FunctionDef:
        edit = self._edit.functions.get(".".join([*self._names, original_node.name.value]))
        return updated_node if edit is None else _decorate(updated_node, edit)

    @override
    def visit_SimpleStatementLine(self, node: cst.SimpleStatementLine) -> bool:
        return self._class is not None

    @override
    def leave_ClassDef(self, original_node: cst.ClassDef, updated_node: cst.ClassDef) -> cst.ClassDef:
        edit = self._class
        self._names.pop()
        if edit is None:
            return updated_node
        tags = {name: each.tags for name, each in edit.fields.items() if each.form == "privacy"}
        return _write_privacy(updated_node, tags, edit.privacy_bases) if tags else updated_node

    @override
    def visit_AnnAssign(self, node: cst.AnnAssign) -> bool:
        return False

    @override
    def visit_Assign(self, node: cst.Assign) -> bool:
        return False

    @override
    def leave_AnnAssign(self, original_node: cst.AnnAssign, updated_node: cst.AnnAssign) -> cst.AnnAssign:
        edit = self._find_field(updated_node.target)
        if edit is None:
            return updated_node
        if edit.form == "info":
            value = updated_node.value or cst.Call(cst.Name(self._edit.mapped_column))
            return updated_node.with_changes(
                value=_add_info(value, edit.tags),
                equal=cst.AssignEqual() if updated_node.value is None else updated_node.equal,
            )
        annotation = updated_node.annotation.annotation
        tagged = self._tag_mapped(annotation, edit) if edit.form == "mapped" else self._tag(annotation, edit)
        return updated_node.with_changes(annotation=updated_node.annotation.with_changes(annotation=tagged))

    @override
    def leave_Assign(self, original_node: cst.Assign, updated_node: cst.Assign) -> cst.Assign:
        edit = self._find_field(updated_node.targets[0].target)
        if edit is None or edit.form != "info":
            return updated_node
        return updated_node.with_changes(value=_add_info(updated_node.value, edit.tags))

    def _find_field(self, target: cst.BaseExpression) -> FieldEdit | None:
        if self._class is None or not isinstance(target, cst.Name):
            return None
        edit = self._class.fields.get(target.value)
        return None if edit is None or edit.form == "privacy" else edit

    def _tag_mapped(self, annotation: cst.BaseExpression, edit: FieldEdit) -> cst.BaseExpression:
        """Tag the type within `Mapped[…]`, also if the annotation is a text."""
        if isinstance(annotation, cst.SimpleString):
            inner = self._tag_mapped(cst.parse_expression(str(annotation.evaluated_value)), edit)
            return annotation.with_changes(
                value=annotation.quote + self._module.code_for_node(inner) + annotation.quote
            )
        if isinstance(annotation, cst.Subscript) and _get_last_name(annotation.value).endswith(_MAPPED_SUFFIX):
            return _change_argument(annotation, self._tag(_get_first_argument(annotation), edit))
        return annotation

    def _tag(self, annotation: cst.BaseExpression, edit: FieldEdit) -> cst.BaseExpression:
        """Add tags to an annotation: within qualifiers, and beside other metadata."""
        if isinstance(annotation, cst.Subscript):
            name = _get_last_name(annotation.value)
            if name in QUALIFIERS:
                return _change_argument(annotation, self._tag(_get_first_argument(annotation), edit))
            if name == "Annotated":
                return annotation.with_changes(slice=_append_elements(annotation.slice, edit.tags))
        elements = [cst.SubscriptElement(cst.Index(annotation))]
        return cst.Subscript(cst.parse_expression(self._edit.annotated), _append_elements(elements, edit.tags))


def _get_last_name(expression: cst.BaseExpression) -> str:
    """Return the last name of a dotted name; empty for any other expression."""
    if isinstance(expression, cst.Attribute):
        return expression.attr.value
    return expression.value if isinstance(expression, cst.Name) else ""


def _get_first_argument(subscript: cst.Subscript) -> cst.BaseExpression:
    index = subscript.slice[0].slice
    return index.value if isinstance(index, cst.Index) else subscript


def _change_argument(subscript: cst.Subscript, argument: cst.BaseExpression) -> cst.Subscript:
    element = subscript.slice[0]
    return subscript.with_changes(slice=[element.with_changes(slice=cst.Index(argument)), *subscript.slice[1:]])


def _append_elements(
    elements: Sequence[cst.SubscriptElement], expressions: Sequence[str]
) -> list[cst.SubscriptElement]:
    """Append arguments in brackets, each on a line of its own if the others are."""
    last = elements[-1]
    between = elements[0].comma if len(elements) > 1 else cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    appended = [*elements[:-1], last.with_changes(comma=between)]
    appended += [cst.SubscriptElement(cst.Index(cst.parse_expression(each)), between) for each in expressions]
    appended[-1] = appended[-1].with_changes(comma=last.comma)
    return appended


def _add_info(call: cst.BaseExpression, tags: Sequence[str]) -> cst.BaseExpression:
    """Add tags to the argument `info` of the call that makes a column."""
    if not isinstance(call, cst.Call):
        return call
    entry = cst.DictElement(cst.SimpleString(f'"{KEY}"'), _parse_value(tags))
    arguments: list[cst.Arg] = []
    is_written = False
    for argument in call.args:
        if argument.keyword is not None and argument.keyword.value == "info" and isinstance(argument.value, cst.Dict):
            elements = [*argument.value.elements]
            if elements:
                separator = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
                entry = entry.with_changes(comma=elements[-1].comma)
                elements[-1] = elements[-1].with_changes(comma=separator)
            arguments.append(argument.with_changes(value=argument.value.with_changes(elements=[*elements, entry])))
            is_written = True
        else:
            arguments.append(argument)
    if is_written:
        return call.with_changes(args=arguments)
    return call.with_changes(args=_append_argument(arguments, "info", cst.Dict([entry])))


def _decorate(node: cst.FunctionDef, edit: FunctionEdit) -> cst.FunctionDef:
    """Add a decorator to a function, or an argument to some of its decorators."""
    decorators = list(node.decorators)
    for index in edit.extended:
        call = decorators[index].decorator
        if isinstance(call, cst.Call):
            extended = _add_argument(call, edit.argument, cst.parse_expression(edit.value))
            decorators[index] = decorators[index].with_changes(decorator=extended)
    place = 0
    for index, decorator in enumerate(decorators):
        if _is_registering(decorator.decorator):
            place = index + 1
    if edit.decorator:
        decorators.insert(place, cst.Decorator(cst.parse_expression(edit.decorator)))
    return node.with_changes(decorators=decorators)


def _is_registering(decorator: cst.BaseExpression) -> bool:
    name = decorator.func if isinstance(decorator, cst.Call) else decorator
    return _get_last_name(name) in REGISTERING


def _add_argument(call: cst.Call, keyword: str, value: cst.BaseExpression) -> cst.Call:
    """Add an argument to a call. If it has a list there already, put the items of the new list before the others."""
    for index, argument in enumerate(call.args):
        is_there = argument.keyword is not None and argument.keyword.value == keyword
        if is_there and isinstance(value, cst.List) and isinstance(argument.value, cst.List):
            elements = _join_elements(value.elements, argument.value.elements)
            joined = argument.with_changes(value=argument.value.with_changes(elements=elements))
            return call.with_changes(args=[*call.args[:index], joined, *call.args[index + 1 :]])
    return call.with_changes(args=_append_argument(list(call.args), keyword, value))


def _join_elements(first: Sequence[cst.BaseElement], others: Sequence[cst.BaseElement]) -> list[cst.BaseElement]:
    """Put items before others, with a comma between them."""
    separator = cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    if len(others) > 1:
        separator = others[0].comma if isinstance(others[0].comma, cst.Comma) else separator
    if not others:
        return list(first)
    return [*(each.with_changes(comma=separator) for each in first), *others]


def _append_argument(arguments: list[cst.Arg], keyword: str, value: cst.BaseExpression) -> list[cst.Arg]:
    equal = cst.AssignEqual(cst.SimpleWhitespace(""), cst.SimpleWhitespace(""))
    new = cst.Arg(value, keyword=cst.Name(keyword), equal=equal)
    if not arguments:
        return [new]
    last = arguments[-1]
    between = arguments[0].comma if len(arguments) > 1 else cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    new = new.with_changes(comma=last.comma, whitespace_after_arg=last.whitespace_after_arg)
    return [*arguments[:-1], last.with_changes(comma=between, whitespace_after_arg=cst.SimpleWhitespace("")), new]


def _parse_value(tags: Sequence[str]) -> cst.BaseExpression:
    return cst.parse_expression(tags[0] if len(tags) == 1 else f"({', '.join(tags)})")


def _write_privacy(node: cst.ClassDef, tags: Mapping[str, Sequence[str]], base_names: Sequence[str]) -> cst.ClassDef:
    """Add tags to the class `Privacy` within a model, which is added below the fields if it is new."""
    lines: list[cst.SimpleStatementLine] = []
    for name, expressions in tags.items():
        assignment = cst.Assign([cst.AssignTarget(cst.Name(name))], _parse_value(expressions))
        lines.append(cst.SimpleStatementLine([assignment]))
    body = _get_block(node)
    statements = list(body.body)
    for index, statement in enumerate(statements):
        if isinstance(statement, cst.ClassDef) and statement.name.value == PRIVACY:
            block = _get_block(statement)
            changed = block.with_changes(body=[*block.body, *lines])
            statements[index] = statement.with_changes(body=changed)
            break
    else:
        bases = [cst.Arg(cst.parse_expression(name)) for name in base_names]
        new = cst.ClassDef(
            cst.Name(PRIVACY), cst.IndentedBlock(lines), bases, leading_lines=[cst.EmptyLine(indent=False)]
        )
        index = _find_place(statements)
        if index < len(statements):
            statements[index] = _separate(statements[index])
        statements.insert(index, new)
    return node.with_changes(body=body.with_changes(body=statements))


def _get_block(node: cst.ClassDef) -> cst.IndentedBlock:
    """Return the body of a class as a block. A body on the line of the class becomes one."""
    if isinstance(node.body, cst.IndentedBlock):
        return node.body
    return cst.IndentedBlock([cst.SimpleStatementLine([statement]) for statement in node.body.body])  # type: ignore[list-item]  # A suite has small statements.


def _find_place(statements: Sequence[cst.BaseStatement]) -> int:
    """Return the index below the fields and the class `Meta`, above the methods."""
    for index, statement in enumerate(statements):
        if isinstance(statement, cst.FunctionDef):
            return index
    return len(statements)


def _separate(statement: cst.BaseStatement) -> cst.BaseStatement:
    """Put a blank line above a statement if there is none."""
    lines: Sequence[cst.EmptyLine] = getattr(statement, "leading_lines", ())
    if lines and lines[0].comment is None:
        return statement
    return statement.with_changes(leading_lines=[cst.EmptyLine(indent=False), *lines])
