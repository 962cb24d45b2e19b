"""A shop for security products: a FastAPI and SQLAlchemy backend that keeps to its privacy notice.

Read the modules in this order: `privacy` (the guard and its records), `models` (the data, its clauses and its
subjects), `repository` (access to the data), `activities` (its purposes), `reports` (on many rows at once), `holdings`
(all data of one person), `revisions` (of the notice), `audit` (the ledger), `routes` (HTTP).
`python -m examples.shop.demo` runs the shop and explains what happens.
"""
