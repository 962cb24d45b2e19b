"""The file of tags: which entry counts, what is refused, and the agreement with annotations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from purposeguard import Label, Notice, NoticeError
from purposeguard.notice.vocabulary import NotPersonal
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.project.tags import FieldTag, TagFile
from purposeguard.values.markers import ByRow, Collected, Ended, RowSource, Subject

FILE = """\
# The users.
["app.models.User"]
email = "1.1(a)"
both = ["registration", "1.1(b)"]
password = "not-personal"
nickname = "undecided"
id = { source = "not-personal", subject = true }
lead = { source = "not-personal", subject = "lead" }
since = { source = "1.1(a)", collected = true }
until = { source = "not-personal", ended = true, subject = false }

["app.models.*"]
created_at = "not-personal"
email = "undecided"

["**"]
created_at = "undecided"
note = "1.1(c)"

["table auth_user"]
email = "1.1(a)"
kind = { source = "not-personal", row-source = true }
text = "by-row"
more = ["by-row", "1.1(a)"]

["table crm.*"]
email = "1.1(c)"
"""
NOTHING = Label(NotPersonal)


@pytest.fixture
def tags(write: Callable[..., Path], notice: Notice) -> TagFile:
    return TagFile.read(write(FILE, "tags.toml"), notice)


def test_fields_have_sources_and_marks(tags: TagFile) -> None:
    fields = tags.find_class("app.models", "User")
    assert fields is not None
    assert fields["email"].sources is Label(tm.Registration)
    assert fields["email"].position == (3, 1)
    assert fields["both"].sources is Label(tm.Registration, tm.ProductData)
    assert (fields["password"].sources, fields["password"].is_personal) == (NOTHING, False)
    nickname = fields["nickname"]
    assert (nickname.sources, nickname.is_undecided, nickname.is_personal) == (None, True, True)
    assert fields["id"] == FieldTag(NOTHING, (Subject,))
    assert fields["lead"] == FieldTag(NOTHING, (Subject("lead"),))
    assert fields["since"] == FieldTag(Label(tm.Registration), (Collected,))
    assert fields["until"] == FieldTag(NOTHING, (Ended,))


def test_the_most_specific_entry_counts_for_each_field(tags: TagFile) -> None:
    fields = tags.find_class("app.models", "User")
    assert fields is not None
    assert (fields["created_at"].sources, fields["note"].sources) == (NOTHING, Label(tm.Contract))
    other = tags.find_class("app.models", "Order")
    assert other is not None
    assert {name: tag.sources for name, tag in other.items()} == {
        "created_at": NOTHING,
        "email": None,
        "note": Label(tm.Contract),
    }
    inner = tags.find_class("app.models", "User.Meta")
    assert inner is not None
    assert set(inner) == {"created_at", "note"}


def test_tables(tags: TagFile) -> None:
    table = tags.find_table("auth_user")
    assert table is not None
    assert table == tags.find_table("auth_user", "public")
    assert table["kind"] == FieldTag(NOTHING, (RowSource,))
    assert (table["text"], table["text"].is_personal) == (FieldTag(NOTHING, (ByRow,)), True)
    assert table["more"] == FieldTag(Label(tm.Registration), (ByRow,))
    in_schema = tags.find_table("auth_user", "crm")
    assert in_schema is not None
    assert in_schema["email"].sources is Label(tm.Registration)  # An entry without wildcards is more specific.
    other = tags.find_table("lead", "crm")
    assert other is not None
    assert other["email"].sources is Label(tm.Contract)
    assert tags.find_table("lead") is None
    assert tags.find_table("User") is None


def test_tables_of_several_databases(write: Callable[..., Path], notice: Notice) -> None:
    entries = {"a.crm.lead": "1.1(a)", "crm.lead": "1.1(b)", "*.*.lead": "1.1(c)", "lead": "not-personal"}
    text = "".join(f'["table {name}"]\n"{name}" = "{source}"\nemail = "{source}"\n' for name, source in entries.items())
    tags = TagFile.read(write(text), notice)
    for schema, emails, count in (("a.crm", tm.Registration, 4), ("b.crm", tm.ProductData, 3), (None, None, 1)):
        columns = tags.find_table("lead", schema)
        assert columns is not None
        assert columns["email"].sources == (NOTHING if emails is None else Label(emails))
        assert len(columns) == count + 1
    assert tags.find_unmatched(tables={"a.crm.lead": [*entries, "email"]}) == []
    assert [fault.line for fault in tags.find_unmatched(tables={"crm.lead": [*entries, "email"]})] == [1, 7]


def test_no_entry(write: Callable[..., Path], notice: Notice) -> None:
    assert TagFile.read(write(""), notice).find_class("app", "User") is None


def test_all_faults_are_reported_with_their_places(refuse: Callable[..., list[str]]) -> None:
    faults = refuse(
        TagFile,
        """\
