"""Says which versions of the site there are: `python docs/versions.py FOLDER` writes the list that its pages offer.

Each version is a folder beside the list: `dev`, and one for every release, which is a tag such as `v0.2.0`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

START = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>purposeguard</title>
    <meta http-equiv="refresh" content="0; url={0}">
  </head>
  <body><a href="{0}">The documentation of purposeguard</a></body>
</html>
"""


def releases(tags: list[str]) -> list[str]:
    """Return the releases among the tags of a repository, newest first."""
    found = [tuple(map(int, tag[1:].split("."))) for tag in tags if re.fullmatch(r"v\d+\.\d+\.\d+", tag)]
    return [".".join(map(str, numbers)) for numbers in sorted(found, reverse=True)]


def listed(newest_first: list[str], base: str) -> list[dict[str, object]]:
    """Return the list that the pages read. Older releases point to the newest one."""
    names = {"dev": "dev", **{release: release for release in newest_first}}
    if newest_first:
        names[newest_first[0]] += " (stable)"
    preferred = newest_first[0] if newest_first else "dev"
    return [
        {"name": name, "version": version, "url": f"{base}{version}/", "preferred": version == preferred}
        for version, name in names.items()
    ]


def main(folder: Path, base: str) -> None:
    """Write `versions.json`, and the pages that lead to the newest release, and in each version to its start."""
    run = subprocess.run(["git", "tag"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False)
    versions = listed(releases(run.stdout.split()), base)
    (folder / "versions.json").write_text(json.dumps(versions, indent=2) + "\n", "utf-8")
    start = next(str(one["version"]) for one in versions if one["preferred"])
    (folder / "index.html").write_text(START.format(f"{start}/"), "utf-8")
    for page in folder.glob("*/docs/index.html"):
        (page.parents[1] / "index.html").write_text(START.format("docs/index.html"), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), os.environ.get("DOCS_BASE", "/"))
