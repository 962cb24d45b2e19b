"""Send unexplained crashes to a laboratory abroad (clauses 4 to 6), to improve products: 1.2(2)②.

The register of recipients holds the laboratory as `crash-lab`, with its contract and the date of its inspection.
"""

from __future__ import annotations

from examples.shop import repository
from examples.shop.database import Session, UploadRow
from examples.shop.models import Event
from examples.shop.privacy import guard
from purposeguard import Use
from purposeguard.notices import trendmicro_jp as tm


@guard.purpose(tm.ProductImprovement).with_use
def hand_over_crashes(use: Use[tm.ProductImprovement], customer_id: int) -> int:
    events = repository.events_of(customer_id)
    crashes = [one for one in events if use.open(one.kind, subject=one) == "crash"]
    return upload(crashes) if crashes else 0


@guard.entrust("crash-lab", means="cloud-storage")
def upload(reports: list[Event]) -> int:
    """Store the reports for the laboratory.

    The hand-over is recorded first, with its recipient and subjects. It fails if the notice or a subject forbids it.
    """
    with Session.begin() as session:
        session.add_all(UploadRow(recipient="crash-lab", line=report.model_dump_json()) for report in reports)
    return len(reports)
