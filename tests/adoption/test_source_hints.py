"""Sources that the names of a class and a field hint at, for notices in several languages."""

import pytest

import purposeguard as pg
from purposeguard.adoption.lexicon import ADDRESS, EMAIL, NAME, NETWORK, PHONE, WORK
from purposeguard.adoption.source_hints import SourceHints
from tests.unit.command_line import ROOT

NOTICES = {
    name: pg.Notice.load(ROOT / path)
    for name, path in {
        "security": "purposeguard/notices/trendmicro_jp/notice.toml",
        "rides": "examples/gdpr/notice.toml",
        "shop": "purposeguard/cli/templates/gdpr.toml",
        "workshop": "tests/real_notices/german-workshop.toml",
    }.items()
}


@pytest.mark.parametrize(
    ("notice", "class_name", "field_name", "kind", "source"),
    [
        ("rides", "Customer", "email", EMAIL, "2.1(a)"),
        ("rides", "Order", "total", None, "2.1(b)"),
        ("rides", "Fitness", "heart_rate", None, "2.4"),
        ("rides", "顧客", "氏名", NAME, "2.1(a)"),
        ("security", "Prospect", "email", EMAIL, "3.1(a)"),
        ("security", "Prospect", "company", WORK, "2.1(b)"),
        ("security", "見込み客", "連絡先", None, "3.1(a)"),
        ("security", "Visit", "ip", NETWORK, "2.3"),
        ("shop", "Customer", "name", NAME, "account"),
        ("shop", "NewsletterSubscription", "address", ADDRESS, "subscription"),
        ("workshop", "Bewerber", "unterlagen", None, "Bewerbung"),
        ("workshop", "Newsletter", "adresse", None, "Newsletter"),
    ],
)
def test_the_best_hint(notice, class_name, field_name, kind, source):
    best, *_ = SourceHints(NOTICES[notice]).find(class_name, field_name, kind)
    assert best.source is NOTICES[notice].source(source)


def test_hints_state_the_shared_words_and_the_kind():
    best, second, *_ = SourceHints(NOTICES["security"]).find("Prospect", "phone", PHONE)
    assert (best.source.slug, best.words, best.kind) == ("prospect-contact", ("prospect",), PHONE)
    assert (second.source.slug, second.words, second.kind) == ("web-contact", (), PHONE)
    assert best.score > second.score


def test_rare_words_count_more_than_common_ones():
    hints = SourceHints(NOTICES["security"]).find("Customer", "recordings")
    assert [hint.words for hint in hints if hint.score == 1] == [("recording",)]
    assert {hint.words for hint in hints[1:]} == {("customer",)}


@pytest.mark.parametrize("field_name", ["of", "の", "id", "___", ""])
def test_names_without_a_word_hint_at_nothing(field_name):
    assert SourceHints(NOTICES["security"]).find("T", field_name) == []


def test_derivations_are_no_source_of_a_field():
    hints = SourceHints(NOTICES["security"]).find("LinkedUsage", "usage")
    assert "2.3③" not in {hint.source.clause for hint in hints}


def test_sources_about_people_at_whom_nothing_hints():
    hints = SourceHints(NOTICES["security"])
    prospects = {"3.1", "3.1(a)", "3.1(b)", "3.1(c)"}
    assert {source.clause for source in hints.find_absent("crm.models.Customer")} == prospects
    assert hints.find_absent("crm.leads.Person") == frozenset()


def test_a_title_in_another_language_has_the_topic_of_a_name():
    best, *_ = SourceHints(NOTICES["workshop"]).find("Applicant", "")
    assert (best.source.slug, best.topics) == (NOTICES["workshop"].source("Bewerbung").slug, ("applicant",))
