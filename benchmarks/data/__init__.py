"""What it costs to hold data to a notice where it lies (`python -m benchmarks.data`, `make bench-data`).

Each part is a module with `rows(quick)`, which measures and gives the rows of its table.
"""
