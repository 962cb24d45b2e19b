"""A shop for security products: a FastAPI and SQLAlchemy backend that keeps to its privacy notice.

Read in this order: `privacy` (the guard, and what it remembers), `models` (what is collected, under which clause, and
whose it is), `repository` (who reads it), `activities` (what for), `reports` (of many rows at once), `holdings` (what
the shop has of somebody), `revisions` (of the notice), `audit` (the ledger), `routes` (over HTTP).
`python -m examples.shop.demo` runs it and tells what happens.
"""
