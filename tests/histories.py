"""What may be known of a datum, to be asked of a history and of the reference."""

from __future__ import annotations

import datetime
from typing import Any

from hypothesis import strategies as st

from purposeguard import Notice
from purposeguard.notice.retention import for_law

Context = dict[str, Any]
"""The keyword arguments of `reference_circumstances.allowed`."""


@st.composite
def context(draw: st.DrawFn, notices: tuple[Notice, ...], inforce: Notice) -> Context:
    """What may be known of a datum: mostly little, so that neither answer is rare."""
    purposes = [one.clause for one in inforce.purposes]
    revisions = [one.revision for one in notices]
    given = [(purpose.clause, one.revision) for one in notices for purpose in one.purposes]
    sources = [one.clause for one in inforce.sources]
    no_longer_by_law = [for_law(source) for source in sources]
    day = datetime.timedelta(days=1)
    days = [min(revisions) - day, *revisions, *(revision + day for revision in revisions)]  # known revisions and others
    return {
        "collected_under": draw(st.sampled_from([None, *revisions])),
        "suspended": draw(st.sampled_from([(), (), purposes[:1], purposes[1:3], [draw(st.sampled_from(given))[0]]])),
        "stopped": draw(st.sampled_from([False] * 9 + [True])),
        "consents": draw(
            st.lists(st.tuples(st.sampled_from(purposes), st.sampled_from(days)), max_size=4, unique=True)
            | st.lists(st.sampled_from(given), max_size=4, unique=True)
            | st.just(given)
        ),
        "conditions": frozenset(draw(st.sets(st.sampled_from(inforce.conditions))))
        if inforce.conditions
        else frozenset(),
        "overdue": draw(
            st.sampled_from([(), (), (), sources[:1], sources, no_longer_by_law[:1], (*sources[:1], *no_longer_by_law)])
        ),
    }
