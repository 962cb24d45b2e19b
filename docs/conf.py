"""The documentation site: `make docs` builds it from README, the pages of this folder and the docstrings.

The pages are plain Markdown, which a code host shows as it is. What a site needs beyond that is worked out here: the
navigation comes from the lists of `index.md` and `ja/index.md`, and Japanese words find pages by their Japanese titles.
"""

from __future__ import annotations

import gettext
import importlib
import os
import re
import sys
import textwrap
from dataclasses import dataclass, field
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydata_sphinx_theme
import sphinx
from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.ext import napoleon
from sphinx.ext.napoleon.docstring import GoogleDocstring
from sphinx.search.en import SearchEnglish

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))  # where the docstrings are, also without an installation

# --- what is built ----------------------------------------------------------------------------------------------------

project = "purposeguard"
release = os.environ.get("DOCS_VERSION", "dev")
"""The folder of the site that is built: a release, or `dev`."""
version = version_of("purposeguard") if release == "dev" else release
copyright = "the authors of purposeguard, Apache License 2.0"  # noqa: A001  # Sphinx's name for it

# Read from the root of the repository, so that README, CHANGELOG and CONTRIBUTING are pages as well and every relative
# link leads where it leads on a code host.
root_doc = "docs/index"
include_patterns = ["README.md", "README.ja.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/**"]
exclude_patterns = [".*", "build", "docs/site", "examples", "mutants", "purposeguard", "requirements", "tests"]

