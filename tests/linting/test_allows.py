"""Comments that allow a finding."""

import pytest

from purposeguard.cli.lint import lint

HEAD = "from pydantic import BaseModel\n\n\nclass Customer(BaseModel):\n"
ALLOW = "# purposeguard: allow[untagged-personal-field]"


def outcome_of(text, tmp_path, **options):
    path = tmp_path / "a.py"
    path.write_text(text, "utf-8")
    return lint([path], **options)


def rules(outcome):
    return [(one.place.line, one.rule) for one in outcome.findings]


@pytest.mark.parametrize(
    "text",
    [
        f"    email: str  {ALLOW} of the shop itself\n",
        f"    {ALLOW} of the shop itself\n    email: str\n",
        f"    {ALLOW} of the shop itself\n\n    # more\n    email: str\n",
        f"    email: str = (  {ALLOW} of the shop itself\n        ''\n    )\n",
        f"    email: str = (\n        ''\n    )  {ALLOW} of the shop itself\n",
        "    email: str  #purposeguard:allow[untagged-personal-field]: of the shop itself\n",
        "    email: str  # PurposeGuard: Allow [broad-except, untagged-personal-field] of the shop itself\n",
        f"    email: str  # type: ignore[x]  {ALLOW} of the shop itself\n",
        f"    email: str  {ALLOW} of the shop itself  # noqa: E501\n",
    ],
    ids=[
        "behind",
        "above",
        "above, apart",
        "first line",
        "last line",
        "tight",
        "wide",
        "behind others",
        "before others",
    ],
)
def test_allowed(text, tmp_path):
    outcome = outcome_of(HEAD + text, tmp_path, rules=["untagged-personal-field"])
    assert outcome.findings == ()
    (allowed,) = outcome.allowed
    assert allowed.allowed == "of the shop itself"
    assert allowed.symbol == "Customer.email"


@pytest.mark.parametrize(
    ("comment", "message"),
    [
        (ALLOW, "gives no reason"),
        (f"{ALLOW} ", "gives no reason"),
        (f"{ALLOW} --", "gives no reason"),
        (f"{ALLOW}  # noqa: E501", "gives no reason"),
        (f"{ALLOW} -- # type: ignore", "gives no reason"),
        ("# purposeguard: allow[untaged-personal-field] why", "did you mean `untagged-personal-field`?"),
        ("# purposeguard: allow[] why", "names no rule"),
        ("# purposeguard: allow why", "names no rule"),
        ("# purposeguard: allow untagged-personal-field", "names no rule"),
    ],
)
def test_a_comment_that_allows_nothing(comment, message, tmp_path):
    outcome = outcome_of(f"{HEAD}    email: str  {comment}\n", tmp_path)
    assert rules(outcome) == [(5, "untagged-personal-field"), (5, "bad-allow")]
    assert message in outcome.findings[1].message
    assert outcome.allowed == ()


@pytest.mark.parametrize(
    "text",
    [
        f"    plan: str  {ALLOW} because\n",
        f"    {ALLOW} because\n    plan: str\n    email: str  {ALLOW} another\n",
        f"    plan: str\n{ALLOW} because\n",
    ],
    ids=["behind", "above another", "at the end"],
)
def test_what_is_allowed_and_not_there(text, tmp_path):
    outcome = outcome_of(HEAD + text, tmp_path)
    assert [rule for _, rule in rules(outcome)] == ["unused-allow"]
    assert "but not found" in outcome.findings[0].message


def test_of_several_rules_each_is_to_be_there(tmp_path):
    text = f"{HEAD}    email: str  # purposeguard: allow[untagged-personal-field, broad-except] because\n"
    outcome = outcome_of(text, tmp_path)
    assert rules(outcome) == [(5, "unused-allow")]
    assert "`broad-except`" in outcome.findings[0].message


def test_unused_is_what_was_looked_for(tmp_path):
    text = f"{HEAD}    plan: str  {ALLOW} because\n"
    assert outcome_of(text, tmp_path, rules=["broad-except", "unused-allow"]).findings == ()
    assert rules(outcome_of(text, tmp_path, rules=["untagged-personal-field"])) == []


def test_one_comment_for_one_line(tmp_path):
    outcome = outcome_of(f"{HEAD}    {ALLOW} because\n    email: str\n    phone: str\n", tmp_path)
    assert rules(outcome) == [(7, "untagged-personal-field")]


@pytest.mark.parametrize(
    "text",
    [
        "# purposeguard: allow[unguarded-access] read by the eraser alone\n@traced\ndef load(session) -> Customer:\n",
        "@traced  # purposeguard: allow[unguarded-access] read by the eraser alone\ndef load(session) -> Customer:\n",
        "@traced\ndef load(session) -> Customer:  # purposeguard: allow[unguarded-access] read by the eraser alone\n",
        "@traced\n# purposeguard: allow[unguarded-access] read by the eraser alone\ndef load(session) -> Customer:\n",
        "@traced\ndef load(\n    session,\n) -> Customer:  # purposeguard: allow[unguarded-access] by the eraser\n",
    ],
    ids=["above the decorators", "at the decorator", "at the head", "between", "at the end of the head"],
)
def test_a_function_is_allowed_at_its_head(text, tmp_path):
    head = (
        "from typing import Annotated\nfrom pydantic import BaseModel\n"
        "from purposeguard.notices import trendmicro_jp as tm\n\n"
        "class Customer(BaseModel):\n    email: Annotated[str, tm.Registration]\n\n"
    )
    outcome = outcome_of(f"{head}{text}    return Customer.model_validate(session.get(Customer, 1))\n", tmp_path)
    assert outcome.findings == ()
    assert [one.rule for one in outcome.allowed] == ["unguarded-access"]


def test_texts_are_no_comments(tmp_path):
    text = f'{HEAD}    """{ALLOW}"""\n    email: str = "{ALLOW} because"\n'
    assert rules(outcome_of(text, tmp_path)) == [(6, "untagged-personal-field")]


def test_other_comments_of_the_library_are_let_be(tmp_path):
    assert outcome_of("x = 1  # purposeguard: see the how-to\n# purposeguard is a library\n", tmp_path).findings == ()
