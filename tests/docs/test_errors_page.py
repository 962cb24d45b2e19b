"""docs/reference/errors.md says what the library says. `python -m tests.docs.running` writes its messages anew."""

import re
from pathlib import Path

from tests.docs.running import ROOT, Reader

PAGE = ROOT / "docs" / "reference" / "errors.md"


def test_the_page_is_what_is_said_now(tmp_path: Path) -> None:
    assert Reader(tmp_path).read(PAGE) > 40


def test_messages_hold_no_personal_value() -> None:
    said = re.findall(r"^```text\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(said) > 30
    for value in ("Aiko", "2026-06-01", "2026-05-02", "aiko", "4711"):  # what the models hold is personal
        assert value not in "".join(said)
