"""A store records the notices that applications open it with, and commands that are given the store alone use them."""

from __future__ import annotations

import contextlib
import datetime
import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

import purposeguard as pg
from purposeguard.errors import StoreUnavailable
from purposeguard.governance import Governance, Store
from purposeguard.governance.disclosure_page import Disclosure
from purposeguard.governance.notices import notice_table, read_recorded_notices
from purposeguard.governance.store import make_alembic_config, upgrade_store
from purposeguard.notices import trendmicro_jp as tm
from tests.governance.rolling import migrations_in
from tests.governance.test_desk_commands import run
from tests.unit.samples import revised
from tests.unit.together import EU, JP, both

AFTER = (tm.NOTICE.revision + datetime.timedelta(days=1)).isoformat()
AHEAD = f"{datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=400):%Y-%m-%d}"


def rename(controller: str) -> Callable[[dict[str, Any]], object]:
    return lambda tables: tables.update(controller={"en": controller, "ja": controller})


CORRECTED = revised(tm.NOTICE, rename("Corrected"))
NEXT = revised(tm.NOTICE, rename("Next"), AFTER)
FUTURE = revised(tm.NOTICE, rename("Future"), AHEAD)


def record(url: str, *notices: Any) -> None:
    for notice in notices:
        Governance(url, notice=notice).close()


def list_recorded(url: str) -> list[list[list[pg.Notice]]]:
    with Store.open(url) as store:
        return [[list(history) for history in histories] for histories in read_recorded_notices(store)]


def disclose(url: str, *arguments: str) -> Disclosure:
    result = run("disclose", url, "--subject", "7", "--format", "json", *arguments)
    assert result.exit_code == 0, result.output
    return Disclosure.model_validate_json(result.stdout)


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in a folder without a notice."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "pyproject.toml").touch()
    monkeypatch.chdir(tmp_path / "empty")


def test_commands_use_the_notice_that_the_store_records(store_url: str) -> None:
    record(store_url, CORRECTED)
    result = run("disclose", store_url, "--subject", "7", "--format", "json")
    assert result.exit_code == 0, result.output
    assert Disclosure.model_validate_json(result.stdout).notice.controller == "Corrected"
    assert result.stderr == f"notice: {tm.NOTICE.id}, revision of {tm.NOTICE.revision}, recorded in the store\n"
    listed = run("requests", store_url, "--format", "json")
    assert (listed.exit_code, json.loads(listed.stdout)["requests"]) == (0, [])
    assert "recorded in the store" in listed.stderr
    assert "保管先の記録による" in run("--language", "ja", "requests", store_url).stderr


def test_a_choice_comes_before_the_record_and_the_record_before_a_file_nearby(store_url: str) -> None:
    record(store_url, CORRECTED)
    toml = Path(tm.__file__).with_name("notice.toml").read_text("utf-8")
    Path("notice.toml").write_text(toml, "utf-8")
    assert disclose(store_url).notice.controller == "Corrected"
    assert disclose(store_url, "--notice", "notice.toml").notice.controller != "Corrected"
    Path("pyproject.toml").write_text('[tool.purposeguard]\nnotice = "notice.toml"\n', "utf-8")
    assert disclose(store_url).notice.controller != "Corrected"


SETTING = '[tool.purposeguard]\nnotice = "trendmicro-jp"\n'
SETTING_DIFFERS = "`notice` of `[tool.purposeguard]` in pyproject.toml differs from the notice that the store records, "


@pytest.mark.parametrize(
    ("notices", "names"),
    [
        ([CORRECTED], f"{tm.NOTICE.id} of {tm.NOTICE.revision}"),
        ([pg.History(tm.NOTICE, NEXT, FUTURE)], f"{tm.NOTICE.id} of {NEXT.revision}"),
        ([both()], f"{EU.id} of {EU.revision} + {JP.id} of {JP.revision}"),
    ],
    ids=["another text", "a newer revision", "several notices"],
)
def test_a_setting_that_differs_from_the_record_is_a_warning(store_url: str, notices: list[Any], names: str) -> None:
    record(store_url, *notices)
    Path("pyproject.toml").write_text(SETTING, "utf-8")
    Path("orders.csv").write_text("total\n7\n", "utf-8")
    Path("tags.toml").write_text('[orders]\ntotal = "1.1(c)"\n', "utf-8")
    query = ["sql", "SELECT total FROM orders", "orders.csv", "--purpose", "1.2(1)①", "--tags", "tags.toml"]
    for command in (["requests", store_url], ["disclose", store_url, "--subject", "7"], [*query, "--store", store_url]):
        done = run(*command)
        assert done.exit_code == 0, done.output
        warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
        assert warnings == [f"warning: {SETTING_DIFFERS}{names}: correct the setting, or remove it to use the record"]
        assert f"（{names}）と違います" in run("--language", "ja", *command).stderr
        assert "differs" not in run(*command, "--notice", "trendmicro-jp").stderr