User = 1
[app.models.User]
email = "1.1(a)"
["app.A"]
email = "1.1(z)"
phone = 7
list = ["1.1(a)", 7, "1.1(a)"]
none = []
mixed = ["1.1(a)", "undecided"]
id = { source = "1.1(a)", subject = "No Realm" }
two = { source = "not-personal", collected = true, ended = true }
bare = { subjects = true }
kind = { source = 3, ended = "yes" }
["table "]
["app.B"]
[["app.B.Rows"]]
["app.C*"]
x = "1.1(a)"
y = "1.1(a)"
["app.*C"]
["app.C*d"]
z = 1
""",
    )
    assert faults == [
        '1:1: User: names no class and no table (help: write `["module.Class"]` or `["table name"]`, with the quotes)',
        '2:2: app: names no class and no table (help: write `["module.Class"]` or `["table name"]`, with the quotes)',
        (
            '5:1: "app.A".email: unknown source `1.1(z)`: notice trendmicro-jp (2024-04-01) has none of this id '
            "(help: did you mean `1.1(c)` or `1.1(b)` or `1.1(a)`?)"
        ),
        '6:1: "app.A".phone: must be a source, a list of sources, or a table in braces',
        '7:19: "app.A".list[1]: must be a text in quotes',
        '7:22: "app.A".list[2]: names a source again (help: remove it)',
        '8:1: "app.A".none: names no source (help: `"not-personal"` or `"undecided"` say so)',
        '9:1: "app.A".mixed: names a source beside `not-personal` or `undecided` (help: write one of them)',
        (
            '10:27: "app.A".id.subject: names no realm of ids (help: a realm is a word of lower-case letters, digits, '
            "`_` and `-`)"
        ),
        '11:1: "app.A".two: has the marks Collected, Ended (help: a field has one of them)',
        '12:1: "app.A".bare: needs `source` (help: write `source = "not-personal"` if it is not personal)',
        '12:10: "app.A".bare.subjects: is no key here (help: did you mean `subject`?)',
        '13:10: "app.A".kind.source: must be a text in quotes',
        '13:22: "app.A".kind.ended: must be `true` or `false`',
        (
            '14:2: "table ": names no class and no table (help: write `["module.Class"]` or `["table name"]`, with the '
            "quotes)"
        ),
        '16:3: "app.B.Rows": must be a table',
        '22:1: "app.C*d".z: must be a source, a list of sources, or a table in braces',
    ]


def test_equally_specific_entries_must_agree(refuse: Callable[..., list[str]]) -> None:
    text = """\
