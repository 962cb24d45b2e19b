"""`purposeguard adopt apply` writes purposes beside routes, tasks and commands."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_PRIVACY = """\
import purposeguard as pg
from purposeguard.notices import trendmicro_jp as tm

guard = pg.Guard(tm.NOTICE, purposes="privacy/purposes.toml")
"""


def state(*entries: tuple[str, str]) -> str:
    """Entry points in `purposes.toml`, each with the number of its purpose in 1.2(1)."""
    return "\n".join(f'["{entry_point}"]\npurpose = "1.2(1){number}"\n' for entry_point, number in entries)


class Project:
    """A project whose commands run in processes of their own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.purposes = root / "privacy" / "purposes.toml"
        self.purposes.parent.mkdir()
        self.write("pyproject.toml", '[tool.purposeguard]\nnotice = "trendmicro-jp"\n')
        self.write("shop/__init__.py", "")
        self.write("shop/privacy.py", _PRIVACY)

    def write(self, name: str, content: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")

    def read(self, name: str) -> str:
        return (self.root / name).read_text("utf-8")

    def run(self, *command: str, code: int = 0) -> str:
        result = subprocess.run(
            [sys.executable, *command], cwd=self.root, capture_output=True, text=True, check=False, timeout=100
        )
        assert result.returncode == code, result.stdout + result.stderr
        return result.stdout if code == 0 else result.stdout + result.stderr

    def apply(self, *arguments: str, code: int = 0) -> Any:
        """Run the command, and return its report."""
        vocabulary = ("--vocabulary", "purposeguard.notices.trendmicro_jp as tm")
        output = self.run(
            "-m", "purposeguard", "adopt", "apply", *vocabulary, *arguments, "--format", "json", code=code
        )
        return json.loads(output) if code == 0 else output


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


_FASTAPI = '''\
from fastapi import APIRouter, Depends, FastAPI
from purposeguard.integrations.fastapi import PurposeRouter, install

from .privacy import guard


def check() -> None: ...


class Tracer:
    def trace(self, name: str):
        return lambda function: function


tracer = Tracer()
app = FastAPI()
install(app, guard)
router = APIRouter()
own = PurposeRouter(guard)


@router.get("/users/{key}")
@tracer.trace("show")
def show(key: int) -> str:
    """Show a user."""
    return str(guard.current.purpose.slug)


@router.post(
    "/users",
    dependencies=[Depends(check)],
)
async def add() -> str:
    return str(guard.current.purpose.slug)


@own.get("/own")
def own_route() -> str:
    return str(guard.current.purpose.slug)


@router.get("/one")
@router.get("/two")
def both() -> str:
    return str(guard.current.purpose.slug)


@router.get("/three")
@router.get("/four")
def differing() -> str:
    return "differing"


def plain() -> str:
    return "plain"


router.add_api_route("/plain", plain)
app.include_router(router)
app.include_router(own)
'''
_FASTAPI_PURPOSES = """\
["GET /users/{key}"]
purpose = "1.2(1)①"
mode = "observe"

["POST /users"]  # mails
purpose = "AnySecurityInformation"
channel = "email"

""" + state(
    *(("GET /own", "②"), ("GET /one", "②"), ("GET /two", "②"), ("GET /three", "②"), ("GET /four", "①")),
    *(("GET /plain", "①"), ("GET /gone", "①")),
)
_CALL_FASTAPI = """\
from fastapi.testclient import TestClient

from shop.api import app

with TestClient(app) as client:
    print(client.get("/users/3").json(), client.post("/users").json(), client.get("/own").json())
    print(client.get("/one").json(), client.get("/two").json())
"""


def test_routes_of_fastapi_run_for_the_same_purposes_afterwards(project: Project) -> None:
    project.write("shop/api.py", _FASTAPI)
    project.write("privacy/purposes.toml", _FASTAPI_PURPOSES)
    project.write("call.py", _CALL_FASTAPI)
    before = project.run("call.py")
    report = project.apply("--app", "shop.api:app", "--guard", "shop.privacy:guard")
    assert len(report["written_purposes"]) == 5
    assert {each["entry_point"]: each["reason"] for each in report["left_purposes"]} == {
        "GET /three": "the entry points of its function have different purposes",
        "GET /four": "the entry points of its function have different purposes",
        "GET /plain": "no decorator makes its function a route",
        "": "no entry point of the application matches it",
    }
    code = project.read("shop/api.py")
    compact = "".join(code.split())
    assert 'channel="email"))),Depends(check)' in compact
    assert 'dependencies=[Depends(entering(guard.purpose(tm.RenewalGuidance,mode="observe")))]' in compact
    assert '@own.get("/own", purpose=tm.ProductGuidance)' in code
    assert '\n@tracer.trace("show")\n' in code
    assert code.count("guard.purpose(tm.ProductGuidance)") == 2
    assert project.run("call.py") == before
    project.apply("--app", "shop.api:app", "--guard", "shop.privacy:guard", "--check")
    project.apply("--app", "shop.api:app", "--guard", "shop.privacy:guard", "--move")
    left = project.read("privacy/purposes.toml")
    assert [line for line in left.splitlines() if line.startswith("[")] == [
        '["GET /three"]',
        '["GET /four"]',
        '["GET /plain"]',
        '["GET /gone"]',
    ]
    assert project.run("call.py") == before
    project.run("-m", "ruff", "check", "--isolated", "shop")
    project.run("-m", "ruff", "format", "--check", "--isolated", "shop")


def test_a_purpose_in_the_code_that_differs_is_a_fault(project: Project) -> None:
    project.write("shop/api.py", _FASTAPI)
    project.write("privacy/purposes.toml", _FASTAPI_PURPOSES)
    arguments = ("--app", "shop.api:app", "--guard", "shop.privacy:guard")
    project.apply(*arguments)
    code = project.read("shop/api.py")
    project.write(
        "privacy/purposes.toml", _FASTAPI_PURPOSES.replace('own"]\npurpose = "1.2(1)②"', 'own"]\npurpose = "1.2(1)①"')
    )
    output = project.apply(*arguments, code=2)
    assert "GET /own states 1.2(1)①, and the code 1.2(1)②" in output
    assert project.read("shop/api.py") == code


_FLASK = """\
from flask import Flask
from flask.views import MethodView
from purposeguard.integrations.flask import Purposes

from shop.privacy import guard

app = Flask("shop")

def twice(view):
    return lambda: view() * 2

@app.get("/renewals")
@twice
def renewals() -> str:
    return str(guard.current.purpose.slug)

@app.route("/both", methods=["GET", "POST"])
def both() -> str:
    return str(guard.current.purpose.slug)

class Letters(MethodView):
    def get(self) -> str:
        return str(guard.current.purpose.slug)

    def post(self) -> str:
        return str(guard.current.purpose.slug)

app.add_url_rule("/letters", view_func=Letters.as_view("letters"))
Purposes(app, guard)
"""
_FLASK_PURPOSES = state(("* /both", "②"), ("GET /letters", "①"), ("GET /renewals", "①"))
_CALL_FLASK = """\
from shop.web import app

client = app.test_client()
print(client.get("/both").text, client.post("/both").text, client.get("/letters").text, client.post("/letters").status)
"""


def test_views_of_flask_run_for_the_same_purposes_afterwards(project: Project) -> None:
    project.write("shop/web.py", _FLASK)
    project.write("privacy/purposes.toml", _FLASK_PURPOSES)
    project.write("call.py", _CALL_FLASK)
    before = project.run("call.py")
    report = project.apply("--app", "shop.web:app", "--guard", "shop.privacy:guard", "--move")
    assert sorted(report["written_purposes"]) == ["GET /both", "GET /letters", "POST /both"]
    code = project.read("shop/web.py")
    assert '"POST"])\n@purpose(guard.purpose(tm.ProductGuidance))\ndef both' in code
    assert "    @purpose(guard.purpose(tm.RenewalGuidance))\n    def get" in code
    assert project.read("privacy/purposes.toml") == '["GET /renewals"]\npurpose = "1.2(1)①"\n'
    assert project.run("call.py") == before


_CELERY = """\
from celery import Celery
from purposeguard.integrations.celery import install

from shop.privacy import guard

app = Celery("shop", broker="memory://")
app.conf.task_always_eager = True
install(app, guard)

@app.task(name="mail.send")
def send(key: int) -> str:
    return str(guard.current.purpose.slug)

@app.task
def plain() -> None: ...
"""


def test_tasks_of_celery_run_for_the_same_purposes_afterwards(project: Project) -> None:
    project.write("shop/tasks.py", _CELERY)
    project.write("privacy/purposes.toml", '["task mail.*"]\npurpose = "1.2(1)①"\n')
    project.write("call.py", "from shop.tasks import send\n\nprint(send.delay(3).get())\n")
    before = project.run("call.py")
    assert before == "renewal-guidance\n"
    report = project.apply("--app", "shop.tasks:app", "--guard", "shop.privacy:guard", "--move")
    assert report["written_purposes"] == ["task mail.send"]
    assert '@app.task(name="mail.send")\n@guard.purpose(tm.RenewalGuidance)\ndef send' in project.read("shop/tasks.py")
    assert project.read("privacy/purposes.toml") == ""
    assert project.run("call.py") == before


_SETTINGS = """\
SECRET_KEY = "for this test"
ALLOWED_HOSTS = ["testserver"]
ROOT_URLCONF = "shop.urls"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["purposeguard.adapters.django", "purposeguard.integrations.django", "shop"]
MIDDLEWARE = ["purposeguard.integrations.django.PurposeMiddleware"]
PURPOSEGUARD_GUARD = "shop.privacy.guard"
"""
_DJANGO_PRIVACY = _PRIVACY.replace("purposes=", 'tags="privacy/tags.toml", purposes=')
_MODELS = """\
from django.db import models


class Person(models.Model):
    # The name.
    name = models.CharField(max_length=40)

    class Meta:
        abstract = True

    def __str__(self):
        return self.name


class Customer(Person):
    email = models.EmailField(
        unique=True,
    )
    last_scan = models.CharField(max_length=10)


class Contract(models.Model):
    customer = models.ForeignKey(Customer, on_delete=models.CASCADE)
    product = models.CharField(max_length=20)

    class Privacy:
        product = "1.1(c)"
"""
_URLS = """\
from django.http import JsonResponse
from django.urls import path
from django.views import View
from django.views.generic import ListView

from shop.models import Customer

def names(request):
    return JsonResponse({"names": list(Customer.objects.values_list("name", flat=True))})

def letters(request):
    return JsonResponse({"emails": list(Customer.objects.values_list("email", flat=True))})

class Scans(View):
    def get(self, request):
        return JsonResponse({"scans": list(Customer.objects.values_list("last_scan", flat=True))})

class Customers(ListView):
    model = Customer

urlpatterns = [
    path("names", names),
    path("letters", letters),
    path("scans", Scans.as_view()),
    path("customers", Customers.as_view()),
]
"""
_DJANGO_TAGS = """\
["shop.models.Person"]
name = "1.1(a)"

["shop.models.Customer"]
id = { source = "not-personal", subject = true }
name = "1.1(a)"
email = "1.1(a)"
last_scan = "1.1(b)"

["shop.models.Contract"]
product = "1.1(c)"
"""
_DJANGO_PURPOSES = state(
    *(("* /names", "①"), ("GET /letters", "①"), ("GET /scans", "①"), ("GET /customers", "①"), ("command mail", "①"))
)
_COMMAND = """\
from django.core.management.base import BaseCommand
from shop.models import Customer

class Command(BaseCommand):
    def handle(self, *args, **options):
        print("sent to", Customer.objects.values_list("email", flat=True).get())
"""
_CALL_DJANGO = """\
import os

import django

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
django.setup()

from django.core.management import call_command
from django.test import Client
from shop.models import Customer

call_command("migrate", run_syncdb=True, verbosity=0)
if not Customer.objects.exists():
    Customer.objects.create(name="Aiko", email="aiko@example.com", last_scan="2025-01-01")
for path in ("names", "letters", "scans"):
    for method in ("GET", "POST"):
        answer = Client().generic(method, f"/{path}")
        print(method, path, answer.status_code, answer.content if answer.status_code == 200 else "")
call_command("mail")
"""


def test_views_and_models_of_django_are_decided_equally_afterwards(project: Project) -> None:
    for name, content in {
        "settings.py": _SETTINGS,
        "shop/privacy.py": _DJANGO_PRIVACY,
        "shop/models.py": _MODELS,
        "shop/urls.py": _URLS,
        "shop/management/__init__.py": "",
        "shop/management/commands/__init__.py": "",
        "shop/management/commands/mail.py": _COMMAND,
        "privacy/tags.toml": _DJANGO_TAGS,
        "privacy/purposes.toml": _DJANGO_PURPOSES,
        "call.py": _CALL_DJANGO,
    }.items():
        project.write(name, content)
    before = project.run("call.py")
    assert "GET names 200" in before
    assert "GET scans 403" in before
    report = project.apply("--app", "settings", "--guard", "shop.privacy:guard", "--move")
    assert len([name for name in report["written_purposes"] if name.endswith(" /names")]) == 7
    assert {"GET /scans", "command mail"} < set(report["written_purposes"])
    reasons = {each["entry_point"]: each["reason"] for each in report["left_purposes"]}
    assert list(reasons) == ["GET /letters", "GET /customers"]
    models, urls = project.read("shop/models.py"), project.read("shop/urls.py")
    privacy = (
        "    class Privacy(Person.Privacy):\n        id = (pg.Subject, pg.NotPersonal)\n"
        "        name = tm.Registration\n        email = tm.Registration\n        last_scan = tm.ProductData\n"
    )
    assert f"    last_scan = models.CharField(max_length=10)\n\n{privacy}\n\nclass Contract" in models
    base = "    class Privacy:\n        name = tm.Registration\n\n    def __str__"
    assert f"        abstract = True\n\n{base}" in models
    restored = models.replace(f"\n{privacy}", "").replace(base, "    def __str__")
    assert restored.endswith(_MODELS.partition("import models\n")[2])
    assert "@purpose(tm.RenewalGuidance)\ndef names" in urls
    assert "    @purpose(tm.RenewalGuidance)\n    def get" in urls
    assert "shop.models" not in project.read("privacy/tags.toml")
    assert "names" not in project.read("privacy/purposes.toml")
    assert project.run("call.py") == before
