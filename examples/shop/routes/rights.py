"""Requests of people about their data (clause 7), and the answers.

Log-ins of people and clerks are not part of this example.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Header, Query
from fastapi.responses import HTMLResponse, Response
from pydantic import AwareDatetime, BaseModel

from examples.shop import holdings
from examples.shop.holdings import Language
from examples.shop.models import Handled, NewRequest, Subject, Words
from examples.shop.privacy import governance
from purposeguard.governance import Disclosure, Request

router = APIRouter(prefix="/privacy", tags=["rights"])

Said = Annotated[Words, Body(embed=True)]


class Answered(BaseModel):
    """The result of a request: what is stopped from now on, or a report."""

    request: Handled
    stopped_at: AwareDatetime | None
    report: Disclosure | None


def _to_handled(request: Request) -> Handled:
    return Handled(
        id=request.id,
        kind=request.kind,
        subject=request.subject or "",
        purposes=request.purposes,
        state=request.state,
    )


@router.post("/requests", status_code=201)
def receive(new: NewRequest) -> Handled:
    return _to_handled(governance.requests.open(**new.model_dump()))


@router.post("/requests/{number}/verify")
def verify(number: int, how: Said, by: Said) -> Handled:
    """Record how the person's identity was verified."""
    return _to_handled(governance.requests.verify(number, how=how, by=by))


@router.post("/requests/{number}/fulfil")
def fulfil(number: int, by: Said) -> Answered:
    """Fulfil a request.

    A stopped use has stopped here when this answers, and in every other process at most a second later.
    """
    answer = governance.requests.fulfil(number, by=by)
    stopped = answer.restriction
    return Answered(
        request=_to_handled(answer.request), stopped_at=stopped.recorded if stopped else None, report=answer.report
    )


@router.get(
    "/subjects/{subject}/disclosure",
    response_model=None,
    responses={200: {"model": Disclosure, "content": {"text/html": {}}}},
)
def disclose(
    subject: Subject,
    by: Annotated[Words, Query()],
    accept: Annotated[str, Header()] = "",
    language: Language = "en",
    values: bool = False,
) -> Response:
    """Return a report as JSON, or as a page for printing."""
    report = holdings.report(subject, by, language, values=values)
    if "text/html" in accept:
        return HTMLResponse(report.to_html())
    return Response(report.to_json(), media_type="application/json")
