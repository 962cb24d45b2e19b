"""The words of the command line: one table, read by sentences; where the language is said; what stays."""

import re
from itertools import pairwise

import pytest
from rich.console import Console

from purposeguard.cli import words
from purposeguard.cli.render import Prose
from purposeguard.cli.words import HOLE, Language, sections_of_words
from purposeguard.notices import trendmicro_jp as tm
from tests.unit.command_line import ROOT, run

SENTENCES = {english: other for section in sections_of_words().values() for english, other in section.items()}
OF_THE_SYSTEM = {text for text in SENTENCES if re.match(r"(No such file|Permission|Is a dir|Not a dir|No space)", text)}


@pytest.fixture
def japanese():
    end = words.begin(Language.ja)
    words.learn_titles(tm.NOTICE)
    yield
    end()


def pairs(text):
    """Each two words of a text that nothing divides."""
    words_in = re.findall(r"[A-Za-z'-]+|\S", text)
    return {pair for pair in pairwise(words_in) if all(word[0].isalpha() for word in pair)}


def test_each_sentence_is_whole():
    for english, other in SENTENCES.items():
        assert set(HOLE.findall(other)) <= set(HOLE.findall(english)), english
        assert not re.search(r"[\u3040-\u9fff]\s*\([^)]*[\u3040-\u9fff]", other), other  # half-width parentheses
        assert other == other.strip()


def sample(name):
    """What may stand in the place of a name, and what is said of it."""
    if name in words.NUMBERS:
        return "7", "7"
    if name in words.DAYS:
        return "2026-05-01", "2026-05-01"
    if name == "what" or name.startswith("text"):
        return "source", "取得元"
    return ("1.1(a)", "1.1(a)") if name.startswith("terms") else ("x.y", "x.y")


def test_no_sentence_stands_in_the_way_of_another(japanese):
    for english, other in SENTENCES.items():
        text = HOLE.sub(lambda match: sample(match[1])[0], english)
        expected = HOLE.sub(lambda match: sample(match[1])[1], other)
        assert words.translate(text).replace(" ", "") == expected.replace(" ", ""), english


def test_no_sentence_is_stale():
    """Some are put together from parts: of each, half of the pairs of words at least stand in the package."""
    package = (path.read_text("utf-8") for path in (ROOT / "purposeguard").rglob("*.py"))
    said = set().union(*map(pairs, package))
    for english in SENTENCES.keys() - OF_THE_SYSTEM:
        own = pairs(HOLE.sub(" \0 ", english))
        assert len(own & said) * 2 >= len(own) - 2, english


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("--language", "ja", "explain", "1.1b", "1.2(1)1"), {}),
        (("explain", "1.1b", "1.2(1)1", "--language", "ja"), {}),
        (("explain", "1.1b", "1.2(1)1"), {"PURPOSEGUARD_LANGUAGE": "ja"}),
    ],
    ids=["before", "behind", "variable"],
)
def test_the_language_is_said_once_for_all_commands(arguments, variables):
    assert run(*arguments, **variables).stdout.startswith("許可しません: 「契約更新の案内」（1.2(1)①）には、")
    assert run("explain", "1.1b", "1.2(1)1").stdout.startswith("denied: ")


def test_a_command_that_hands_its_language_on_has_that_of_all(tmp_path):
    for arguments, variables in (((), {"PURPOSEGUARD_LANGUAGE": "ja"}), (("--language", "ja"), {})):
        result = run("export", "cedar", "trendmicro-jp", "-o", tmp_path, "--check", *arguments, **variables)
        assert f"-o {tmp_path} --language ja\n" in result.stderr
    assert "--language" not in run("export", "cedar", "trendmicro-jp", "-o", tmp_path, "--check").stderr


def test_a_project_says_its_language(tmp_path, monkeypatch):
    path = tmp_path / "pyproject.toml"
    path.write_text('[tool.purposeguard]\nlanguage = "ja"\n', "utf-8")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert "に問題はありません" in run("validate", "trendmicro-jp").stdout
    assert "is valid" in run("validate", "trendmicro-jp", "--language", "en").stdout
    path.write_text('[tool.purposeguard]\nlanguage = "fr"\n', "utf-8")
    result = run("validate", "trendmicro-jp")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: `language` of `[tool.purposeguard]` is `fr`: en, ja\n"
    path.write_text('[tool.purposeguard]\nlangauge = "ja"\n', "utf-8")
    assert "has other keys than `language`, `notice` and `directory`" in run("validate", "trendmicro-jp").stderr
    path.write_text("[tool.purposeguard]\nlanguage = 1\n", "utf-8")
    assert "`language` of `[tool.purposeguard]` of" in run("validate", "trendmicro-jp").stderr
    path.write_text("[tool", "utf-8")
    assert run("validate", "trendmicro-jp").exit_code == 2
    path.write_text("[project]\n", "utf-8")
    assert "is valid" in run("validate", "trendmicro-jp").stdout


def test_data_and_programs_output_stay(japanese):
    assert words.translate("Aiko Mori") == "Aiko Mori"
    assert words.translate("`email` of a customer") == "`email` of a customer"
    english = run("explain", "1.1b", "1.2(1)1", "--format", "json").stdout
    assert run("--language", "ja", "explain", "1.1b", "1.2(1)1", "--format", "json").stdout == english


def test_sentences_around_others_and_terms_in_a_row(japanese):
    assert words.translate("  1.1(b) may serve: nothing") == "  1.1(b) を利用できる目的: ありません"
    assert words.translate("`absent` does not exist (help: tag a column of the model)") == (
        "`absent` がありません（対処: モデルにある列にタグを付けてください）"
    )
    assert words.translate("its family any-product-guidance may use the data, each source by a clause of its own") == (
        "目的群「製品の案内」としてなら、取得元ごとに別の条項により利用できます"
    )


def test_a_long_text_with_many_colons_is_soon_said(japanese):
    for count in (40, 5_000):
        assert words.translate("x: " * count + "y") == "x: " * count + "y"


def test_lines_break_between_characters_and_not_before_a_comma():
    lines = [str(line) for line in Prose("許可しません、理由は（1.1(a)）です").wrap(Console(), 12)]
    assert lines == ["許可しませ", "ん、理由は", "（1.1(a)）で", "す"]