@pytest.mark.parametrize(
    "notices",
    [[tm.NOTICE], [pg.History(tm.NOTICE, FUTURE)], [JP, tm.NOTICE], []],
    ids=["the same", "its next revision is not in force", "one of two applications", "nothing"],
)
def test_a_setting_that_agrees_with_the_record_is_no_warning(store_url: str, notices: list[Any]) -> None:
    record(store_url, *notices)
    Path("pyproject.toml").write_text(SETTING, "utf-8")
    done = run("requests", store_url)
    assert (done.exit_code, done.stderr.count("\n")) == (0, 1), done.stderr
    assert "`notice` of `[tool.purposeguard]`" in done.stderr


def test_commands_do_not_record_the_notice_that_they_are_given(store_url: str) -> None:
    assert disclose(store_url, "--notice", "trendmicro-jp").notice.controller != "Corrected"
    assert list_recorded(store_url) == []
    refused = run("disclose", store_url, "--subject", "7")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "which notice is meant? Name its file" in refused.stderr
    Path("notice.toml").write_text(Path(tm.__file__).with_name("notice.toml").read_text("utf-8"), "utf-8")
    assert "the only notice file there" in run("requests", store_url).stderr


def test_a_notice_that_was_changed_in_the_store_is_refused(store_url: str) -> None:
    record(store_url, tm.NOTICE)
    with Store.open(store_url) as store, store.engine.begin() as connection:
        body = connection.scalar(sa.select(notice_table.c.body))
        connection.execute(sa.update(notice_table).values(body=str(body).replace("E-mail", "Letter", 1)))
    refused = run("disclose", store_url, "--subject", "7")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "was changed in the store" in refused.stderr


def test_the_newest_revision_in_force_is_used(store_url: str) -> None:
    record(store_url, pg.History(tm.NOTICE, NEXT, FUTURE))
    assert list_recorded(store_url) == [[[tm.NOTICE, NEXT, FUTURE]]]
    assert disclose(store_url).notice.controller == "Next"
    assert f"revision of {NEXT.revision}, recorded" in run("requests", store_url).stderr
    record(store_url, tm.NOTICE)  # an older process starts again
    assert disclose(store_url).notice.controller == "Next"


def test_no_revision_is_in_force_yet(store_url: str) -> None:
    record(store_url, FUTURE)
    refused = run("requests", store_url)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "none is in force yet" in refused.stderr


def test_the_last_text_of_a_revision_replaces_those_before(store_url: str) -> None:
    record(store_url, tm.NOTICE, CORRECTED)
    assert list_recorded(store_url) == [[[CORRECTED]]]
    record(store_url, CORRECTED, tm.NOTICE, tm.NOTICE)
    assert list_recorded(store_url) == [[[tm.NOTICE]]]
    with Store.open(store_url) as store, store.reading() as connection:
        rows = connection.execute(sa.select(notice_table).order_by(notice_table.c.number)).all()
    assert [row.number for row in rows] == [1, 2, 3]
    assert rows[0].digest == rows[2].digest != rows[1].digest
    assert {row.combination for row in rows} == {tm.NOTICE.id}


def test_revisions_whose_ids_changed_their_meaning_are_refused(store_url: str) -> None:
    def reword(tables: dict[str, Any]) -> None:
        tables["grant"][0]["purpose"][0]["title"] = {"en": "Something else", "ja": "別のこと"}

    record(store_url, tm.NOTICE, revised(tm.NOTICE, reword, AFTER))
    refused = run("requests", store_url)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "[[renamed]]" in refused.stderr


def test_different_notices_are_refused(store_url: str) -> None:
    record(store_url, JP, EU)
    refused = run("disclose", store_url, "--subject", "7")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr.startswith("error: which notice is meant? The store was opened with shop-eu, shop-jp:")
    assert "`--notice notice.toml`" in refused.stderr
    assert "保管先は shop-eu, shop-jp で使われています" in run("--language", "ja", "requests", store_url).stderr
    record(store_url, both())
    assert "shop-eu, shop-eu + shop-jp, shop-jp" in " ".join(run("requests", store_url).stderr.split())


def test_several_notices_in_use_at_once_are_read_together(store_url: str) -> None:
    later = revised(JP, rename("Later"), "2025-01-01")
    record(store_url, both(), pg.Notices(EU, pg.History(JP, later)))
    assert list_recorded(store_url) == [[[EU], [JP, later]]]
    refused = run("requests", store_url)  # Each notice has its own rules for requests.
    assert refused.exit_code == 2
    assert f"notice: shop-jp, revision of {later.revision}, recorded in the store" in refused.stderr
    assert "rights, retention and contact" in refused.stderr


