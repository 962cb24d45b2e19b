"""Summary at the end of a run: how many functions of each engine, and how many statements, the SQL adapter reads."""

from __future__ import annotations

from collections.abc import Callable

from tests.summaries import Summary

NAME = "SQL"
"""Of the plugin, and of the property of a test's report that bears a line."""

Property = Callable[[str, object], None]
"""pytest's `record_property`."""

add_to = Summary(NAME, "functions and statements that the SQL adapter reads").add_to