["app.C*d"]
same = "1.1(a)"
other = "1.1(a)"
["app.Cd*"]
same = "1.1(a)"
["app.C**d"]
other = "1.1(b)"
["app.C*d*"]
other = "1.1(b)"
same = "1.1(a)"
["app.Cd*x"]
["app.D*"]
"""
    assert refuse(TagFile, text) == [
        (
            '9:1: "app.C*d*".other: differs from `app.C*d` (line 3), which is equally specific '
            "(help: write one more specific entry for what both match)"
        )
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'["app.A"]\n["app.A"]\n', "a header stands twice (help: write all keys of an entry under one header)"),
        (b'["app.A"]\nx = "1.1(a)"\nx = "1.1(a)"\n', "a key stands twice (help: remove one of the two)"),
        (b'["app.A"]\nx "1.1(a)"\n', 'a key without `=` (help: write `key = "value"`)'),
        (b'["app.\xff"]\n', "is not UTF-8 from here on"),
    ],
)
def test_what_is_not_toml(tmp_path: Path, notice: Notice, content: bytes, message: str) -> None:
    path = tmp_path / "tags.toml"
    path.write_bytes(content)
    with pytest.raises(NoticeError) as caught:
        TagFile.read(path, notice)
    assert message in str(caught.value)
    assert f"{path}:" in str(caught.value)


def test_what_cannot_be_read(tmp_path: Path, notice: Notice) -> None:
    for path, message in ((tmp_path, "Is a directory"), (tmp_path / "none.toml", "No such file")):
        with pytest.raises(NoticeError, match=f"cannot be read: {message}"):
            TagFile.read(path, notice)


def test_entries_without_a_match_are_faults(tags: TagFile) -> None:
    user = ["email", "both", "password", "nickname", "id", "lead", "since", "until"]
    classes = {"app.models.User": user, "app.models.Order": ["created_at"], "app.other.Thing": ["note"]}
    tables = {"public.auth_user": ["email", "kind", "text", "more"], "crm.lead": ["mail"], "other": []}
    assert [str(fault).removeprefix(f"{tags.path}:") for fault in tags.find_unmatched(classes, tables)] == [
        '27:1: "table crm.*".email: matches no field (help: did you mean `mail`?)'
    ]
    assert [str(fault).removeprefix(f"{tags.path}:") for fault in tags.find_unmatched({"app.models.Users": []})] == [
        '2:2: "app.models.User": matches no class (help: did you mean `app.models.Users`?)',
        '13:1: "app.models.*".created_at: matches no field',
        '14:1: "app.models.*".email: matches no field',
        '17:1: "**".created_at: matches no field',
        '18:1: "**".note: matches no field',
    ]
    assert [fault.message for fault in tags.find_unmatched(tables={})] == ["matches no table"] * 2


def test_annotations_and_the_file_must_agree(tags: TagFile) -> None:
    email = FieldTag(Label(tm.Registration))
    user = tags.find_class("app.models", "User")
    assert user is not None
    merged = tags.merge(user, {"email": email, "id": FieldTag(None, (Subject,)), "nickname": email, "own": email})
    assert merged["email"] == merged["nickname"] == merged["own"] == email
    assert merged["id"] == FieldTag(NOTHING, (Subject,))
    assert merged["note"].sources is Label(tm.Contract)
    assert tags.merge({}, {"x": email})["x"] is email
    with pytest.raises(NoticeError) as caught:
        tags.merge(user, {"email": FieldTag(Label(tm.ProductData)), "id": FieldTag(NOTHING, (Ended,))})
    assert [str(fault).removeprefix(f"{tags.path}:") for fault in caught.value.faults] == [
        (
            '3:1: "app.models.User".email: the file says Label(1.1(a)), and the annotation in the code says '
            "Label(1.1(b)) (help: correct one of them, or remove it)"
        ),
        (
            '7:1: "app.models.User".id: the file says (Subject,), and the annotation in the code says (Ended,) '
            "(help: correct one of them, or remove it)"
        ),
    ]


def test_two_entries_for_one_column_must_agree(tags: TagFile) -> None:
    user, lead = tags.find_class("app.models", "User"), tags.find_table("lead", "crm")
    assert user is not None
    assert lead is not None
    assert tags.merge({"nickname": lead["email"]}, user)["nickname"].sources is Label(tm.Contract)
    assert tags.merge({"email": user["nickname"]}, lead)["email"].sources is Label(tm.Contract)
    with pytest.raises(NoticeError) as caught:
        tags.merge(lead, user)
    assert [str(fault).removeprefix(f"{tags.path}:") for fault in caught.value.faults] == [
        (
            '27:1: "table crm.*".email: the file says Label(1.1(c)), and `app.models.User` (line 3) says '
            "Label(1.1(a)) (help: correct one of them, or remove it)"
        )
    ]
