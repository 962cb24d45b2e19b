"""An application's guard, found by name, and what it declares: which activity may call which access function.

Nothing of the application runs but the import of its modules.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from purposeguard.errors import PurposeGuardError
from purposeguard.guard import Guard
from purposeguard.notice.label import Label
from purposeguard.policy.explanation import Decision, is_about_the_subject
from purposeguard.runtime.access import Reader
from purposeguard.runtime.handover import Handing
from purposeguard.runtime.registry import WHOLE, Access, Activity, Entrustment, Site
from purposeguard.tools.problems import Problem


def find_guard(target: str, others: Iterable[str] = ()) -> Guard:
    """The guard that `MODULE:GUARD` means, once its module and the `others` are imported.

    Raises:
        Problem: a module cannot be imported, or there is no guard of this name in it.
    """
    found = find(target, others)
    if not isinstance(found, Guard):
        raise Problem(f"`{target}` is no guard but a {type(found).__name__}")
    return found


def find(target: str, others: Iterable[str] = ()) -> Any:
    """What `MODULE:NAME` means, once its module and the `others` are imported.

    Raises:
        Problem: a module cannot be imported, or there is nothing of this name in it.
    """
    module, colon, path = target.partition(":")
    if not (module and colon and path):
        raise Problem(f"`{target}` names no guard: give MODULE:GUARD, e.g. `shop.privacy:guard`")
    # A console script, unlike `python -m`, does not look where it is started.
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    found: Any = imported(module)
    for other in others:
        imported(other)
    for name in path.split("."):
        if not hasattr(found, name):
            guards = [key for key, value in vars(sys.modules[module]).items() if isinstance(value, Guard)]
            there = f"it has {', '.join(f'`{module}:{key}`' for key in guards)}" if guards else "it has no guard at all"
            raise Problem(f"{module} has no `{path}` (help: {there})")
        found = getattr(found, name)
    return found


def imported(name: str) -> ModuleType:
    """The module of this name.

    Raises:
        Problem: it is not found, or fails while it is imported.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no part of the report
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever a foreign module raises is told; nothing is decided by it
        raise Problem(_import_failure(name, error)) from error


def _import_failure(name: str, error: BaseException) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and (name == missing or name.startswith(f"{missing}.")):
        return f"there is no module `{missing}` (help: start where it can be imported, or set PYTHONPATH)"
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and "importlib" not in Path(frame.filename).parts
    ]
    package = str(Path(__file__).parent.parent)
    foreign = [frame for frame in own if not frame.filename.startswith(package)]
    where = f"\n  at {foreign[-1].filename}, line {foreign[-1].lineno}" if foreign else ""
    what = str(error) or "no message"
    return f"{name} cannot be imported: {type(error).__name__}: {what}{where}"


def read_annotations(guard: Guard) -> dict[Site, str]:
    """Settles what is declared with annotations that name what was defined later; site → why where it cannot be."""
    declared: list[Access | Entrustment] = [*guard.accesses, *guard.entrustments]
    return {one.site: why for one in declared if one.label is None if (why := _unread(one)) is not None}


def _unread(declared: Access | Entrustment) -> str | None:
    settle = next(_settling(declared), None)
    if settle is None:
        what = "return annotation is" if isinstance(declared, Access) else "parameters' annotations are"
        return f"its {what} read at its first call, and it cannot be found by its name before"
    try:
        settle()
    except PurposeGuardError as error:
        return str(error).removeprefix(f"{declared.name}: ")
    return None


def says_whose(access: Access) -> bool:
    """Whether the rows that it gives say whose they are: what depends on the subject is then decided row by row."""
    readers = (getattr(fn, "__purposeguard_access__", None) for fn in _layers(access))
    return any(isinstance(one, Reader) and one.access is access and one.marked for one in readers)


def _settling(declared: Access | Entrustment) -> Iterator[Callable[[], object]]:
    """What reads the annotations of the function that was declared."""
    for fn in _layers(declared):
        reader, hand = (getattr(fn, f"__purposeguard_{kind}__", None) for kind in ("access", "entrustment"))
        if isinstance(reader, Reader) and reader.access is declared:
            yield reader.label
        if isinstance(hand, Handing) and hand.declared is declared:
            yield hand.shapes


def _layers(declared: Access | Entrustment) -> Iterator[Any]:
    """The function that was declared, and the decorators around it, from the outermost in."""
    fn: Any = sys.modules.get(declared.module)
    for name in declared.qualname.split("."):
        fn = inspect.getattr_static(fn, name, None)
    seen: set[int] = set()
    while fn is not None and id(fn) not in seen:
        seen.add(id(fn))
        yield fn
        fn = getattr(fn, "__func__", None) or getattr(fn, "__wrapped__", None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happens if this activity calls this access function.

    `verdict` is allowed, withheld (it runs, and `fields` are missing from what it gives), refused or unknown; `closed`
    are the sealed fields that the activity gets and may not open. An activity that is only observed is not refused:
    what would be is logged.
    """

    activity: Activity
    access: Access
    verdict: str
    fields: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()


def outcome(guard: Guard, activity: Activity, access: Access, unread: str | None = None) -> Outcome:
    """The forecast of one combination, by the decisions that the call itself would ask for."""
    by_row = says_whose(access)

    def why_not(label: Label) -> tuple[str, ...]:
        return standing_against(Decision(guard._engine.permissions(activity).decide(label)), by_row=by_row)

    return forecast(why_not, activity, access, unread)


def standing_against(decision: Decision, *, by_row: bool) -> tuple[str, ...]:
    """Why a call is refused. What a subject could agree to is asked of each row, where rows say whose they are."""
    return () if by_row and is_about_the_subject(decision) else decision.reasons


def forecast(
    why_not: Callable[[Label], tuple[str, ...]], activity: Activity, access: Access, unread: str | None = None
) -> Outcome:
    """What happens if an activity calls an access function, where `why_not` says why data is refused to it."""
    if access.label is None and not access.sealed:
        return Outcome(activity, access, "unknown", (), (unread or "its sources are not known",))

    def reasons(label: Label | None) -> tuple[str, ...]:
        return why_not(label) if label is not None else ()

    if not access.withhold:
        why = reasons(access.label)
        closed = () if why else tuple(path for path, label in access.sealed.items() if reasons(label))
        return Outcome(activity, access, "refused" if why else "allowed", (), why, closed)
    values = _values(access)
    why = reasons(access.named) or reasons(access.whole) or reasons(access.sealed.get(WHOLE))
    if why:
        return Outcome(activity, access, "refused", (), why)
    withheld = {path: because for path, label in values.items() if (because := reasons(label))}
    outermost = tuple(path for path in withheld if not any(_inside(path, other) for other in withheld))
    why = tuple(dict.fromkeys(one for path in outermost for one in withheld[path]))
    return Outcome(activity, access, "withheld" if withheld else "allowed", outermost, why)


def _values(access: Access) -> dict[str, Label]:
    """Path → label of what is withheld as one: a plain list together with its items."""
    found: dict[str, Label] = {}
    for path, label in (*access.fields.items(), *access.sealed.items()):
        whole = path
        while whole.endswith("[]"):
            whole = whole.removesuffix("[]")
        if whole:  # else it is the returned value as a whole, which cannot be withheld
            found[whole] = found[whole] | label if whole in found else label
    return found


def _inside(path: str, other: str) -> bool:
    return path.startswith((f"{other}.", f"{other}["))
