"""A guard over several notices never allows what one of them refuses, and forgets nothing of the others."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from purposeguard import Label
from purposeguard.notice.history import History
from purposeguard.policy.context import Context, SubjectPreferences
from purposeguard.policy.table import PolicyTable
from tests.differential.test_together import compiled
from tests.generated import notices_together
from tests.generated.notices_together import Together


@given(data=st.data(), situation=notices_together.several())
@settings(max_examples=8)
def test_what_is_allowed_is_allowed_by_each_notice_alone(data: st.DataObject, situation: Together) -> None:
    table = situation.table
    alone = {id_: PolicyTable(one, history=History(*situation.known[id_])) for id_, one in situation.inforce.items()}
    facts = data.draw(notices_together.facts(situation))
    sources = data.draw(notices_together.labels(situation))
    context = compiled(situation, facts)
    row = table.row_for(notices_together.label_of(sources), None, context)
    for asked, parts in situation.asked():
        by_each = True
        for id_ in {id_ for id_, _ in sources}:
            known = facts[id_]
            preferences = SubjectPreferences(
                suspended=frozenset(known["suspended"]),
                erased=context.preferences is not None and context.preferences.erased,
                consents=frozenset(known["consents"]),
            )
            plain = Context(
                preferences if known["named"] else None,
                known["collected_under"],
                frozenset(known["overdue"]),
                conditions=known["conditions"],
            )
            label = Label(*(source for of, source in sources if of == id_))
            by_each &= id_ in parts and alone[id_].purpose(parts[id_]) in alone[id_].row_for(label, None, plain)
        assert (table.purpose(asked) in row) is by_each


@given(data=st.data(), situation=notices_together.several())
@settings(max_examples=8)
def test_combining_data_of_several_notices_never_widens(data: st.DataObject, situation: Together) -> None:
    table = situation.table
    one, other = (notices_together.label_of(data.draw(notices_together.labels(situation))) for _ in range(2))
    context = compiled(situation, data.draw(notices_together.facts(situation)))
    for channel in (None, *table.notice.channels):
        together = table.row_for(one | other, channel, context)
        assert together == table.row_for(one, channel, context) & table.row_for(other, channel, context)
