"""What the shop declares: its activities, its access functions, its tags, its settings."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

import purposeguard as pg
from examples.shop import models
from examples.shop.privacy import guard
from examples.shop.settings import Settings
from purposeguard.values.rows import row_contexts_of

ACTIVITIES = {
    "activities.mail.remind_of_renewal": ("1.2(1)①", "email", False),
    "activities.newsletter.send_security_newsletter": ("AnySecurityInformation", "email", False),
    "activities.newsletter.send_product_newsletter": ("AnyProductGuidance", "email", False),
    "activities.newsletter.advertise": ("AnyProductGuidance", "email", False),
    "activities.telemetry.export_slow_events": ("1.2(2)②", None, False),
    "activities.telemetry.crashes": ("1.2(2)②", None, False),
    "activities.telemetry.compare_products": ("1.2(2)②", None, False),
    "activities.telemetry.figures": ("1.2(2)②", None, False),
    "activities.laboratory.hand_over_crashes": ("1.2(2)②", None, False),
    "activities.telemetry.devices_in_use": ("1.2(2)①", "in_product", False),
    "activities.support.answer_inquiry": ("AnyInquiryResponse", "email", False),
    "activities.support.help_customer": ("1.2(2)①", "email", False),
    "activities.visits.traffic": ("2.3①", None, False),
    "activities.visits.pages_of_customers": ("2.3③", None, False),
    "activities.visits.compare_visits_with_leads": ("2.2⑧", None, True),
    "routes.work.renewal_card": ("1.2(1)①", None, False),
    "routes.work.figures": ("1.2(2)②", None, False),
    "routes.work.inquiries": ("AnyInquiryResponse", None, False),
    "reports.figures.renewals_due": ("1.2(1)①", None, False),
    "reports.figures.crashes_before_renewal": ("1.2(2)②", None, False),
    "reports.files.export_contacts": ("AnyEventInvitation", "email", False),
    "reports.files.export_events": ("1.2(2)②", None, False),
    "reports.campaign.invite": ("AnyEventInvitation", "email", False),
    "reports.warehouse.fill": ("1.2(2)②", None, False),
    "routes.mistakes.whom_to_call_first": ("1.2(1)①", "phone", False),
    "routes.mistakes.fill_segments": ("1.2(2)②", None, False),
    "routes.mistakes.promote_upgrade": ("1.2(1)②", "email", False),
    "routes.mistakes.answer_anybody": ("AnyInquiryResponse", "email", False),
    "routes.mistakes.look_for_a_fault": ("1.2(2)①", None, False),
    "routes.mistakes.hand_out": ("1.2(2)①", None, False),
    "routes.mistakes.promote_from_summary": ("1.2(1)②", "email", False),
    "routes.mistakes.hand_over_elsewhere": ("1.2(2)②", None, False),
    "routes.mistakes.compare_without_carry": ("1.2(2)②", None, False),
}

# Of what each gives plain, and of what it gives sealed; whether it withholds.
ACCESSES = {
    "customer": ("1.1(b) 1.1(c)", "1.1(a)", True),
    "customer_contact": ("", "1.1(a)", False),
    "customer_contacts": ("", "1.1(a)", False),
    "renewals": ("", "1.1(a) 1.1(c)", False),
    "events": ("", "1.1(b)", False),
    "runs": ("", "1.1(b)", False),
    "crash_counts": ("1.1(b)", "", False),
    "events_of": ("", "1.1(b)", False),
    "visits": ("2.3", "", False),
    "visits_of": ("2.3", "", False),
    "visits_of_customers": ("", "1.1(a) 2.3", False),
    "lead_contact": ("", "2.1(a)", False),
    "lead_contacts": ("", "2.1(a)", False),
    "lead_companies": ("2.1(b)", "", False),
    "lead": ("2.1(a) 2.1(b) 2.1(c)", "", False),
    "prospect": ("3.1(a) 3.1(b) 3.1(c)", "", False),
    "prospect_contacts": ("", "3.1(a)", False),
    "inquiry": ("1.1(a) 2.1(c) 3.1(c)", "1.1(a) 2.1(a) 3.1(a)", True),
    "inquiries_of": ("1.1(a) 2.1(c) 3.1(c)", "1.1(a) 2.1(a) 3.1(a)", True),
    "inquiries": ("1.1(a) 2.1(c) 3.1(c)", "1.1(a) 2.1(a) 3.1(a)", True),
}

ENTERED_IN_BLOCKS = {"activities.newsletter.warn_lead", "routes.mistakes.enter_purpose_in_dependency"}
"""Activities without a decorator: known from their first run on."""


def test_activities(shop):
    listed = {
        one.name.removeprefix("examples.shop."): (one.purpose_id, one.channel, one.observing)
        for one in guard.activities
        if one.module.startswith("examples.shop.")
    }
    for name in ENTERED_IN_BLOCKS:
        listed.pop(name, None)
    assert listed == ACTIVITIES


def test_accesses_over_http(shop):
    listed = {
        one["name"]: (one["sources"], one["sealed"], one["withhold"])
        for one in shop.get("/privacy/inventory").json()["accesses"]
    }
    assert listed == {f"examples.shop.repository.{name}": entry for name, entry in ACCESSES.items()}


def test_activities_over_http(shop):
    names = {one["name"].removeprefix("examples.shop.") for one in shop.get("/privacy/inventory").json()["activities"]}
    assert names >= set(ACTIVITIES)


def test_what_leaves_the_lattice_is_listed_before_it_does(shop):
    listed = shop.get("/privacy/inventory").json()["reclassifications"]
    declared = [one for one in listed if one["name"] == "examples.shop.activities.telemetry.crash_percent"]
    assert declared == [
        {
            "name": "examples.shop.activities.telemetry.crash_percent",
            "sources": "1.1(b)",
            "to": "not-personal",
            "why": "a whole percentage of the runs of many customers tells of none of them; of few there is none",
            "approver": "data protection officer",
        }
    ]


def test_aggregates_are_listed_with_the_least_number_of_subjects_before_any_is_made(shop):
    listed = shop.get("/privacy/inventory").json()["reclassifications"]
    assert [one["name"] for one in listed] == [
        "published figures: count over at least 5 subjects",
        "published figures: mean over at least 5 subjects",
        "examples.shop.activities.telemetry.crash_percent",
    ]
    assert {(one["sources"], one["to"]) for one in listed} == {("1.1(b)", "not-personal")}


def test_a_block_is_listed_once_it_has_run(people):
    people.post("/leads/1/warnings?channel=email", json={"subject": "s", "body": "b"})
    (found,) = [one for one in guard.activities if one.qualname == "warn_lead"]
    assert (found.purpose_id, found.channel) == ("2.2③", "email")


def test_every_place_is_named(shop):
    places = [(one.module, one.line) for one in guard.activities] + [(one.module, one.line) for one in guard.accesses]
    assert all(module and line > 0 for module, line in places)


NOT_PERSONAL = {"Model", "Person", "Created", "Figures", "Sent", "Outgoing", "NewRequest", "Handled", "NewRecipient"}
NOT_PERSONAL |= {"Warrant", "Revision", "Denial", "Reclassified", "UseCount", "Noted", "LedgerPage", "Verdict"}
SEALED = {
    "Customer": {"name", "email", "phone"},
    "CustomerContact": {"name", "email"},
    "CustomerVisit": {"customer", "page"},
    "Event": {"product", "device", "kind", "seconds"},
    "FromCustomer": {"name", "email"},
    "FromLead": {"name", "email"},
    "FromProspect": {"name", "email"},
    "LeadContact": {"name", "email"},
    "ProspectContact": {"name", "email"},
    "Renewal": {"name", "email", "product", "renews_on"},
}


@pytest.mark.parametrize(
    "model",
    [
        one
        for one in vars(models).values()
        if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == models.__name__
        if one.__name__ not in NOT_PERSONAL
    ],
    ids=lambda model: model.__name__,
)
def test_only_ids_and_numbers_of_items_carry_no_tag(model):
    names = {path.rpartition(".")[2] for path in pg.untagged(model)}
    ids = {"id", "customer_id", "lead_id", "prospect_id", "registered_on"}
    assert names <= ids | {"contracts", "customer", "lead", "prospect"}
    assert pg.sources_of(model)


@pytest.mark.parametrize("name", SEALED)
def test_contact_data_is_sealed_in_whatever_the_repository_gives(name):
    model = getattr(models, name)
    sealed = {field for field, info in model.model_fields.items() if "Personal[" in str(info.annotation)}
    assert sealed == SEALED[name]
    assert not {"name", "email", "phone"} & set(model.model_fields) - sealed


MARKED = {
    "CustomerContact": "customer:7",
    "Customer": "customer:7",
    "Renewal": "customer:7",
    "LeadContact": "lead:7",
    "Lead": "lead:7",
    "ProspectContact": "prospect:7",
    "Prospect": "prospect:7",
    "FromCustomer": "customer:7",
    "FromLead": "lead:7",
    "FromProspect": "prospect:7",
}


@pytest.mark.parametrize("name", MARKED)
def test_rows_about_people_say_whose_they_are_and_since_when(name):
    row = getattr(models, name).model_construct(id=7, registered_on=date(2024, 4, 2))
    (about,) = row_contexts_of(row)
    assert about == pg.RowContext(MARKED[name], collected=date(2024, 4, 2))


def test_hand_overs_are_listed(shop):
    listed = shop.get("/privacy/inventory").json()["entrustments"]
    assert listed == [
        {
            "name": "examples.shop.activities.laboratory.upload",
            "sources": "1.1(b)",
            "recipient": "crash-lab",
            "means": "cloud-storage",
        },
        {
            "name": "examples.shop.routes.mistakes.upload_elsewhere",
            "sources": "1.1(b)",
            "recipient": "cheaper-lab",
            "means": "cloud-storage",
        },
    ]


def test_settings_come_from_the_environment():
    defaults = {"database_url": "sqlite:///shop.sqlite3", "governance_url": "sqlite:///shop-privacy.sqlite3"}
    defaults |= {"reports_folder": "shop-reports"}
    assert Settings.from_environment({}) == Settings.model_validate({**defaults, "mistakes": False})
    given = {"SHOP_DATABASE_URL": "sqlite:///a.db", "SHOP_GOVERNANCE_URL": "sqlite:///b.db", "SHOP_MISTAKES": "1"}
    given |= {"SHOP_REPORTS_FOLDER": "/reports"}
    assert Settings.from_environment({**given, "OTHER": "x"}) == Settings(
        database_url="sqlite:///a.db", governance_url="sqlite:///b.db", reports_folder=Path("/reports"), mistakes=True
    )
    with pytest.raises(ValidationError):
        Settings.from_environment({"SHOP_MISTAKES": "perhaps"})
