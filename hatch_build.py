"""The metadata that depends on where the project is published: its URLs, and README with absolute links."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

PLACEHOLDER = "https://purposeguard.example"
"""A reserved name that leads nowhere. `make dist PROJECT_URL=…` names the repository."""

_LINK = re.compile(r"(?P<image>!?)(?P<text>\[[^\]]*\])\((?!https?://|mailto:|#)(?P<path>[^)]+)\)")


def make_links_absolute(text: str, url: str, revision: str) -> str:
    """Return Markdown whose relative links lead to the files of one revision in the repository at `url`."""

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link["image"] else "blob"
        return f"{link['image']}{link['text']}({url}/{kind}/{revision}/{link['path']})"

    return _LINK.sub(absolute, text)


class PublishedMetadata(MetadataHookInterface):
    """Metadata hook of hatchling that adds `urls` and `readme`."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the fields that `pyproject.toml` lists as dynamic."""
        url = os.environ.get("PROJECT_URL", PLACEHOLDER).rstrip("/")
        revision = f"v{metadata['version']}"
        readme = Path(self.root, "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": make_links_absolute(readme, url, revision)}
        metadata["urls"] = {
            "Repository": url,
            "Documentation": f"{url}/blob/{revision}/docs/index.md",
            "Changelog": f"{url}/blob/{revision}/CHANGELOG.md",
        }
