"""A guard with the files of tags and purposes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from purposeguard import Guard, Notice, NoticeError, Notices
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.project.purposes import PurposeFile
from purposeguard.project.tags import TagFile
from tests.unit.samples import revised, tables

TAGS = '["app.User"]\nemail = "1(a)"\nvisit = "2"\nage = "undecided"\n'
PURPOSES = '["GET /"]\npurpose = "4①"\n["GET /any"]\npurpose = "any-advice"\nchannel = "phone"\n'


@pytest.fixture
def small() -> Notice:
    return Notice.parse(tables())


def remove_visits(given: dict[str, Any]) -> None:
    del given["source"][3], given["grant"][2], given["derivation"], given["family"]


def test_files_are_read_when_the_guard_is_made(write: Callable[..., Path], small: Notice) -> None:
    tags, purposes = write(TAGS, "tags.toml"), write(PURPOSES, "purposes.toml")
    guard = Guard(small, tags=tags, purposes=str(purposes))
    assert guard.tags is not None
    assert guard.purposes is not None
    assert guard.tags.find_class("app", "User")
    assert guard.purposes.find("GET /")
    other = Guard(small, tags=guard.tags, purposes=guard.purposes)
    assert other.tags is guard.tags
    assert other.purposes is guard.purposes
    assert Guard(small).tags is None
    assert Guard(small).purposes is None
    only = Guard(small, purposes=purposes)
    assert only.tags is None
    only.replace(revised(small, lambda _: None, "2025-01-01"))


def test_a_revision_without_what_the_files_name_is_refused(write: Callable[..., Path], small: Notice) -> None:
    tags, purposes = write(TAGS, "tags.toml"), write(PURPOSES, "purposes.toml")
    later = revised(small, remove_visits, "2025-01-01")
    for guard, message in (
        (
            Guard(small, tags=tags),
            f'{tags}:3:1: "app.User".visit: unknown source: notice small (2025-01-01) has none of this id',
        ),
        (
            Guard(small, purposes=purposes),
            f'{purposes}:1:2: "GET /": unknown purpose: notice small (2025-01-01) has none of this id',
        ),
    ):
        with pytest.raises(NoticeError) as caught:
            guard.replace(later)
        assert message in str(caught.value)
        assert guard.notice is small
    guard = Guard(small, tags=tags, purposes=purposes)
    same = revised(small, lambda _: None, "2025-01-01")
    guard.replace(same)
    assert guard.notice is same


def test_files_of_another_notice_are_refused(write: Callable[..., Path], small: Notice) -> None:
    tags, purposes = write(TAGS, "tags.toml"), write(PURPOSES, "purposes.toml")
    with pytest.raises(NoticeError, match="is a class of another notice"):
        Guard(tm.NOTICE, tags=TagFile.read(tags, small))
    with pytest.raises(NoticeError, match="is a class of another notice"):
        Guard(tm.NOTICE, purposes=PurposeFile.read(purposes, small))
    with pytest.raises(NoticeError, match="unknown source"):
        Guard(tm.NOTICE, tags=tags)
    both = Guard(Notices(small, tm.NOTICE), tags=write('["app.User"]\nemail = "small:1(a)"\n'))
    assert both.tags is not None


def test_other_arguments_are_refused(small: Notice) -> None:
    wrong: Any = {"app.User": {}}
    with pytest.raises(TypeError, match="a path or a TagFile is needed here, not dict"):
        Guard(small, tags=wrong)
    with pytest.raises(TypeError, match="a path or a PurposeFile is needed here, not dict"):
        Guard(small, purposes=wrong)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('purpose = "3(1)①"', "needs `channel` (help: the purpose admits email)"),
        ('purpose = "4②"\nchannel = "email"', "`email` is not a channel of this purpose"),
    ],
)
def test_a_closed_purpose_needs_a_channel(write: Callable[..., Path], small: Notice, entry: str, message: str) -> None:
    with pytest.raises(NoticeError) as caught:
        Guard(small, purposes=write(f'["GET /"]\n{entry}\n'))
    assert message in str(caught.value)
