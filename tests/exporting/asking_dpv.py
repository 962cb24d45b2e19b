"""What the rules of an exported graph decide, read by SPARQL from nothing but the graph."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from rdflib import Graph

from purposeguard.notice.export.dpv import NOTICE, export
from purposeguard.notice.schema import Document

BASE = "https://notices.example/shop"
"""Where the graph is published."""
SHAPES = Path(__file__).with_name("dpv_shapes.ttl")

RULES = """
PREFIX odrl: <http://www.w3.org/ns/odrl/2/>
PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
PREFIX skos: <http://www.w3.org/2004/02/skos/core#>
SELECT ?kind ?rule ?source ?purpose ?channel ?consent WHERE {
  ?set a odrl:Set ; odrl:conflict odrl:prohibit ; ?kind ?rule .
  VALUES ?kind { odrl:permission odrl:prohibition }
  ?rule odrl:action odrl:use ; odrl:target/skos:notation ?source ; odrl:constraint ?purposes .
  ?purposes odrl:leftOperand odrl:purpose ; odrl:operator ?operator ; odrl:rightOperand/skos:notation ?purpose .
  FILTER (?operator IN (odrl:eq, odrl:isAnyOf))
  OPTIONAL {
    ?rule odrl:constraint ?channels . ?channels odrl:leftOperand odrl:deliveryChannel .
    OPTIONAL { ?channels odrl:rightOperand/skos:notation ?channel }
  }
  OPTIONAL {
    ?rule odrl:duty/odrl:action ?duty . ?duty rdf:value odrl:obtainConsent ; odrl:refinement ?agreed .
    ?agreed odrl:leftOperand odrl:purpose ; odrl:operator odrl:eq ; odrl:rightOperand/skos:notation ?consent .
  }
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
        rules: dict[object, Rule] = {}
        for row in graph.query(RULES):
            kind, node, *terms = row  # type: ignore[misc]  # rows of a SELECT
            rule = rules.setdefault(node, Rule(str(kind).endswith("permission"), set(), set(), set(), set()))
            for found, term in zip(rule[1:], terms, strict=True):
                if term is not None:
                    found.add(str(term))
        self.rules = list(rules.values())

    def allows(self, source: str, purpose: str, channel: str | None, consents: Collection[str]) -> bool:
        """Whether some permission holds and no prohibition does; without a channel nobody is reached."""
        about = [rule for rule in self.rules if source in rule.sources and purpose in rule.purposes]
        return any(rule.permits for rule in about if self._holds(rule, channel, consents)) and all(
            rule.permits for rule in about
        )

    def _holds(self, rule: Rule, channel: str | None, consents: Collection[str]) -> bool:
        reached = channel is None or not rule.channels or channel in rule.channels
        return reached and rule.consents.issubset(consents)
