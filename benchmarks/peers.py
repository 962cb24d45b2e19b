"""Other ways to the same answer: policy engines, an expression language, and a check written by hand.

Each is given the notice in the form that it likes best, and asked only after it was seen to answer as the library does.
"""

from __future__ import annotations

import importlib.metadata
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, Protocol

import purposeguard as pg
from benchmarks.timing import Case
from purposeguard.notices import trendmicro_jp as tm

Question = Callable[[], bool]

ONE = ("registration",)
THREE = ("registration", "contract", "product-data")
PURPOSE = "renewal-guidance"
LIBRARY = "purposeguard"
BY_ID = "purposeguard by id"


class Peer(Protocol):
    """`question` prepares a question as far as its engine allows; the call of it is what is timed."""

    package: str
    form: str

    def __init__(self, granted: dict[str, list[str]]) -> None: ...

    def question(self, sources: Sequence[str], purpose: str) -> Question: ...


def collect_grants() -> dict[str, list[str]]:
    """Return the bundled notice as plain data: purpose → the sources that may serve it, both by slug."""
    rows: dict[str, list[str]] = {purpose.slug: [] for purpose in tm.NOTICE.purposes}
    for source, purposes in tm.NOTICE.grants.items():
        for purpose in purposes:
            rows[purpose.slug].append(source.slug)
    return rows


def clauses(granted: dict[str, list[str]]) -> list[tuple[list[str], list[str]]]:
    """Return the permitted sources by clause, for engines that try one policy after another: (purposes, sources)."""
    found: dict[tuple[str, ...], list[str]] = {}
    for purpose, sources in granted.items():
        found.setdefault(tuple(sources), []).append(purpose)
    return [(purposes, list(sources)) for sources, purposes in found.items()]


class Cedar:
    package = "cedarpy"
    form = "one policy a clause, policies and entities parsed beforehand"

    def __init__(self, granted: dict[str, list[str]]) -> None:
        import cedarpy

        self._cedar = cedarpy
        rows = clauses(granted)
        policies: list[str] = []
        actions: list[dict[str, Any]] = []
        for number, (purposes, sources) in enumerate(rows):
            condition = f"!context.sources.isEmpty() && {json.dumps(sources)}.containsAll(context.sources)"
            policies.append(f'permit(principal, action in Action::"clause {number}", resource) when {{ {condition} }};')
            parents = [_cedar_id("Action", f"clause {number}")]
            for purpose in purposes:
                uid = _cedar_id("Action", purpose)
                actions.append({"uid": uid, "attrs": {}, "parents": parents})
        self._policies = cedarpy.PolicySet.from_str("\n".join(policies))
        self._entities = cedarpy.Entities.from_json_str(json.dumps(actions))

    def question(self, sources: Sequence[str], purpose: str) -> Question:
        ask, policies, entities = self._cedar.is_authorized, self._policies, self._entities
        request = {
            "principal": _cedar_id("Activity", "a"),
            "action": _cedar_id("Action", purpose),
            "resource": _cedar_id("Data", "d"),
            "context": json.dumps({"sources": list(sources)}),
        }
        return lambda: bool(ask(request, policies, entities).allowed)


