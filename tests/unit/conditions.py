"""A small notice with conditions, several bases for one purpose, and purposes that may use all data."""

from __future__ import annotations

from typing import Any


def titled(text: str) -> dict[str, str]:
    return {"en": text, "ja": text}


def purpose(id_: str, class_: str, **more: Any) -> dict[str, Any]:
    return {"id": id_, "class": class_, "title": titled(class_), **more}


def _purposes() -> list[dict[str, Any]]:
    abroad = {"basis": "legitimate-interest", "when": ["outside-eu"]}
    interest = {"basis": "legitimate-interest", "sources": ["1(b)", "2"], "opt_out": True}
    law = {"basis": "law", "sources": ["1(a)"]}
    return [
        purpose("3①", "Newsletter", bases=[abroad, {"basis": "consent"}]),
        purpose("3②", "Delivery"),
        purpose("3③", "Research", bases=[law, interest], open_end="stated-at-collection"),
        purpose("3④", "Wine", when=["adult"]),
    ]


def tables(**changes: Any) -> dict[str, Any]:
    """A notice whose purposes depend on where somebody lives, on their age, and on the data."""
    return {
        "format": 1,
        "id": "conditions",
        "revision": "2026-01-01",
        "controller": titled("a shop"),
        "title": titled("its notice"),
        "condition": [
            {"id": "outside-eu", "title": titled("lives outside the EU"), "kind": "region"},
            {"id": "adult", "title": titled("is of age"), "kind": "age"},
        ],
        "source": [
            {"id": "1", "class": "Account", "title": titled("account")},
            {"id": "1(a)", "class": "Name", "title": titled("name"), "parent": "1"},
            {"id": "1(b)", "class": "Email", "title": titled("e-mail"), "parent": "1"},
            {"id": "2", "class": "Usage", "title": titled("usage")},
        ],
        "overlay": [
            {"id": "P1", "class": "Clicks", "title": titled("clicks"), "source": "2", "serves": ["3①", "3③"]}
            | {"product": "shop", "item": "clicks"}
        ],
        "grant": [
            {"clause": "3", "title": titled("uses"), "sources": "any", "basis": "contract", "purpose": _purposes()},
        ],
        "forbid": [
            {"sources": "any", "purposes": ["Newsletter"], "unless": ["adult"]}
            | {"reason": titled("no advertising to children")}
        ],
        "family": [{"class": "Letters", "title": titled("letters"), "purposes": ["3①", "3④"]}],
        **changes,
    }
