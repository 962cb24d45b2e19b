"""dbt: labels of a project's models, from the SQL that dbt compiled, checked against the purposes that they serve.

`check(Project.read(Path("shop")), guard)`; nothing of dbt is imported, and no model is run.
"""

from purposeguard.extras import Needs

with Needs(__name__, "dbt"):
    from purposeguard.adapters.dbt.checks import Checked, Finding, check
    from purposeguard.adapters.dbt.lineage import Output
    from purposeguard.adapters.dbt.manifest import Project

__all__ = ["Checked", "Finding", "Output", "Project", "check"]
