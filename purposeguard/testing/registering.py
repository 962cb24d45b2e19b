"""What hypothesis makes of the library's types by itself: `st.from_type(Personal[str, tm.Registration])`.

hypothesis runs `register` when it is imported, by the entry point of its name. What is drawn is imported then and not
before, so who uses hypothesis for something else waits for the import of the core alone; and who does not use it, for
nothing.
"""

from __future__ import annotations

from typing import Any, Final

from purposeguard.notice.history import History
from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, TermMeta
from purposeguard.values.personal import Personal

BUNDLED: Final = "trendmicro-jp"
"""The notice that labels, terms and families are of where nothing says which: who has another registers for it."""


def register() -> None:
    """Registers a strategy for `Personal`, `Label`, `Notice`, `History`, `Family`, and what is typed as a term.

    A field of a model is drawn by its own type, so `st.builds(Customer)` works where its fields are sealed. Where a
    field has validators, `strategies.instances(Customer)` keeps to them.
    """
    from hypothesis import strategies as st  # noqa: PLC0415  # it is an extra

    st.register_type_strategy(Personal, _personal)
    st.register_type_strategy(Label, _labels)
    st.register_type_strategy(Notice, _notices)
    st.register_type_strategy(History, _histories)
    st.register_type_strategy(Family, _families)
    st.register_type_strategy(TermMeta, _terms)


def _personal(annotation: Any) -> Any:
    from purposeguard.testing.values import value_strategy  # noqa: PLC0415  # when it is drawn

    if getattr(annotation, "__args__", None):
        return value_strategy(annotation)
    from hypothesis import strategies as st  # noqa: PLC0415  # when it is drawn

    from purposeguard.testing import strategies  # noqa: PLC0415  # when it is drawn

    return strategies.sealed(st.text(), Notice.bundled(BUNDLED))


def _labels(_: type) -> Any:
    from purposeguard.testing import strategies  # noqa: PLC0415  # when it is drawn

    return strategies.labels(Notice.bundled(BUNDLED))


def _notices(_: type) -> Any:
    from purposeguard.testing import strategies  # noqa: PLC0415  # when it is drawn

    return strategies.notices()


def _histories(_: type) -> Any:
    from purposeguard.testing import strategies  # noqa: PLC0415  # when it is drawn

    return strategies.histories()


def _families(_: type) -> Any:
    from purposeguard.testing import strategies  # noqa: PLC0415  # when it is drawn

    return strategies.families(Notice.bundled(BUNDLED))


def _terms(_: type) -> Any:
    from purposeguard.testing import strategies  # noqa: PLC0415  # when it is drawn

    notice = Notice.bundled(BUNDLED)
    return strategies.sources(notice) | strategies.purposes(notice)
