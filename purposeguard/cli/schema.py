"""The JSON Schema of notice files, for editors: made from the models that read them.

It says what a single row must look like. What holds between rows (references, circles, widening) only
`purposeguard validate` can tell.
"""

from __future__ import annotations

import json
from typing import Any

from purposeguard.notice.schema import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"

LANGUAGE = {
    "pattern": "^[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8})*$",
    "description": "a language tag of BCP 47: `en`, `pt-BR`",
}

RULES: dict[str, dict[str, Any]] = {
    # Between the keys of one table; in the models these are validators, which pydantic's schema cannot show.
    "BasisRow": {"anyOf": [{"required": ["basis"]}, {"required": ["opt_out"]}]},
    "Channels": {"oneOf": [{"required": ["closed"]}, {"required": ["open"]}]},
    "Extension": {
        "if": {"properties": {"basis": {"const": "related"}}, "required": ["basis"]},
        "then": {"required": ["notified"]},
    },
    "Period": {
        "if": {"properties": {"from": {"const": "collection"}}, "required": ["from"]},
        "then": {"properties": {"days": {"minimum": 1}}},
    },
    "Titles": {"propertyNames": LANGUAGE},
    "Texts": {"propertyNames": LANGUAGE},
    "Passage": {
        "oneOf": [
            {"required": ["words"], "maxProperties": 1},
            {"required": ["file", "lines"], "properties": {"from": False, "to": False}},
            {"required": ["file", "from"], "properties": {"lines": False}},
        ],
    },
    "Grant": {"not": {"required": ["basis", "bases"]}},
    "PurposeRow": {"not": {"required": ["basis", "bases"]}},
    "ContactPoint": {"anyOf": [{"required": ["email"]}, {"required": ["phone"]}, {"required": ["address"]}]},
}

COMMON = {
    "bases": "several, in place of `basis`, of which one that applies is enough",
    "basis": "on what it rests in law; without it the notice states none",
    "class": "the name of the generated class, in CamelCase: `RenewalGuidance`",
    "clause": "the clause of the notice that says this, as the notice prints it: `1.2(1)`",
    "id": "the id as the notice prints it; code may spell it more loosely",
    "text": "what the notice itself says here, by language: the words, or where a file beside the notice has them",
    "title": 'a short title in your own words, by language: `{ en = "…" }`',
}
"""What a key means in every table where `KEYS` has nothing more particular."""

