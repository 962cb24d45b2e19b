"""Lint: finds in a code base, without running it, what otherwise a guard or a reviewer would have to find.

Files become trees (`files`), names and values are followed to what they stand for (`code`), annotations to their tags
(`models`), functions to what guards them (`guarding`). The `rules_` modules ask these. What cannot be followed is
unknown, and no rule reports it.
"""

from purposeguard.cli.lint.files import NotLintable
from purposeguard.cli.lint.findings import Finding, Place, Rule, Unread
from purposeguard.cli.lint.linter import RULES, Outcome, UnknownRule, lint

__all__ = ["RULES", "Finding", "NotLintable", "Outcome", "Place", "Rule", "UnknownRule", "Unread", "lint"]