def test_a_guard_that_replaces_its_notice_is_recorded(store_url: str) -> None:
    with Governance(store_url, notice=tm.NOTICE) as governance:
        guard = pg.Guard(tm.NOTICE, governance=governance)
        guard.replace(NEXT)
        assert list_recorded(store_url) == [[[tm.NOTICE, NEXT]]]
    with Governance(store_url, notice=tm.NOTICE) as governance:
        governance.notice = FUTURE
    assert list_recorded(store_url) == [[[tm.NOTICE, NEXT, FUTURE]]]


def test_a_store_that_is_opened_later_records_the_notice(store_url: str, tmp_path: Path) -> None:
    governance = Governance(None, notice=tm.NOTICE)
    guard = pg.Guard(tm.NOTICE, governance=governance)
    for url in (store_url, f"sqlite:///{tmp_path}/second.db"):
        governance.open(url)
        governance.close()
        assert list_recorded(url) == [[[tm.NOTICE]]]
    assert guard.governance is governance


def test_a_record_that_failed_is_made_up_for(store_url: str) -> None:
    with Store.open(store_url) as store, Governance(store, notice=tm.NOTICE) as governance:
        with store.writing() as connection:
            connection.execute(sa.text("ALTER TABLE purposeguard_notice RENAME TO purposeguard_away"))
        with pytest.raises(StoreUnavailable):
            governance.notice = NEXT
        with store.writing() as connection:
            connection.execute(sa.text("ALTER TABLE purposeguard_away RENAME TO purposeguard_notice"))
        governance.notice = NEXT
    assert list_recorded(store_url) == [[[tm.NOTICE, NEXT]]]


def test_an_overlay_needs_the_notice_that_it_is_for(store_url: str) -> None:
    record(store_url, tm.NOTICE)
    Path("orders.csv").write_text("total\n7\n", "utf-8")
    Path("tags.toml").write_text('[orders]\ntotal = "1.1(c)"\n', "utf-8")
    query = ["sql", "SELECT total FROM orders", "orders.csv", "--purpose", "1.2(1)①", "--tags", "tags.toml"]
    done = run(*query, "--store", store_url)
    assert done.exit_code == 0, done.output
    assert "recorded in the store" in done.stderr
    Path("more.toml").touch()
    refused = run(*query, "--store", store_url, "--overlay", "more.toml")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "name the notice that `--overlay` is for" in refused.stderr


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """Blocks in which this process is of the version before, whose stores record no notice."""
    folder = Path(str(make_alembic_config().get_main_option("script_location")))
    earlier = Path(shutil.copytree(folder, tmp_path / "before"))
    for later in ("0003c_notices.py", "0003d_evidence.py"):
        (earlier / "versions" / later).unlink()

    @contextlib.contextmanager
    def being() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr("purposeguard.governance.store.make_alembic_config", lambda: migrations_in(earlier))
            yield

    return being


def test_an_older_store_is_upgraded_while_its_application_goes_on(
    empty_url: str, before: Callable[[], contextlib.AbstractContextManager[None]]
) -> None:
    with before():
        older = Governance(empty_url, notice=tm.NOTICE, record_notice=False)
    with older:
        older.restrict(7, "1.2(1)①")
        with pytest.raises(StoreUnavailable, match="older version"):
            Governance(empty_url, notice=tm.NOTICE)
        assert upgrade_store(empty_url) == ("0003b_consent_words", "0003d_evidence")
        older.restrict(8, "1.2(1)①")
        assert list_recorded(empty_url) == []
        assert run("requests", empty_url).exit_code == 2
        with Governance(empty_url, notice=tm.NOTICE) as newer:
            assert newer.preferences("7").suspended
            newer.restrict(9, "1.2(1)①")
        assert older.preferences("9").suspended
        with before():
            Governance(empty_url, notice=tm.NOTICE, record_notice=False).close()  # one that is started again
        assert list_recorded(empty_url) == [[[tm.NOTICE]]]
        assert run("requests", empty_url).exit_code == 0


def test_a_role_that_only_reads_records_nothing(server_url: str) -> None:
    owner = make_url(server_url)
    engine = sa.create_engine(owner)
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE ROLE viewer LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO viewer;"
                "CREATE ROLE former LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO former;"
                "GRANT INSERT ON purposeguard_notice TO former; REVOKE SELECT ON purposeguard_notice FROM former"
            )
        for role in ("viewer", "former"):
            url = owner.set(username=role).render_as_string(hide_password=False)
            with Governance(url, notice=tm.NOTICE, ledger=False) as governance:
                assert not governance.preferences("7").suspended
        assert list_recorded(server_url) == []
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP OWNED BY viewer, former; DROP ROLE viewer, former")
    finally:
        engine.dispose()


def test_processes_that_start_at_once_record_a_text_once(store_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: record(store_url, tm.NOTICE), range(4)))
    with Store.open(store_url) as store, store.reading() as connection:
        assert len(connection.execute(sa.select(notice_table.c.number)).all()) == 1
