"""What scenes are made with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from examples.shop.narration import Story

Scene = Callable[[Story], None]


def scene(title: str, text: str) -> Callable[[Scene], Scene]:
    """What happens in a scene, with its title and text before it."""

    def entitled(act: Scene) -> Scene:
        def told(story: Story) -> None:
            story.scene(title, text)
            act(story)

        return told

    return entitled


def contract(product: str, renews_on: str) -> dict[str, object]:
    return {"contracts": [{"product": product, "renews_on": renews_on}]}


def event(customer: int, product: str, device: str, kind: str, seconds: float) -> dict[str, object]:
    return {"customer_id": customer, "product": product, "device": device, "kind": kind, "seconds": seconds}


def issue(subject: str, body: str) -> dict[str, str]:
    return {"subject": subject, "body": body}


def newest_denial_is(story: Story, error: str) -> bool:
    """Whether the newest denial in the ledger is this error."""
    denials = ledger_page(story)["denials"]
    return bool(denials) and denials[-1]["error"] == error


def ledger_page(story: Story) -> dict[str, Any]:
    page: dict[str, Any] = story.ask("GET", "/privacy/ledger", quiet=True)
    return page


def outbox(story: Story) -> int:
    return sum(one["messages"] for one in story.ask("GET", "/outbox", quiet=True))


def ask_for(
    story: Story, kind: str, subject: str, *, purposes: list[str] | None = None, quiet: bool = True
) -> dict[str, Any]:
    """A request, from its receipt to its answer."""
    asked = {"kind": kind, "subject": subject} | ({"purposes": purposes} if purposes else {})
    number = story.ask("POST", "/privacy/requests", asked, status=201, quiet=quiet)["id"]
    clerk = {"by": "clerk 3"}
    story.ask("POST", f"/privacy/requests/{number}/verify", clerk | {"how": "logged in"}, quiet=quiet)
    answer: dict[str, Any] = story.ask("POST", f"/privacy/requests/{number}/fulfil", clerk, quiet=quiet)
    return answer
