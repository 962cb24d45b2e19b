"""docs/reference/errors.md says what the library says. `python -m tests.docs.errors_page` writes it anew."""

import pytest

from tests.docs.errors_page import MISTAKES, PAGE, page, what_is_said


def test_the_page_is_what_is_said_now():
    assert PAGE.read_text("utf-8") == page(), "run `python -m tests.docs.errors_page`"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.title)
def test_messages_hold_no_personal_value(mistake):
    said = what_is_said(mistake)
    for value in ("Aiko", "2026-06-01", "2026-05-02", "aiko", "4711"):  # what the models hold is personal
        assert value not in said
