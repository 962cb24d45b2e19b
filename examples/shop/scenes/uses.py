"""Scenes about uses of data, allowed and refused."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from examples.screen import BAD, Said
from examples.shop.narration import Story
from examples.shop.scenes.common import contract, event, expect_refusal, issue, ledger_page, outbox, scene


@scene(
    Said("The shop collects data", "店がデータを集める"),
    Said(
        """Six customers register, and the products of two report what they do. Others look at the website, fill in
        a form there, or meet a salesperson. Each field bears the clause under which it is collected. Collecting
        needs no purpose. Using does: from now on a name is read sealed, as `Personal[str, Registration]`, and only
        a purpose that may use it opens it.""",
        """6人の顧客が登録し、うち2人の製品が動作の記録を送ってきます。ほかに、Web サイトを見た人、フォームに記入し
        た人、営業担当者が会った人がいます。どの項目にも、取得の根拠となる条項が付いています。取得に目的の宣言は要り
        ません。要るのは利用のときです。これ以後、氏名は封をした値 `Personal[str, Registration]` として読まれ、使っ
        てよい目的のもとでだけ開けられます。""",
    ),
    sources="1.1(a) 1.1(b) 1.1(c) 2.1(a) 2.1(b) 2.1(c) 2.3 3.1(a) 3.1(b) 3.1(c)",
)
def collect(story: Story) -> None:
    aiko = {"name": "Aiko Mori", "email": "aiko@example.com", "phone": "+81 3 0000 0001"}
    story.ask("POST", "/customers", aiko | contract("Shield", "2030-01-20"), status=201)
    ben = {"name": "Ben Ito", "email": "ben@example.com"}
    story.ask("POST", "/customers", ben | contract("Vault", "2030-09-01"), status=201, quiet=True)
    for number in range(3, 7):
        customer = {"name": f"Customer {number}", "email": f"customer-{number}@example.com"}
        story.ask("POST", "/customers", customer | contract("Shield", "2031-01-01"), status=201, quiet=True)
    events = [
        event(1, "Shield", "aiko-laptop", "scan", 7.5),
        event(1, "Shield", "aiko-phone", "crash", 0.2),
        event(2, "Vault", "ben-desktop", "backup", 12.0),
    ]
    answer = story.ask("POST", "/telemetry", events, status=202, quiet=True)
    visit = {"cookie": "c-71", "ip": "192.0.2.7", "browser": "Firefox", "page": "/pricing"}
    story.ask("POST", "/visits", visit | {"customer_id": 1}, status=201, quiet=True)
    story.ask("POST", "/visits", visit | {"cookie": "c-72"}, status=201, quiet=True)
    chie = {"name": "Chie Sato", "email": "chie@example.com", "company": "Sato Ltd", "survey": "We use five laptops."}
    story.ask("POST", "/leads", chie, status=201, quiet=True)
    daichi = {
        "name": "Daichi Abe",
        "email": "daichi@example.com",
        "position": "Head of IT",
        "notes": "Met at the fair.",
    }
    story.ask("POST", "/prospects", daichi, status=201, quiet=True)
    senders = {"lead_id": "Do you have a trial?", "prospect_id": "A quote?", "customer_id": "My laptop is slow."}
    inquiries = [
        story.ask("POST", "/inquiries", {sender: 1, "text": text}, status=201, quiet=True)["id"]
        for sender, text in senders.items()
    ]
    story.note("(and so on)", "（以下同様）")
    story.check(answer == {"accepted": 3}, "three reports of products are stored", "製品からの記録を3件受け付けた")
    story.check(
        inquiries == [1, 2, 3],
        "three inquiries are stored: of a website user, a prospect and a customer",
        "問い合わせを3件受け付けた（Web サイト利用者、見込み客、顧客）",
    )


@scene(
    Said("A reminder to renew: allowed", "契約更新の案内：許可"),
    Said(
        """Aiko's contract ends soon. The code that writes to her declares the purpose 1.2(1)①. It uses her name,
        1.1(a), and her contract, 1.1(c). The notice grants both, so the mail goes out.""",
        """愛子さん（Aiko）の契約がもうすぐ切れます。メールを書くコードは、目的を 1.2(1)① と宣言しています。使うのは
        氏名 1.1(a) と契約 1.1(c) です。どちらもこの目的に使ってよいので、メールは送られます。""",
    ),
    sources="1.1(a) 1.1(c)",
    purposes="1.2(1)①",
    needs=(collect,),
)
def remind(story: Story) -> None:
    answer = story.ask("POST", "/renewals/reminders", {"due_before": "2030-02-01"})
    used = [item["sources"] for item in ledger_page(story)["uses"] if item["activity"].endswith("remind_of_renewal")]
    story.check(
        answer == {"customers": 1, "leads": 0, "prospects": 0} and used == ["1.1(a) 1.1(c)"],
        "one mail went out, and the ledger says what it was made of: 1.1(a) and 1.1(c)",
        "メールが1通送られ、その材料 1.1(a) と 1.1(c) が台帳に残った",
    )


@scene(
    Said("A clerk opens Aiko's card: one field withheld", "担当者が顧客カードを開く：1項目を伏せる"),
    Said(
        """A clerk asks for everything about Aiko, for the same purpose. Her devices are product data, 1.1(b), which
        this purpose may not use: the card comes without them.""",
        """同じ目的で、担当者が愛子さんの情報をすべて求めます。端末は製品が取得したデータ 1.1(b) で、この目的には使
        えません。そのため、カードは端末を除いて返ります。""",
    ),
    sources="1.1(a) 1.1(b) 1.1(c)",
    purposes="1.2(1)① 1.2(2)①",
    needs=(collect,),
)
def withhold(story: Story) -> None:
    card = story.ask("GET", "/renewals/customers/1")
    story.check(
        card["contracts"][0]["product"] == "Shield" and "devices" not in card,
        "name and contract are on the card, the devices are withheld",
        "氏名と契約はカードにあり、端末は伏せられた",
    )
    devices = story.ask("GET", "/customers/1/devices", quiet=True)
    story.check(
        devices == ["aiko-laptop", "aiko-phone"],
        "her own page, for 1.2(2)①, providing the product, shows them",
        "本人のページ（目的は 1.2(2)① 製品の提供）では、端末も見える",
    )


@scene(
    Said("One newsletter for people of three sources: allowed", "取得元の異なる人への同じお知らせ：許可"),
    Said(
        """Security news goes to customers, website users and prospects. The notice states this purpose three times,
        once for each: 1.2(2)④, 2.2③ and 3.2③. The code names all three as the family `AnySecurityInformation`, and
        each address is opened under the clause that covers it.""",
        """セキュリティのお知らせを、顧客、Web サイト利用者、見込み客に送ります。プライバシーポリシーはこの目的を、
        相手ごとに 1.2(2)④、2.2③、3.2③ の3か所で定めています。コードは三つをまとめたファミリー
        `AnySecurityInformation` を使い、宛先はそれぞれの条項のもとで開けられます。""",
    ),
    sources="1.1(a) 2.1(a) 3.1(a)",
    purposes="AnySecurityInformation",
    needs=(collect,),
)
def newsletter(story: Story) -> None:
    answer = story.ask("POST", "/newsletters/security", issue("A hole in the roof", "Please update today."))
    story.check(
        answer == {"customers": 6, "leads": 1, "prospects": 1},
        "eight mails went out, to people of three sources",
        "三つの取得元の8人に送られた",
    )


@scene(
    Said("The same news by telephone: refused", "同じお知らせを電話で：拒否"),
    Said(
        """Sales would rather call Chie, who filled in a form on the website. 2.2③ lets the shop inform website
        users by e-mail and in no other way. So the call is refused before anything is read; by e-mail the news goes
        out.""",
        """営業は、Web サイトのフォームに記入した千恵さん（Chie）に電話したいと考えています。しかし 2.2③ が Web サイ
        ト利用者への連絡に認める手段は、メールだけです。電話は、何も読まないうちに拒否されます。メールなら送られま
        す。""",
    ),
    sources="2.1(a)",
    purposes="2.2③",
    needs=(collect,),
)
def phone(story: Story) -> None:
    letter = issue("A hole in the roof", "Please update today.")
    answer = expect_refusal(story, "POST", "/leads/1/warnings?channel=phone", letter, error="ChannelViolation")
    story.check(answer.get("clauses") == ["2.2③"], "the refusal names clause 2.2③", "拒否の理由として 2.2③ が示された")
    sent = story.ask("POST", "/leads/1/warnings?channel=email", letter)
    story.check(sent["leads"] == 1, "by e-mail it went out", "メールでは送られた")


@scene(
    Said("An export of telemetry: allowed, row by row", "動作記録の書き出し：1行ずつ許可"),
    Said(
        """Product data may serve 1.2(2)②, improving quality. The export is a chain of generators that streams its
        lines. The purpose holds inside the chain while it works, and not in the code that takes the lines.""",
        """製品が取得したデータは 1.2(2)②（品質改善と開発）に使えます。書き出しは、1行ずつ流すジェネレーターの連鎖で
        す。目的が有効なのは連鎖の中で処理が動いている間だけで、行を受け取る側のコードには及びません。""",
    ),
    sources="1.1(b)",
    purposes="1.2(2)②",
    needs=(collect,),
)
def export(story: Story) -> None:
    lines = story.ask("GET", "/telemetry/Shield/slow-events?at_least=5")
    story.check(_devices(lines) == ["aiko-laptop"], "the one slow event is exported", "遅い記録が1件書き出された")
    summary = story.ask("GET", "/telemetry/Shield/crashes")
    story.check(
        (summary["events"], summary["crashes"]) == (2, 1),
        "one crash is counted, and the summary is cached",
        "クラッシュは1件。集計はキャッシュに入った",
    )


WRONG = """\
@guard.purpose(tm.ProductGuidance, channel="email").with_use
def promote(use: Use[tm.ProductGuidance], to: CustomerContact, event: Event) -> None:
    Mailing(use).add(to, "Faster!", event.device)
