"""Reports of the back office on many rows at once: figures, a list for a campaign, files for analysts.

`repository` returns models, which the guard checks. A report lets the database count, join and sort, so its result no
longer shows its sources. Therefore adapters check statements and tables here:

- `reading`: a guarded engine for the shop's own tables. `figures` uses it.
- `files`: Parquet files for analysts. Their columns carry tags wherever a file goes.
- `campaign`: a file with rows of three sources, filtered to the rows that may be used now.
- `warehouse`: files that are queried and written by SQL in DuckDB. On the command line, use `purposeguard sql`.
"""