extensions = ["myst_parser", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
# Links and anchors that lead nowhere are always warned of, and the build ends at a warning. References in signatures
# are not: most are names of other libraries, whose inventories are on the network.
nitpick_ignore_regex = [("py:.*", ".*")]

default_role = "code"  # what docstrings put in single backticks
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autoclass_content = "both"  # what a class is, and what it is made with
python_maximum_signature_line_length = 88

# --- how it looks -----------------------------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "purposeguard"
html_show_sourcelink = False
html_copy_source = False
templates_path = ["site/templates"]
html_static_path = ["site/static"]
html_css_files = ["site.css"]
html_search_scorer = str(HERE / "site" / "scorer.js")
html_sidebars = {"**": ["site-pages.html"]}
html_theme_options: dict[str, Any] = {
    "logo": {"text": "purposeguard"},
    "navbar_center": ["site-sections.html"],
    "navbar_end": ["site-languages.html", "version-switcher", "theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    # One list for all versions, beside their folders: a release that is published later is known to older ones.
    "switcher": {"json_url": "../versions.json", "version_match": release},
    "check_switcher": False,
    "show_toc_level": 2,
    "back_to_top_button": False,
}

# --- navigation -------------------------------------------------------------------------------------------------------


@dataclass
class Group:
    """Pages under one caption: where they are, and what the index calls them."""

    caption: str
    pages: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Section:
    """A heading of an index."""

    title: str
    groups: list[Group] = field(default_factory=lambda: [Group("")])

    @property
    def pages(self) -> list[str]:
        """The names of its pages."""
        return [page for group in self.groups for page, _ in group.pages]


def sections(index: str) -> list[Section]:
    """Return the headings of an index, and the pages that the lists below them name."""
    found = [Section("")]
    for line in (ROOT / f"{index}.md").read_text("utf-8").splitlines():
        if heading := re.fullmatch(r"## (.+)", line):
            found.append(Section(heading[1]))
        elif caption := re.fullmatch(r"([^-\s].*)[:\uff1a]", line):
            found[-1].groups.append(Group(caption[1]))
        elif link := re.match(r"- \[(.+?)\]\(([^)#\s]+)\.(?:md|rst)\)", line):
            page = os.path.normpath(Path(index).parent / link[2])
            found[-1].groups[-1].pages.append((page, link[1].replace("`", "")))
    return [section for section in found if section.pages]


ENGLISH = sections("docs/index")
JAPANESE = sections("docs/ja/index")
IN_JAPANESE = {page: title for section in JAPANESE for group in section.groups for page, title in group.pages}


def is_japanese(page: str) -> bool:
    """Whether a page is written in Japanese."""
    return page == "README.ja" or page.startswith("docs/ja/")


def twin(page: str) -> str:
    """Return the page of the other language: the same page, or else the index."""
    english = [name for section in ENGLISH for name in section.pages if not is_japanese(name)]
    twins = {f"docs/ja/{Path(name).name}": name for name in english} | {"README.ja": "README"}
    if is_japanese(page):
        return twins.get(page, root_doc)
    there = {name: japanese for japanese, name in twins.items()}.get(page, "")
    return there if (ROOT / f"{there}.md").is_file() else "docs/ja/index"


def add_list(_: Sphinx, page: str, source: list[str]) -> None:
    """End an index with what Sphinx requires: each page in one list, in the order of reading."""
    if page == "docs/index":
        pages = [*(page for section in ENGLISH for page in section.pages if not is_japanese(page)), "docs/ja/index"]
    elif page == "docs/ja/index":
        others = {f"docs/ja/{path.stem}" for path in (HERE / "ja").glob("*.md")} - {page}
        pages = ["README.ja", *sorted(others)]
    else:
        return
    entries = "\n".join(f"/{page}" for page in pages)
    source[0] += f"\n```{{toctree}}\n:hidden:\n\n{entries}\n```\n"


def read(app: Sphinx, document: nodes.document) -> None:
    """Names what is in the repository and not on the site, and adds the Japanese title to what is searched."""
    page = app.env.current_document.docname
    for index in ("docs/index", "docs/ja/index"):  # a page changes with them, in a folder that was built before
        app.env.note_dependency(str(ROOT / f"{index}.md"))
    for link in list(document.findall(addnodes.pending_xref)):
        if link["reftype"] != "myst":
            continue
        target = link["reftarget"]
        is_folder = Path(app.env.relfn2path(target, page)[1]).is_dir()
        is_other = link["refdomain"] == "doc" and target not in app.env.found_docs and (ROOT / f"{target}.md").is_file()
        if is_folder or is_other:
            link.replace_self(link.children)
    for head in list(document.findall(nodes.thead)):
        if not head.astext().strip():  # Markdown has no tables without one
            head.parent.remove(head)
    if title := IN_JAPANESE.get(page):
        document += nodes.meta(name="keywords", content=",".join(EnglishAndJapanese({}).split(title)))


JAPANESE_WORDS = gettext.translation("sphinx", Path(pydata_sphinx_theme.__file__).parent / "locale", ["ja"])
JAPANESE_WORDS.add_fallback(gettext.translation("sphinx", Path(sphinx.__file__).parent / "locale", ["ja"]))


def dress(app: Sphinx, page: str, _: str, context: dict[str, Any], __: nodes.document | None) -> None:
    """Give a page its navigation, and a Japanese page its language."""
    japanese = is_japanese(page)
    home, listed = ("docs/ja/index", JAPANESE) if japanese else (root_doc, ENGLISH)
    slugs = {text: name for _, name, text in app.env.metadata[home]["myst_slugs"].values()}
    place = "" if page == home else context["pathto"](home)
    context["sections"] = [(section, f"{place}#{slugs[section.title]}") for section in listed]
    context["section"] = next((section for section in listed if page in section.pages), None)
    context["twin"] = twin(page)
    if japanese:
        context |= {"language": "ja", "_": JAPANESE_WORDS.gettext, "gettext": JAPANESE_WORDS.gettext}


# --- docstrings -------------------------------------------------------------------------------------------------------


def load(_: Sphinx) -> None:
    """Import all documented modules first, because autodoc changes the annotations of pydantic's classes."""
    for page in (HERE / "reference" / "api").glob("*.rst"):
        for module in re.findall(r"automodule:: (\S+)", page.read_text("utf-8")):
            importlib.import_module(module)


def translate(  # noqa: PLR0917  # as Sphinx calls it
    app: Sphinx, kind: Any, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Convert a docstring in Google style, with blocks of Markdown, to reStructuredText."""
    text = "\n".join(lines)
    text = re.sub(
        r"^```\w+\n(.*?)^```$",
        lambda block: "::\n\n" + textwrap.indent(block[1], "    "),
        text,
        flags=re.MULTILINE | re.DOTALL,
    )
    text = re.sub(r"^Raises, (.*):$", r"What follows is raised \1.\n\nRaises:", text, flags=re.MULTILINE)
    lines[:] = text.split("\n")
    if kind not in {"attribute", "data", "property"}:  # it would take what stands before their first colon for a type
        lines[:] = GoogleDocstring(lines, GOOGLE, app, kind, name, value, options).lines()


GOOGLE: Any = napoleon.Config(napoleon_use_rtype=False, napoleon_use_ivar=True)


# --- search -----------------------------------------------------------------------------------------------------------


class EnglishAndJapanese(SearchEnglish):
    """English words, and of Japanese, which has no spaces, all pairs of neighbouring characters."""

    js_splitter_code = (HERE / "site" / "splitter.js").read_text("utf-8")

    def split(self, input: str) -> list[str]:  # noqa: A002  # Sphinx's name for it
        """Return the words of a text, as `splitter.js` splits a question."""
        return [
            word if part.isascii() else pair
            for word in super().split(input)
            for part in re.findall(rf"[{CJK}]+|[^{CJK}]+", word)
            for pair in (re.findall("(?=(..))", part) or [part])
        ]


CJK = "\u3005-\u30ff\u3400-\u9fff\uff66-\uff9f"


def setup(app: Sphinx) -> None:
    """Register the extension. Sphinx calls this."""
    app.add_search_language(EnglishAndJapanese)
    app.add_lexer("mermaid", TextLexer)  # a code host draws it
    app.connect("builder-inited", load)
    app.connect("autodoc-process-docstring", translate)
    app.connect("source-read", add_list)
    app.connect("doctree-read", read)
    app.connect("html-page-context", dress)
