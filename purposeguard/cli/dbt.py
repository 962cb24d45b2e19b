"""The commands `purposeguard dbt check` and `purposeguard dbt labels`: a dbt project held to the notice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from purposeguard.cli.columns import ReportColumn, list_rows, make_table
from purposeguard.cli.files import write_all
from purposeguard.cli.options import (
    NoticeOption,
    Overlays,
    ending,
    err,
    group,
    needing,
    out,
    read_chosen_notice,
    valid_input,
)
from purposeguard.cli.render import Report, complain, json_text, show
from purposeguard.cli.sarif import SarifFinding, SarifRule, render_sarif
from purposeguard.cli.words import translate
from purposeguard.containers import map_values
from purposeguard.errors import escape_controls
from purposeguard.extras import Needs
from purposeguard.guard import Guard
from purposeguard.notice.vocabulary import list_term_ids

with Needs(__name__, "cli"):
    import typer

if TYPE_CHECKING:
    from purposeguard.adapters.dbt.checks import Checked, Finding  # at run time it takes an extra
    from purposeguard.adapters.dbt.lineage import Outputs

dbt_app = group("Hold a dbt project to a notice: labels of its models, and the purposes that they serve.")
"""Registered by `commands`."""

RULES: Final = (
    SarifRule("dbt-unread", "a resource of the project cannot be read", "a project passes if all of it can be read"),
    SarifRule(
        "dbt-meta", "a declaration in `meta` cannot be read", "write it as the reference of `purposeguard dbt` says"
    ),
    SarifRule("dbt-untagged", "nobody labelled a column", "tag the column that it comes from, or say `not-personal`"),
    SarifRule("dbt-flow", "more flows into a column than its tags name", "tag it with all that flows in"),
    SarifRule("dbt-declassification", "a column is not declassified", "keep only groups of many subjects"),
    SarifRule("dbt-purpose", "a purpose may not use a column", "use other columns, or state another purpose"),
)


DbtFormat = Literal["table", "json", "sarif"]
"""How findings are printed."""


Kind = Literal["properties", "tags"]
"""As what labels are written."""


Project = Annotated[Path, typer.Argument(metavar="[PROJECT]", help="The folder of the project.", show_default=False)]
Target = Annotated[
    Path | None,
    typer.Option("--target-path", metavar="DIR", help="Where its artifacts are; `target` in it if left out."),
]
TrustHooks = Annotated[
    bool, typer.Option("--trust-hooks", help="Hooks and operations move no personal data; they are not looked into.")
]
TrustedMacros = Annotated[
    list[str] | None,
    typer.Option(
        "--trust-macro",
        metavar="NAME",
        help="What this macro queries puts nothing personal into the SQL of models; may be repeated.",
    ),
]
TagsOption = Annotated[
    Path | None,
    typer.Option("--tags", metavar="FILE", help="A file `tags.toml`, which completes the tags in `meta`."),
]


def check(
    project: Project = Path(),
    *,
    target: Target = None,
    notice: NoticeOption = None,
    overlay: Overlays = None,
    tags: TagsOption = None,
    trust_hooks: TrustHooks = False,
    trust_macro: TrustedMacros = None,
    form: Annotated[DbtFormat, typer.Option("--format", help="How to print it.")] = "table",
) -> bool:
    """Check that each column has a label, and that each purpose may use the columns that it gets.

    Reads `manifest.json`, which `dbt build` and `dbt compile` write, and `catalog.json` of `dbt docs generate` if it is
    there. Nothing is run.
    """
    guard = Guard(read_chosen_notice(notice, overlay or ()), tags=tags)
    checked = _run_check(project, target, guard, trust_hooks=trust_hooks, trusted_macros=trust_macro or ())
    if form == "sarif":
        print(json_text(render_sarif(map(_to_sarif_finding, checked.findings), RULES)), end="")
    else:
        show(_report(checked), form, out())
    if form == "table":
        refused = f"{len(checked.findings)} refused" if checked.findings else "nothing refused"
        tables, exposures = len(checked.outputs), len(checked.project.manifest.exposures)
        print(translate(f"{refused} in {tables} tables, for {exposures} exposures"))
    return not checked.findings


def labels(
    project: Project = Path(),
    *,
    target: Target = None,
    notice: NoticeOption = None,
    overlay: Overlays = None,
    tags: TagsOption = None,
    trust_hooks: TrustHooks = False,
    trust_macro: TrustedMacros = None,
    kind: Annotated[Kind, typer.Option("--as", help="Properties files, or SQL that tags columns.")] = "properties",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Write there instead of printing.")
    ] = None,
) -> bool:
    """Write the labels of models: as properties files of dbt, or as SQL that tags the columns of the warehouse.

    A project with findings has none to write.
    """
    guard = Guard(read_chosen_notice(notice, overlay or ()), tags=tags)
    checked = _run_check(project, target, guard, trust_hooks=trust_hooks, trusted_macros=trust_macro or ())
    for finding in checked.findings:
        complain(err(), "refused", escape_controls(f"{finding.path}: {_symbol(finding)}: {finding.message}"))
    if checked.findings:
        return False
    from purposeguard.adapters.dbt.labels import properties, statements  # noqa: PLC0415  # needs the extra `dbt`

    with valid_input():
        sql = "" if kind == "properties" else "\n".join([*statements(checked), ""])
    files = properties(checked) if kind == "properties" else [("tags.sql", sql)]
    if output is not None:
        write_all(output, {output / name: text for name, text in files})
        return True
    for name, text in files:
        print(f"---\n# {name}\n{text}" if kind == "properties" else text, end="")
    return True


dbt_app.command("check", epilog="Exit codes: 0 nothing refused, 1 a finding, 2 bad input.")(ending(check))
dbt_app.command("labels", epilog="Exit codes: 0 written, 1 a finding, 2 bad input.")(ending(labels))


def _run_check(project: Path, target: Path | None, guard: Guard, **trust: Any) -> Checked:
    with needing("dbt", "`dbt` needs"):
        from purposeguard.adapters import dbt  # noqa: PLC0415  # needs the extra `dbt`
    with valid_input():
        return dbt.check(dbt.Project.read(project, target), guard, **trust)


def _to_sarif_finding(finding: Finding) -> SarifFinding:
    """Return a finding for SARIF. It is about a file as a whole, so its line is 1."""
    message = f"{finding.message} ({finding.help})"
    return SarifFinding(finding.path, 1, f"dbt-{finding.rule}", message, _symbol(finding))


def _symbol(finding: Finding) -> str:
    return f"{finding.resource}.{finding.column}" if finding.column else finding.resource


def _report(checked: Checked) -> Report:
    data = {
        "adapter": checked.project.adapter,
        "findings": list_rows(FINDINGS, checked.findings),
        "labels": map_values(_labels_of, checked.outputs),
        "declassified": list(_iter_declassified(checked)),
    }
    return Report(data, (make_table("Refused", FINDINGS, checked.findings),) if checked.findings else ())


def _labels_of(outputs: Outputs) -> dict[str, list[str] | None]:
    """Return the sources of the columns of a resource; None for a column that nobody labelled."""
    labels: dict[str, list[str] | None] = {}
    for output in outputs.values():
        labels[output.name] = None if output.tag is None else list_term_ids(output.tag.label)
    return labels


def _iter_declassified(checked: Checked) -> Iterator[dict[str, Any]]:
    for (unique_id, column), declared in checked.declassified.items():
        yield {"resource": unique_id, "column": column, **declared.model_dump()}


FINDINGS: Final[tuple[ReportColumn[Finding], ...]] = (
    ReportColumn(
        "path", lambda finding: finding.path, "file", lambda finding: escape_controls(finding.path), kind="group"
    ),
    ReportColumn(
        "resource", lambda finding: finding.resource, "column", lambda finding: escape_controls(_symbol(finding))
    ),
    ReportColumn("column", lambda finding: finding.column),
    ReportColumn(
        "rule", lambda finding: finding.rule, text=lambda finding: escape_controls(finding.rule), under="resource"
    ),
    ReportColumn(
        "message", lambda finding: finding.message, "why", lambda finding: escape_controls(finding.message), words=True
    ),
    ReportColumn(
        "help",
        lambda finding: finding.help,
        text=lambda finding: escape_controls(finding.help),
        under="message",
        words=True,
    ),
)
"""The columns of findings."""
