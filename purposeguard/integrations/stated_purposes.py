"""The purposes that `purposes.toml` states for entry points, for integrations, which enter them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from purposeguard.guard import Guard
from purposeguard.policy.explanation import format_term
from purposeguard.runtime.activity import Block
from purposeguard.runtime.registry import Activity
from purposeguard.runtime.site import Site

_NOWHERE: Final = Site("", "", 0)


def find_block(
    guard: Guard, entry_point: str, stated: Iterable[Block[Any] | Activity | None] = ()
) -> Block[Any] | None:
    """Return a block to enter for the purpose that `purposes.toml` states for an entry point, unless the code does.

    Its activity is named after the entry point, and declared where the file states it.

    Args:
        guard: The guard that was given the file.
        entry_point: The name of the entry point.
        stated: What the code states for it: blocks or activities, each of which may be None.

    Returns:
        None if the file states nothing, or if the code states the same.

    Raises:
        ValueError: The code states something else.
    """
    purposes = guard.purposes
    entry = None if purposes is None else purposes.find(entry_point)
    if purposes is None or entry is None:
        return None
    block = guard.purpose(
        entry.purpose, channel=entry.channel, activity=entry_point, mode=entry.mode, conditions=entry.conditions
    )
    # Reports then name the line of the file instead of this one.
    block.stated.where = (block.stated.where[0], entry.position.line, purposes.path)
    of_file = _get_activity(block)
    of_code = [_get_activity(one) for one in stated if one is not None]
    for activity in of_code:
        if _get_terms(activity) != _get_terms(of_file):
            raise ValueError(
                f"{purposes.path}:{entry.position.line}: `{entry.pattern}` states {_describe(of_file)} for "
                f"{entry_point}, and the code states {_describe(activity)}: leave one of them"
            )
    return None if of_code else block


def require_permitted(guard: Guard, entry_point: str, permits: Iterable[object]) -> None:
    """Check that `purposes.toml` states one of these purposes for an entry point, or none.

    Raises:
        ValueError: It states another one.
    """
    purposes = guard.purposes
    entry = None if purposes is None else purposes.find(entry_point)
    if purposes is not None and entry is not None:
        purpose = guard.engine.snapshot.matrix.resolve_purpose(entry.purpose)
        if purpose not in permits:
            raise ValueError(
                f"{purposes.path}:{entry.position.line}: `{entry.pattern}` states {format_term(purpose)} for "
                f"{entry_point}, and the code does not permit it: name it in `permits`, or leave it out of the file"
            )


def get_site(block: Block[Any]) -> Site:
    """Return the place in `purposes.toml` where the purpose of a block of `find_block` is stated."""
    _, line, path = block.stated.where
    return Site(path, block.stated.name or "", line)


def find_activity(fn: Any) -> Activity | None:
    """Return the activity of a function that `guard.purpose` decorates, or None."""
    activity = getattr(fn, "__purposeguard_activity__", None)
    return activity if isinstance(activity, Activity) else None


def _get_activity(stated: Block[Any] | Activity) -> Activity:
    return stated.stated.make_activity(_NOWHERE, "") if isinstance(stated, Block) else stated


def _get_terms(activity: Activity) -> tuple[object, ...]:
    return activity.purpose, activity.channel, activity.conditions, activity.observing


def _describe(activity: Activity) -> str:
    text = format_term(activity.purpose)
    if activity.channel is not None:
        text += f" by {activity.channel}"
    if activity.conditions:
        text += f" under {', '.join(sorted(activity.conditions))}"
    return f"{text}, in mode {'observe' if activity.observing else 'enforce'}"
