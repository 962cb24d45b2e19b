"""Tags on Arrow: from a tagged class to a schema, and on tables, batches and data sets.

A column bears its tag as metadata of its field, under the key `purposeguard`. Parquet and Feather files keep it. Arrow
keeps the metadata of a renamed column. A column that is replaced, appended or computed has no metadata, so it is
refused. When tables are concatenated, Arrow keeps the metadata of the first table (see `concatenated`).
"""

from purposeguard.extras import Needs

with Needs(__name__, "arrow"):
    from purposeguard.adapters.arrow.schemas import schema_of
    from purposeguard.adapters.arrow.tags import columns_of, concatenated, tagged
    from purposeguard.adapters.tags import KEY

__all__ = ["KEY", "columns_of", "concatenated", "schema_of", "tagged"]
