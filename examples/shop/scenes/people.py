"""Scenes about requests of people, recipients of data, and a notice that changes: clauses 4 to 11."""

from __future__ import annotations

from typing import Any

from examples.screen import Said
from examples.shop.narration import Story
from examples.shop.scenes.common import ask_for, expect_refusal, issue, ledger_page, scene
from examples.shop.scenes.uses import collect


@scene(
    Said("Two people opt out: the next reminders leave them out", "2人が利用停止を求める：次の案内から除く"),
    Said(
        """Aiko wants no more reminders, 1.2(1)①. Ben wants his data used for nothing (clause 7). A clerk fulfils
        both requests. Each row says whose it is, so the next reminders leave these two out.""",
        """愛子さんは契約更新の案内 1.2(1)① の停止を、ベンさん（Ben）はすべての利用の停止を求め、担当者が対応しまし
        た（条項 7）。どの行にも誰のものかが付いているので、次の案内から2人は除かれます。""",
    ),
    sources="1.1(a) 1.1(c)",
    purposes="1.2(1)① 1.2(2)①",
    needs=(collect,),
)
def opt_out(story: Story) -> None:
    ask_for(story, "suspension-of-use", "customer:1", purposes=["renewal-guidance"])
    ask_for(story, "suspension-of-use", "customer:2")
    sent = story.ask("POST", "/renewals/reminders", {"due_before": "2031-02-01"})
    helped = story.ask("POST", "/support/customers/1/answer", {"text": "Is it faster now?"}, quiet=True)
    story.check(
        sent["customers"] == 4 and helped["customers"] == 1,
        "four of six customers were written to; support still answers Aiko, but not Ben:",
        "顧客6人のうち4人に送られた。愛子さんへのサポートは続くが、ベンさんには答えない",
    )
    problem = expect_refusal(story, "POST", "/support/customers/2/answer", {"text": "Hello?"}, error="SubjectViolation")
    story.check("(clause 7)" in str(problem.get("reasons")), "the reason is clause 7", "理由は条項 7")


@scene(
    Said("Crash reports go abroad: to a registered laboratory only", "クラッシュ記録の国外提供：登録した提供先だけ"),
    Said(
        """A laboratory in Taiwan looks at crashes. It is on the register: a country of clause 5, a contract (clause
        6), a supervision (clause 4). `@guard.entrust(…)` puts each hand-over on record before it takes place. A
        colleague has found a cheaper laboratory, in a country that the notice does not name. Then Aiko asks that
        her data is given to nobody.""",
        """台湾の検査機関がクラッシュを調べます。国（条項 5）、契約（条項 6）、監督（条項 4）は登録済みです。
        `@guard.entrust(…)` は、渡す前に提供を記録します。ところが同僚が、プライバシーポリシーにない国でもっと安い機
        関を見つけてきました。さらに愛子さんが、誰にも提供しないよう求めます。""",
    ),
    sources="1.1(b)",
    purposes="1.2(2)②",
    needs=(collect,),
)
def hand_over(story: Story) -> None:
    laboratory = {
        "name": "Crash Laboratory",
        "kind": "overseas-affiliate",
        "country": "TW",
        "contract": "legal/2024-31",
        "since": "2024-04-01",
        "supervised_on": "2024-05-20",
    }
    story.ask("PUT", "/privacy/recipients/crash-lab", laboratory, quiet=True)
    story.note("(the privacy office registers the laboratory)", "（個人情報の担当部署が検査機関を登録する）")
    answer = story.ask("POST", "/customers/1/crashes/hand-over")
    story.on_record["provision"] += 1
    story.check(answer == {"reports": 1}, "one crash was handed over", "クラッシュ記録を1件渡した")
    problem = expect_refusal(story, "POST", "/mistakes/hand-over-elsewhere/1", error="RecipientViolation")
    story.check(
        "clause 5 names no country BR" in str(problem.get("reasons")),
        "the country is the reason",
        "国が理由で拒否された",
    )
    ask_for(story, "stop-of-provision", "customer:1")
    story.note("(Aiko asks that provision stop)", "（愛子さんが第三者提供の停止を求める）")
    stopped = expect_refusal(story, "POST", "/customers/1/crashes/hand-over", error="SubjectViolation")
    story.check(
        "(clause 7)" in str(stopped.get("reasons")),
        "nothing of hers goes there any more",
        "愛子さんの記録は、もう渡されない",
    )


