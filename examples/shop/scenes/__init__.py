"""The scenes of the demo. Each announces what will happen, does it, and checks the result."""

from examples.shop.scenes import adoption, people, records, reports, uses
from examples.shop.scenes.common import Scene

SCENES: list[Scene] = [
    uses.collect,
    uses.remind,
    uses.withhold,
    uses.newsletter,
    uses.phone,
    uses.export,
    uses.marketing,
    uses.seals,
    uses.threads,
    uses.support,
    uses.observe,
    uses.figures,
    people.opt_out,
    people.hand_over,
    people.disclosure,
    people.warrant,
    people.revision,
    reports.monthly,
    reports.campaign,
    reports.analyst,
    records.inventory,
    records.ledger,
    adoption.adopt,
]

SHORT: list[Scene] = [uses.remind, uses.withhold, uses.marketing, people.opt_out, records.ledger]
"""The idea in two screens: allowed, withheld, refused, stopped by a person, on record."""
