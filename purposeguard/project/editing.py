"""Changes to TOML files that keep their comments, order and layout."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from purposeguard.errors import Fault, NoticeError
from purposeguard.extras import Needs
from purposeguard.notice.parsing import read_toml
from purposeguard.project.reading import FilePath
from purposeguard.project.writing import replace_file

with Needs(__name__, "adopt"):
    import tomlkit
    from tomlkit.items import AoT, Item, Table

Value = str | bool | datetime.date | Sequence[str] | Mapping[str, str | bool | Sequence[str]]
"""A value that a file of a project may contain. A mapping is written as a table in braces."""


class TomlEditor:
    """The content of a TOML file, to be changed and saved. If nothing was changed, the file stays as it is."""

    def __init__(self, path: FilePath) -> None:
        """Read the file; a file that does not exist counts as empty.

        Raises:
            NoticeError: It cannot be read, is not UTF-8 or not TOML.
        """
        self.path: Final = Path(path)
        original = ""
        self._encoding = "utf-8"
        if self.path.exists():
            original = read_toml(self.path, may_be_empty=True).written[0].text
            if self.path.read_bytes().startswith(b"\xef\xbb\xbf"):
                self._encoding = "utf-8-sig"
        self._line_end: Final = "\r\n" if "\r\n" in original else "\n"
        text = original.replace("\r\n", "\n")
        # tomlkit would add to a last line that does not end.
        self._saved = text if not text or text.endswith("\n") else text + "\n"
        self._document: Final = tomlkit.parse(self._saved)
        self._gap = "" if not text or text.endswith("\n\n") else "\n"

    def set_entry(
        self, header: str, values: Mapping[str, Value], comments: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Set keys of the table under a header, which is added at the end if it is new. Other keys stay.

        Args:
            header: The header.
            values: The values by key.
            comments: Comments behind keys that are new, of one line each.

        Raises:
            NoticeError: The header names something that is not a table.
        """
        if header not in self._document:
            self._document.add(header, self._make_table(values, comments))
            return
        table = self._get_table(header)
        old = table.unwrap()
        changed = {key: value for key, value in values.items() if key in old and old[key] != _unfreeze(value)}
        for key, value in changed.items():
            item, old_item = _to_item(value), table.value.item(key)
            if isinstance(old_item, Item) and old_item.trivia.comment:
                item.comment(old_item.trivia.comment)
            table[key] = item
        new = {key: value for key, value in values.items() if key not in old}
        if new:
            _add_below_last_key(table, new, comments)

    def remove(self, header: str, key: str) -> None:
        """Remove a key of the table under a header, and the table when it is empty. Do nothing if there is none.

        Raises:
            NoticeError: The header names something that is not a table.
        """
        if header in self._document and key in (table := self._get_table(header)):
            table.remove(key)
            if not table.unwrap():
                self._document.remove(header)

    def append(self, name: str, row: Mapping[str, Value]) -> None:
        """Add a row `[[name]]` at the end of its list, unless an equal row is there.

        Raises:
            NoticeError: The name is not that of a list of tables.
        """
        if name not in self._document:
            self._document.add(name, tomlkit.aot())
        rows = self._document.item(name)
        if not isinstance(rows, AoT):
            raise self._make_error(f"`{name}` is not a list of tables")
        if {key: _unfreeze(value) for key, value in row.items()} not in rows.unwrap():
            rows.append(self._make_table(row))

    def save(self) -> bool:
        """Write the file atomically if its content changed, with the line ends that it had.

        Returns:
            True if the file was written.

        Raises:
            NoticeError: It cannot be written.
        """
        text = self._document.as_string()
        if text == self._saved:
            return False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(self.path) as file:
                file.write(text.replace("\n", self._line_end).encode(self._encoding))
        except OSError as error:
            raise self._make_error(f"cannot be written: {error.strerror or error}") from error
        self._saved = text
        return True

    def _get_table(self, header: str) -> Table:
        table = self._document.item(header)
        if not isinstance(table, Table):
            raise self._make_error(f'`{header}` is not a table: write it under a header, `["{header}"]`')
        return table

    def _make_table(self, values: Mapping[str, Value], comments: Mapping[str, str] = MappingProxyType({})) -> Table:
        """Make a table with a blank line before it, for the end of the file."""
        table = tomlkit.table()
        table.trivia.indent, self._gap = self._gap, "\n"
        for key, value in values.items():
            table.append(key, _to_item(value, comments.get(key)))
        return table

    def _make_error(self, message: str) -> NoticeError:
        return NoticeError([Fault("", message)], str(self.path))


def _add_below_last_key(table: Table, values: Mapping[str, Value], comments: Mapping[str, str]) -> None:
    """Add keys to a table before the comments and blank lines at its end, which may belong to the next table."""
    body = table.value.body
    trailing: list[Item] = []
    while body and body[-1][0] is None:
        trailing.insert(0, body.pop()[1])
    for key, value in values.items():
        table.append(key, _to_item(value, comments.get(key)))
    for item in trailing:
        table.value.append(None, item)


def _unfreeze(value: Value) -> object:
    """Return a value as TOML is read: with lists and dictionaries."""
    if isinstance(value, Mapping):
        return {key: _unfreeze(inner) for key, inner in value.items()}
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _to_item(value: Value, comment: str | None = None) -> Item:
    if isinstance(value, Mapping):
        item: Item = tomlkit.inline_table()
        for key, inner in value.items():
            item.append(key, _to_item(inner))  # type: ignore[attr-defined]  # It is an inline table.
    else:
        item = tomlkit.item(_unfreeze(value))
    return item if comment is None else item.comment(comment)
