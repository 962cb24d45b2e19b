"""`purposeguard adopt scan` on small applications, which are imported in a process of their own."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.command_line import ROOT, run

SHOP = """
import dataclasses
import datetime
import uuid
from typing import Annotated, NamedTuple, TypedDict

import attrs
import msgspec
from pydantic import BaseModel, EmailStr
from sqlalchemy import JSON, Column, ForeignKey, Table, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlmodel import Field, SQLModel

class Base(DeclarativeBase):
    pass

class Customer(Base):
    __tablename__ = "customers"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    email: Mapped[str]
    language: Mapped[str]
    orders: Mapped[list["Order"]] = relationship(back_populates="customer")

class Product(Base):
    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    attributes: Mapped[dict] = mapped_column(JSON)
    created_by: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    created_at: Mapped[datetime.datetime] = mapped_column(server_default=func.now())

class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    total: Mapped[int]
    customer: Mapped[Customer] = relationship(back_populates="orders")

class OrderItem(Base):
    __tablename__ = "order_items"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    quantity: Mapped[int]

favorites = Table(
    "favorites",
    Base.metadata,
    Column("customer_id", ForeignKey("customers.id"), primary_key=True),
    Column("product_id", ForeignKey("products.id"), primary_key=True),
)

class Board(Base):
    __tablename__ = "boards"
    id: Mapped[int] = mapped_column(primary_key=True)
    locked: Mapped[bool]
    last_order_customer_id: Mapped[int] = mapped_column(ForeignKey("customers.id"))
    last_order_device: Mapped[str]

class Inquiry(SQLModel, table=True):
    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    sender: EmailStr = Field(title="E-mail of the sender")

class CustomerOut(BaseModel):
    id: int
    email: EmailStr
    order: "OrderOut"

class OrderOut(BaseModel):
    id: int
    total: int

@dataclasses.dataclass
class Visit:
    ip_address: str
    user_agent: str

@attrs.define
class Subscriber:
    address: str

class Ping(msgspec.Struct):
    port: int

class Login(TypedDict):
    email: str

class Point(NamedTuple):
    x: int
"""
RUN = "import sys; from purposeguard.cli.commands import app; app(sys.argv[1:])"

Scan = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with the notice of a shop."""
    (tmp_path / "privacy").mkdir()
    (tmp_path / "pyproject.toml").write_text("", "utf-8")
    text = (ROOT / "examples" / "gdpr" / "notice.toml").read_text("utf-8")
    (tmp_path / "privacy" / "notice.toml").write_text(text, "utf-8")
    return tmp_path