def _cedar_id(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


class Casbin:
    package = "casbin"
    form = "FastEnforcer, policies keyed by purpose"

    # The notice is in the key because FastModel's policies need a key of two.
    _MODEL = """
    [request_definition]
    r = notice, purpose, sources
    [policy_definition]
    p = notice, purpose, sources
    [policy_effect]
    e = some(where (p.eft == allow))
    [matchers]
    m = r.purpose == p.purpose && within(r.sources, p.sources)
    """

    def __init__(self, granted: dict[str, list[str]]) -> None:
        from casbin import FastEnforcer
        from casbin.model import FastModel

        model = FastModel([0, 1])
        model.load_model_from_text(self._MODEL)
        self._enforcer = FastEnforcer(model, cache_key_order=[0, 1])
        sets = {" ".join(sources): frozenset(sources) for sources in granted.values()}
        self._enforcer.add_function("within", lambda asked, may: bool(asked) and asked <= sets[may])
        for purpose, sources in granted.items():
            self._enforcer.add_policy("n", purpose, " ".join(sources))

    def question(self, sources: Sequence[str], purpose: str) -> Question:
        enforce, asked = self._enforcer.enforce, frozenset(sources)
        return lambda: bool(enforce("n", purpose, asked))


class Rego:
    package = "regopy"
    form = "bundle built and inputs made beforehand"

    _MODULE = """
    package notice
    import rego.v1
    default allow := false
    allow if {
        count(input.sources) > 0
        every source in input.sources { source in data.granted[input.purpose] }
    }
    """

    def __init__(self, granted: dict[str, list[str]]) -> None:
        import regopy

        self._input = regopy.Input
        self._interpreter = regopy.Interpreter()
        self._interpreter.add_data({"granted": granted})
        self._interpreter.add_module("notice.rego", self._MODULE)
        self._bundle = self._interpreter.build(None, ["notice/allow"])

    def question(self, sources: Sequence[str], purpose: str) -> Question:
        interpreter, bundle = self._interpreter, self._bundle
        given = self._input({"sources": list(sources), "purpose": purpose})

        def ask() -> bool:
            interpreter.set_input(given)
            return interpreter.query_bundle_entrypoint(bundle, "notice/allow")[0][0] is True

        return ask


class Vakt:
    package = "vakt"
    form = "one policy a clause, in memory"

    def __init__(self, granted: dict[str, list[str]]) -> None:
        import vakt
        from vakt.rules import AllIn, Eq, In

        self._vakt = vakt
        storage = vakt.MemoryStorage()
        for purposes, sources in clauses(granted):
            may = {"sources": AllIn(*sources)}
            storage.add(vakt.PolicyAllow(purposes[0], actions=[In(*purposes)], resources=[may], subjects=[Eq("a")]))
        self._guard = vakt.Guard(storage, vakt.RulesChecker())

    def question(self, sources: Sequence[str], purpose: str) -> Question:
        allowed = self._guard.is_allowed
        inquiry = self._vakt.Inquiry(subject="a", action=purpose, resource={"sources": list(sources)})
        return lambda: bool(allowed(inquiry))


class Cel:
    package = "common-expression-language"
    form = "programs compiled and contexts made beforehand"

    def __init__(self, granted: dict[str, list[str]]) -> None:
        import cel

        self._context = cel.Context
        self._programs: dict[str, Any] = {}
        for purpose, sources in granted.items():
            expression = f"size(sources) > 0 && sources.all(source, source in {json.dumps(sources)})"
            self._programs[purpose] = cel.compile(expression)

    def question(self, sources: Sequence[str], purpose: str) -> Question:
        execute, context = self._programs[purpose].execute, self._context({"sources": list(sources)})
        return lambda: execute(context) is True


class Fides:
    package = "fideslang"
    form = "a check written by hand over its models, indexed by purpose"

    def __init__(self, granted: dict[str, list[str]]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from fideslang.models import PrivacyDeclaration

            self._declared: dict[str, Any] = {}
            for purpose, sources in granted.items():
                declaration = PrivacyDeclaration(name=purpose, data_use=purpose, data_categories=sources)
                self._declared[purpose] = declaration

    def question(self, sources: Sequence[str], purpose: str) -> Question:
        return lambda: self._is_allowed(sources, purpose)

    def _is_allowed(self, sources: Sequence[str], purpose: str) -> bool:
        declaration = self._declared.get(purpose)
        return bool(sources) and declaration is not None and all(one in declaration.data_categories for one in sources)


PEERS: tuple[type[Peer], ...] = (Cedar, Casbin, Rego, Vakt, Cel, Fides)


class PeerDiffers(Exception):  # says what a peer does
    """A peer answers otherwise than the library, so that its time says nothing."""


def version(package: str) -> str | None:
    """Return the installed version; None where the package is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def questions() -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every source, every two sources, and the three that are timed, with every purpose."""
    sources = [source.slug for source in tm.NOTICE.sources]
    labels = [*combinations(sources, 1), *combinations(sources, 2), THREE]
    for label in labels:
        for purpose in tm.NOTICE.purposes:
            yield label, purpose.slug


def count_agreements(peer: Peer, guard: pg.Guard) -> int:
    """Count the questions to a peer, each of which it must answer as the library does.

    Raises:
        Differs: it answered one otherwise.
    """
    count = 0
    for label, purpose in questions():
        ours = guard.allows(label, purpose)
        if peer.question(label, purpose)() is not ours:
            raise PeerDiffers(f"{peer.package} says {not ours} of {label} for {purpose}, the library {ours}")
        count += 1
    return count


def names(package: str) -> tuple[str, str]:
    """Return the names of the two cases for a package."""
    return f"{package}, 1 source", f"{package}, 3 sources"


def peers() -> list[Case]:
    """Return the two questions to the library and to each peer that is installed, once it was seen to agree."""
    guard = pg.Guard(tm.NOTICE)
    (one, three), (one_by_id, three_by_id) = names(LIBRARY), names(BY_ID)
    known: dict[str, Any] = {"guard": guard, "label": pg.Label(tm.Registration, tm.Contract, tm.ProductData)}
    known |= {"Source": tm.Registration, "Purpose": tm.RenewalGuidance}
    cases = [
        Case(one, "guard.allows(Source, Purpose)", known),
        Case(three, "guard.allows(label, Purpose)", known),
        Case(one_by_id, 'guard.allows({"1.1(a)"}, "1.2(1)①")', known),
        Case(three_by_id, 'guard.allows({"1.1(a)", "1.1(c)", "1.1(b)"}, "1.2(1)①")', known),
    ]
    rows = collect_grants()
    for kind in PEERS:
        if version(kind.package) is None:
            continue
        peer = kind(rows)
        count_agreements(peer, guard)
        for name, sources in zip(names(kind.package), (ONE, THREE), strict=True):
            cases.append(Case(name, "ask()", {"ask": peer.question(sources, PURPOSE)}))
    return cases
