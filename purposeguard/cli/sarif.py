"""Render findings as SARIF 2.1.0, the format that code hosts and editors show beside the code."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

SARIF_VERSION: Final = "2.1.0"
SARIF_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


@dataclass(frozen=True, slots=True)
class SarifRule:
    """A rule: its id, what it finds, how to fix a finding, and how serious a finding is."""

    id: str
    title: str
    help: str
    level: Literal["error", "warning", "note"] = "error"


@dataclass(frozen=True, slots=True, order=True)
class SarifFinding:
    """A finding: its file and line, the id of its rule, its message, and the name of what it is about."""

    path: str
    line: int
    rule_id: str
    message: str
    symbol: str = ""


def render_sarif(findings: Iterable[SarifFinding], rules: Sequence[SarifRule]) -> dict[str, Any]:
    """Return the SARIF log of one run, as JSON values. Findings are sorted by file and line."""
    rule_indexes = {rule.id: index for index, rule in enumerate(rules)}
    occurrences: Counter[str] = Counter()
    results: list[dict[str, Any]] = []
    for finding in sorted(findings):
        index = rule_indexes[finding.rule_id]
        result = _render_result(finding, _make_fingerprint(finding, occurrences))
        results.append({"ruleId": finding.rule_id, "ruleIndex": index, "level": rules[index].level, **result})
    driver = {
        "name": "purposeguard",
        "version": metadata.version("purposeguard"),
        "rules": [_render_rule(rule) for rule in rules],
    }
    return {
        "$schema": SARIF_SCHEMA,
        "version": SARIF_VERSION,
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }


def _render_rule(rule: SarifRule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": "".join(word.capitalize() for word in rule.id.split("-")),
        "shortDescription": _render_text(rule.title),
        "help": _render_text(rule.help),
        "defaultConfiguration": {"level": rule.level},
    }


def _render_result(finding: SarifFinding, fingerprint: str) -> dict[str, Any]:
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _make_uri(finding.path)},
            "region": {"startLine": finding.line},
        }
    }
    if finding.symbol:
        location["logicalLocations"] = [{"fullyQualifiedName": finding.symbol}]
    return {
        "message": _render_text(finding.message),
        "locations": [location],
        "partialFingerprints": {"purposeguard/v1": fingerprint},
    }


def _render_text(text: str) -> dict[str, str]:
    """Return a text as a sentence: SARIF asks for a capital letter and a full stop."""
    return {"text": f"{text[0].upper()}{text[1:]}."}


def _make_fingerprint(finding: SarifFinding, occurrences: Counter[str]) -> str:
    """Return a hash that stays the same when lines are added above. Equal findings are numbered."""
    identity = f"{finding.rule_id}\n{finding.path}\n{finding.symbol}\n{finding.message}"
    occurrences[identity] += 1
    return hashlib.sha256(f"{identity}\n{occurrences[identity]}".encode()).hexdigest()


def _make_uri(path: str) -> str:
    """Return a file URI for an absolute path, and a relative reference for a relative one."""
    return Path(path).as_uri() if Path(path).is_absolute() else quote(path.removeprefix("./"))