@pytest.fixture
def scan(project: Path) -> Scan:
    """A function that scans an application of the folder."""

    def run_scan(*arguments: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", RUN, "adopt", "scan", *arguments]
        variables = {**os.environ, "COLUMNS": "160", "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **env}
        done = subprocess.run(command, cwd=project, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run_scan


def write(project: Path, path: str, text: str) -> None:
    file = project / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(textwrap.dedent(text), "utf-8")


def read_proposals(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    """Return header → field → proposal."""
    proposals: dict[str, dict[str, str]] = {}
    for each in json.loads(done.stdout)["fields"]:
        proposals.setdefault(each["class"], {})[each["field"]] = each["source"]
    return proposals


def test_classes_of_each_library_get_proposals(project: Path, scan: Scan) -> None:
    write(project, "shop.py", SHOP)
    assert read_proposals(scan("shop", "--format", "json")) == {
        "shop.Customer": {"id": "not-personal", "name": "2.1(a)", "email": "2.1(a)", "language": "2.1(a)"},
        "shop.Product": {
            "id": "not-personal",
            "name": "not-personal",
            "attributes": "undecided",
            "created_by": "2.1(a)",
            "created_at": "not-personal",
        },
        "shop.Order": {"id": "not-personal", "customer_id": "2.1(a)", "total": "2.1(b)"},
        "shop.OrderItem": {"id": "not-personal", "order_id": "2.1(b)", "quantity": "2.1(b)"},
        "shop.Board": {
            "id": "not-personal",
            "locked": "not-personal",
            "last_order_customer_id": "2.1(a)",
            "last_order_device": "2.1(b)",
        },
        "shop.Inquiry": {"id": "not-personal", "sender": "2.1(a)"},
        "shop.CustomerOut": {"id": "not-personal", "email": "2.1(a)"},
        "shop.OrderOut": {"id": "not-personal", "total": "2.1(b)"},
        "shop.Visit": {"ip_address": "2.3", "user_agent": "2.3"},
        "shop.Subscriber": {"address": "2.1(a)"},
        "shop.Ping": {"port": "not-personal"},
        "shop.Login": {"email": "2.1(a)"},
        "shop.Point": {"x": "not-personal"},
        "table favorites": {"customer_id": "2.1(a)", "product_id": "undecided"},
    }


def test_the_file_has_reasons_and_marks_and_stays_when_nothing_is_new(project: Path, scan: Scan) -> None:
    write(project, "shop.py", SHOP)
    done = scan("shop")
    assert "14 classes and tables with 33 fields: 0 done" in done.stdout
    assert "written: " in done.stderr
    path = project / "privacy" / "tags.toml"
    text = path.read_text("utf-8")
    assert text.startswith(
        '["shop.Customer"]\n'
        'id = {source = "not-personal", subject = true} # 0.95: it is a key that is counted or drawn at random\n'
    )
    assert 'product_id = "undecided" # 0.45, perhaps 2.1(a): its class refers to a person by `customer_id`; ' in text
    assert "written: " not in scan("shop:Base").stderr
    assert path.read_text("utf-8") == text


def test_existing_entries_stay_and_count_for_the_other_fields(project: Path, scan: Scan) -> None:
    write(project, "shop.py", SHOP)
    write(project, "privacy/tags.toml", '# Ours.\n["shop.Customer"]\nname = "2.4" # sure\nlanguage = "undecided"\n')
    scan("shop")
    text = (project / "privacy" / "tags.toml").read_text("utf-8")
    assert text.startswith('# Ours.\n["shop.Customer"]\nname = "2.4" # sure\nlanguage = "undecided"\nid = {')
    done = json.loads(scan("shop", "--format", "json").stdout)
    assert [each["field"] for each in done["fields"] if each["class"] == "shop.Customer"] == ["language"]
    assert done["summary"] == {
        "classes": 14,
        "fields": 33,
        "done": 33 - len(done["fields"]),
        "personal": 0,
        "not_personal": 0,
        "undecided": len(done["fields"]),
    }


def test_tags_in_the_code_are_done_and_must_agree_with_the_file(project: Path, scan: Scan) -> None:
    code = """
    import dataclasses
    from typing import Annotated

    import purposeguard as pg

    Profile = pg.Notice.load("privacy/notice.toml").source("2.1(a)")

    @dataclasses.dataclass
    class Person:
        nick: Annotated[str, Profile]
        weight: int
    """
    write(project, "people.py", code)
    done = json.loads(scan("people", "--format", "json").stdout)
    assert done["summary"]["done"] == 1
    assert [each["field"] for each in done["fields"]] == ["weight"]
    write(project, "privacy/tags.toml", '["people.Person"]\nnick = "2.3"\n')
    stderr = scan("people", code=1).stderr
    assert "privacy/tags.toml:2:1" in stderr
    assert "the annotation in the code says" in stderr


@pytest.mark.parametrize(
    ("annotation", "error"),
    [("Missing", "UnlabelledData: "), ("int [", "SyntaxError: "), ("None + 1", "TypeError: "), ("1 / 0", "division")],
)
def test_a_class_whose_tags_cannot_be_read_is_named(project: Path, scan: Scan, annotation: str, error: str) -> None:
    code = f"""
    import dataclasses
    from typing import Annotated

    import purposeguard as pg

    Profile = pg.Notice.load("privacy/notice.toml").source("2.1(a)")

    @dataclasses.dataclass
    class Person:
        nick: Annotated[str, Profile]
        odd: "{annotation}"
    """
    write(project, "people.py", code)
    done = scan("people", "--format", "json")
    message = "the tags of people.Person in the code cannot be read, so its fields count as untagged: "
    (failure,) = json.loads(done.stdout)["failures"]
    assert failure.startswith(message)
    assert error in failure
    assert "warning: the tags of people.Person" in done.stderr
    assert read_proposals(done)["people.Person"].keys() == {"nick", "odd"}


def test_entries_without_a_match_are_faults(project: Path, scan: Scan) -> None:
    write(project, "shop.py", SHOP)
    write(project, "privacy/tags.toml", '["shop.Custmer"]\nname = "2.1(a)"\n\n["shop.Order"]\ntotl = "2.1(b)"\n')
    stderr = scan("shop", code=1).stderr
    assert "tags.toml:1:2: " in stderr
    assert "did you mean `shop.Customer`" in stderr
    assert "tags.toml:5:1: " in stderr
    assert "did you mean `total`?" in stderr


def test_classes_of_equal_names_have_entries_of_their_own(project: Path, scan: Scan) -> None:
    for module in ("web", "api"):
        write(project, f"app/{module}.py", "import dataclasses\n@dataclasses.dataclass\nclass User:\n    email: str\n")
    write(project, "app/__init__.py", "")
    write(project, "app/tests/__init__.py", "raise RuntimeError('tests are not imported')")
    write(project, "app/broken.py", "raise RuntimeError('only a warning')")
    done = scan("app", "--format", "json")
    assert read_proposals(done) == {"app.api.User": {"email": "2.1(a)"}, "app.web.User": {"email": "2.1(a)"}}
    assert "only a warning" in done.stderr


def test_the_database_and_the_application_may_be_scanned_together(project: Path, scan: Scan) -> None:
    with sqlite3.connect(project / "shop.db") as connection:
        connection.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, email TEXT)")
        connection.execute(
            "CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer_id REFERENCES customer(id), price INT)"
        )
    done = scan("--database", "sqlite:///shop.db", "--format", "json")
    assert read_proposals(done) == {
        "table customer": {"id": "not-personal", "email": "2.1(a)"},
        "table purchase": {"id": "not-personal", "customer_id": "2.1(a)", "price": "2.1(b)"},
    }
    assert len(json.loads(scan("--database", "sqlite:///shop.db", "--format", "json").stdout)["fields"]) == 0
    models = """
    from sqlmodel import Field, SQLModel

    class Buyer(SQLModel, table=True):
        __tablename__ = "customer"
        id: int = Field(primary_key=True)
        email: str
    """
    write(project, "shop.py", models)
    done = json.loads(scan("shop", "--database", "sqlite:///shop.db", "--format", "json").stdout)
    assert (done["fields"], done["faults"], done["summary"]["done"]) == ([], [], 7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "there is nothing to scan"),
        (("absent",), "there is no module `absent`"),
        (("emptiness:nothing",), "emptiness has no `nothing`"),
        (("--database", "nonsense"), "the URL of the database cannot be used"),
        (("--database", "sqlite:////nowhere/shop.db"), "cannot be read: unable to open database file"),
        (("--dbt", "."), "run `dbt build` or `dbt compile` first"),
    ],
)
def test_bad_input(project: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str) -> None:
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "path", [str(project), *sys.path])
    write(project, "emptiness.py", "")
    result = run("adopt", "scan", *arguments, columns=200)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (project / "privacy" / "tags.toml").exists()


