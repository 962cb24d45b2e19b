"""Scenes about reports on many rows: from the database, from a list, from files."""

from __future__ import annotations

from examples.screen import Said
from examples.shop.narration import Story
from examples.shop.scenes.common import ask_for, expect_denial, expect_refusal, issue, scene
from examples.shop.scenes.people import opt_out
from examples.shop.scenes.uses import collect, figures


@scene(
    Said("Monthly figures: SQL is checked before it runs", "月次集計：SQL を実行前に検査する"),
    Said(
        """The columns of the tables bear clauses too. Renewals due in each month: the database leaves out Aiko and
        Ben, who opted out. Crashes before a renewal: this joins contracts with telemetry, and 1.2(2)② may use both.
        Then a colleague wants to phone those first whose products crash. That list has nothing but names, but it is
        sorted by telemetry.""",
        """表の列にも条項が付いています。月ごとの更新件数では、利用停止を求めた愛子さんとベンさんをデータベースが除
        きます。更新前のクラッシュの集計は、契約と動作記録を結合しますが、1.2(2)② にはどちらも使えます。次に同僚が、
        クラッシュの多い人から順に電話しようとします。一覧にあるのは氏名だけですが、並べ替えに動作記録を使っていま
        す。""",
    ),
    sources="1.1(a) 1.1(b) 1.1(c)",
    purposes="1.2(1)① 1.2(2)②",
    needs=(collect, figures, opt_out),
)
def monthly(story: Story) -> None:
    due = story.ask("GET", "/reports/renewals-due")
    story.check(
        sum(row["contracts"] for row in due) == 4,
        "four of six contracts: those of Aiko and Ben are not counted",
        "6件の契約のうち4件（愛子さんとベンさんの分は数えない）",
    )
    crashes = story.ask("GET", "/reports/crashes")
    story.check([row["crashes"] for row in crashes] == [1, 0], "one crash is counted", "クラッシュを1件数えた")
    problem = expect_refusal(story, "GET", "/mistakes/call-list", error="PurposeViolation")
    story.check(
        problem.get("field") == "events.customer_id",
        "the refusal names the column by which telemetry is joined",
        "拒否の応答は、動作記録の結合に使った列を示している",
    )


@scene(
    Said("An invitation list: an opt-out counts later, too", "案内状の宛先一覧：後からの利用停止も効く"),
    Said(
        """Customers, website users and prospects are exported into one table, to be invited to an event. Its rows
        say whose they are and under which clause they were collected; the Parquet file keeps these tags. A day
        later Chie, a website user, wants no more invitations. When they are sent, her row is left out.""",
        """催しの案内を送るため、顧客、Web サイト利用者、見込み客を一つの表に書き出します。各行には、誰の情報で、ど
        の条項のもとで取得したかが付いており、Parquet ファイルにもこのタグが保存されます。翌日、Web サイト利用者の千
        恵さんが案内の停止を求めました。送るときには、千恵さんの行が除かれます。""",
    ),
    sources="1.1(a) 1.1(c) 2.1(a) 2.1(b) 2.1(c) 3.1(a) 3.1(b) 3.1(c)",
    purposes="AnyEventInvitation",
    needs=(collect, opt_out),
)
def campaign(story: Story) -> None:
    exported = story.ask("PUT", "/reports/contacts")
    story.check(
        exported["rows"] == 7,
        "five customers (Ben is not among them), a website user and a prospect",
        "顧客5人（ベンさんを除く）、Web サイト利用者1人、見込み客1人",
    )
    ask_for(story, "suspension-of-use", "lead:1", purposes=["web-event-invitation"])
    story.note("(Chie asks that invitations stop)", "（千恵さんが案内の停止を求める）")
    sent = story.ask("POST", "/reports/invitations", issue("Come and see", "On Friday at five."))
    story.check(
        sent == {"listed": 7, "written_to": 6},
        "she is on the list, and is not written to",
        "一覧には載っているが、送られていない",
    )


@scene(
    Said("An analyst queries the files: one answer, two refusals", "分析担当者がファイルに問い合わせる：回答と拒否"),
    Said(
        """Analysts query the exported files in SQL, with DuckDB. Which columns a query uses is read from the query,
        what they may serve from the file. A count of runs is answered. A list of whom to remind, picked by
        telemetry, is refused. So is writing telemetry into a table that letters are written from: whoever may read
        data may not put it anywhere.""",
        """書き出したファイルに、DuckDB の SQL で問い合わせます。どの列を使うかは SQL から、何に使ってよいかはファイ
        ルから読み取ります。動作回数の集計には回答します。更新を案内する相手を動作記録で選ぶ問い合わせは拒否します。
        案内に使う表へ動作記録を書き込むことも拒否します。読んでよいからといって、どこに書いてもよいわけではありませ
        ん。""",
    ),
    sources="1.1(a) 1.1(b) 1.1(c)",
    purposes="1.2(1)① 1.2(2)②",
    needs=(collect, figures, opt_out, campaign),
)
def analyst(story: Story) -> None:
    story.ask("PUT", "/reports/events", quiet=True)
    runs = "SELECT product, count(*) AS runs, round(avg(seconds), 1) AS mean FROM events GROUP BY product"
    answer = story.sql("product-improvement", runs, "events.parquet")
    story.check(
        "Shield" in answer and "Vault" not in answer,
        "answered, without Ben's Vault",
        "ベンさんの Vault を除いて回答した",
    )
    segment = "SELECT name, email FROM contacts JOIN events USING (person) WHERE kind = 'crash'"
    problem = story.sql("renewal-guidance", segment, "contacts.parquet", "events.parquet", exits=1)
    expect_denial(story, "PurposeViolation")
    story.check(
        "`events.kind`" in problem and "@" not in problem,
        "refused for a column that it would not even show",
        "結果に出ない列が理由で拒否された",
    )
    filled = story.ask("PUT", "/reports/warehouse")
    story.check(
        [row["product"] for row in filled] == ["Shield"],
        "a table for telemetry takes telemetry",
        "動作記録用の表には書き込める",
    )
    kept_out = story.ask("POST", "/mistakes/segments", status=403)
    story.check(
        kept_out.get("field") == "segments.segment", "a table for contracts does not", "契約用の表には書き込めない"
    )
