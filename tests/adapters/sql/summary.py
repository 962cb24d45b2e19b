"""How much of what engines have, and of what is asked of them, the SQL adapter reads, told at the end of a run."""

from __future__ import annotations

from collections.abc import Callable

from tests.summaries import Summary

NAME = "SQL"
"""Of the plugin, and of the property of a test's report that bears a line."""

Property = Callable[[str, object], None]
"""pytest's `record_property`."""

add_to = Summary(NAME, "functions and statements that the SQL adapter reads").add_to
