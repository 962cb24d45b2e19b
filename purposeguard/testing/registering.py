"""What hypothesis makes of the library's types by itself: `st.from_type(Personal[str, tm.Registration])`.

hypothesis runs `register` when it is imported, by the entry point of that name. The strategies are imported when one is
drawn, so `import hypothesis` costs no more than the import of the core.
"""

from __future__ import annotations

from typing import Any, Final

from purposeguard.notice.label import Label
from purposeguard.notice.notice import Notice
from purposeguard.notice.vocabulary import Family, TermMeta
from purposeguard.values.personal import Personal

BUNDLED: Final = "trendmicro-jp"
"""The notice that labels, terms and families are of; an application that has another registers strategies for it."""


def register() -> None:
    """Register a strategy for `Personal`, `Label`, `Notice`, `Family`, and what is typed as a term.

    `st.builds(Customer)` works where fields are sealed. It does not ask validators of fields:
    `strategies.instances(Customer)` does.
    """
    from hypothesis import strategies as st  # noqa: PLC0415  # an extra

    def make_resolver(make: Any) -> Any:
        """Return a resolver that imports the strategies when a type is resolved."""

        def resolve(annotation: Any) -> Any:
            from purposeguard.testing import strategies  # noqa: PLC0415  # slow to import

            return make(strategies, annotation)

        return resolve

    def personal(strategies: Any, annotation: Any) -> Any:
        if getattr(annotation, "__args__", None):
            return strategies.value_strategy(annotation)
        return strategies.sealed(st.text(), Notice.bundled(BUNDLED))

    st.register_type_strategy(Personal, make_resolver(personal))
    st.register_type_strategy(Label, make_resolver(lambda strategies, _: strategies.labels(Notice.bundled(BUNDLED))))
    st.register_type_strategy(Notice, make_resolver(lambda _, __: st.just(Notice.bundled(BUNDLED))))
    st.register_type_strategy(Family, make_resolver(lambda strategies, _: strategies.families(Notice.bundled(BUNDLED))))
    st.register_type_strategy(
        TermMeta,
        make_resolver(
            lambda strategies, _: (
                strategies.sources(Notice.bundled(BUNDLED)) | strategies.purposes(Notice.bundled(BUNDLED))
            )
        ),
    )
