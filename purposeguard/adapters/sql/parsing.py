"""The parser of statements. It accepts only texts that the engine certainly reads alike.

A database sees the text, and this library sees the tree of its parser. Text that the two may read differently is
refused: comments that some engines run, blanks that some take for letters, quotes whose meaning depends on settings.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Container, Iterable, Mapping
from types import MappingProxyType, NoneType
from typing import Final

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.tokenizer_core import Token, TokenType

from purposeguard.adapters.sql.functions import NAMED, NAMED_TABLE_FUNCTIONS
from purposeguard.adapters.sql.scopes import lower, perhaps
from purposeguard.adapters.sql.tags import Catalog
from purposeguard.errors import UnresolvedStatement

LONGEST: Final = 1_000_000
"""Length of the longest statement that is read, in characters."""

_BEGINS: Final = frozenset(
    {"SELECT", "WITH", "FROM", "VALUES", "TABLE", "INSERT", "CREATE", "UPDATE", "DELETE", "MERGE"}
)
_CREATED: Final = frozenset({"TABLE", "VIEW"})
_STRANGE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]|\r(?!\n)")
"""Control characters and lone surrogates.

Engines disagree whether a control character ends a comment, and whether it is a blank. Surrogates cannot be encoded.
"""

_NOT_OF_WORDS: Final = re.compile(r"[^\w\x00-\x7f]|[\u115f\u1160\u3164\uffa0\u034f]")
"""Non-ASCII blanks, marks and invisible characters."""

_ESCAPED_QUOTE: Final = re.compile(r"\\['\"`]")
_ODDLY_ESCAPED: Final = re.compile(r"(?<!\\)\\(?:\\\\)*['\"`]")
"""An odd number of backslashes before a quote. After an even one, as in `E'\\\\'`, it is one under every setting."""
_REPLACE: Final = re.compile(r"(\s*)REPLACE\s+INTO\b", re.IGNORECASE)
_NO_PERCENT: Final = frozenset({"sqlite", "duckdb", "spark"})
"""Dialects whose drivers do not look for parameters that begin with `%`."""

_ACROSS: Final = re.compile(r"""(?<!%)(?:%%)*%\([^)]*?(?:['"`$(#]|--|/\*)""")
"""A parameter whose name holds what ends a text, or begins one or a comment: to a parser it is none."""

_COMMENTS: Final = re.compile(r"/\*.*?\*/|(?:--|#|//)[^\n]*", re.DOTALL)
_RUN_COMMENT: Final = re.compile(r"\s*(!|M!)")


class PassedForms:
    """Statements that run as they are: `PassedForms(["PRAGMA foreign_keys", "SET LOCAL statement_timeout"])`.

    A form is the first words of a statement that is no query and writes no rows. Behind them may stand names, numbers,
    parameters and texts without backslashes, but no query, no comment and no second statement. Behind `EXPLAIN` stands
    a statement, which is read, and decided as if it ran.

    Raises:
        ValueError: a form is no words; or such statements are read, run code, or copy rows.
    """

    def __init__(self, forms: Iterable[str] = ()) -> None:
        plain: list[str] = []
        explains: list[str] = []
        for form in forms:
            words = form.upper().split()
            if not words or not all(word.isidentifier() for word in words):
                raise ValueError(f"`{form}` is no beginning of a statement: words alone, as in `PRAGMA foreign_keys`")
            no_form = words[0] in _NO_FORMS or not _NAMES.isdisjoint(words)
            if no_form or (words[0] in _DEFINED and _DEFINED[words[0]].isdisjoint(words[1:2])):
                raise ValueError(f"`{form}` cannot pass as it is: such a statement may read rows, and is decided")
            (explains if words[0] == "EXPLAIN" else plain).append(r"\s+".join(words) + r"\b")
        explains.sort(key=len, reverse=True)  # `EXPLAIN ANALYZE` before `EXPLAIN`
        self._plain: Final = _beginning(plain, _BEHIND)
        self._explains: Final = _beginning(explains, _OPTIONS)

    def is_passed(self, text: str) -> bool:
        """Return True if a statement has one of these forms and runs without a decision."""
        return self._plain is not None and self._plain.fullmatch(text) is not None and _CALLS.match(text) is None

    def find_explained_statement(self, text: str) -> str | None:
        """Return the statement behind `EXPLAIN`, or None if the text does not begin with a passed form of `EXPLAIN`."""
        begin = self._explains.match(text) if self._explains is not None else None
        return None if begin is None else text[begin.end() :]


def _beginning(forms: list[str], behind: str) -> re.Pattern[str] | None:
    return re.compile(rf"\s*(?:{'|'.join(forms)}){behind}", re.IGNORECASE) if forms else None


_NO_FORMS: Final = (_BEGINS - {"CREATE"}) | frozenset(
    {
        *("REPLACE", "DO", "CALL", "EXEC", "EXECUTE", "PREPARE", "DECLARE", "FETCH", "HANDLER"),
        *("COPY", "UNLOAD", "EXPORT", "IMPORT", "REFRESH", "RENAME", "CACHE"),
        *("SUMMARIZE", "PIVOT", "PIVOT_WIDER", "UNPIVOT", "PIVOT_LONGER"),
    }
)
_DEFINED: Final = {
    "CREATE": frozenset({"INDEX", "UNIQUE", "EXTENSION", "SCHEMA", "SEQUENCE"}),
    "ALTER": frozenset({"SEQUENCE", "SESSION", "SYSTEM"}),
}
"""The objects that passed statements may define. ALTER TABLE is not passed: it copies or renames columns."""

_NAMES: Final = frozenset(
    {"STANDARD_CONFORMING_STRINGS", "STORAGE_INFO", "JSON_EXECUTE_SERIALIZED_SQL", "IMPORT_DATABASE", "COPY_DATABASE"}
)
"""A setting by which PostgreSQL reads texts otherwise, and pragmas of DuckDB that show values or run statements."""

_BEHIND: Final = (
    r"(?:(?!\b(?:SELECT|WITH|FROM|INTO|INSERT|UPDATE|DELETE|MERGE|EXECUTE|CALL)\b|--|/\*"
    r"|(?:\(|\bAS\b)\s*(?:TABLE|VALUES|PIVOT|PIVOT_WIDER|UNPIVOT|PIVOT_LONGER)\b"
    rf"""|"?\b(?:{"|".join(sorted(_NAMES))})\b)"""
    r"""(?:[\w\s=.,()+:?@%*/-]|'(?:[^'\\%]|%(?![sbt(]))*+'|"(?:[^"\\%]|%(?![sbt(]))*+"))*+;?\s*"""
)
"""The permitted rest of a passed statement after its first words: no query, and nothing that runs one.

A parameter within quotes is not permitted, because some drivers insert its value, which could end the text.
"""

_CALLS: Final = re.compile(r"""\s*SET\b(?:[^']|'[^']*')*?[\w"]\s*\(""", re.IGNORECASE)
"""A SET of a variable to the result of a function, which may read rows."""

_OPTIONS: Final = r"(?:\s*\([\w\s,]*\))?"


def parse_statement(text: str, catalogue: Catalog) -> exp.Expr:
    """Parse a text that holds exactly one statement.

    Raises:
        UnresolvedStatement: the text does not hold exactly one statement, or engines may read it in another way.
    """
    _characters(text)
    why = "it is nested too deeply, or in a way that the parser does not know"
    try:
        statements = _statements(text, catalogue)
    except SqlglotError as error:
        why = _place(error)
    except (RecursionError, ValueError, TypeError, AttributeError, LookupError) as error:
        if isinstance(error, UnresolvedStatement):
            raise
    else:
        if len(statements) == 1:
            return statements[0]
        count = f"{len(statements)} statements" if statements else "no statement"
        raise UnresolvedStatement(f"the text holds {count}, and one at a time is looked at")
    # The parser's error is not chained, because its message repeats the text with its values.
    raise UnresolvedStatement(f"the statement cannot be read as {catalogue.names.dialect}: {why}")


def _statements(text: str, catalogue: Catalog) -> list[exp.Expr]:
    dialect = catalogue.names.dialect
    engine = Dialect.get_or_raise(dialect)
    # Keep paths as they are written: the parser takes the key `a.b` for a path.
    vars(engine)["to_json_path"] = lambda path: path
    # The parser does not know REPLACE INTO, which is an INSERT that takes the place of other rows.
    replaces = dialect in {"mysql", "sqlite"} and _REPLACE.match(text) is not None
    if replaces:
        text = _REPLACE.sub(r"\1INSERT  INTO", text, count=1)
    tokens = engine.tokenize(text)
    _as_engines_read_it(text, tokens, catalogue)
    if "%" in text and dialect != "postgres":
        tokens = _with_parameters(tokens)
    parsed_trees = engine.parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, text)
    statements = [tree for tree in parsed_trees if not isinstance(tree, (NoneType, exp.Semicolon))]
    if replaces and statements and type(statements[0]) is exp.Insert:
        statements[0].set("alternative", "REPLACE")
    return statements


def _characters(text: str) -> None:
    if len(text) > LONGEST:
        raise UnresolvedStatement(f"a statement of {len(text):,} characters is not read, only up to {LONGEST:,}")
    strange = _STRANGE.search(text) if not text.isprintable() else None
    if strange is not None:
        raise UnresolvedStatement(
            f"the statement has a character (U+{ord(strange.group()):04X}) that engines read differently, or not at all"
        )


def _place(error: SqlglotError) -> str:
    details = getattr(error, "errors", None)
    if details and details[0].get("line"):
        return f"the parser stops at line {details[0]['line']}, column {details[0]['col']}"
    return "a quote or a comment is not closed"


def _as_engines_read_it(text: str, tokens: list[Token], catalogue: Catalog) -> None:
    """Refuse text that the engine, or the engine under another setting, may read differently from the parser."""
    dialect = catalogue.names.dialect
    _begins(tokens)
    for token in tokens:
        for comment in token.comments:
            _comment(comment, dialect)
    escaped = _ODDLY_ESCAPED if dialect == "postgres" else _ESCAPED_QUOTE
    doubtful = _escape_texts(text, tokens) if catalogue.standard_strings else text
    if escaped.search(doubtful):
        raise UnresolvedStatement(
            "whether a backslash before a quote escapes it is a matter of dialect and settings: double the quote, or "
            "give the text as a parameter"
        )
    if dialect not in _NO_PERCENT and _ACROSS.search(text):
        raise UnresolvedStatement(
            "to some drivers `%(` begins a parameter, whatever stands before the next bracket, and here that is no "
            "name: name parameters by words, give texts as parameters, and write `% (` where it is an operator"
        )
    if dialect == "spark" and "${" in text:
        raise UnresolvedStatement("`${…}` is replaced before the statement is read, nobody knows by what")
    if any(token.token_type is TokenType.PIPE_GT for token in tokens):
        raise UnresolvedStatement("pipe syntax is not read: write the query with SELECT")
    _operators(tokens, dialect)
    _refuse_quoted_calls(tokens, dialect)
    if dialect in {"mysql", "spark", "bigquery"}:
        _refuse_quoted_texts(text, tokens, catalogue.column_keys)
    if not text.isascii():
        _letters(text, tokens)


def _escape_texts(text: str, tokens: list[Token]) -> str:
    """Return the string literals in which a backslash escapes the next character, joined by blanks.

    These are `E'…'` and the literals that continue one.
    """
    literals: list[str] = []
    escapes = False
    for token in tokens:
        kind = token.token_type
        escapes = kind is TokenType.BYTE_STRING or (escapes and kind is TokenType.STRING)
        if escapes:
            literals.append(text[token.start : token.end + 1])
    return " ".join(literals)


def _operators(tokens: list[Token], dialect: str) -> None:
    """Refuse operators before a name if the parser takes the operator for the beginning of a parameter."""
    if dialect == "postgres" and any(token.token_type is TokenType.PARAMETER and token.text == "@" for token in tokens):
        raise UnresolvedStatement("`@` gives the absolute value in PostgreSQL, and begins no parameter: write `abs(…)`")
    for first, second, third in zip(tokens, tokens[1:], tokens[2:], strict=False):
        slice_ = first.token_type is TokenType.L_BRACKET and second.token_type is TokenType.COLON
        if slice_ and (third.token_type is TokenType.IDENTIFIER or third.text.isidentifier()):
            raise UnresolvedStatement("whether `[:name` ends a slice or is a parameter is not told: write `[1:name]`")


def _refuse_quoted_calls(tokens: list[Token], dialect: str) -> None:
    """Refuse a quoted function name that differs only by case from a built-in one, which the parser takes it for."""
    fold = _FOLDED.get(dialect)
    if fold is None:
        return
    built_in = Dialect.get_or_raise(dialect).parser_class.FUNCTIONS
    for before, name, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        called = name.token_type is TokenType.IDENTIFIER and after.token_type is TokenType.L_PAREN
        if not called or before.token_type in _BEFORE_TABLES or name.text == fold(name.text):
            continue
        if name.text.upper() in built_in or lower(name.text) in NAMED[dialect] | NAMED_TABLE_FUNCTIONS[dialect]:
            raise UnresolvedStatement(
                f"`{name.text}` in quotes is not the engine's function `{fold(name.text)}`: write it without quotes"
            )


_FOLDED: Final[Mapping[str, Callable[[str], str]]] = MappingProxyType({"postgres": str.lower, "snowflake": str.upper})
"""Dialects in which the case of a quoted function name matters, each with its folding of unquoted names."""

_BEFORE_TABLES: Final = frozenset({TokenType.INTO, TokenType.TABLE, TokenType.DOT, TokenType.ALIAS, TokenType.WITH})
"""Tokens after which a name before a bracket names a table with its columns, or a function of a schema."""


def _begins(tokens: list[Token]) -> None:
    unbracketed = (token for token in tokens if token.token_type is not TokenType.L_PAREN)
    begin = next(unbracketed, None)
    if begin is None:
        raise UnresolvedStatement("the text holds no statement, and one at a time is looked at")
    first, words = begin.text.upper(), (token.text.upper() for token in unbracketed)
    if first not in _BEGINS:
        misspelt = perhaps(first, _BEGINS) if begin.token_type is TokenType.VAR else ""
        raise UnresolvedStatement(
            (f"the first word begins no statement{misspelt}; " if misspelt else "")
            + "only queries, INSERT, CREATE TABLE or VIEW … AS, UPDATE, DELETE and MERGE are looked at: of what else "
            "can be said to a database it is not known what it reads; where it reads nothing, let it pass by its first "
            'words, `passes=["PRAGMA foreign_keys"]`'
        )
    if first == "CREATE" and not _CREATED.intersection(word for word, _ in zip(words, range(4), strict=False)):
        raise UnresolvedStatement("of CREATE only tables and views made by a query are looked at")


def _with_parameters(tokens: list[Token]) -> list[Token]:
    """Merge the tokens of each parameter `%s` or `%(name)s` into one, as the parser does not know them."""
    merged: list[Token] = []
    number = 0
    while number < len(tokens):
        token = tokens[number]
        operand = bool(merged) and merged[-1].token_type in _OPERANDS
        length = 0 if operand or token.token_type is not TokenType.MOD else _parameter(tokens, number)
        if length:
            text = "".join(part.text for part in tokens[number : number + length])
            last = tokens[number + length - 1]
            token = Token(TokenType.VAR, text, token.line, token.col, token.start, last.end, last.comments)
        merged.append(token)
        number += length or 1
    return merged


def _parameter(tokens: list[Token], number: int) -> int:
    """Return the number of tokens of the parameter that begins here without blanks within; 0 if none begins here."""
    for length in (2, 5):
        group = tokens[number : number + length]
        close = all(token.end + 1 == other.start for token, other in itertools.pairwise(group))
        if len(group) != length or not close or group[-1].text != "s":
            continue
        if length == 2 or (group[1].text == "(" and group[3].text == ")" and group[2].text.isidentifier()):
            return length
    return 0


_OPERANDS: Final = frozenset(
    {
        TokenType.VAR,
        TokenType.IDENTIFIER,
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.R_PAREN,
        TokenType.R_BRACKET,
        TokenType.PLACEHOLDER,
    }
)
"""Tokens after which `%` is an operator."""


def _comment(comment: str, dialect: str) -> None:
    if dialect == "mysql" and _RUN_COMMENT.match(comment):
        raise UnresolvedStatement("a comment `/*! … */` is run by MySQL: write without it")
    if "/*" in comment or "*/" in comment:
        raise UnresolvedStatement("a comment within a comment is closed differently by engines: write without it")


def _refuse_quoted_texts(text: str, tokens: list[Token], column_keys: Container[str]) -> None:
    """Refuse a text in double quotes that is the name of a column: under another setting it means that column."""
    if '"' not in text:
        return
    for token in tokens:
        if token.token_type is TokenType.STRING and text[token.start] == '"' and lower(token.text) in column_keys:
            raise UnresolvedStatement(
                f'whether "{token.text}" is a text or a column is a matter of settings: write the text in single quotes'
            )


def _letters(text: str, tokens: list[Token]) -> None:
    """Refuse characters outside quotes that are neither ASCII nor letters or digits.

    Engines disagree whether such a character ends a word.
    """
    end = 0
    for token in tokens:
        _gap(text, end, token.start)
        quoted = text[token.start] in "'\"`[$" or token.token_type in _QUOTED
        if not quoted and _NOT_OF_WORDS.search(token.text):
            _strange(token.text)
        end = token.end + 1
    _gap(text, end, len(text))


_QUOTED: Final = frozenset(
    {
        TokenType.STRING,
        TokenType.IDENTIFIER,
        TokenType.NATIONAL_STRING,
        TokenType.RAW_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.UNICODE_STRING,
        TokenType.BYTE_STRING,
    }
)


def _gap(text: str, start: int, end: int) -> None:
    between = text[start:end]
    if not between.isascii():
        blanks = _COMMENTS.sub("", between)
        if not blanks.isascii():
            _strange(blanks)


def _strange(part: str) -> None:
    strange = _NOT_OF_WORDS.search(part)
    code = f"U+{ord(strange.group()):04X}" if strange else "a character beyond ASCII"
    raise UnresolvedStatement(f"{code} stands outside quotes, and engines disagree whether it is a blank or a letter")