KEYS: dict[str, dict[str, str]] = {
    "Document": {
        "id": "the notice's own name, the same in all its revisions: `acme-privacy`",
        "controller": "who publishes the notice and answers for the data",
        "title": "what the notice is called",
        "condition": "facts on which uses depend: an age, a region, a product; code states those that hold",
        "channel": "the ways of contacting a person that purposes and activities may name",
        "source": "what is collected: the clauses that list it, and their items",
        "grant": "what it may be used for: a clause, its sources and its purposes",
        "family": "purposes that state the same goal in several clauses",
        "derivation": "combinations of data that the notice gives purposes of their own",
        "forbid": "what may never be, whatever a grant says",
        "overlay": "what the data items of single products may serve: less than their source",
        "extension": "what this revision extends to data collected under earlier ones",
        "renamed": "sources and purposes that had another id in the revision before, or are gone",
        "unchanged": "sources and purposes whose class or words differ from the revision before, and that are the same",
        "entrustment": "to whom the handling of data is entrusted",
        "provision": "to which third parties data is provided, who use it for ends of their own",
        "incorporated": "other notices that are part of this one",
        "transfer": "to which countries data may be handed",
        "safeguards": "what must be on record before data is handed over",
        "rights": "what subjects may ask for",
        "retention": "what data is kept for after the end of use, and how long",
        "contact": "who answers questions and complaints",
        "voluntary": "whether giving data is optional",
        "changes": "what a change of the notice needs",
    },
    "Passage": {
        "words": "the words themselves; in quotes they need no key",
        "file": "a file in the folder of the notice, or below it",
        "lines": "the lines of the file that are meant: `12`, `12-18`",
        "from": "the words with which the passage begins; the file has them once",
        "to": "the words with which it ends; without them it ends with the paragraph",
        "sha256": "of the words; where it is stated, the file must have these words still",
    },
    "Condition": {
        "id": "its name in code, in lower case with hyphens: `adult`, `outside-eu`",
        "kind": "what it is about",
    },
    "BasisRow": {
        "sources": "the sources that it is for; without it, all of the grant",
        "when": "the conditions where it holds, all of them; without it, always",
        "opt_out": "it holds for a person who is named, until that person objects",
    },
    "Channel": {"id": "the channel's name in code: `email`, `in_product`"},
    "Channels": {
        "closed": "these channels and no other",
        "open": "these channels, named as examples",
    },
    "SourceRow": {"parent": "the clause of which this is an item; a parent may serve only what all its items may"},
    "Grant": {
        "sources": "the sources that may serve these purposes, or `any`; a parent means all its items",
        "when": "the conditions without which the clause grants nothing",
        "purpose": "the purposes that the clause states, in its order",
    },
    "PurposeRow": {
        "channels": "the channels that the purpose names; without it any will do",
        "basis": "on what it rests in law, if not on what the grant rests on",
        "when": "the conditions without which nothing may serve it, beside those of the grant",
        "open_end": "the clause leaves open what is done: it is stated at collection, or incidental to others",
    },
    "FamilyRow": {"purposes": "the members: two purposes or more"},
    "Derivation": {
        "operation": "what code calls the operation: `link`",
        "from": "one side of the combination",
        "with": "the other side",
        "serves": "the purposes that the result may serve, and no other",
    },
    "Prohibition": {
        "sources": "the sources that may not, or `any`; a parent means all its items",
        "purposes": "the purposes or families that they may not serve",
        "unless": "the conditions under which they may all the same, where all of them hold",
        "reason": "why, for messages",
    },
    "Overlay": {
        "source": "the source that is narrowed",
        "product": "the product's name",
        "item": "what the product collects",
        "serves": "the purposes it may serve, all of them among those of the source; none at all is possible",
    },
    "Extension": {
        "purposes": "the purposes or families that earlier data may serve too, where this revision grants them",
        "sources": "the sources whose earlier data is meant; without it, all that may serve the purposes",
        "basis": "`related` to a purpose stated earlier, with notice given; or only with the `consent` of each subject",
        "notified": "the day on which notice was given, no later than the revision; needed with `related`",
    },
    "Renaming": {
        "kind": "what was renamed",
        "old": "its id in the revision before",
        "new": "its id in this revision; without it, it is gone, and its id means another one from now on",
    },
    "Confirmation": {
        "kind": "what they are",
        "ids": "their ids, in both revisions",
        "since": "the date of the revision before, with which they were compared",
    },
    "Kind": {"id": "its name in code, in lower case with hyphens"},
    "Right": {"id": "its name in code, in lower case with hyphens", "effect": "what the request changes"},
    "RecipientKind": {
        "id": "its name in code, in lower case with hyphens",
        "place": "where such a recipient sits, seen from the controller's own country; without it, either",
    },
    "Entrustment": {
        "recipients": "the kinds of party that may handle data",
        "scope": "what they may do with it: what the data may serve anyway",
        "supervision": "whether they must be supervised, or that is only recorded",
    },
    "ThirdPartyProvision": {
        "recipients": "the kinds of third party, who use the data for ends of their own",
        "sources": "the sources that are provided; a parent means all its items; without it, all",
        "purposes": "the purposes or families that they are provided for; without it, whatever the data may serve",
        "form": "`personal`, or `aggregate`: no personal data, only what a declassification made of it",
        "countries": "ISO 3166-1 alpha-2 codes, or `any`; without it, as `transfer` has it",
        "safeguards": "whether a measure of `safeguards` must be on record first, or that is only recorded",
    },
    "TransferLimit": {
        "recipient": "the only recipient",
        "products": "the only products",
        "tasks": "the only tasks",
    },
    "TransferCountry": {
        "code": "ISO 3166-1 alpha-2 code",
        "limit": "narrower terms for this country",
    },
    "Equivalence": {
        "id": "its name in code, in lower case with hyphens",
        "countries": "ISO 3166-1 alpha-2 codes",
    },
    "Transfer": {
        "home": "the controller's own country, an ISO 3166-1 alpha-2 code",
        "scope": "what data is handed abroad for",
        "country": "the countries that the notice lists",
        "equivalent": "countries that need no listing, since their protection is recognised as equivalent",
        "otherwise": "what becomes of any other country: refused, or a measure of `safeguards` must be on record",
    },
    "Safeguards": {
        "before_transfer": "whether a measure must be on record first",
        "measures": "the measures that count",
        "means": "the ways in which data travels",
    },
    "Rights": {
        "days": "within how many days a request is answered",
        "requesters": "who may ask",
        "request": "what may be asked for",
    },
    "Period": {
        "source": "the source whose data is kept so long",
        "days": "the days; the end of a range; 0 from the end of use: as long as it is used",
        "from": "when the period begins",
        "at_least": "the beginning of a range, in days",
    },
    "LegalPeriod": {
        "source": "the source whose data law needs so long",
        "days": "the days; past them a use that rests on law ends too",
        "from": "when the period begins",
    },
    "Criterion": {"source": "the source whose data is kept so long", "title": "how long, in your own words"},
    "Incorporated": {"id": "its name in code, in lower case with hyphens", "where": "where it is published"},
    "Retention": {
        "starts": "when the period begins",
        "bases": "what data may be kept for after the end of use",
        "law": "how long law needs the data; without it, a use that rests on law has no end",
        "after": "what it may be used for once the period is over",
        "period": "the controller's own periods, by source",
        "criterion": "how long data is kept where the notice gives no number, by source",
    },
    "ContactPoint": {
        "name": "what it is called",
        "unit": "the unit or post in charge",
        "email": "its e-mail address",
        "phone": "its telephone numbers",
        "address": "its postal address",
    },
    "Contact": {
        "controller": "the controller's own office",
        "complaints": "the body outside that hears complaints",
    },
    "Voluntary": {"optional": "whether a person may leave data out"},
    "Changes": {
        "announced_by": "the channels by which a change is announced",
        "material": "what a material change needs",
        "required_by_law": "what a change that law has a say in needs",
    },
}


