"""On whose behalf a decision is made, by the frames that led to it.

One question of a caller may be put to a column twice (whether a value may be opened, and then its opening), and the
library puts questions of its own. What counts is each question of a caller, once.
"""

from __future__ import annotations

import sys
from types import CodeType, FrameType
from typing import Any, Final, Literal, cast

from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision
from purposeguard.runtime.access import Reader
from purposeguard.runtime.handover import Handing
from purposeguard.runtime.snapshot import ActivityHandle, Engine
from purposeguard.runtime.use import Use

Kind = Literal["used", "asked"]


def _code(fn: Any) -> CodeType:
    return cast("CodeType", fn.__code__)


_ALLOWS: Final = _code(Guard.allows)
_CHECK: Final = _code(Guard.check)
_EXPLAIN: Final = _code(Guard.explain)
_CHECK_RECIPIENT: Final = _code(Guard.check_recipient)
_DECISION: Final = _code(Decision.__init__)
_ENGINE_ALLOWED: Final = _code(Engine.allowed)
_ENGINE_AUTHORISE: Final = _code(Engine.authorise)
_CURRENT: Final = _code(ActivityHandle.current)
_AUTHORISING: Final = frozenset({_code(Reader.authorise), _code(Reader._authorise_rows)})
_USE_ALLOWS: Final = _code(Use.allows)
_USE_EXPLAIN: Final = _code(Use.explain)
_JUDGED: Final = _code(Use.judged)
_REFUSAL: Final = _code(Use.refusal)
_LATER: Final = _code(Use.refusal_later)
_OPEN: Final = _code(Use._open)
_TRY_OPEN: Final = _code(Use.try_open)
_WITHOUT: Final = frozenset({_code(Use.without), _code(Use.narrowed)})

_HANDING: Final = _code(Handing._judge)
_COMPREHENSIONS: Final = frozenset({"<dictcomp>", "<genexpr>", "<listcomp>", "<setcomp>"})

# Of what stands beside this package or above it the names are known, and not the code.
_DECIDING: Final = "purposeguard.adapters.deciding"
_FINDING: Final = "purposeguard.adapters.finding"
_DECISIONS: Final = "purposeguard.testing.decisions"


def of_allows() -> Kind | None:
    """What `Guard.allows` asks a row for, where that is who asks; None where nobody is to be told."""
    frame = sys._getframe(2)
    if frame.f_code is not _ALLOWS:
        return None
    above = frame.f_back
    if above is not None and above.f_code is _CHECK:
        return None if _is_library(above.f_back) else "used"
    return None if _is_library(above) else "asked"


def of_explain(*, named: bool) -> Kind | None:
    """The same of `Guard.explain`, whose decision asks for a row; `named`: of a subject."""
    frame = sys._getframe(2)
    if frame.f_code is not _DECISION:
        return None
    explain = _above(frame)
    if explain is None or explain.f_code is not _EXPLAIN:
        return None
    above = explain.f_back
    code = above.f_code if above is not None else None
    if above is not None and code is _CHECK:
        # Without a ledger it has asked `allows` first, and wants the reasons now.
        told = not named and explain.f_locals["engine"].ledger is None
        return None if told or _is_library(above.f_back) else "used"
    if above is not None and code in (_ALLOWS, _CHECK_RECIPIENT):
        above = above.f_back
    return None if _is_library(above) else "asked"


def of_column(label: Label, *, allowed: bool) -> Kind | None:
    """On whose behalf `permits` or `permits_of` of a column is asked."""
    frame = sys._getframe(2)
    code = frame.f_code
    if code is _JUDGED:
        return _of_judged(_above(frame), label, allowed)
    if code is _LATER:
        # What lies outside rows is asked first, and is part of what is asked then.
        return None if allowed and sys._getframe(1).f_code.co_name == "permits" else "used"
    outer = _above(frame) if code.co_name == "<genexpr>" else frame
    if outer is not None and outer.f_code is _ENGINE_ALLOWED:
        asker = outer.f_back
        return None if asker is None or _is_library(asker.f_back) else "asked"
    module = _module(frame)
    if module == _DECIDING and code.co_name == "_later":
        return _of_adapter(frame.f_back, label, allowed)
    return None if module == _FINDING else "asked"


