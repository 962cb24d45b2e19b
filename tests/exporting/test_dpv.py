"""The exported graph: valid by its shapes, in words that the vocabularies have, and of the notice's own decisions."""

from __future__ import annotations

import copy
import functools
from itertools import product

import pytest
from hypothesis import given, settings
from pyshacl import validate
from rdflib import RDF, Graph, Literal, URIRef
from rdflib.namespace import DCTERMS, ODRL2, SKOS

from purposeguard import Guard, Notice
from purposeguard.notice.export.dpv import NOTICE, export
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy import spec
from purposeguard.testing.strategies import list_purposes, name_of
from tests import generated
from tests.exporting.asking_dpv import BASE, SHAPES, Rules, graph_of
from tests.exporting.samples import EVERYTHING, GDPR
from tests.unit.command_line import ROOT

NOTICES = pytest.mark.parametrize("notice", [tm.NOTICE, EVERYTHING, GDPR], ids=["trendmicro-jp", "everything", "gdpr"])
DPV = "https://w3id.org/dpv#"
SHAPES_GRAPH = Graph().parse(SHAPES)

OF_DPV = {
    "CollectedPersonalData", "Consent", "Contract", "DataController", "DataProcessor", "DataSubject",
    "DerivedPersonalData", "LegalObligation", "LegitimateInterestOfController", "ObservedPersonalData", "PersonalData",
    "PrivacyNotice", "Process", "PublicInterest", "Purpose", "Recipient", "StorageDuration", "TemporalDuration",
    "VitalInterest", "hasAddress", "hasContact", "hasDataController", "hasDuration", "hasLegalBasis", "hasName",
    "hasNotice", "hasPermission", "hasPersonalData", "hasPurpose", "hasRecipient", "hasStorageCondition",
}  # fmt: skip
"""Terms looked up in DPV 2.0 to 2.3, none of them on its way out."""


@functools.cache
def rules_of(notice: Notice) -> Rules:
    return Rules(graph_of(notice.document))


def assert_valid(graph: Graph) -> None:
    conforms, _, report = validate(graph, shacl_graph=SHAPES_GRAPH)
    assert conforms, report


@NOTICES
def test_it_is_valid(notice: Notice) -> None:
    assert_valid(graph_of(notice.document))


@NOTICES
def test_its_words_are_those_of_the_vocabularies(notice: Notice) -> None:
    terms = {str(term) for triple in graph_of(notice.document) for term in triple if isinstance(term, URIRef)}
    assert {term.removeprefix(DPV) for term in terms if term.startswith(DPV)} <= OF_DPV
    for term in terms:
        if term.startswith(str(ODRL2)):
            assert URIRef(term) in ODRL2, term
    ours = {term for term in terms if term.startswith(BASE)}
    assert all(term.startswith(f"{BASE}#") for term in ours)
    assert not any(term.startswith("file:") for term in terms)


@settings(max_examples=4, deadline=None)
@given(notice=generated.notices(facts=True, opened=True))
def test_generated_notices_are_exported_validly(notice: Notice) -> None:
    assert_valid(graph_of(notice.document))


def test_the_shapes_would_notice() -> None:
    graph = graph_of(EVERYTHING.document)
    changes = [
        (None, ODRL2.operator, ODRL2.eq, ODRL2.neq),
        (None, ODRL2.leftOperand, ODRL2.purpose, ODRL2.industry),
        (None, ODRL2.action, ODRL2.use, ODRL2.sell),
        (None, ODRL2.conflict, ODRL2.prohibit, ODRL2.perm),
        (None, RDF.value, ODRL2.obtainConsent, ODRL2.inform),
    ]
    for subject, predicate, right, wrong in changes:
        triple = next(iter(graph.triples((subject, predicate, right))))
        changed = Graph() + graph
        changed.remove(triple)
        changed.add((triple[0], predicate, wrong))
        assert not validate(changed, shacl_graph=SHAPES_GRAPH)[0], (right, wrong)


Question = tuple[str, str, str | None, tuple[str, ...]]


