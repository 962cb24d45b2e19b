"""What became of the seeded faults, told at the end of a run."""

from __future__ import annotations

from tests.summaries import Summary

NAME = "seeded faults"
"""Of the plugin, and of the property of a test's report that bears a line."""

add_to = Summary(NAME, "seeded faults of the example, and which tools find them", list).add_to
