"""Adapters that hold data in SQL, mappers, dataframes, Arrow and Spark to a notice, one module per library.

Nothing is imported here. Each module needs its library, which the extra of the same name installs:
`pip install 'purposeguard[sql]'` and `from purposeguard.adapters.sql import Statements`.
"""
