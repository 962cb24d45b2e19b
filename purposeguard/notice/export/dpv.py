"""A notice in the Data Privacy Vocabulary (DPV 2) with rules of ODRL, as JSON-LD.

Sources are categories of personal data, purposes and families are purposes, and each purpose is a process with its data
and its legal basis. The rules are one `odrl:Set`: a permission for each purpose, with its sources as targets; for a
family one for each set of terms under which a source may serve a member; and a prohibition for each of the notice.
What no permission allows is not allowed, and a prohibition goes before a permission.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from purposeguard.notice.export.reading import Ban, NoticeReading, Term
from purposeguard.notice.fields import Basis
from purposeguard.notice.schema import (
    ContactPoint,
    Document,
    FamilyRow,
    Grant,
    LegalPeriod,
    Period,
    PurposeRow,
    SourceRow,
)
from purposeguard.notice.texts import Titles

NOTICE: Final = "notice.jsonld"

Node = dict[str, Any]

BASES: Final[Mapping[Basis, str]] = {
    "consent": "dpv:Consent",
    "contract": "dpv:Contract",
    "law": "dpv:LegalObligation",
    "legitimate-interest": "dpv:LegitimateInterestOfController",
    "public-task": "dpv:PublicInterest",
    "vital-interest": "dpv:VitalInterest",
}

PREFIXES: Final = {
    "dcterms": "http://purl.org/dc/terms/",
    "dpv": "https://w3id.org/dpv#",
    "odrl": "http://www.w3.org/ns/odrl/2/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}
LINKS: Final = (
    *("dpv:hasDataController", "dpv:hasLegalBasis", "dpv:hasNotice", "dpv:hasPermission", "dpv:hasPersonalData"),
    *("dpv:hasPurpose", "dpv:hasRecipient", "odrl:action", "odrl:assigner", "odrl:conflict", "odrl:consentingParty"),
    *("odrl:leftOperand", "odrl:operator", "odrl:rightOperand", "odrl:target", "odrl:uid", "rdf:value"),
    *("rdfs:subClassOf", "skos:broader", "skos:related"),
)
"""Properties whose values are terms or nodes, and not texts."""

CONTEXT: Final = {
    **PREFIXES,
    **{link: {"@type": "@id"} for link in LINKS},
    **{name: {"@container": "@language"} for name in ("dcterms:title", "skos:note", "skos:prefLabel")},
    "dcterms:valid": {"@type": "xsd:date"},
}

NOT_HERE: Final = (
    {
        "en": "Data that derives from several sources may be used if every one of them may: ask for each.",
        "ja": "複数の取得元に由来するデータは、すべての取得元が許可される場合に限り利用できます。",
    },
    {
        "en": "A rule holds for its target alone, and is not inherited by a broader or a narrower category.",
        "ja": "規則は対象とする区分だけに適用され、上位・下位の区分には及びません。",
    },
    {
        "en": "A channel limits how people are reached. The notice also allows reading that reaches nobody.",
        "ja": "連絡手段の制約は本人への連絡を限定するものです。連絡を伴わない参照は、通知文書では許可されます。",
    },
    {
        "en": "Not here, and reasons to refuse all the same: under which revision data was collected, what a subject"
        " asked to stop, periods that are over, countries and safeguards. Ask the library too.",
        "ja": "取得時の版、本人による利用停止、保存期間の経過、移転先の国と安全管理措置は含みません。"
        "これらによる拒否は、ライブラリで確認してください。",
    },
)
"""Notes on what the rules cannot say, in each language. They are attached to the set of rules."""

STARTS: Final = {
    "collection": ("from collection", "取得日から"),
    "end-of-use": ("from the end of use", "利用終了日から"),
}
LEGAL_STARTS: Final = {
    "collection": ("from collection, for uses that rest on law", "取得日から（法令に基づく利用）"),
    "end-of-use": ("from the end of use, for uses that rest on law", "利用終了日から（法令に基づく利用）"),
}
"""The day from which a period is counted, in English and Japanese: one for which data is kept, or law needs it."""

CONDITIONS: Final = {
    "en": "What is allowed under conditions alone is not permitted here; prohibitions stand as if nothing lifted them.",
    "ja": "条件付きで許可されるものは、ここでは許可しません。条件によって解除される禁止も、"
    "解除されないものとして示します。",
}
"""A further note, for a notice that has conditions."""


def export(document: Document) -> dict[str, str]:
    """Export a notice as a graph in JSON-LD, with titles in every language that the notice has.

    Ids are relative to where the file is published. The same document gives the same text anywhere.

    Returns:
        The text of `notice.jsonld`, by this name.
    """
    made = _DpvExport(document)
    text = json.dumps({"@context": CONTEXT, "@graph": list(made.graph())}, ensure_ascii=False, indent=2)
    return {NOTICE: f"{text}\n"}


class _DpvExport:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._reading = NoticeReading(document)
        sources = (*document.source, *document.overlay, *document.derivation)
        self._data_ids = {row.id: f"#{row.slug}" for row in sources}
        # A derivation may bear the id of a purpose.
        purposes = {row.id: f"#{row.slug}" for row in document.purposes}
        self._purpose_ids = purposes | {row.class_: f"#{row.slug}" for row in document.family}

    def graph(self) -> Iterator[Node]:
        """Yield the nodes of the graph: the notice and its publisher, the terms, the processes, and the rules."""
        document = self._document
        yield from self._describe_notice()
        yield from map(self._source, document.source)
        for overlay in document.overlay:
            part = f"{overlay.product}, {overlay.item}"
            yield self._data(
                overlay.id, overlay.title, "Collected", **{"skos:broader": self._data_ids[overlay.source]}, part=part
            )
        for derivation in document.derivation:
            origins = self._sources((*derivation.from_, *derivation.with_))
            yield self._data(derivation.id, derivation.title, "Derived", **{"skos:related": origins})
        for purpose in document.purposes:
            yield self._purpose(purpose.id, purpose.title, self._purposes(self._families_of(purpose)))
        for family in document.family:
            yield self._purpose(family.class_, family.title, [])
        for grant, purpose in document.iter_grants():
            yield self._process(grant, purpose)
        yield self._rules()

    def _sources(self, ids: Iterable[str]) -> list[str]:
        return list(map(self._data_ids.__getitem__, ids))

    def _purposes(self, ids: Iterable[str]) -> list[str]:
        return list(map(self._purpose_ids.__getitem__, ids))

    # ---- The notice --------------------------------------------------------------------------------------------------

    def _describe_notice(self) -> Iterator[Node]:
        """Yield the nodes of the notice, its controller, its channels and its kinds of recipients."""
        document = self._document
        yield {
            "@id": "#notice",
            "@type": "dpv:PrivacyNotice",
            "dcterms:identifier": document.id,
            "dcterms:title": dict(document.title),
            "dcterms:valid": document.revision.isoformat(),
            "dpv:hasDataController": "#controller",
        }
        contact = {} if document.contact is None else self._contact(document.contact.controller)
        yield {
            "@id": "#controller",
            "@type": ["dpv:DataController", "odrl:Party"],
            "skos:prefLabel": dict(document.controller),
            **contact,
        }
        for channel in document.channel:
            yield {
                "@id": self._channel(channel.id),
                "@type": "skos:Concept",
                "skos:notation": channel.id,
                "skos:prefLabel": dict(channel.title),
            }
        entrusted = () if document.entrustment is None else document.entrustment.recipients
        for kind in document.recipients:
            yield {
                "@id": self._recipient(kind.id),
                "@type": ["rdfs:Class", "skos:Concept", "dpv:Recipient"],
                "rdfs:subClassOf": "dpv:DataProcessor" if kind in entrusted else "dpv:ThirdParty",
                "skos:notation": kind.id,
                "skos:prefLabel": dict(kind.title),
            }

    def _contact(self, point: ContactPoint) -> Node:
        reached = [*([] if point.email is None else [point.email]), *point.phone]
        address = {} if point.address is None else {"dpv:hasAddress": _make_texts(point.address)}
        return {"dpv:hasName": _make_texts(point.name), **({"dpv:hasContact": reached} if reached else {}), **address}

    def _channel(self, given: str) -> str:
        return f"#channel/{given}"

    def _recipient(self, given: str) -> str:
        return f"#recipient/{given}"

    # ---- Terms -------------------------------------------------------------------------------------------------------

    def _source(self, row: SourceRow) -> Node:
        above = {} if row.parent is None else {"skos:broader": self._data_ids[row.parent]}
        return self._data(row.id, row.title, "Observed" if row.automatic else "Collected", **above)

    def _data(self, given: str, title: Titles, how: str, **more: Any) -> Node:
        """Return a category of data. `how` says how it is obtained: collected, observed or derived."""
        durations = [_make_storage_duration(period, STARTS) for period in self._periods(given)]
        durations += [_make_storage_duration(period, LEGAL_STARTS) for period in self._legal_periods(given)]
        return {
            "@id": self._data_ids[given],
            "@type": ["rdfs:Class", "skos:Concept", "dpv:PersonalData", "odrl:Asset"],
            "rdfs:subClassOf": f"dpv:{how}PersonalData",
            "skos:notation": given,
            "skos:prefLabel": dict(title),
            **more,
            **({"dpv:hasStorageCondition": durations} if durations else {}),
        }

    def _periods(self, source: str) -> list[Period]:
        retention = self._document.retention
        return [] if retention is None else [period for period in retention.period if period.source == source]

    def _legal_periods(self, source: str) -> list[LegalPeriod]:
        retention = self._document.retention
        return [] if retention is None else [period for period in retention.law if period.source == source]

    def _purpose(self, given: str, title: Titles, families: Sequence[str]) -> Node:
        return {
            "@id": self._purpose_ids[given],
            "@type": ["rdfs:Class", "skos:Concept", "dpv:Purpose"],
            "rdfs:subClassOf": "dpv:Purpose",
            "skos:notation": given,
            "skos:prefLabel": dict(title),
            **({"skos:broader": list(families)} if families else {}),
        }

    def _families_of(self, row: PurposeRow) -> list[str]:
        return [family.class_ for family in self._document.family if row.id in family.purposes]

    def _process(self, grant: Grant, row: PurposeRow) -> Node:
        bases: dict[str, None] = {}
        for basis_row in self._reading.bases(row.id):
            if basis_row.basis is not None:
                bases[BASES[basis_row.basis]] = None
        document = self._document
        kinds = [] if document.entrustment is None else list(document.entrustment.recipients)
        for provision in document.provision:
            if provision.purposes is None or {row.id, *self._families_of(row)} & {*provision.purposes}:
                kinds += provision.recipients
        links = {
            "dpv:hasPersonalData": self._sources(self._reading.find_allowed_sources(grant.clause, row.id)),
            "dpv:hasLegalBasis": _unwrap_single([*bases]),
            "dpv:hasRecipient": [self._recipient(kind.id) for kind in kinds],
            "dpv:hasPermission": list(map(itemgetter("@id"), self._make_permissions(grant, row))),
        }
        return {
            "@id": f"#process/{row.slug}",
            "@type": "dpv:Process",
            "dcterms:source": grant.clause,
            "dpv:hasNotice": "#notice",
            "dpv:hasDataController": "#controller",
            "dpv:hasPurpose": self._purpose_ids[row.id],
            **{link: value for link, value in links.items() if value},
        }

    # ---- Rules -------------------------------------------------------------------------------------------------------

    def _rules(self) -> Node:
        document = self._document
        permissions: list[Node] = []
        for grant, purpose in document.iter_grants():
            permissions += self._make_permissions(grant, purpose)
        for family in document.family:
            permissions += self._make_family_permissions(family)
        prohibitions = list(map(self._make_prohibition, itertools.count(1), self._reading.bans))
        notes = (*NOT_HERE, CONDITIONS) if document.condition else NOT_HERE
        return {
            "@id": "#rules",
            "@type": "odrl:Set",
            "odrl:uid": "#rules",
            "dcterms:title": dict(document.title),
            "dcterms:source": {"@id": "#notice"},
            "odrl:assigner": "#controller",
            "odrl:conflict": "odrl:prohibit",
            "skos:note": {"en": [note["en"] for note in notes], "ja": [note["ja"] for note in notes]},
            "odrl:permission": permissions,
            **({"odrl:prohibition": prohibitions} if prohibitions else {}),
        }

    def _make_permissions(self, grant: Grant, row: PurposeRow) -> Iterator[Node]:
        """Yield a permission for each alternative term under which sources may serve a purpose. Mostly there is one."""
        channels = row.channels.closed if row.channels else None
        rules = list(_iter_alternatives(self._reading.group_sources(grant.clause, row.id)))
        for number, (sources, term) in enumerate(rules, 1):
            name = row.slug if len(rules) == 1 else f"{row.slug}/{number}"
            yield self._permission(name, row.id, sources, dataclasses.replace(term, channels=channels))

    def _make_family_permissions(self, row: FamilyRow) -> Iterator[Node]:
        """Yield a permission for each alternative term under which sources may serve a member of a family."""
        rules = _iter_alternatives(self._reading.group_family_sources(row))
        for number, (sources, term) in enumerate(rules, 1):
            yield self._permission(f"{row.slug}/{number}", row.class_, sources, term)

    def _make_prohibition(self, number: int, ban: Ban) -> Node:
        return {
            "@id": f"#prohibition/{number}",
            "@type": "odrl:Prohibition",
            "skos:prefLabel": dict(ban.rule.reason),
            "odrl:target": self._sources(ban.sources),
            "odrl:action": "odrl:use",
            "odrl:constraint": [_make_constraint("odrl:purpose", self._purposes(ban.purposes))],
        }

    def _permission(self, name: str, purpose: str, sources: Sequence[str], term: Term) -> Node:
        constraints = [_make_constraint("odrl:purpose", [self._purpose_ids[purpose]])]
        if term.channels is not None:
            constraints.append(_make_constraint("odrl:deliveryChannel", list(map(self._channel, term.channels))))
        return {
            "@id": f"#permission/{name}",
            "@type": "odrl:Permission",
            "odrl:target": self._sources(sources),
            "odrl:action": "odrl:use",
            "odrl:constraint": constraints,
            **({} if term.consent is None else {"odrl:duty": self._consent(term.consent)}),
        }

    def _consent(self, purpose: str) -> Node:
        """Return the duty to obtain the subject's consent to a purpose before the use."""
        return {
            "@type": "odrl:Duty",
            "odrl:action": {
                "@type": "odrl:Action",
                "rdf:value": "odrl:obtainConsent",
                "odrl:refinement": _make_constraint("odrl:purpose", [self._purpose_ids[purpose]]),
            },
            "odrl:consentingParty": "dpv:DataSubject",
        }


