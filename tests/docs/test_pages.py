"""What the pages say of the project is what the project is."""

import importlib
import inspect
import re

import pytest
from pydantic import BaseModel

import purposeguard as pg
import purposeguard.adapters.sqlalchemy
from purposeguard import governance
from purposeguard.cli.new import TEMPLATES
from purposeguard.errors import Fault
from purposeguard.governance.preference_cache import PreferenceCache
from purposeguard.governance.transfers import Provisions, Recipients
from purposeguard.notice import schema as document
from purposeguard.notice.fields import Table
from purposeguard.notice.texts import Passage
from purposeguard.policy.context import SubjectPreferences
from purposeguard.policy.transfers import Provision, Recipient, Safeguard
from purposeguard.runtime.declarations import EntrustmentDeclaration, Reclassification, Transform
from purposeguard.runtime.declassification import Reclassifier
from purposeguard.runtime.observer import Ledger
from purposeguard.runtime.protocols import Oversight
from purposeguard.runtime.registry import Access, Activity
from tests.docs.running import ROOT, documents

DOCS = ROOT / "docs"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

TABLES = [
    model
    for model in (*vars(document).values(), Passage)
    if inspect.isclass(model) and issubclass(model, Table) and model not in {Table, document.Named}
]


def anchors(text):
    """The anchors of a page's headings, as renderers of Markdown make them."""
    headings = re.findall(
        r"^#+ +(.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text("utf-8")
    for link in LINK.findall(text):
        if link.startswith(("https://", "mailto:")):
            continue
        target, _, anchor = link.partition("#")
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), link
        if anchor:
            assert anchor in anchors(there.read_text("utf-8")), link


@pytest.mark.parametrize("index", ["index.md", "ja/index.md"])
def test_every_page_is_in_both_indexes(index):
    """That in Japanese has the Japanese pages as well, and these instead of the English ones."""
    linked = {
        (DOCS / index).parent.joinpath(link.partition("#")[0]).resolve()
        for link in LINK.findall((DOCS / index).read_text("utf-8"))
    }
    pages = [*DOCS.glob("[!j]*/**/*.md"), *DOCS.glob("[!j]*/**/*.rst")]
    if index == "ja/index.md":
        japanese = {page.name: page for page in DOCS.glob("ja/*.md") if page.name != "index.md"}
        pages = [*japanese.values(), *(page for page in pages if page.name not in japanese)]
    assert not {page for page in pages if page not in linked}


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model.__name__)
def test_notice_format_names_every_key(model: type[BaseModel]):
    page = (DOCS / "reference" / "notice-format.md").read_text("utf-8")
    section = re.search(rf"^<!-- {model.__name__} -->\n(.*?)(?=^<!-- \w+ -->$|\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, "no section is marked as that of this model"
    keys = set(re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE))
    assert keys == {field.alias or name for name, field in model.model_fields.items()}


def test_the_page_of_real_notices_lists_each_file_with_its_lines_and_page():
    page = (DOCS / "explanation" / "real-notices.md").read_text("utf-8")
    rows = [
        [cell.strip() for cell in row.strip("|").split("|")]
        for row in re.findall(r"^\| `.*\|$", page.partition("## Sentences")[0], re.MULTILINE)
    ]
    files = sorted((ROOT / "tests" / "real_notices").glob("*.toml"))
    texts = {file.stem: file.read_text("utf-8") for file in files}
    assert {row[0].strip("`"): int(row[-1]) for row in rows} == {
        name: len(text.splitlines()) for name, text in texts.items()
    }
    for name, _, link, *_ in ((row[0].strip("`"), *row) for row in rows):
        found = LINK.findall(link)
        assert all(f"# Published at {address}" in texts[name] for address in found)
        assert found or link == "the same"
    assert sum(row[2] != "Japanese" for row in rows) >= 5
    # Who cannot say something is one of these.
    told = re.findall(r"^\| (`.*?`(?:, `.*?`)*) \|", page.partition("## Sentences")[2], re.MULTILINE)
    assert {name for cell in told for name in re.findall(r"`(.*?)`", cell)} <= set(texts)


