"""The test of purposes."""

import os

from purposeguard.testing import check
from tests.testing_kit.services.expenses.service import BillRow, MemberRow, ProjectRow, Scene


def test_purposes() -> None:
    with Scene() as scene:

        def arrange(project: ProjectRow, members: list[MemberRow], bills: list[BillRow]) -> None:
            scene.insert(project, members, bills)

        quick, guard, skip = os.environ["CHECK"] == "quick", scene.guard, scene.unstated
        check(scene.client, arrange=arrange, guard=guard, skip=skip, quick=quick, project_id="trip", member_id="1")
