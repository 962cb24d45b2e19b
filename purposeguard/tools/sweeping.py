"""The sweep at the command line: what is due as a report, the erasing behind a progress bar, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from purposeguard.guard import Guard
from purposeguard.notice.schema import Period
from purposeguard.tools.application import find
from purposeguard.tools.problems import Problem
from purposeguard.tools.render import Column, Report, Table

if TYPE_CHECKING:
    # Its libraries may be missing; an application that has a sweep has them.
    from purposeguard.governance.retention import Due, Outcome, Plan, RetentionJob


def find_sweep(target: str, others: Iterable[str]) -> RetentionJob:
    """The sweep of the governance that `MODULE:NAME` means, or of the guard that it means.

    Raises:
        Problem: a module cannot be imported, or there is nothing of this name that sweeps.
    """
    found = find(target, others)
    governance: Any = found.governance if isinstance(found, Guard) else found
    if governance is None:
        raise Problem(f"the guard `{target}` has no governance, so nobody knows what to erase")
    sweep: Any = getattr(governance, "retention", governance)
    if not (hasattr(sweep, "plan") and hasattr(sweep, "run")):
        raise Problem(f"`{target}` is neither a guard nor governance but a {type(found).__name__}")
    return cast("RetentionJob", sweep)


def plan_report(plan: Plan) -> Report:
    """What is due, per eraser."""
    data = {
        "today": plan.today.isoformat(),
        "resumes": plan.resumes,
        "due": plan.count,
        "erasers": [
            {
                "eraser": one.eraser,
                "sources": list(one.sources),
                **_period_data(one.period),
                "before": None if one.before is None else one.before.isoformat(),
                "due": one.count,
                "known": one.known,
                "pending": one.pending,
                "problem": one.problem,
            }
            for one in plan.parts
        ],
        "unserved": [{"source": one.source, **_period_data(one)} for one in plan.unserved],
    }
    going_on = f", going on with sweep {plan.resumes}" if plan.resumes is not None else ""
    table = Table(
        f"Due on {plan.today}{going_on} ({plan.count:,})",
        (
            *(Column("eraser"), Column("sources", "under"), Column("kept for"), Column("erased if before")),
            *(Column("due"), Column("problem", "under")),
        ),
        tuple(
            (
                *(one.eraser, " ".join(one.sources) or "-", _said(one.period)),
                *(
                    "-" if one.before is None else one.before.isoformat(),
                    _due(one),
                    one.problem or "",
                ),
            )
            for one in plan.parts
        ),
    )
    warnings = [f"no eraser serves the period of {one.source}, {_said(one)}" for one in plan.unserved]
    warnings += [f"eraser {one.eraser}: {one.problem}" for one in plan.parts if one.problem]
    return Report(data, (table,), table, tuple(warnings))


def outcome_report(outcome: Outcome) -> Report:
    """What was erased, per eraser."""
    data = {
        "sweep": outcome.number,
        "ended": outcome.ended,
        "good": outcome.good,
        "erasers": [
            {
                "eraser": one.eraser,
                "sources": list(one.sources),
                "erased": one.done,
                "left": one.left,
                "problem": one.problem,
            }
            for one in outcome.parts
        ],
    }
    table = Table(
        f"Sweep {outcome.number}" + ("" if outcome.ended else ", to be gone on with"),
        (Column("eraser"), Column("sources", "under"), Column("erased"), Column("outcome"), Column("problem", "under")),
        tuple(
            (
                one.eraser,
                " ".join(one.sources) or "-",
                f"{one.done:,}",
                _became(one.left, one.problem),
                one.problem or "",
            )
            for one in outcome.parts
        ),
    )
    warnings = [f"eraser {one.eraser}: {one.problem}" for one in outcome.parts if one.problem]
    warnings += [
        f"eraser {one.eraser}: something is still due after it was erased" for one in outcome.parts if one.left
    ]
    return Report(data, (table,), table, tuple(warnings))


def swept(sweep: RetentionJob, plan: Plan, batch: int, max_share: float, console: Console) -> Outcome:
    """Erases what is due, with a bar for each eraser where there is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bars = {one.eraser: progress.add_task(one.eraser, total=one.count + one.pending) for one in plan.parts}

        def told(eraser: str, count: int) -> None:
            progress.advance(bars[eraser], count)

        return sweep.run(batch=batch, max_share=max_share, told=told)


def _period_data(period: Period | None) -> dict[str, Any]:
    return {"days": None, "from": None} if period is None else {"days": period.days, "from": period.from_}


def _said(period: Period | None) -> str:
    if period is None:
        return "no period is set"
    days = "1 day" if period.days == 1 else f"{period.days:,} days"
    return f"{days} from {'collection' if period.from_ == 'collection' else 'the end of use'}"


def _due(one: Due) -> str:
    under_way = f" and {one.pending:,} under way" if one.pending else ""
    return f"{one.count:,} of {one.known:,}{under_way}"


def _became(left: bool, problem: str | None) -> str:
    if problem:
        return "FAILED"
    return "something is left" if left else "done"
