"""Lint: what can be seen of a code base without running it that a guard, or a reviewer, would have to find otherwise.

Files become trees (`files`, `project`), names are followed to what they stand for (`scopes`, `names`), values to their
classes (`values`), annotations to their tags (`tagging`), functions to what guards them (`guards`). Rules ask these and
nothing else. What cannot be followed is unknown, and of what is unknown nothing is said.
"""

from purposeguard.linting.files import NotLintable
from purposeguard.linting.finding import Finding, Place, Rule, Unread
from purposeguard.linting.linter import RULES, Outcome, UnknownRule, lint

__all__ = ["RULES", "Finding", "NotLintable", "Outcome", "Place", "Rule", "UnknownRule", "Unread", "lint"]