def test_an_application_that_fails_to_import_shows_its_frames_and_what_to_do(project: Path, scan: Scan) -> None:
    write(project, "app/__init__.py", "")
    write(project, "app/settings.py", "import os\n\nURL = os.environ['SHOP_DATABASE_URL']\n")
    write(project, "app/main.py", "from app import settings\n")
    stderr = scan("app.main:app", code=2).stderr
    assert "app.main cannot be imported: KeyError: 'SHOP_DATABASE_URL'" in stderr
    assert f'File "{project}/app/main.py", line 1, in <module>\n    from app import settings' in stderr
    assert f'File "{project}/app/settings.py", line 3, in <module>' in stderr
    assert "importlib" not in stderr
    assert "with the environment variables with which the application starts" in stderr


def test_django_applications_by_others_are_included(project: Path, scan: Scan) -> None:
    settings = """
    SECRET_KEY = "secret"
    INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "desk"]
    DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
    DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
    ROOT_URLCONF = "urls"
    """
    models = """
    from django.conf import settings
    from django.db import models

    class Order(models.Model):
        buyer: "Missing" = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
        amount = models.IntegerField(verbose_name="Price of the order")
        approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")

    class Tag(models.Model):
        name = models.CharField(max_length=10)
        orders = models.ManyToManyField(Order)
    """
    write(project, "settings.py", settings)
    write(project, "urls.py", "import forms\nurlpatterns = []\n")
    write(project, "forms.py", "from pydantic import BaseModel\nclass OrderIn(BaseModel):\n    amount: int\n")
    write(project, "desk/__init__.py", "")
    write(project, "desk/models.py", models)
    done = scan("settings", "--format", "json")
    proposals = read_proposals(done)
    user = proposals["django.contrib.auth.models.User"]
    assert user["id"] == "not-personal"
    assert "its annotation names `Missing`, which is not defined" in done.stderr
    assert {user[name] for name in ("username", "email", "first_name", "last_name", "password")} == {"2.1(a)"}
    assert set(proposals["django.contrib.contenttypes.models.ContentType"].values()) == {"not-personal"}
    assert set(proposals["django.contrib.auth.models.Permission"].values()) == {"not-personal"}
    assert proposals["desk.models.Order"] == {
        "id": "not-personal",
        "buyer": "2.1(a)",
        "amount": "2.1(b)",
        "approved_by": "2.1(a)",
    }
    assert set(proposals["desk.models.Tag"].values()) == {"not-personal"}
    assert proposals["desk.models.Tag_orders"].keys() == {"id", "tag", "order"}
    assert proposals["forms.OrderIn"] == {"amount": "2.1(b)"}
    subjects = {(each["class"], each["field"]) for each in json.loads(done.stdout)["fields"] if each["subject"]}
    assert subjects == {
        ("django.contrib.auth.models.User", "id"),
        ("django.contrib.auth.models.User_groups", "user"),
        ("django.contrib.auth.models.User_user_permissions", "user"),
        ("desk.models.Order", "buyer"),
    }


def test_the_words_of_the_table_are_japanese(project: Path, scan: Scan) -> None:
    write(project, "shop.py", SHOP)
    done = scan("shop", "--language", "ja")
    assert "個人データではない" in done.stdout
    assert "名前からメールアドレスと考えられます。取得元の表題にそのデータがあります" in done.stdout
