"""The notice or notices that are in force when a guard is made, or puts a revision in force."""

from __future__ import annotations

from purposeguard.errors import Fault, NoticeError
from purposeguard.notice.history import History
from purposeguard.notice.notice import Notice
from purposeguard.notice.several import JointNotice, Notices
from purposeguard.policy.joint import NoticesInForce
from purposeguard.runtime.clock import Clock


def resolve_notice(notice: object, clock: Clock) -> tuple[Notice | NoticesInForce, History | None]:
    """Return the notice to decide by, and its history if one was passed.

    Raises:
        TypeError: `notice` is not a Notice, History or Notices.
        NoticeError: No revision of the history is in force yet, or it is a history of drafts.
    """
    if isinstance(notice, Notices):
        members = tuple(_resolve_single_notice(member, clock) for member in notice.members)
        return NoticesInForce(members, notice.families), None
    return _resolve_single_notice(notice, clock)


def _resolve_single_notice(notice: object, clock: Clock) -> tuple[Notice, History | None]:
    if isinstance(notice, Notice) and not isinstance(notice, JointNotice):
        return notice, None
    if not isinstance(notice, History):
        raise TypeError(f"a guard needs a Notice, not {type(notice).__name__}: `Notice.load(path)` reads one")
    if notice.is_draft:
        fault = Fault("", "a history of drafts is for comparing revisions only", "make it by `History(…)`")
        raise NoticeError([fault], "history")
    revision = notice.on(clock.now())
    if revision is None:
        first = notice.notices[0].revision
        raise NoticeError([Fault("revision", f"none is in force yet: the first is of {first}")], "history")
    return revision, notice
