"""What the back office asks of many rows at once: figures, a list for a campaign, files for analysts.

`repository` gives models out, and the guard looks at those. A report has the database count, join and sort, and what it
gives out no longer shows what went into it. So statements and tables are looked at here, by the adapters:

- `reading`: a guarded engine over the shop's own tables. `figures` are asked of it.
- `files`: what analysts get, in Parquet, whose columns bear their tags wherever a file goes.
- `campaign`: a file in which rows of three sources are mixed, narrowed to those that may be used now.
- `warehouse`: files, asked and written on by SQL in DuckDB; on the command line that is `purposeguard sql`.
"""
