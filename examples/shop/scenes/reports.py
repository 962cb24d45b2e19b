"""What the back office asks of many rows at once: of the database, of a list, of files."""

from __future__ import annotations

from examples.shop.narration import Story
from examples.shop.scenes.common import ask_for, issue, newest_denial_is, scene


@scene(
    "Monthly figures: statements are checked before the database gets them",
    """The columns of the tables bear their clauses too, and reports ask by an engine that knows them. How many renewals
    are due in each month? Ben, who asked that nothing of his be used, is left out by the database. How often did it
    crash before? That joins contracts with telemetry, and product-improvement may use both. A colleague would phone
    those first whose products crash. The list shows names and nothing else, but it is sorted by telemetry.""",
)
def monthly(story: Story) -> None:
    due = story.ask("GET", "/reports/renewals-due")
    story.check(sum(one["contracts"] for one in due) == 5, "five of six contracts: Ben's is not counted")
    crashes = story.ask("GET", "/reports/crashes")
    story.check([one["crashes"] for one in crashes] == [1, 0], "one crash was counted, under the first contract to end")
    refused = story.ask("GET", "/mistakes/call-list", status=403)
    story.check(refused.get("field") == "events.customer_id", "the column is named by which telemetry was joined")
    story.check(newest_denial_is(story, "PurposeViolation"), "and the ledger has it")


@scene(
    "A list for a campaign: three sources in one file, and an opt-out a day later",
    """Customers, leads and prospects are exported for AnyEventInvitation, into one table whose rows say under which
    clause each was collected, and whose it is. As a Parquet file it bears those tags wherever it goes. Then Chie, a
    lead, wants no more invitations. When they are sent, `permitted` keeps the rows that may be used by now.""",
)
def campaign(story: Story) -> None:
    exported = story.ask("PUT", "/reports/contacts")
    story.check(exported["rows"] == 7, "five customers (Ben is not among them), a lead and a prospect")
    ask_for(story, "suspension-of-use", "lead:1", purposes=["web-event-invitation"])
    story.note("(Chie asks that invitations stop)")
    sent = story.ask("POST", "/reports/invitations", issue("Come and see", "On Friday at five."))
    story.check(sent == {"listed": 7, "written_to": 6}, "she is on the list, and was not written to")


@scene(
    "An analyst asks the files: answered, refused, and not to be written on",
    """Analysts ask in SQL, of the exported files, in DuckDB: which columns a query uses is read from the query, and
    what they may be used for from the files. A count of runs is answered. A segment is refused: whom to write to about
    renewals, picked by telemetry. And who may read telemetry, for product-improvement, still may not put it into a
    table from which letters about renewals are written: what goes into a column must be covered by its tag.""",
)
def analyst(story: Story) -> None:
    story.ask("PUT", "/reports/events", quiet=True)
    runs = "SELECT product, count(*) AS runs, round(avg(seconds), 1) AS mean FROM events GROUP BY product"
    answer = story.sql("product-improvement", runs, "events.parquet")
    story.check("Shield" in answer and "Vault" not in answer, "answered, without Ben's Vault")
    segment = "SELECT name, email FROM contacts JOIN events USING (person) WHERE kind = 'crash'"
    refused = story.sql("renewal-guidance", segment, "contacts.parquet", "events.parquet", exits=1)
    story.check("`events.kind`" in refused and "@" not in refused, "refused: by a column that it does not show")
    filled = story.ask("PUT", "/reports/warehouse")
    story.check([one["product"] for one in filled] == ["Shield"], "a table for telemetry takes telemetry")
    kept_out = story.ask("POST", "/mistakes/segments", status=403)
    story.check(kept_out.get("field") == "segments.segment", "a table for contracts does not")
