"""The file of purposes: which entry counts, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from purposeguard import Notice
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.project.purposes import PurposeFile, StatedEntry


def test_the_most_specific_entry_counts(write: Callable[..., Path], notice: Notice) -> None:
    path = write("""\
["GET /users/*"]
purpose = "1.2(1)①"
channel = "email"
mode = "observe"

["GET /users/me"]
purpose = "any-product-guidance"

["task shop.mail.*"]
purpose = "1.2(1)②"
mode = "enforce"
""")
    purposes = PurposeFile.read(path, notice)
    entry = purposes.find("GET /users/{id}")
    assert entry == StatedEntry("GET /users/*", tm.RenewalGuidance, "email", mode="observe")
    assert entry.position == (1, 2)
    assert purposes.find("GET /users/me") == StatedEntry("GET /users/me", notice.family("AnyProductGuidance"))
    task = purposes.find("task shop.mail.send")
    assert task is not None
    assert task.mode == "enforce"
    assert purposes.find("GET /users/{id}/orders") is None
    assert [
        str(fault).removeprefix(f"{path}:") for fault in purposes.find_unmatched(["GET /users/{id}", "GET /me"])
    ] == [
        '6:2: "GET /users/me": matches no entry point (help: did you mean `GET /users/{id}` or `GET /me`?)',
        '9:2: "task shop.mail.*": matches no entry point',
    ]


def test_all_entries_can_be_observed(write: Callable[..., Path], notice: Notice) -> None:
    purposes = PurposeFile.read(write('["GET /a"]\npurpose = "1.2(1)①"\nmode = "enforce"\n'), notice)
    entry = purposes.observe_all().find("GET /a")
    assert entry is not None
    assert (entry.mode, entry.purpose, entry.position.line) == ("observe", tm.RenewalGuidance, 1)


def test_conditions(write: Callable[..., Path], conditional: Notice) -> None:
    path = write('["GET /"]\npurpose = "newsletter"\nconditions = ["adult"]\n')
    entry = PurposeFile.read(path, conditional).find("GET /")
    assert entry is not None
    assert entry.conditions == {"adult"}


def test_all_faults_are_reported_with_their_places(refuse: Callable[..., list[str]]) -> None:
    text = """\
"GET /" = 1
["GET /a"]
purpose = "renewal-guidence"
channel = "fone"
conditions = ["adult"]
mode = "off"
["GET /b"]
purposes = "1.2(1)①"
conditions = "adult"
["GET /c*d"]
purpose = "1.2(1)①"
["GET /cd*"]
purpose = "1.2(1)①"
["GET /*cd"]
purpose = 2
["GET /c*d*"]
purpose = "1.2(1)①"
mode = true
["GET /c**d"]
purpose = "1.2(1)①"
"""
    faults = refuse(PurposeFile, text)
    assert faults == [
        '1:1: "GET /": must be a table',
        (
            '3:1: "GET /a".purpose: unknown purpose `renewal-guidence`: notice trendmicro-jp (2024-04-01) '
            "has none of this id (help: did you mean `renewal-guidance` or `RenewalGuidance` or `incident-guidance`?)"
        ),
        (
            '4:1: "GET /a".channel: unknown channel `fone`: the notice knows email, phone, post, in_product, sms, '
            "chat, web, in_person (help: did you mean `phone`?)"
        ),
        '5:15: "GET /a".conditions[0]: unknown condition `adult`: the notice has no conditions',
        '6:1: "GET /a".mode: must be `enforce` or `observe`',
        '7:2: "GET /b": needs `purpose` (help: name a purpose or a family of the notice)',
        '8:1: "GET /b".purposes: is no key here (help: did you mean `purpose`?)',
        '9:1: "GET /b".conditions: must be a list',
        '15:1: "GET /*cd".purpose: must be a text in quotes',
        (
            '16:2: "GET /c*d*": matches some names that `GET /c*d` (line 10) matches, and is equally specific '
            "(help: write one more specific entry for what both match)"
        ),
        '18:1: "GET /c*d*".mode: must be a text in quotes',
    ]