def questions(notice: Notice) -> list[Question]:
    """Each source, for each purpose and family, by each channel, with no consent and with each that counts."""
    sources = [source.clause for source in notice.sources]
    purposes = [name_of(purpose) for purpose in list_purposes(notice)]
    rows = [(row, row.basis or grant.basis) for grant in notice.document.grant for row in grant.purpose]
    consents = [(), *((row.id,) for row, basis in rows if basis == "consent")]
    return list(product(sources, purposes, (None, *notice.channels), consents))


def assert_same(notice: Notice, rules: Rules) -> tuple[int, int]:
    """The rules decide as the notice does; how much was asked, and allowed."""
    guard, asked, allowed = Guard(notice), 0, 0
    for source, purpose, channel, agreed in questions(notice):
        consents = [(one, notice.revision) for one in agreed]
        expected = spec.is_allowed([notice.document], (source,), purpose, channel, consents=consents)
        assert rules.allows(source, purpose, channel, agreed) is expected, (source, purpose, channel, agreed)
        if not agreed:
            assert guard.allows(source, purpose, channel) is expected
        asked, allowed = asked + 1, allowed + expected
    return asked, allowed


@NOTICES
def test_the_rules_decide_as_the_notice(notice: Notice) -> None:
    asked, allowed = assert_same(notice, rules_of(notice))
    assert 0.05 < allowed / asked < 0.95


@settings(max_examples=4, deadline=None)
@given(notice=generated.notices(opened=True))
def test_the_rules_decide_as_generated_notices(notice: Notice) -> None:
    assert_same(notice, Rules(graph_of(notice.document)))


def test_no_rule_can_be_left_out() -> None:
    whole, asked = rules_of(EVERYTHING), questions(EVERYTHING)
    right = [whole.allows(*question) for question in asked]
    for rule in whole.rules:
        rules = copy.copy(whole)
        rules.rules = [other for other in whole.rules if other is not rule]
        assert [rules.allows(*question) for question in asked] != right, rule


def test_titles_clauses_and_notes_are_in_both_languages() -> None:
    graph = graph_of(tm.NOTICE.document)
    guidance = URIRef(f"{BASE}#renewal-guidance")
    assert set(graph.objects(guidance, SKOS.prefLabel)) == {
        Literal(tm.RenewalGuidance.title[language], lang=language) for language in ("en", "ja")
    }
    assert str(graph.value(guidance, SKOS.notation)) == "1.2(1)①"
    notes = list(graph.objects(URIRef(f"{BASE}#rules"), SKOS.note))
    assert len([note for note in notes if isinstance(note, Literal) and note.language == "ja"]) == len(notes) / 2 == 4


def test_a_basis_is_told_where_the_notice_states_one() -> None:
    graph, basis = graph_of(GDPR.document), URIRef(f"{DPV}hasLegalBasis")
    assert graph.value(URIRef(f"{BASE}#process/newsletter"), basis) == URIRef(f"{DPV}Consent")
    assert graph.value(URIRef(f"{BASE}#process/audience-measurement"), basis) == URIRef(f"{DPV}Consent")
    assert graph.value(URIRef(f"{BASE}#process/tax-records"), basis) == URIRef(f"{DPV}LegalObligation")
    assert not list(graph_of(tm.NOTICE.document).triples((None, basis, None)))


def test_a_period_of_law_says_that_it_is_one() -> None:
    tables = GDPR.dump()
    source = tables["retention"]["period"][0]["source"]
    tables["retention"]["law"] = [{"source": source, "days": 4321}]
    graph = graph_of(Notice.parse(tables).document)
    assert_valid(graph)
    (duration,) = (subject for subject, value in graph.subject_objects(RDF.value) if str(value) == "P4321D")
    described = {str(text) for text in graph.objects(duration, DCTERMS.description)}
    assert described == {"from the end of use, for uses that rest on law", "利用終了日から（法令に基づく利用）"}


def test_the_same_notice_gives_the_same_text() -> None:
    notice = Notice.load(ROOT / "examples" / "gdpr" / "notice.toml")
    assert export(notice.document) == export(GDPR.document)
    assert export(GDPR.document)[NOTICE].endswith("}\n")
