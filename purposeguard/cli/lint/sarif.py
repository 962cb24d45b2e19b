"""Findings as SARIF 2.1.0, which code hosts and editors show beside the code, and as JSON."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from purposeguard.cli.lint.files import spelt
from purposeguard.cli.lint.findings import Finding, Rule, Unread
from purposeguard.cli.lint.linter import RULES, Outcome

VERSION: Final = "2.1.0"
SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(outcome: Outcome, version: str) -> dict[str, Any]:
    """The SARIF log of one run. Allowed findings are suppressed results, with their reasons."""
    return log((*outcome.findings, *outcome.allowed), RULES, version, outcome.unread)


def log(
    findings: Iterable[Finding], rules: Sequence[Rule], version: str, unread: Sequence[Unread] = ()
) -> dict[str, Any]:
    """The SARIF log of findings of these rules."""
    places = {rule.id: index for index, rule in enumerate(rules)}
    prints: Counter[str] = Counter()
    driver = {
        "name": "purposeguard",
        "version": version,
        "rules": [_rule(rule) for rule in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not unread,
                "toolExecutionNotifications": [_notification(file) for file in unread],
            }
        ],
        "results": [_result(finding, places[finding.rule], rules, prints) for finding in sorted(findings)],
    }
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": {"text": f"{rule.title[0].upper()}{rule.title[1:]}."},
        "help": {"text": f"{rule.help[0].upper()}{rule.help[1:]}."},
        "defaultConfiguration": {"level": rule.level},
    }


def _result(finding: Finding, index: int, rules: Sequence[Rule], prints: Counter[str]) -> dict[str, Any]:
    place = finding.place
    message = f"{finding.message[0].upper()}{finding.message[1:]}."
    region = {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": rules[index].level,
        "message": {"text": message},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(place.path)}, "region": region}}],
        "partialFingerprints": {"purposeguard/v1": _print(finding, prints)},
    }
    if finding.symbol:
        result["locations"][0]["logicalLocations"] = [{"fullyQualifiedName": finding.symbol}]
    if finding.allowed is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": finding.allowed}]
    return result


def _print(finding: Finding, prints: Counter[str]) -> str:
    """A fingerprint that does not depend on line numbers: rule, file, symbol, and number among equal ones."""
    about = f"{finding.rule}\n{finding.place.path}\n{finding.symbol}\n{finding.message}"
    prints[about] += 1
    return hashlib.sha256(f"{about}\n{prints[about]}".encode()).hexdigest()


def _notification(unread: Unread) -> dict[str, Any]:
    location = {"artifactLocation": {"uri": _uri(unread.path)}, "region": {"startLine": unread.line}}
    return {
        "level": "error",
        "message": {"text": f"{unread.path} {unread.message}."},
        "locations": [{"physicalLocation": location}],
    }


def _uri(path: str) -> str:
    """A path as a URI: relative as it was passed, or a file URI."""
    return Path(path).as_uri() if Path(path).is_absolute() else quote(path.removeprefix("./"))


def data(outcome: Outcome) -> dict[str, Any]:
    """The findings as JSON values."""
    return {
        "files": outcome.files,
        "findings": [_data(finding) for finding in outcome.findings],
        "allowed": [{**_data(finding), "reason": finding.allowed} for finding in outcome.allowed],
        "unread": [dataclasses.asdict(unread) for unread in outcome.unread],
        "notebooks": [spelt(notebook) for notebook in outcome.notebooks],
    }


def _data(finding: Finding) -> dict[str, Any]:
    names = {"rule": finding.rule, "symbol": finding.symbol or None, "message": finding.message}
    return {**dataclasses.asdict(finding.place), **names}


def by_rule(findings: Sequence[Finding]) -> dict[str, int]:
    """Rule → number of findings."""
    counted = Counter(finding.rule for finding in findings)
    return {rule.id: counted[rule.id] for rule in RULES if counted[rule.id]}