def test_the_reference_lists_every_template():
    section = (DOCS / "reference" / "cli.md").read_text("utf-8").partition("\n## new\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == list(TEMPLATES)


def test_notice_format_names_no_model_that_is_gone():
    page = (DOCS / "reference" / "notice-format.md").read_text("utf-8")
    assert set(re.findall(r"^<!-- (\w+) -->$", page, re.MULTILINE)) == {model.__name__ for model in TABLES}


PUBLIC = (
    *(pg.Guard, pg.Use, pg.Notice, pg.Decision, pg.Label, Ledger, Activity, Access, pg.Family, Fault),
    *(pg.Personal, Reclassification, Reclassifier, Transform, EntrustmentDeclaration),
    *(pg.RowContext, pg.History, Oversight, Provision, Recipient, Safeguard),
    *(getattr(governance, name) for name in governance.__all__),
    *(Provisions, Recipients, SubjectPreferences, PreferenceCache),
)

FOR_EACH_OTHER = {
    *("Disclosure.model_config", "PreferenceCache.invalidate", "PreferenceCache.reset_after_fork"),
    *("Store.before_fork", "Store.after_fork", "Notice.key", "Notice.revision_of"),
    *("Guard.engine", "Guard.inventory", "Use.explain_absence", "Use.handle", "Use.in_running_frame"),
    *("Notice.words_digest", "History.of_drafts", "History.is_draft", "History.clause_on"),
    "EntrustmentDeclaration.with_site",
}
"""What rooms offer each other."""


def names(cls):
    """The public attributes of a class, with its slots and annotations."""
    found = {*vars(cls), *getattr(cls, "__annotations__", {}), *getattr(cls, "__slots__", ())}
    # Those of a pydantic model begin like this; which of them are the class's own depends on pydantic's version.
    return {name for name in found if not name.startswith(("_", "model_"))}


def test_reference_names_everything_public():
    text = "\n".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
    missing = {name for name in pg.__all__ if not re.search(rf"`(pg\.)?{name}\b", text)}
    missing |= {
        f"{cls.__name__}.{name}" for cls in PUBLIC for name in names(cls) if not re.search(rf"`(\w+\.)?{name}\b", text)
    }
    assert missing <= FOR_EACH_OTHER


ADAPTERS = [f"adapters.{name}" for name in ("arrow", "frames", "sql", "sqlalchemy", "spark", "duckdb", "dbt", "django")]
INSTALLED = [one for one in ADAPTERS if one != "adapters.spark"]
INTEGRATIONS = sorted(f"integrations.{path.stem}" for path in (ROOT / "purposeguard" / "integrations").glob("[!_]*"))

FOR_SQLALCHEMY = {
    *("AsyncGuardedSession.sync_session_class", "SealedColumns.registry"),
    *("GuardedSession.expunge", "GuardedSession.expunge_all"),
    *(f"SealedType.{name}" for name in ("cache_ok", "impl", "python_type", "must_take")),
    *(f"SealedType.process_{name}" for name in ("bind_param", "literal_param", "result_value")),
}
"""What SQLAlchemy asks of the classes that are made for it."""


def offered(module):
    """What a module offers by name: what it says, or the classes and functions that are its own."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
    ]
    return {name: getattr(module, name) for name in getattr(module, "__all__", own)}


@pytest.mark.parametrize("module", [*INSTALLED, *INTEGRATIONS, pytest.param("adapters.spark", marks=pytest.mark.spark)])
def test_the_reference_of_adapters_and_integrations_names_everything_public(module):
    room, _, name = module.partition(".")
    page = (DOCS / "reference" / f"{room}.md").read_text("utf-8")
    section = re.search(rf"^## `{name}`\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, "no section is about this module"
    public = offered(importlib.import_module(f"purposeguard.{module}"))
    told = set(public)
    for name, value in public.items():
        if inspect.isclass(value):
            told |= {f"{name}.{one}" for one in names(value)}
    missing = {one for one in told if not re.search(rf"`(\w+\.)?{one.rpartition('.')[2]}\b", section[1])}
    assert missing <= FOR_SQLALCHEMY


def descendants(cls):
    """The public classes of the library that derive from a class, in any room."""
    for child in cls.__subclasses__():
        if child.__module__.startswith("purposeguard.") and not child.__name__.startswith("_"):
            yield child
            yield from descendants(child)


def test_the_hierarchy_of_errors_is_drawn_as_it_is():
    page = (DOCS / "reference" / "errors.md").read_text("utf-8")
    tree = re.search(r"^```\n(PurposeGuardError.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert tree
    assert issubclass(purposeguard.adapters.sqlalchemy.RowLeftOut, pg.PurposeGuardError)  # imported for this
    errors = {error.__name__: error for error in (pg.PurposeGuardError, *descendants(pg.PurposeGuardError))}
    drawn: list[str] = []
    above: list[str] = []
    for line in tree[1].splitlines():
        found = re.match(r"([│├└─ ]*)(\w+)", line)
        assert found
        above = above[: len(found[1]) // 4]
        if above:
            assert above[-1] in {base.__name__ for base in errors[found[2]].__bases__}
        above.append(found[2])
        drawn.append(found[2])
    assert sorted(drawn) == sorted(errors)
