"""Every code block of README and docs does what the page says, each page in a namespace and a folder of its own."""

import re
import tomllib

import pytest

from tests.docs.running import ROOT, Reader, check, documents
from tests.locks import lines

LANGUAGES = {"python", "toml", "console", "text", "sh", "sql", "jinja", "yaml", "mermaid", ""}
"""The first four are run or compared; `sh` and blocks without a language are not, so they hold no code to trust."""

FENCE = re.compile(r"^ *```(.*)\n((?:.*\n)*?) *```$", re.MULTILINE)

PAGES = {str(path.relative_to(ROOT)): path for path in documents()}


JAPANESE = [page for page in PAGES if page.startswith("docs/ja/") and "\n[English](" in PAGES[page].read_text("utf-8")]
"""Pages with the code of an English one, which runs there."""


@pytest.mark.parametrize("page", [page for page in PAGES if page not in JAPANESE])
def test_code_blocks_do_what_the_page_says(page, tmp_path):
    text = PAGES[page].read_text("utf-8")
    if "SparkSession.builder" not in text and "Masking" not in text:
        Reader(tmp_path).read(PAGES[page])
        return
    # Apart: there is one session of Spark in a process, and its folder is that in which Java was started. And values
    # are masked by the fields of all classes of a process.
    check(PAGES[page])


def test_a_new_user_can_type_readme_from_top_to_bottom(tmp_path):
    """In a new environment, with what the page installs, in the order in which it does; and once more."""
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(lines("dev")), "utf-8")
    for _ in range(2):
        Reader(tmp_path, constraints=constraints).read(PAGES["README.md"])


def test_readme_is_the_same_in_both_languages():
    """What is installed, saved and typed, in the same order."""

    def outline(page):
        for language, body in FENCE.findall(PAGES[page].read_text("utf-8")):
            if language == "sh":
                yield body
            elif language == "python":
                yield body.partition("\n")[0]
            elif language == "console":
                yield body.partition("\n")[0].replace("--pretty ", "")

    assert list(outline("README.md")) == list(outline("README.ja.md"))


@pytest.mark.parametrize("page", ["README.md", "README.ja.md"])
def test_readme_shows_the_evidence_of_the_tutorial(page):
    (evidence,) = [body for _, body in FENCE.findall(PAGES[page].read_text("utf-8")) if "What was read" in body]
    assert evidence.rstrip() in PAGES["docs/tutorial/from-nothing-to-enforced.md"].read_text("utf-8")


@pytest.mark.parametrize("page", JAPANESE)
def test_a_page_has_the_same_code_in_both_languages(page):
    text = PAGES[page].read_text("utf-8")
    (link,) = re.findall(r"^\[English\]\((.*)\)$", text, re.MULTILINE)
    english = (PAGES[page].parent / link).read_text("utf-8")
    assert FENCE.findall(text) == FENCE.findall(english)
    assert len(re.findall(r"^##", text, re.MULTILINE)) == len(re.findall(r"^##", english, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES)
def test_no_code_block_escapes_the_tests(page):
    for language, body in FENCE.findall(PAGES[page].read_text("utf-8")):
        assert language in LANGUAGES
        if language == "sh":
            # Set-up that a test has behind it: of this project (make), of the environment (pip, venv).
            assert re.fullmatch(r"((make|pip|pipx|python -m (venv|pip)|\. |source |git|cd) ?.*\n)+", body)
        if not language:
            assert not re.search(r"^(import|from|def|class|with|@|\[\[|\$ )", body, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```python\nprint(1)\n```\n", "printed, but not shown"),
        ("```python\nprint(1)\n```\n```text\n2\n```\n", "but it was\n1"),
        ("```python\nprint(1)\n```\n```python\n```\n", "printed, but not shown"),
        ("```python\n1 / 0\n```\n", "division by zero"),
        ("```python\n1 / 0\n```\n```text\nKeyError: 1\n```\n", "ZeroDivisionError"),
        ("```toml\nformat = 1\n```\n", "is missing"),
        ("```toml\n[[channel]]\nid = 'e mail'\n```\n", "should match pattern"),
        ("```toml\n# some.toml\n[a]\n```\n```toml\n# some.toml, edited\n[b]\n```\n", "0 tables begin with"),
        ("```console\n$ python -c 'print(1)'\n2\n```\n", "but printed\n1"),
        ("```console\n$ python -c 'raise SystemExit(3)'\n$ echo $?\n0\n```\n", "but printed\n3"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(text, complaint, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    with pytest.raises(Exception, match=complaint):
        Reader(tmp_path).read(page)


def test_a_page_that_is_right_passes(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1)\n1 / 0\n```\n```text\n1\nZeroDivisionError: division by zero\n```\n"
        "```python\n# one.py\nONE = 1\n```\n```python\n# one.py, continued\nprint(ONE)\n```\n"
        "```console\n$ python one.py\n1\n$ python -c 'raise SystemExit(3)'\n$ echo $?\n3\n```\n"
        "```console\n$ python -c '1 / 0'\nTraceback (most recent call last):\n...\n"
        "ZeroDivisionError: division by zero\n```\n"
        "```toml\n# some.toml\n[a]\nb = 1\n[c]\nd = 2\n```\n```toml\n# some.toml, edited\n[a]\nb = 3\n```\n",
        "utf-8",
    )
    assert Reader(tmp_path).read(page) == 8
    assert tomllib.loads((tmp_path / "some.toml").read_text("utf-8")) == {"a": {"b": 3}, "c": {"d": 2}}
