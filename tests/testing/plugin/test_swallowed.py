"""Which clauses swallow a violation: those that catch anything and let nothing on."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import textwrap
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import purposeguard as pg
from purposeguard.errors import PurposeMissing
from purposeguard.notices import trendmicro_jp as tm
from purposeguard.policy.violations import PurposeViolation
from purposeguard.testing._records import Collector
from purposeguard.testing._swallowed import swallowed
from purposeguard.testing.watching import watching

pytestmark = pytest.mark.usefixtures("remembers")

HEAD = """
import asyncio
import contextlib
import functools
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import purposeguard as pg
import pytest
"""

SWALLOWING = {
    "everything": """
        def act(check):
            try:
                check()
            except Exception:  # here
                pass
    """,
    "bare": """
        def act(check):
            try:
                check()
            except:  # here
                return None
    """,
    "base": """
        def act(check):
            try:
                check()
            except BaseException as error:  # here
                return str(error)
    """,
    "a permission": """
        def act(check):
            try:
                check()
            except PermissionError:  # here
                return None
    """,
    "whatever the system says": """
        def act(check):
            try:
                check()
            except (ValueError, OSError):  # here
                return None
    """,
    "the second of several": """
        def act(check):
            try:
                check()
            except KeyError:
                return None
            except (TypeError, Exception):  # here
                return None
    """,
    "around a loop": """
        def act(check):
            try:
                for _ in range(3):
                    if True:
                        check()
            except Exception:  # here
                return None
    """,
    "around a call of another function": """
        def deeper(check):
            try:
                check()
            except KeyError:
                pass
            finally:
                len("")

        def act(check):
            try:
                deeper(check)
            except Exception:  # here
                return None
    """,
    "passed on, and then": """
        def deeper(check):
            try:
                check()
            except Exception:
                raise

        def act(check):
            try:
                deeper(check)
            except Exception:  # here
                return None
    """,
    "suppressed": """
        def act(check):
            with suppress(Exception):  # here
                check()
    """,
    "suppressed by another name": """
        def act(check):
            with open(__file__), contextlib.suppress(KeyError, PermissionError):  # here
                check()
    """,
    "kept, and never raised again": """
        kept = []

        def act(check):
            try:
                check()
            except Exception as error:  # here
                kept.append(error)
    """,
    "in a nested function": """
        def act(check):
            def inner():
                try:
                    check()
                except Exception:  # here
                    return None
            return inner()
    """,
    "in a context manager": """
        @contextlib.contextmanager
        def quiet():
            try:
                yield
            except Exception:  # here
                pass

        def act(check):
            with quiet():
                check()
    """,
    "with something that would raise later": """
        def act(check):
            try:
                check()
            except Exception:  # here
                def later():
                    raise RuntimeError
                return later
    """,
    "in a comprehension": """
        def act(check):
            try:
                return [check() for _ in range(2)]
            except Exception:  # here
                return []
    """,
    "a group's clause": """
        def act(check):
            try:
                check()
            except* Exception:  # here
                pass
    """,
    "a finally that returns": """
        def act(check):
            try:
                check()
            except KeyError:
                pass
            finally:
                if True:
                    return None  # here
    """,
    "a finally that goes on": """
        def act(check):
            for _ in range(1):
                try:
                    check()
                finally:
                    continue  # here
    """,
    "gathered with the results": """
        async def ask(check):
            check()

        async def serve(check):
            await asyncio.gather(ask(check), return_exceptions=True)  # here

        def act(check):
            asyncio.run(serve(check))
    """,
    "from a group of tasks": """
        async def ask(check):
            check()

        async def both(check):
            async with asyncio.TaskGroup() as group:
                group.create_task(ask(check))

        async def serve(check):
            try:
                await both(check)
            except* Exception:  # here
                pass

        def act(check):
            asyncio.run(serve(check))
    """,
    "from a group of tasks, as one": """
        async def ask(check):
            check()

        async def serve(check):
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(ask(check))
            except ExceptionGroup:  # here
                pass

        def act(check):
            asyncio.run(serve(check))
    """,
    "in a pool that nobody asks": """
        def ask(check):
            check()  # here

        def act(check):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(ask, check)
    """,
    "in a pool, and asked": """
        def act(check):
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(check)
                try:
                    answer.result()
                except Exception:  # here
                    pass
            answer = None
    """,
    "in a thread of asyncio": """
        async def serve(check):
            try:
                await asyncio.to_thread(check)
            except Exception:  # here
                pass

        def act(check):
            asyncio.run(serve(check))
    """,
}

NOT_SWALLOWING = {
    "by its name": """
        def act(check):
            try:
                check()
            except pg.PurposeViolation:
                return None
            except Exception:
                return None
    """,
    "by the name of its root": """
        def act(check):
            try:
                check()
            except (ValueError, pg.PurposeGuardError):
                return None
    """,
    "raised again": """
        def act(check):
            try:
                check()
            except Exception:
                len("")
                raise
    """,
    "raised as something else": """
        def act(check):
            try:
                check()
            except Exception as error:
                if True:
                    raise RuntimeError("no") from error
    """,
    "never caught": """
        def act(check):
            check()
    """,
    "expected by a test": """
        def act(check):
            with pytest.raises(pg.PurposeViolation):
                check()
    """,
    "expected by a test within something wide": """
        def act(check):
            try:
                with pytest.raises(Exception):
                    check()
            except Exception:
                return None
    """,
    "suppressed by its name": """
        def act(check):
            with suppress(pg.PurposeViolation):
                check()
    """,
    "a finally that lets it go on": """
        def act(check):
            try:
                check()
            finally:
                for one in (1, 2):
                    if one:
                        break
                len("")
    """,
    "a group's clause that names it": """
        def act(check):
            try:
                check()
            except* pg.PurposeViolation:
                pass
            except* Exception:
                pass
    """,
    "gathered, and looked at": """
        async def ask(check):
            check()

        async def serve(check):
            found = await asyncio.gather(ask(check), return_exceptions=True)
            return [one for one in found if not isinstance(one, pg.PurposeViolation)]

        def act(check):
            asyncio.run(serve(check))
    """,
    "gathered, and raised": """
        async def ask(check):
            check()

        async def serve(check):
            await asyncio.gather(ask(check))

        def act(check):
            asyncio.run(serve(check))
    """,
    "in a pool, and looked at": """
        def ask(check):
            check()

        def act(check):
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(ask, check)
            if answer.exception() is None:
                print("done")
            answer = None
    """,
    "in a pool, and raised": """
        def act(check):
            with ThreadPoolExecutor(1) as pool:
                answer = pool.submit(check)
            try:
                return answer.result()
            finally:
                del answer
    """,
    "a function defined within something wide": """
        try:
            def act(check):
                try:
                    check()
                except pg.PurposeViolation:
                    return None
        except Exception:
            pass
    """,
}


@pytest.fixture
def guard() -> pg.Guard:
    return pg.Guard(tm.NOTICE)


@pytest.fixture
def collector(guard: pg.Guard) -> Iterator[Collector]:
    collector = Collector(by_test=False, is_test=lambda module: False)
    collector.swallowing.start()
    try:
        with watching(collector, guard):
            collector.begin("test")
            yield collector
    finally:
        if "__del__" in vars(PurposeViolation):
            collector.swallowing.stop()


def module(folder: Path, code: str) -> Any:
    path = folder / "service.py"
    path.write_text(HEAD + textwrap.dedent(code), "utf-8")
    spec = importlib.util.spec_from_file_location(f"service_{folder.name}", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def found(collector: Collector, folder: Path) -> list[tuple[str, int, str]]:
    gc.collect()  # what is held by a frame that it holds itself
    collector.swallowing.stop()
    every = swallowed(collector.swallowing.caught, folder, frozenset())
    return [(file, clause, test) for (file, _, clause, _, test), _ in every]


def refuse(guard: pg.Guard) -> Callable[[], None]:
    def check() -> None:
        guard.check("1.1b", "1.2(1)①")

    return check


@pytest.mark.parametrize("how", SWALLOWING)
def test_what_swallows_a_violation_is_found(how: str, guard: pg.Guard, collector: Collector, tmp_path: Path) -> None:
    made = module(tmp_path, SWALLOWING[how])
    made.act(refuse(guard))
    here = next(n for n, line in enumerate((tmp_path / "service.py").read_text().splitlines(), 1) if "# here" in line)
    assert found(collector, tmp_path) == [("service.py", here, "test")]


@pytest.mark.parametrize("how", NOT_SWALLOWING)
def test_what_handles_one_is_not(how: str, guard: pg.Guard, collector: Collector, tmp_path: Path) -> None:
    made = module(tmp_path, NOT_SWALLOWING[how])
    try:
        made.act(refuse(guard))
    except (RuntimeError, pg.PurposeViolation) as error:
        error.__traceback__ = None
    assert found(collector, tmp_path) == []


def test_a_missing_purpose_is_no_permission(guard: pg.Guard, collector: Collector, tmp_path: Path) -> None:
    @guard.access(tm.Contract)
    def load() -> int:
        return 1

    made = module(tmp_path, SWALLOWING["a permission"])
    with pytest.raises(PurposeMissing):
        made.act(load)
    module(tmp_path, SWALLOWING["everything"]).act(load)
    assert [one[2] for one in found(collector, tmp_path)] == ["test"]


def test_libraries_and_tests_are_left_out(guard: pg.Guard, collector: Collector, tmp_path: Path) -> None:
    module(tmp_path, SWALLOWING["everything"]).act(refuse(guard))
    collector.swallowing.stop()
    caught = collector.swallowing.caught
    assert len(list(swallowed(caught, tmp_path, frozenset()))) == 1
    assert list(swallowed(caught, tmp_path, frozenset({tmp_path / "service.py"}))) == []
    assert list(swallowed(caught, tmp_path, frozenset({tmp_path}))) == []
    ((elsewhere, _),) = swallowed(caught, tmp_path / "tests", frozenset())
    assert elsewhere[0] == "../service.py"


CLOSED = {
    "a generator": """
        def rows(check):
            try:
                yield 1
            finally:
                check()

        def act(check):
            return next(rows(check))
    """,
    "one of async code": """
        async def rows(check):
            try:
                yield 1
            finally:
                check()

        async def serve(check):
            async for _ in rows(check):
                break

        def act(check):
            asyncio.run(serve(check))
    """,
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", CLOSED)
def test_an_error_at_the_end_of_a_generator_reaches_nobody(
    how: str, guard: pg.Guard, collector: Collector, tmp_path: Path
) -> None:
    module(tmp_path, CLOSED[how]).act(refuse(guard))
    gc.collect()
    collector.swallowing.stop()
    ((found, _),) = swallowed(collector.swallowing.caught, tmp_path, frozenset())
    assert found[3] == "a generator that is closed"


def test_who_gathers_decides_and_not_who_is_gathered(guard: pg.Guard, collector: Collector, tmp_path: Path) -> None:
    made = module(tmp_path, "async def ask(check):\n    check()\n")

    async def gather() -> Any:
        return await asyncio.gather(made.ask(refuse(guard)), return_exceptions=True)

    assert [type(one) for one in asyncio.run(gather())] == [PurposeViolation]
    collector.swallowing.stop()
    caught = collector.swallowing.caught
    assert len(caught) == 1
    assert list(swallowed(caught, tmp_path, frozenset({Path(__file__)}))) == []
    assert len(list(swallowed(caught, tmp_path, frozenset()))) == 1


def test_nothing_is_kept_alive_to_find_out(guard: pg.Guard, collector: Collector) -> None:
    class Held:
        pass

    def act() -> weakref.ref[Held]:
        held = Held()
        try:
            guard.check("1.1b", "1.2(1)①")
        except Exception:
            return weakref.ref(held)
        raise AssertionError

    gone = act()
    gc.collect()
    assert gone() is None
    assert len(collector.swallowing.caught) == 1


def test_errors_are_as_they_were_afterwards(collector: Collector) -> None:
    assert "__del__" in vars(PurposeViolation)
    collector.swallowing.stop()
    assert "__del__" not in vars(PurposeViolation)
    assert "__del__" not in vars(PurposeMissing)


def test_code_that_is_no_file_is_passed_over(guard: pg.Guard, collector: Collector, tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    code = "def act(check):\n  try:\n    check()\n  except Exception:\n    pass\n"
    exec(compile(code, str(tmp_path / "made_up.py"), "exec"), names)  # noqa: S102  # as templates are
    names["act"](refuse(guard))
    assert found(collector, tmp_path) == []
