"""Tags on Arrow: from a tagged class to a schema, and on tables, batches and data sets.

A column bears its tag as metadata of its field, under one key, `purposeguard`, and Parquet and Feather keep it. What
Arrow does with metadata otherwise: a column that is renamed keeps its own, one that is replaced, appended or computed
has none, and is refused; of tables that are put one below the other the first one's count (see `concatenated`).
"""

from purposeguard.extras import Needs

with Needs(__name__, "arrow"):
    from purposeguard.adapters.arrow.schemas import schema_of
    from purposeguard.adapters.arrow.tags import columns_of, concatenated, tagged
    from purposeguard.adapters.tags import KEY

__all__ = ["KEY", "columns_of", "concatenated", "schema_of", "tagged"]