"""

SAID = (
    'error: Argument 3 to "add" of "Mailing" has incompatible type "Personal[str, ProductData]"; '
    'expected "Personal[str, ProductGuidance | NotPersonal]"  [arg-type]'
)
"""What mypy says of the last line of `WRONG`. There is none where the demo runs; the tests ask one."""


@scene(
    Said("Advertising with product data: refused twice", "製品データを使った広告：2度拒否"),
    Said(
        """"Their devices are slow, let us sell them faster ones!" But what products report, 1.1(b), may not serve
        1.2(1)②, guidance on products. First, mypy refuses the last line of such code:""",
        """「端末が遅い人に、速い機種を売ろう」。しかし、製品が取得したデータ 1.1(b) は、1.2(1)②（製品の案内）には使
        えません。まず、そのようなコードの最後の行を mypy が拒否します。""",
    ),
    sources="1.1(a) 1.1(b)",
    purposes="1.2(1)②",
    needs=(collect,),
)
def marketing(story: Story) -> None:
    story.quote(WRONG)
    story.show(SAID, "!", BAD)
    story.say(
        "Code that no type checker has seen is refused at run time, when the text would be opened:",
        "型検査を受けていないコードは、実行時、本文を開けようとするところで拒否されます。",
    )
    before = outbox(story)
    problem = expect_refusal(story, "POST", "/mistakes/promote-upgrade?product=Shield", error="PurposeViolation")
    cached = expect_refusal(
        story, "GET", "/mistakes/promote-from-summary?product=Shield", error="PurposeViolation", quiet=True
    )
    story.check(
        problem.get("sources") == ["1.1(b)"]
        and "product-improvement" in str(problem.get("alternatives"))
        and "aiko" not in str(problem).lower()
        and outbox(story) == before,
        "no mail went out; the answer names clauses and what may be done instead, and nobody",
        "メールは送られていない。応答が示すのは条項と、代わりにできることで、人の名前はない",
    )
    story.check(
        cached.get("sources") == ["1.1(b)"],
        "a summary of the data is refused too, even if it comes from a cache",
        "同じデータの集計も、キャッシュにあるものも、拒否される",
    )


@scene(
    Said("Printing whatever is at hand: no personal data shows", "手当たりしだいに表示：個人の情報は出ない"),
    Said(
        """A colleague looks for a fault. A sealed value may be printed, logged and passed on: what shows is its
        clause. Writing it as JSON, comparing it or using it as text is an error that says what to do. A model that
        still is sealed is not written into an answer.""",
        """同僚が不具合を調べています。封をした値は、表示しても、ログに書いても、ほかの関数に渡してもかまいません。
        見えるのは条項だけです。JSON への書き出し、比較、文字列としての操作はエラーになり、どうすればよいかが示され
        ます。封をしたままのモデルは、応答にも書き出されません。""",
    ),
    sources="1.1(a)",
    purposes="1.2(2)①",
    needs=(collect,),
)
def seals(story: Story) -> None:
    with _log("examples.shop") as lines:
        seen = story.ask("GET", "/mistakes/look-for-a-fault/1", quiet=True)
    story.show_request("GET /mistakes/look-for-a-fault/1")
    for what, shown in seen.items():
        story.show(f"{what}: {shown}")
    story.note("In the log of the server:", "サーバーのログには次のとおり残ります。")
    story.show("\n".join(lines), "!")
    story.check(
        lines == ["mailing <sealed 1.1(a)>, that is CustomerContact(name=<sealed 1.1(a)>, email=<sealed 1.1(a)>)"],
        "the log has the clause in place of the address",
        "ログでは、アドレスの代わりに条項が出ている",
    )
    handed = story.ask("GET", "/mistakes/hand-out/1", status=500)
    told = f"{seen} {lines} {handed}".lower()
    story.check("aiko" not in told, "no name and no address shows anywhere", "氏名もアドレスもどこにも出ていない")


@scene(
    Said("A background thread without a purpose: refused", "目的のないバックグラウンドスレッド：拒否"),
    Said(
        """A purpose holds in the task or thread that entered it and in no other. `guard.carry(fn)` hands it to a
        pool of threads. Without that, or in code that declares no purpose at all, nothing is read. It is a fault of
        the program, so the answer is 500.""",
        """目的は、それに入ったタスクやスレッドの中だけで有効です。スレッドプールへは `guard.carry(fn)` で引き継ぎま
        す。引き継ぎを忘れたコードや、目的を宣言していないコードでは、何も読まれません。プログラムの誤りなので 500
        が返ります。""",
    ),
    sources="1.1(b)",
    purposes="1.2(2)②",
    needs=(collect,),
)
def threads(story: Story) -> None:
    lost = expect_refusal(story, "GET", "/mistakes/without-carry", error="PurposeMissing", status=500)
    story.check("guard.carry" in lost.get("detail", ""), "the message says what to do", "どうすればよいかが示された")
    compared = story.ask("GET", "/telemetry/crashes?product=Shield&product=Vault")
    story.check(
        [item["events"] for item in compared] == [2, 1],
        "with `guard.carry` the same work is done",
        "`guard.carry` を使えば、同じ処理が動く",
    )
    none = expect_refusal(story, "GET", "/mistakes/without-purpose/1", error="PurposeMissing", status=500)
    story.check("aiko" not in str(none).lower(), "nothing was read", "何も読まれなかった")


@scene(
    Said("The support desk: one list, of which a part is withheld", "問い合わせ窓口：一覧の一部を伏せる"),
    Said(
        """Inquiries of website users, 2.2⑥, and of prospects, 3.2⑦, form the family `AnyInquiryResponse`. The
        notice has no such purpose for customers, so of a customer the desk sees that one wrote, and no more.
        Answering a customer as if they were a prospect is refused. The purpose for customers is 1.2(2)①, providing
        the product.""",
        """Web サイト利用者 2.2⑥ と見込み客 3.2⑦ への問い合わせ対応は、ファミリー `AnyInquiryResponse` に
        まとめてあります。顧客についてはこの目的がないので、窓口に分かるのは顧客から届いたことだけです。見込み客と同じように顧客に回答
        しようとすると拒否されます。顧客への回答に使える目的は 1.2(2)①（製品の提供）です。""",
    ),
    sources="1.1(a) 2.1(a) 2.1(c) 3.1(a) 3.1(c)",
    purposes="AnyInquiryResponse 1.2(2)①",
    needs=(collect,),
)
def support(story: Story) -> None:
    inquiries = story.ask("GET", "/support/inquiries")
    story.check(
        (inquiries[0]["lead"]["email"], inquiries[1]["prospect"]["email"])
        == ("chie@example.com", "daichi@example.com"),
        "the inquiries of the website user and of the prospect can be read",
        "Web サイト利用者と見込み客の問い合わせは読める",
    )
    story.check(
        inquiries[2]["customer"] == {},
        "name, address and text of the customer are withheld",
        "顧客の氏名、アドレス、本文は伏せられた",
    )
    answer = {"text": "With pleasure."}
    sent = story.ask("POST", "/support/inquiries/1/answer", answer)
    story.check(sent == {"sent": 1}, "the website user is answered", "Web サイト利用者に回答した")
    problem = expect_refusal(story, "POST", "/mistakes/answer/3", error="PurposeViolation")
    story.check(problem.get("field") == "name", "the refusal names the field", "拒否の応答は項目名を示している")
    helped = story.ask("POST", "/support/customers/1/answer", answer)
    story.check(
        helped["customers"] == 1, "for 1.2(2)① the same customer is answered", "1.2(2)① のもとでは同じ顧客に回答できた"
    )


@scene(
    Said("A new activity on trial: recorded, not refused", "試行中の処理：拒否せず記録する"),
    Said(
        """Cookie data, 2.3, may serve 2.3①, following traffic. Linked with a customer it is a source of its own,
        2.3③, which may serve one analysis and nothing else. A new activity compares visits with website users for
        2.2⑧, which cookie data may not serve. It is declared with `mode="observe"`: nothing is refused, everything
        is recorded.""",
        """Cookie のデータ 2.3 は 2.3①（通信傾向の把握）に使えます。顧客と結び付けると別の取得元 2.3③ になり、使える
        目的は一つの解析だけです。新しい処理は 2.2⑧ のために訪問と Web サイト利用者を比べますが、Cookie のデータはこ
        の目的に使えません。`mode="observe"` と宣言してあるので、拒否はせず、すべて記録します。""",
    ),
    sources="2.1(b) 2.3 2.3③",
    purposes="2.2⑧ 2.3① 2.3③",
    needs=(collect,),
)
def observe(story: Story) -> None:
    traffic = story.ask("GET", "/visits/traffic")
    story.check(traffic == [{"page": "/pricing", "visits": 2}], "visits are counted", "訪問を数えた")
    linked = story.ask("GET", "/visits/of-customers")
    story.check(
        linked == [{"customer": "Aiko Mori", "page": "/pricing"}],
        "linked visits are analysed",
        "結び付けた訪問を解析した",
    )
    with _log("purposeguard") as lines:
        compared = story.ask("GET", "/visits/compared-with-leads")
    story.on_record["PurposeViolation"] += 1
    story.check(
        compared["companies"] == [{"company": "Sato Ltd", "leads": 1}],
        "the new activity does its work",
        "新しい処理が動いた",
    )
    story.note("In the log of the server:", "サーバーのログには次のとおり残ります。")
    story.show("\n".join(lines), "!")
    story.check(
        len(lines) == 1 and "2.3" in lines[0],
        "the log has the use that would have been refused",
        "本来なら拒否される利用が、ログに残った",
    )


@scene(
    Said("Figures about many people: a declared way out", "多人数の統計：宣言した出口"),
    Said(
        """How fast is the product, and how often does it crash? Figures about many people are no personal data. The
        shop declares how they are made, `guard.reclassify(…)`, with the reason, who approved it and the least
        number of people. For fewer than five there is no figure. A figure may go anywhere, into advertising too.""",
        """製品の速さと、クラッシュの頻度を調べます。多人数の統計は、もはや個人の情報ではありません。統計の作り方
        は、理由、承認者、最少人数とともに `guard.reclassify(…)` で宣言します。5人に満たなければ統計は出ません。出た
        数値は、広告を含めてどこにでも使えます。""",
    ),
    sources="1.1(b) 2.1(a)",
    purposes="1.2(2)② AnyProductGuidance",
    needs=(collect,),
)
def figures(story: Story) -> None:
    story.ask("GET", "/telemetry/Shield/figures", status=409)
    for number in range(3, 7):
        scan = event(number, "Shield", f"laptop-{number}", "scan", 3.0)
        story.ask("POST", "/telemetry", [scan], status=202, quiet=True)
    story.note("(the products of four more customers report)", "（さらに4人の製品が記録を送る）")
    made = story.ask("GET", "/telemetry/Shield/figures")
    story.check(
        (made["runs"], made["crash_percent"]) == (6, 17),
        "six runs of five customers, of which one crashed",
        "5人の6回の動作のうち、クラッシュは1回",
    )
    sent = story.ask("POST", "/newsletters/advertisements", {"product": "Shield"})
    story.check(sent["leads"] == 1, "the advertisement says how fast it is", "広告に速さの数値を載せた")
    out = ledger_page(story)["reclassified"]
    story.check(
        len(out) == 7,
        "the ledger has each figure that was asked for: three, twice, and one about too few",
        "求められた数値はすべて台帳にある（3種類を2回、人数不足が1回）",
    )


def _devices(lines: Any) -> list[str]:
    # One line is also valid JSON by itself, and comes parsed.
    return [lines["device"]] if isinstance(lines, dict) else [line for line in str(lines).splitlines() if line]


@contextmanager
def _log(name: str) -> Generator[list[str]]:
    """Return a context manager that collects the lines of a logger.

    The server runs in a thread of this process.
    """
    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger(name), Keeping()
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
