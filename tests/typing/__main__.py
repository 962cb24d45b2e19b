"""`python -m tests.typing`: each type checker, its version, and whether it says of the corpus what all are to say."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.typing.checkers import CHECKERS
from tests.typing.corpus import findings
from tests.typing.summary import table


def main() -> int:
    """Prints the table, and each line where a checker differs; how many do."""
    rows, differences = [], []
    for checker in CHECKERS:
        with tempfile.TemporaryDirectory() as folder:
            found = findings(checker, Path(folder).resolve())
        rows.append(found.row())
        differences += [f"{checker}: {one}" for one in found.differences()]
    sys.stdout.writelines(f"{line}\n" for line in (*table(rows), *differences))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