def _of_judged(caller: FrameType | None, label: Label, allowed: bool) -> Kind | None:
    if caller is None:
        return "asked"
    code, above = caller.f_code, caller.f_back
    if code is _OPEN:
        return None if above is not None and above.f_code is _TRY_OPEN else "used"
    if code is _REFUSAL:
        handed = above is not None and above.f_code is _HANDING
        return None if handed else "used"  # a hand-over was judged, and is counted now
    if code is _USE_EXPLAIN:
        return None if _is_library(above) else "asked"
    if _module(caller) == _DECIDING:
        return _of_adapter(caller, label, allowed)
    return "asked" if code.co_name == "denies_seal" else "used"


def _of_adapter(frame: FrameType | None, label: Label, allowed: bool) -> Kind | None:
    if frame is None:
        return "asked"
    if frame.f_code.co_name == "denied":
        return None if allowed else "asked"  # what may be used is asked again, as what is used
    held = frame.f_locals
    demand, field = held.get("demand"), held.get("field")
    if demand is None:
        return "asked"
    # As the ledger counts them: once for all columns of one label.
    first = next((one[0] for one in demand.fields if one[1] is label), None)
    if first is None:
        first = next((name for name, _, tag in demand.rows if tag.label is label), None)
    return "used" if first == field else None


def is_asked_outside() -> bool:
    """Whether `Use.allows` is what asks a column, on behalf of somebody else than the library."""
    frame = sys._getframe(2)
    return frame.f_code is _USE_ALLOWS and not _is_library(frame.f_back)


def is_explained_outside() -> bool:
    """Whether `Use.explain` is what asks for a decision."""
    frame = sys._getframe(2)
    return frame.f_code is _USE_EXPLAIN and not _is_library(frame.f_back)


def is_entering() -> bool:
    """Whether a column is asked for since its activity is under way, and not where it is declared."""
    return sys._getframe(2).f_code is _CURRENT


def reader_here() -> Any:
    """The access function that asks for the present use; None where it is somebody else."""
    frame = sys._getframe(2)
    return frame.f_locals["self"] if frame.f_code in _AUTHORISING else None


def details() -> tuple[str | None, str | None]:
    """The access function and the field that the present decision is about, where the frames know them."""
    function: str | None = None
    field: str | None = None
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and _module(frame).startswith("purposeguard."):
        code = frame.f_code
        if code.co_name == "_from_model" and field is None:
            held = frame.f_locals
            path = held["path"].removeprefix("[].")
            field = f"{path}.{held['name']}" if path and path != "[]" else held["name"]
        elif code.co_name == "meet_under" or (code.co_name == "denied" and _module(frame) == _DECIDING):
            field = frame.f_locals.get("field") or frame.f_locals.get("name")
        elif code in _WITHOUT or code is _ENGINE_AUTHORISE:
            access = frame.f_locals.get("access")
            function = access.name if access is not None else function
        elif code in _AUTHORISING:
            function = frame.f_locals["self"].access.name
        frame = frame.f_back
    return function, field


def _above(frame: FrameType) -> FrameType | None:
    """The frame above, comprehensions left out: they have frames of their own up to Python 3.11."""
    above = frame.f_back
    while above is not None and above.f_code.co_name in _COMPREHENSIONS:
        above = above.f_back
    return above


def _module(frame: FrameType) -> str:
    name = frame.f_globals.get("__name__")
    return name if isinstance(name, str) else ""


def _is_library(frame: FrameType | None) -> bool:
    """Whether a frame is of what asks guards by itself; all else of the library calls what it was given."""
    module = "" if frame is None else _module(frame)
    return module.startswith(("purposeguard.testing.", "purposeguard.tools.")) and module != _DECISIONS
