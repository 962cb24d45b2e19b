"""Building blocks of scenes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from examples.screen import Said
from examples.shop.narration import Story

Act = Callable[[Story], None]


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene: what happens in it, and what a reader is told before it.

    `sources` and `purposes` are the clauses that it is about, families among them. `needs` are the scenes that leave
    behind what it starts from.
    """

    act: Act
    title: Said
    text: Said
    sources: tuple[str, ...]
    purposes: tuple[str, ...]
    needs: tuple[Scene, ...]

    @property
    def name(self) -> str:
        return self.act.__name__.replace("_", "-")


def scene(
    title: Said, text: Said, *, sources: str = "", purposes: str = "", needs: tuple[Scene, ...] = ()
) -> Callable[[Act], Scene]:
    """Return a decorator that makes a scene of a function."""

    def make_scene(act: Act) -> Scene:
        return Scene(act, title, text, tuple(sources.split()), tuple(purposes.split()), needs)

    return make_scene


def contract(product: str, renews_on: str) -> dict[str, object]:
    return {"contracts": [{"product": product, "renews_on": renews_on}]}


def event(customer: int, product: str, device: str, kind: str, seconds: float) -> dict[str, object]:
    return {"customer_id": customer, "product": product, "device": device, "kind": kind, "seconds": seconds}


def issue(subject: str, body: str) -> dict[str, str]:
    return {"subject": subject, "body": body}


def expect_refusal(
    story: Story, method: str, path: str, body: object = None, *, error: str, status: int = 403, quiet: bool = False
) -> dict[str, Any]:
    """Send a request that must be refused, and return its problem.

    The newest denial in the ledger must be this error.
    """
    problem: dict[str, Any] = story.ask(method, path, body, status=status, quiet=quiet)
    expect_denial(story, error)
    return problem


def expect_denial(story: Story, error: str) -> None:
    """Check that the newest denial in the ledger is this error."""
    story.on_record[error] += 1
    denials = ledger_page(story)["denials"]
    if not denials or denials[-1]["error"] != error:
        story.check(False, f"the newest denial in the ledger is a {error}", f"台帳の最新の拒否は {error}")


def ledger_page(story: Story) -> dict[str, Any]:
    page: dict[str, Any] = story.ask("GET", "/privacy/ledger", quiet=True)
    return page


def outbox(story: Story) -> int:
    return sum(counts["messages"] for counts in story.ask("GET", "/outbox", quiet=True))


def ask_for(story: Story, kind: str, subject: str, *, purposes: list[str] | None = None) -> None:
    """Play a request of a person, from its receipt to its answer."""
    asked = {"kind": kind, "subject": subject} | ({"purposes": purposes} if purposes else {})
    number = story.ask("POST", "/privacy/requests", asked, status=201, quiet=True)["id"]
    clerk = {"by": "clerk 3"}
    story.ask("POST", f"/privacy/requests/{number}/verify", clerk | {"how": "logged in"}, quiet=True)
    story.ask("POST", f"/privacy/requests/{number}/fulfil", clerk, quiet=True)
    story.on_record["restriction"] += 1