def _iter_alternatives(groups: Mapping[tuple[Term, ...], Sequence[str]]) -> Iterator[tuple[Sequence[str], Term]]:
    """Iterate over the alternative terms of each group of sources, each with the sources."""
    for terms, sources in groups.items():
        for term in terms or (Term(),):
            yield sources, term


def _unwrap_single(values: Sequence[str]) -> str | Sequence[str]:
    return values[0] if len(values) == 1 else values


def _make_texts(given: Mapping[str, str]) -> list[Node]:
    """Return a title as a list of texts with their languages."""
    return [{"@value": title, "@language": language} for language, title in given.items()]


def _make_constraint(left: str, right: Sequence[str]) -> Node:
    """Return the constraint that an operand equals the only value, or is any of several."""
    return {
        "@type": "odrl:Constraint",
        "odrl:leftOperand": left,
        "odrl:operator": "odrl:eq" if len(right) == 1 else "odrl:isAnyOf",
        "odrl:rightOperand": list(right),
    }


def _make_storage_duration(period: Period | LegalPeriod, starts: Mapping[str, tuple[str, str]]) -> Node:
    en, ja = starts[period.from_]
    return {
        "@type": "dpv:StorageDuration",
        "dpv:hasDuration": {
            "@type": "dpv:TemporalDuration",
            "rdf:value": {"@value": f"P{period.days}D", "@type": "xsd:duration"},
            "dcterms:description": _make_texts({"en": en, "ja": ja}),
        },
    }
