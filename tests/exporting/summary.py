"""What Cedar was asked and what became of it, told at the end of a run."""

from __future__ import annotations

from collections.abc import Callable

from tests.summaries import Summary

NAME = "Cedar"
"""Of the plugin, and of the property of a test's report that bears a line."""

Property = Callable[[str, object], None]
"""pytest's `record_property`."""

add_to = Summary(NAME, "the exported notices, asked of Cedar").add_to
