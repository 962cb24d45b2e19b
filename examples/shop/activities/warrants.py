"""Access that the law permits outside the notice: an exception for one person and one hour, with each use on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from examples.shop import repository
from examples.shop.models import Warrant
from examples.shop.privacy import guard


def open_for(warrant: Warrant) -> dict[str, Any]:
    with guard.exception(
        basis="law",
        reason=f"warrant {warrant.number}",
        approver=warrant.approver,
        subjects=[f"customer:{warrant.customer_id}"],
        until=datetime.now(UTC) + timedelta(hours=1),
    ):
        return repository.customer(warrant.customer_id).model_dump(mode="json")