def notice_schema() -> dict[str, Any]:
    """Return the schema of a notice file, as JSON values."""
    schema = Document.model_json_schema(by_alias=True, mode="validation")
    tables: dict[str, Any] = {"Document": schema, **schema.pop("$defs")}
    for name, table in tables.items():
        for key, value in table.get("properties", {}).items():
            table["properties"][key] = _describe(_plain(value), KEYS.get(name, {}).get(key) or COMMON.get(key))
        table.pop("title", None)
        table.update(RULES.get(name, {}))
    return {**tables.pop("Document"), "$schema": DIALECT, "$defs": tables, "title": "purposeguard notice file"}


def schema_text() -> str:
    """Return the schema as text, sorted, so that it is reproducible."""
    return json.dumps(notice_schema(), ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _describe(value: dict[str, Any], text: str | None) -> dict[str, Any]:
    return value if text is None else {**value, "description": text}


def _plain(node: Any) -> Any:
    """Return a schema without details of pydantic's version, and without null, which TOML lacks."""
    if isinstance(node, list):
        return list(map(_plain, node))
    if not isinstance(node, dict):
        return node
    schema: dict[str, Any] = {}
    for key, value in node.items():
        is_null_default = key == "default" and value is None
        if key != "title" and not is_null_default:  # A title is a key's own name again.
            schema[key] = _plain(value)
    if "const" in schema:
        schema.pop("enum", None)
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del schema["anyOf"]
        schema = {**choices[0], **schema}
    return schema