@scene(
    Said('"What do you hold about me?": a report', "「私の情報を開示してください」：報告書"),
    Said(
        """The answer says what is held under which clause, what was handed to whom, and whom to ask. The shop
        registers functions that read what it holds, `@governance.holding(…)`. The report opens it for this one
        person, and a clerk answers for that. It is JSON, or a page that prints, in English or Japanese.""",
        """どの条項のもとで何を保有しているか、誰に何を渡したか、問い合わせ先はどこかを答えます。店は、保有するデー
        タを読む関数を `@governance.holding(…)` で登録しておきます。報告書はこの1人の分だけを開け、担当者の名前とと
        もに記録します。形式は JSON か、印刷できるページ（日本語と英語）です。""",
    ),
    sources="1.1(a) 1.1(b) 1.1(c) 2.3",
    purposes="1.2(1)① 1.2(2)②",
    needs=(collect, opt_out, hand_over),
)
def disclosure(story: Story) -> None:
    path = f"/privacy/subjects/customer:1/disclosure?by=clerk+3&language={story.language}"
    report = story.ask("GET", path, quiet=True)
    story.show_request(f"GET {path}")
    for held in report["holdings"]:
        sources: set[str] = set()
        for record in held["records"]:
            for item in record["items"]:
                sources.update(item["sources"])
        story.show(f"{held['title']}: {len(held['records'])} {' '.join(sorted(sources))}".rstrip())
    provided: list[tuple[str, str, list[str]]] = []
    for given in report["provisions"]:
        provided.append((given["recipient"], given["country"], given["sources"]))
        what, whom = " ".join(given["sources"]), f"{given['recipient']} ({given['country_title']})"
        story.show(f"{what} → {whom}, {given['purpose_title']}, {given['means']}")
    for one in report["restrictions"]:
        story.show(f"{one['title']}: {' '.join(one['purposes'] or ['*'])}")
    story.check(
        provided == [("Crash Laboratory", "TW", ["1.1(b)"])], "the hand-over is in it, once", "提供の記録が1件ある"
    )
    story.check(
        [one["clause"] for one in report["contacts"]] == ["9.1", "9.2"],
        "and whom to ask (clause 9)",
        "問い合わせ先（条項 9）もある",
    )
    story.check(
        "aiko" not in str(report).lower(),
        "it shows no values unless asked to, with `values=true`",
        "`values=true` を付けなければ、値は出ない",
    )
    page = story.ask(
        "GET",
        "/privacy/subjects/customer:1/disclosure?by=clerk+3&language=ja&values=true",
        quiet=True,
        accept="text/html",
    )
    story.check(
        "利用停止" in page and "Aiko Mori" in page,
        "with them it also is a page in Japanese",
        "値を入れた日本語のページにもなる",
    )


@scene(
    Said("A warrant: the law permits what the notice does not", "令状：プライバシーポリシーにない利用を法令が認める"),
    Said(
        """Ben has asked that his data is used for nothing, so a clerk sees an empty card. A warrant opens it all
        the same, through the only door there is: `guard.exception(…)`, with a basis in law, a reason, who approved
        it, whom it concerns and an end. Each such use is in the ledger before it takes place.""",
        """ベンさんはすべての利用の停止を求めたので、担当者が見るカードは空です。それでも令状があれば開けられます。
        入口は `guard.exception(…)` だけで、法令上の根拠、理由、承認者、対象者、期限を示します。利用は、実行の前に台
        帳に記録されます。""",
    ),
    sources="1.1(a) 1.1(b) 1.1(c)",
    purposes="1.2(1)①",
    needs=(collect, opt_out),
)
def warrant(story: Story) -> None:
    card = story.ask("GET", "/renewals/customers/2")
    story.check(
        "name" not in card and card["contracts"] == [{}],
        "all there is about him is withheld",
        "ベンさんの情報はすべて伏せられた",
    )
    opened = story.ask("POST", "/privacy/warrants", {"customer_id": 2, "number": "17/2026", "approver": "legal"})
    story.check(opened["name"] == "Ben Ito", "the warrant opens it", "令状によって開けられた")
    uses: list[dict[str, Any]] = []
    for entry in ledger_page(story)["noted"]:
        says = entry["says"]
        if entry["kind"] == "exception" and says["reason"] == "warrant 17/2026":
            uses.append(says)
    for use in uses[:1]:
        story.show(f"{use['basis']}: {use['reason']}, {use['approver']}, {use['subject'][:8]}…")
    story.check(
        bool(uses) and all(use["approver"] == "legal" for use in uses),
        "the ledger has each use, and who approved it",
        "台帳に、個々の利用と承認者が残った",
    )


@scene(
    Said("The notice changes while the shop runs", "稼働中にプライバシーポリシーの版が替わる"),
    Said(
        """The next revision, made up for this story, no longer lets the shop tell website users of products.
        `purposeguard diff` says beforehand what it will stop. It is put in force at one stroke. The product
        newsletter, which also goes to website users, is refused from then on. Then the first revision is back.""",
        """次の版（この話のために作ったもの）では、Web サイト利用者への製品案内ができなくなります。何が止まるかは、
        事前に `purposeguard diff` で分かります。版は一度に切り替わり、Web サイト利用者も宛先に含む製品のお知らせ
        は、その時から拒否されます。最後に元の版へ戻します。""",
    ),
    sources="1.1(a) 1.1(c) 2.1(a) 3.1(a)",
    purposes="AnyProductGuidance 1.2(1)①",
    needs=(collect, opt_out),
)
def revision(story: Story) -> None:
    changes = story.ask("GET", "/privacy/notice/2025-04-01/changes", quiet=True)
    story.show_request("GET /privacy/notice/2025-04-01/changes")
    story.show("\n".join(changes["Narrowed"]))
    stopped = filter(lambda line: "lead_contacts" in line, changes["Stops in the shop"])
    story.show("\n".join(map(_short, stopped)))
    story.check("Widened" not in changes, "it widens nothing", "新たに広がる利用はない")
    story.ask("PUT", "/privacy/notice", {"revision": "2025-04-01"})
    problem = expect_refusal(
        story, "POST", "/newsletters/products", issue("New!", "Buy one."), error="PurposeViolation"
    )
    story.check(
        problem.get("sources") == ["2.1(a)"],
        "the addresses of website users are the reason",
        "理由は、Web サイト利用者のアドレス",
    )
    sent = story.ask("POST", "/renewals/reminders", {"due_before": "2031-02-01"})
    story.check(sent["customers"] == 4, "reminders go out as before", "更新の案内はこれまでどおり送られる")
    story.ask("PUT", "/privacy/notice", {"revision": "2024-04-01"})
    sent = story.ask("POST", "/newsletters/products", issue("New!", "Buy one."))
    story.check(
        sent["leads"] == 1, "under the first revision the newsletter goes out", "元の版では、お知らせが送られる"
    )


def _short(line: str) -> str:
    return line.replace("examples.shop.", "").replace("activities.", "")
