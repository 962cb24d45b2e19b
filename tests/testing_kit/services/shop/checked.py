"""The test of purposes."""

import os
from pathlib import Path

from purposeguard.testing import check
from tests.end_to_end.worlds import WORK, World, opened, settle

VISITS = ("world.visit.page", "world.buyers[].visits", "world.buyers[].visits[].page")
REPORTS = tuple(f"world.buyers[].reports{field}" for field in ("", "[].product", "[].seconds", "[].kind"))
KNOWN = {
    "GET /visits/compared-with-leads": VISITS,  # On trial: it is observed.
    "GET /visits/of-customers": ["world.buyers[].name"],  # Linked with visits, they are of a source of their own.
    "POST /newsletters/advertisements": REPORTS,  # What is made of them is declared to be personal no more.
}


def test_purposes(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:

        def arrange(world: World) -> None:
            settle(world, WORK[0])

        check(shop, arrange=arrange, known=KNOWN, skip=["POST /privacy/warrants"], quick=os.environ["CHECK"] == "quick")
