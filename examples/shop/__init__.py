"""A shop for security products: a FastAPI and SQLAlchemy backend that keeps to its privacy notice.

Read in this order: `models` (what is collected, under which clause), `repository` (who reads it), `activities` (what
for), `routes` (over HTTP). `python -m examples.shop.demo` runs it and tells what happens.
"""
