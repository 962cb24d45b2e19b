"""Wrong exports: each the policies of a right one with one thing changed."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import cedarpy

Ast = dict[str, Any]


class Mutant(NamedTuple):
    """`what` was changed, and where: the policy by its `@id`. `actions`: what it is about; None: all."""

    what: str
    policies: Any
    actions: frozenset[str] | None


def mutants(policies: str) -> Iterator[Mutant]:
    """Every policy left out, or with the other effect; every condition left out; every entry of every set left out."""
    whole: Ast = json.loads(cedarpy.policies_to_json_str(policies))
    for name, policy in whole["staticPolicies"].items():
        given = policy["annotations"]["id"]
        yield _made(f"{given}: left out", whole, name, None)
        other = "forbid" if policy["effect"] == "permit" else "permit"
        yield _made(f"{given}: {other} in place of {policy['effect']}", whole, name, {**policy, "effect": other})
        for number, condition in enumerate(policy["conditions"]):
            kept = [one for place, one in enumerate(policy["conditions"]) if place != number]
            what = f"{given}: without its {condition['kind']} {number + 1}"
            yield _made(what, whole, name, {**policy, "conditions": kept})
        for number, (what, changed) in enumerate(_shortened(policy)):
            yield _made(f"{given}: without {what} in entry {number + 1}", whole, name, changed)


def _made(what: str, whole: Ast, name: str, policy: Ast | None) -> Mutant:
    others = {key: one for key, one in whole["staticPolicies"].items() if key != name}
    changed = {**whole, "staticPolicies": others if policy is None else {**others, name: policy}}
    head = whole["staticPolicies"][name]["action"]
    about = head.get("entities", [head["entity"]] if "entity" in head else [])
    actions = frozenset(one["id"] for one in about) if head["op"] != "All" else None
    return Mutant(what, cedarpy.PolicySet.from_json_str(json.dumps(changed)), actions)


def _shortened(policy: Ast) -> Iterator[tuple[str, Ast]]:
    """A policy without one entry of one of its sets, over and over."""
    for path in _sets(policy, ()):
        entries = _at(policy, path)
        for number, entry in enumerate(entries):
            if len(entries) > 1:
                changed = copy.deepcopy(policy)
                del _at(changed, path)[number]
                named = entry.get("Value", {}).get("__entity", entry)
                yield f"`{named['id']}`", changed


def _sets(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Where sets stand: in conditions, and among the actions of the head."""
    if isinstance(node, dict):
        for key, value in node.items():
            if (key == "Set" or (key == "entities" and path == ("action",))) and isinstance(value, list):
                yield (*path, key)
            else:
                yield from _sets(value, (*path, key))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _sets(value, (*path, number))


def _at(node: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        node = node[step]
    return node
