"""Tags of models in `tags.toml`: they mean the same as tags in the code, and the two must agree."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import models
from django.test.utils import isolate_apps
from hypothesis import given, settings
from hypothesis import strategies as st

import purposeguard as pg
from purposeguard import Guard, Label, NoticeError
from purposeguard.adapters.django import columns_of_model
from purposeguard.adapters.django.session import HeldConnections
from purposeguard.adapters.django.tags import faults_of, find_unmatched_entries, tables_of
from purposeguard.adapters.tags import Tag
from purposeguard.errors import PurposeGuardError, UnlabelledData
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.project.tags import TagFile

Read = Callable[[str], TagFile]
MODELS = "examples.django_shop.models"
HERE = f"{__name__}.test_entries_tag_fields.<locals>"


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read_text(text: str) -> TagFile:
        path = tmp_path / "tags.toml"
        path.write_text(text, "utf-8")
        return TagFile.read(path, tm.NOTICE)

    return read_text


@isolate_apps()
def test_entries_count_where_an_annotation_names_what_is_not_defined(read: Read) -> None:
    class Visit(models.Model):
        place: Unimported = models.TextField()  # type: ignore[name-defined]  # noqa: F821  # For type checkers only.

        class Meta:
            app_label = "django_shop"

    file = read(f'["{__name__}.*"]\nplace = "1.1(a)"\n["table django_shop_visit"]\nplace = "1.1(a)"\n')
    assert columns_of_model(Visit, tm.NOTICE, file)["place"] == Tag(Label(tm.Registration))
    with pytest.raises(UnlabelledData, match="names `Unimported`, which is not defined"):
        columns_of_model(Visit, tm.NOTICE, read('["table django_shop_visit"]\nid = "not-personal"\n'))


@isolate_apps()
def test_entries_tag_fields(read: Read) -> None:
    class Person(models.Model):
        email = models.CharField(max_length=9)
        key = models.CharField(max_length=9, unique=True)
        note: Annotated[str, tm.Contract] = models.TextField()
        nickname = models.TextField(db_column="nick")

        class Meta:
            app_label = "django_shop"

    class Child(Person):
        toy = models.CharField(max_length=9)

        class Meta:
            app_label = "django_shop"

    class Pet(models.Model):
        owner = models.ForeignKey(Person, models.CASCADE, to_field="key")
        keeper = models.ForeignKey(Person, models.CASCADE, related_name="+")

        class Meta:
            app_label = "django_shop"

    file = read(
        f'["{HERE}.Person"]\nkey = {{ source = "1.1(a)", subject = true }}\nnote = "undecided"\n'
        f'["{HERE}.Child"]\nemail = "1.1(a)"\ntoy = "not-personal"\n["{HERE}.Pet"]\nkeeper_id = "1.1(c)"\n'
        '["table django_shop_person"]\nnick = "undecided"\nkey = "1.1(a)"\n'
    )
    registered = Tag(Label(tm.Registration), mark=pg.Subject)
    assert dict(columns_of_model(Person, tm.NOTICE, file)) == {
        "id": Tag(),
        "email": Tag(Label(tm.Registration)),
        "key": registered,
        "note": Tag(Label(tm.Contract)),
    }
    assert columns_of_model(Child, tm.NOTICE, file)["toy"] == Tag()
    pet = columns_of_model(Pet, tm.NOTICE, file)
    assert (pet["owner"], pet["keeper"]) == (registered, Tag(Label(tm.Contract)))
    (fault,) = faults_of(Person, tm.NOTICE, file)
    assert fault.id == "E001"
    assert fault.message.startswith(f"{file.path}:10:1: django_shop.Person.nickname is undecided")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'["{MODELS}.Customer"]\nemail = "1.1(b)"\n', f'"{MODELS}.Customer".email: the file says Label(1.1(b)), and'),
        ('["table django_shop_event"]\nkind = "not-personal"\n', "annotation in the code says Label(1.1(b))"),
        ('["table auth_user"]\nemail = "1.1(a)"\n', "annotation in the code says Label(not-personal)"),
    ],
)
def test_the_file_and_the_code_must_agree(read: Read, text: str, message: str) -> None:
    file = read(text)
    with pytest.raises(NoticeError) as caught:
        tables_of(tm.NOTICE, file)
    assert message in str(caught.value)
    assert tables_of(tm.NOTICE, file, omit_faulty=True)["django_shop_segment"]
    (fault,) = [fault for model in apps.get_models() for fault in faults_of(model, tm.NOTICE, file)]
    assert fault.id == "E004"
    assert fault.message.startswith(f"{file.path}:2:1: ")
    assert fault.hint == "correct one of them, or remove it"


def test_entries_without_a_match_are_told_by_the_check(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    file = read(
        f'["{MODELS}.Custumer"]\nemail = "1.1(a)"\n["{MODELS}.Customer"]\nmail = "1.1(a)"\nemail = "1.1(a)"\n'
        f'["table auth_users"]\nemail = "1.1(a)"\n["{TagFile.__module__}.FieldTag"]\nsources = "not-personal"\n'
    )
    monkeypatch.setattr(apps.get_app_config("purposeguard_rows"), "held", HeldConnections(Guard(tm.NOTICE, tags=file)))
    messages = run_checks(tags=["purposeguard"])
    assert [(message.id, message.msg) for message in messages] == [
        ("purposeguard.E003", f'{file.path}:1:2: "{MODELS}.Custumer": matches no class'),
        ("purposeguard.E003", f'{file.path}:4:1: "{MODELS}.Customer".mail: matches no field'),
        ("purposeguard.W004", f'{file.path}:6:2: "table auth_users": matches no table'),
    ]
    near = (f"`{MODELS}.Customer`", "`email`", "`auth_user`")
    assert all(name in str(message.hint) for name, message in zip(near, messages, strict=True))
    assert not list(find_unmatched_entries(read('["table django_migrations"]\nname = "not-personal"\n')))


USER = """
["table auth_user"]
id = "not-personal"
password = "not-personal"
username = "1.1(a)"
first_name = "undecided"
last_name = "1.1(a)"
email = "1.1(a)"
last_login = "1.1(b)"
is_superuser = "not-personal"
is_staff = "not-personal"
is_active = "not-personal"
date_joined = "1.1(a)"

