"""The corpus is as it is said to be, and what is not is told."""

from __future__ import annotations

import pytest

from tests.faults.corpus import ROOT, Misfit, load
from tests.faults.suites import SUITES

FAULT = """
[[fault]]
id = "a-fault"
what = "Something"
way = "branch"
breaks = "1.1(b) for 1.2(1)①"
reach = "GET /renewals/customers/1"
[[fault.edit]]
file = "examples/shop/activities/mail.py"
old = "    mailer.send(mailing)\\n"
new = "    mailer.send(mailing)\\n    mailer.send(mailing)\\n"
"""


def loaded(tmp_path, text):
    (tmp_path / "some.toml").write_text(text, encoding="utf-8")
    return load(tmp_path)


def test_the_corpus_loads_and_is_large_enough():
    faults = load()
    assert len(faults) >= 60
    assert len({one.way for one in faults}) >= 20
    for one in faults:
        assert one.changed()


def test_a_fault_is_read(tmp_path):
    (fault,) = loaded(tmp_path, FAULT)
    assert (fault.id, fault.part) == ("a-fault", "some")
    (text,) = fault.changed().values()
    assert text.count("mailer.send(mailing)") == 2


def test_an_edit_adds_imports_and_is_of_the_file_before_it(tmp_path):
    more = '[[fault.edit]]\nimports = "from json import dumps"\n'
    (fault,) = loaded(tmp_path, FAULT + more)
    (text,) = fault.changed().values()
    assert "\nfrom json import dumps\n" in text
    assert text.count("mailer.send(mailing)") == 2


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        pytest.param('way = "branch"\n', "", "`way` is a text", id="missing"),
        pytest.param('way = "branch"', 'way = "branch"\nways = "x"', "nobody knows ways", id="unknown"),
        pytest.param('"a-fault"', '"A fault"', "small letters", id="id"),
        pytest.param('"Something"', '"Some|thing"', "one line of a table", id="bar"),
        pytest.param('"Something"', '" "', "`what` is a text", id="blank"),
        pytest.param("examples/shop", "purposeguard/testing", "no module", id="elsewhere"),
        pytest.param("activities/mail.py", "activities/../demo.py", "no module", id="dots"),
        pytest.param('old = "    mailer', 'old = "    nobody', "occurs 0 times", id="never"),
        pytest.param('old = "    mailer.send(mailing)\\n"', 'old = "mail"', "times", id="often"),
        pytest.param("\\n    mailer.send(mailing)\\n", "\\n    (\\n", "cannot be read", id="syntax"),
        pytest.param("\\n    mailer.send(mailing)\\n", "\\n    # so\\n", "means what it meant", id="comment"),
        pytest.param(FAULT, FAULT + FAULT, "two faults", id="twice"),
        pytest.param(FAULT, "[[faults]]\n", "nobody knows faults", id="table"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, old, new, said):
    text = FAULT.replace(old, new, 1)
    assert text != FAULT
    with pytest.raises(Misfit, match=said):
        loaded(tmp_path, text)


def test_every_tool_has_its_tests():
    for file in (one for files in SUITES.values() for one in files):
        assert (ROOT / file).is_file(), file
