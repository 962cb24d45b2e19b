"""The notices whose exports are kept as files that somebody read."""

from __future__ import annotations

from pathlib import Path

from purposeguard import Notice

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "cedar"
EVERYTHING = Notice.load(GOLDEN / "everything" / "notice.toml")
"""A made-up notice in which everything stands that an export must tell."""

GDPR = Notice.load(Path(__file__).resolve().parents[2] / "examples" / "gdpr" / "notice.toml")
"""The example in which each purpose states its legal basis."""
