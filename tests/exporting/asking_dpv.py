"""What the rules of an exported graph decide, read by SPARQL from nothing but the graph."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from rdflib import Graph

from purposeguard.notice.export.dpv import NOTICE, export
from purposeguard.notice.schema import Document

BASE = "https://notices.example/shop"
"""Where the graph is published."""
SHAPES = Path(__file__).with_name("dpv_shapes.ttl")

PREFIXES = """
PREFIX odrl: <http://www.w3.org/ns/odrl/2/>
PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
"""
TARGETS = """
SELECT ?rule ?kind ?source WHERE {
  VALUES ?kind { odrl:permission odrl:prohibition }
  ?set odrl:conflict odrl:prohibit ; ?kind ?rule .
  ?rule odrl:action odrl:use ; odrl:target ?target .
  ?target skos:notation ?source .
}
"""
LIMITS = """
SELECT ?rule ?left ?id WHERE {
  ?rule odrl:constraint ?constraint .
  ?constraint odrl:leftOperand ?left ; odrl:operator ?operator ; odrl:rightOperand ?right .
  ?right skos:notation ?id .
  FILTER (?operator IN (odrl:eq, odrl:isAnyOf))
}
"""
CONSENTS = """
SELECT ?rule ?id WHERE {
  ?rule odrl:duty ?duty .
  ?duty odrl:action ?action .
  ?action rdf:value odrl:obtainConsent ; odrl:refinement ?agreed .
  ?agreed odrl:leftOperand odrl:purpose ; odrl:operator odrl:eq ; odrl:rightOperand ?purpose .
  ?purpose skos:notation ?id .
}
"""


class Rule(NamedTuple):
    """A rule: what it is about, and what else it takes."""

    permits: bool
    sources: set[str]
    purposes: set[str]
    channels: set[str]
    consents: set[str]


def graph_of(document: Document) -> Graph:
    return Graph().parse(data=export(document)[NOTICE], format="json-ld", publicID=BASE)


class Rules:
    """The rules of a graph."""

    def __init__(self, graph: Graph) -> None:
        rules: dict[str, Rule] = {}
        for rule, kind, source in _rows(graph, TARGETS):
            found = rules.setdefault(rule, Rule(kind.endswith("/permission"), set(), set(), set(), set()))
            found.sources.add(source)
        for rule, left, given in _rows(graph, LIMITS):
            limits = {"purpose": rules[rule].purposes, "deliveryChannel": rules[rule].channels}
            limits[left.rpartition("/")[2]].add(given)
        for rule, purpose in _rows(graph, CONSENTS):
            rules[rule].consents.add(purpose)
        self.rules = list(rules.values())

    def allows(self, source: str, purpose: str, channel: str | None, consents: Collection[str]) -> bool:
        """Whether some permission holds and no prohibition does; without a channel nobody is reached."""
        about = [rule for rule in self.rules if source in rule.sources and purpose in rule.purposes]
        return all(rule.permits for rule in about) and any(self._holds(rule, channel, consents) for rule in about)

    def _holds(self, rule: Rule, channel: str | None, consents: Collection[str]) -> bool:
        reached = channel is None or not rule.channels or channel in rule.channels
        return reached and rule.consents.issubset(consents)


def _rows(graph: Graph, query: str) -> Iterator[list[str]]:
    for row in graph.query(PREFIXES + query):
        yield [str(term) for term in row]  # type: ignore[union-attr]  # rows of a SELECT
