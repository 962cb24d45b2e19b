"""Where rows live: SQL, mappers, dataframes, Arrow and Spark held to a notice, one module a library.

Nothing is imported here. Each module needs its library, which the extra of the same name installs:
`pip install 'purposeguard[sql]'` and `from purposeguard.adapters.sql import Statements`.
"""