["django.contrib.sessions.models.*"]
session_key = "not-personal"
session_data = "not-personal"
expire_date = "not-personal"
"""


def test_applications_of_others_need_no_setting(tmp_path: Path) -> None:
    (tmp_path / "tags.toml").write_text(USER, "utf-8")
    script = Path(__file__).with_name("tagged_apps.py")
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "tags.toml")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == [
        (
            f"purposeguard.E001 {tmp_path}/tags.toml:6:1: auth.User.first_name is undecided, so every statement that "
            "uses it is refused"
        ),
        "email []",
        "last_login PurposeViolation",
        "first_name UnlabelledData",
    ]


SOURCES = {"1.1(a)": tm.Registration, "1.1(b)": tm.ProductData, "1.1(c)": tm.Contract}
FIELDS = st.dictionaries(
    st.sampled_from(["name", "plan", "scan"]),
    st.lists(st.sampled_from([*SOURCES]), max_size=2, unique=True),
    min_size=1,
)


def decisions(fields: dict[str, list[str]], tags: str | None, folder: Path) -> list[object]:
    """What each field may be used for, with tags in the code, or in a file."""
    described: dict[str, Any] = {name: models.TextField() for name in fields}
    described["Meta"] = type("Meta", (), {"app_label": "django_shop", "db_table": "drawn"})
    described["__module__"] = "drawn.models"
    guard = Guard(tm.NOTICE)
    if tags is None:
        named = {name: tuple(map(SOURCES.__getitem__, ids)) or pg.NotPersonal for name, ids in fields.items()}
        described["Privacy"] = type("Privacy", (), named)
    else:
        (folder / "tags.toml").write_text(tags, "utf-8")
        guard = Guard(tm.NOTICE, tags=folder / "tags.toml")
    with isolate_apps():
        model: Any = type("Drawn", (models.Model,), described)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("purposeguard.adapters.django.tags.every_model", lambda: [model])
            statements = HeldConnections(guard).statements("sqlite")
        seen: list[object] = [dict(columns_of_model(model, tm.NOTICE, guard.tags))]
        queries = [*(model.objects.values(name) for name in fields), model.objects.all()]
        texts = [str(query.query) for query in queries]
    for purpose in (tm.RenewalGuidance, tm.ProductImprovement, tm.ProductGuidance):
        for text in texts:
            try:
                with guard.purpose(purpose):
                    seen.append(statements.narrowed(text))
            except PurposeGuardError as error:
                seen.append((type(error), str(error)))
    return seen


@given(FIELDS, st.booleans())
@settings(max_examples=25, deadline=None)
def test_tags_in_a_file_decide_as_tags_in_the_code(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, list[str]], by_class: bool
) -> None:
    lines = ['["drawn.models.Drawn"]' if by_class else '["table drawn"]']
    lines += [f"{name} = {json.dumps(ids or 'not-personal')}" for name, ids in fields.items()]
    folder = tmp_path_factory.mktemp("drawn")
    assert decisions(fields, "\n".join(lines), folder) == decisions(fields, None, folder)
