"""The mutants that `measure.py` puts into services are violations and harmless changes of the versions stated there."""

from __future__ import annotations

from pathlib import Path

import pytest
import regstack

from tests.testing_kit.mutants import SERVICES, Edit, Mutant, MutantError, read_mutants

ROOTS = {"accounts": Path(regstack.__file__).parents[1], "shop": Path(__file__).parents[2]}
"""Where the package of a service is. That of `expenses` has an environment of its own, which `measure.py` makes."""


@pytest.mark.parametrize("service", sorted(folder.name for folder in SERVICES.iterdir()))
def test_there_are_thirty_violations_and_ten_harmless_changes(service: str) -> None:
    mutants = read_mutants(service)
    assert len([mutant for mutant in mutants if mutant.violates]) == 30
    assert len([mutant for mutant in mutants if mutant.harmless]) == 10
    for mutant in mutants:
        assert mutant.one != mutant.other or mutant.harmless or mutant.reason or mutant.opt_out, mutant.name


@pytest.mark.parametrize(
    ("service", "mutant"),
    [(service, mutant) for service in ROOTS for mutant in read_mutants(service)],
    ids=lambda value: value.name if isinstance(value, Mutant) else value,
)
def test_mutant_fits_the_package_and_compiles(service: str, mutant: Mutant) -> None:
    root = ROOTS[service]
    for file, text in mutant.change(root).items():
        assert text != (root / file).read_text("utf-8")


def test_edit_needs_one_place() -> None:
    source = "def f():\n    return 1\n\n\ndef g():\n    return 1\n"
    inserted = Edit("file.py", before="    return 1", text="    print()", within="def g")
    assert inserted.apply(source, "mutant") == source.removesuffix("    return 1\n") + "    print()\n    return 1\n"
    for edit in (
        Edit("file.py", before="    return 1", text="    print()"),
        Edit("file.py", old="absent", new="there"),
    ):
        with pytest.raises(MutantError, match="places for"):
            edit.apply(source, "mutant")
