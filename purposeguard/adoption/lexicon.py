"""Recognises names of personal data, in English and Japanese.

A name is split into words and read from its end, since its last word says what a thing is: `customer_email` is an
e-mail address, `email_template` a template. Some words are personal wherever they stand, others only in a class about
people: the `name` of a product is nobody's.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

JAPANESE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass(frozen=True, slots=True)
class Sense:
    """The meaning of a word, and the kinds of values that fit it: text, number, date, choice."""

    what: str
    fits: frozenset[str]


def _sense(what: str, fits: str = "text") -> Sense:
    return Sense(what, frozenset(fits.split()))


def words_set(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


EMAIL: Final = _sense("an e-mail address")
PHONE: Final = _sense("a phone number", "text number")
NAME: Final = _sense("the name of a person")
BIRTH: Final = _sense("a date of birth", "text date number")
GENDER: Final = _sense("a gender", "text number date choice")
IDENTITY: Final = _sense("a number that identifies a person", "text number")
PAYMENT: Final = _sense("a means of payment", "text number")
ADDRESS: Final = _sense("an address")
POSTCODE: Final = _sense("a part of an address", "text number")
NETWORK: Final = _sense("an IP address")
SENSITIVE: Final = _sense("sensitive of a person", "text choice")
WORK: Final = _sense("the work of a person", "text choice")
AGE: Final = _sense("an age", "text number")
TERMINAL: Final = _sense("a terminal of a person")
PLACE: Final = _sense("where a person is", "text number date choice")
MONEY: Final = _sense("the means of a person", "text number")
LOOKS: Final = _sense("a likeness of a person")

DIRECT_WORDS: Final = {
    EMAIL: "email e_mail email_address e_mail_address mail_address emailaddress メールアドレス Eメール 電子メール "
    "メアド",
    PHONE: "phone telephone tel phone_number telephone_number tel_no telno phonenumber mobile_phone mobile_number "
    "cell_phone cellphone phone_no msisdn fax_number landline home_phone work_phone "
    "電話 電話番号 携帯電話 携帯番号 FAX番号 TEL",
    NAME: "contact_person first_name last_name family_name given_name middle_name surname firstname lastname "
    "maiden_name forename 氏名 姓名 お名前 フリガナ ふりがな 氏名カナ 苗字 名字 顧客名 利用者名 会員名 担当者名 担当者 "
    "契約者名 代表者名 保護者名 世帯主 配偶者 申込者名 患者名 社員名 宛名",
    BIRTH: "birthdate birth_date date_of_birth birthday dob birth_day birth_year year_of_birth birthplace "
    "place_of_birth 生年月日 誕生日 出生地",
    AGE: "年齢",
    GENDER: "gender sex 性別",
    IDENTITY: "ssn social_security_number national_id national_insurance_number passport passport_number passport_no "
    "my_number individual_number driver_license driver_license_number drivers_license_number license_plate "
    "insurance_number health_insurance_number tax_file_number マイナンバー 個人番号 免許証番号 旅券番号 "
    "パスポート番号 被保険者番号 保険証番号 基礎年金番号 住民票コード",
    PAYMENT: "credit_card credit_card_number creditcard card_number iban bank_account bank_account_number cvv cvc "
    "クレジットカード番号 クレジットカード カード番号 口座番号 銀行口座",
    ADDRESS: "home_address postal_address street_address mailing_address residential_address billing_address "
    "shipping_address delivery_address home_addr 住所 お届け先 届け先 本籍 本籍地 番地 居住地",
    POSTCODE: "postal_code postcode post_code zip_code zipcode 郵便番号",
    NETWORK: "ip ip_address ip_addr ipaddress client_ip remote_ip remote_addr remote_address user_ip IPアドレス",
    SENSITIVE: "religion ethnicity nationality marital_status blood_type blood_group sexual_orientation "
    "medical_history criminal_record 国籍 血液型 病歴 宗教 信条 人種 犯罪歴 既往歴 婚姻状況 家族構成 続柄",
    WORK: "occupation 職業 勤務先 学歴 職歴 職種 役職",
    MONEY: "年収",
    LOOKS: "顔写真",
    PLACE: "位置情報",
}
"""Personal wherever they stand."""

WORDS_OF_PEOPLE: Final = {
    NAME: "name full_name fullname display_name nickname nick_name username user_name screen_name legal_name "
    "名前 ニックネーム ユーザー名 姓 名",
    ADDRESS: "address addr address_line street street_name house_number 都道府県 市区町村",
    POSTCODE: "zip",
    AGE: "age",
    WORK: "job_title job employer company company_name position department 会社名 会社 部署 部署名 所属 肩書",
    MONEY: "salary income annual_income account_number",
    LOOKS: "photo avatar portrait signature selfie face_image 写真 署名",
    EMAIL: "mail メール",
    PHONE: "mobile fax cell 携帯",
    TERMINAL: "device_id user_agent advertising_id idfa gaid imei imsi mac_address cookie_id cookie 端末ID",
    PLACE: "latitude longitude geolocation city prefecture location",
}
"""Personal in a class about people."""

WHOLE: Final = words_set("電話 メール 会社 写真 名前 TEL 携帯 姓 名")
"""Japanese words that are the whole name, and not its end."""


def _table(words: dict[Sense, str], *, japanese: bool) -> dict[str, Sense]:
    return {
        word: sense for sense, text in words.items() for word in text.split() if bool(JAPANESE.search(word)) == japanese
    }


DIRECT: Final = _table(DIRECT_WORDS, japanese=False)
OF_PEOPLE: Final = _table(WORDS_OF_PEOPLE, japanese=False)
JAPANESE_WORDS: Final = tuple(
    (_table(words, japanese=True), direct) for words, direct in ((DIRECT_WORDS, True), (WORDS_OF_PEOPLE, False))
)

BESIDE: Final = frozenset({NAME, ADDRESS, AGE, POSTCODE})
"""Personal also beside a field that is so wherever it stands, whatever the class is called."""
BESIDE_WORDS: Final = words_set("company company_name mail mobile employer job job_title")
TRACES: Final = frozenset({TERMINAL, PLACE, LOOKS, MONEY})
"""Personal wherever anything beside is tagged, or an IP address."""
WEAK: Final = frozenset({POSTCODE, NETWORK})
"""Direct, and yet no sign that the class is about a person."""

PERSONS: Final = words_set(
    "customer user person people member employee patient student teacher contact subscriber lead prospect applicant "
    "candidate guest visitor buyer purchaser attendee participant respondent donor volunteer passenger resident "
    "citizen insured beneficiary cardholder staff author owner sender consumer shopper client individual doctor "
    "nurse pupil spouse claimant address maintainer"
)
"""Last words of the names of classes about people."""

QUALIFIERS: Final = PERSONS - {"address", "client"} | words_set(
    "recipient holder father mother guardian emergency consignee billing shipping delivery home private personal"
)
"""Words before `name` or `address` that make it a person's."""
OF_QUALIFIED: Final = words_set("name full_name address addr age photo mail mobile")

DATA_WORDS: Final = words_set(
    "row model dto schema in out create update patch read base request response form data record entity info input "
    "output payload view public private orm table details detail dict new item summary internal db full plain card "
    "entry line list page result draft registration signup application"
)
"""Words at the end of a class name that do not say what it is about."""

THINGS: Final = words_set(
    "settings setting config configuration conf options option credentials smtp mailer server template templates "
    "column columns header headers validator parser rule rules regex pattern flags permission permissions labels "
    "translations messages strings texts stats statistics count counts metrics metric counter counters gateway backend "
    "driver adapter interface font instance machine vm container pod peer vpc balancer nameserver broker lease subnet "
    "network host node router cluster socket endpoint proxy dns firewall"
)
"""Words in the names of classes that configure, count or show something: no field of them is about a person."""
PERHAPS_OF_A_PERSON: Final = words_set("settings setting options option")
"""Of these: `UserSettings` are somebody's."""

BODIES: Final = words_set(
    "company companies organization organisation shop store supplier vendor brand branch office hotel restaurant "
    "product warehouse school hospital bank department site venue institution agency factory facility airport station "
    "place poi"
)
"""Last words of the names of classes about organisations, which may have an address and a telephone."""
OF_BODIES: Final = frozenset({EMAIL, PHONE, ADDRESS, POSTCODE, PAYMENT, AGE, PLACE, WORK})

NOBODYS: Final = {
    EMAIL: words_set(
        "support noreply reply from default system smtp server bounce webmaster postmaster helpdesk shop store service "
        "sales info company office enable disable send test"
    ),
    PHONE: words_set("support hotline helpdesk service shop store sales company"),
    NETWORK: words_set(
        "server host domain listen bind gateway dns node pod cluster public private elastic lb nat target dest dst "
        "router vip broker db upstream local service master allowed blocked interface network subnet"
    ),
    NAME: words_set("font type css"),
    ADDRESS: words_set("company office store shop"),
    POSTCODE: words_set("company office store shop"),
}
"""Words before others that make it nobody's: `support_email`, `server_ip`."""

QUESTIONS: Final = words_set(
    "is has have can should allow enable show hide use verify require requires needs include no with send without max "
    "min total num count"
)
"""First words of fields that are a flag, or a number of something."""

ENDINGS: Final = words_set(
    "str text value raw plain old new current previous original primary secondary main en ja jp kana kanji full "
    "encrypted hashed hash sha256 md5"
)
"""Last words that do not change what a field is."""

NOT_PERSONS: Final = {
    "client": words_set("http api rest db sql redis web socket grpc async test mail smtp oauth s3 sync base"),
    "address": words_set("ip mac web network memory bus base socket server company office store shop warehouse email"),
    "contact": words_set("dry electric"),
    "sender": words_set("mail email message event http sms push"),
    "owner": words_set("code"),
}
"""Words before others that make a class about no person: `HttpClient`, `IpAddress`."""

JAPANESE_PERSONS: Final = words_set(
    "顧客 お客様 利用者 会員 社員 従業員 患者 学生 生徒 申込者 応募者 見込み客 見込客 個人"
    " 担当者 ユーザ メンバー 保護者 購入者 受講者 契約者 名簿 連絡先 職員 被保険者 参加者"
)
JAPANESE_BODIES: Final = words_set("会社 企業 法人 店舗 支店 取引先 仕入先 商品 製品 施設 学校 病院 倉庫")
JAPANESE_NOBODYS: Final = words_set("会社 本社 店舗 支店 商品 製品 法人 代表 サポート 送信元 サーバ 事業所")

TYPES: Final = {
    **dict.fromkeys(("pydantic.EmailStr", "pydantic.NameEmail"), EMAIL),
    **dict.fromkeys(("pydantic.IPvAnyAddress", "ipaddress.IPv4Address", "ipaddress.IPv6Address"), NETWORK),
    **dict.fromkeys(
        ("pydantic_extra_types.phone_numbers.PhoneNumber", "phonenumbers.PhoneNumber"),
        PHONE,
    ),
    "pydantic_extra_types.payment.PaymentCardNumber": PAYMENT,
}
"""Types whose values are personal, whatever the field is called."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The subject of a class: people, an organisation, or configuration."""

    person: bool = False
    body: bool = False
    thing: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What a name of a field says: personal wherever it stands (`direct`), or of people only.

    `beside`: also if other fields are so wherever they stand. `tells`: the field shows that the class is about a
    person; the address of an author does not make a package one.
    """

    sense: Sense
    direct: bool
    beside: bool = False
    tells: bool = False


def words_of(name: str) -> list[str]:
    """Return the words of a name in Latin letters: `billingEMail_1` → billing, e, mail."""
    return [word.lower() for word in PART.findall(unicodedata.normalize("NFKC", name)) if not word.isdigit()]


def subject_of(name: str) -> Subject:
    """Return the subject of a class, by its name."""
    plain = unicodedata.normalize("NFKC", name)
    if JAPANESE.search(plain):
        return Subject(
            any(person in plain for person in JAPANESE_PERSONS), any(body in plain for body in JAPANESE_BODIES)
        )
    words = words_of(plain)
    things = THINGS.intersection(words)
    if things <= PERHAPS_OF_A_PERSON and any(_singular(word) in PERSONS for word in words):
        things = frozenset()
    while len(words) > 1 and words[-1] in DATA_WORDS:
        words.pop()
    head = _singular(words[-1]) if words else ""
    before = {_singular(word) for word in words[:-1]}
    person = head in PERSONS and not before & NOT_PERSONS.get(head, frozenset())
    person = person or (head in ("profile", "account") and bool(before & PERSONS))
    return Subject(person and not things, head in BODIES, bool(things))


def _singular(word: str) -> str:
    if word.endswith("sses"):
        return word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def reading_of(name: str) -> Reading | None:
    """Return the meaning of a field's name; None if it names nothing personal."""
    plain = unicodedata.normalize("NFKC", name).strip("_")
    if JAPANESE.search(plain):
        return _japanese(re.sub(r"[0-9_]+$", "", plain))
    words = words_of(plain)
    if not words or words[0] in QUESTIONS:
        return None
    while len(words) > 1 and words[-1] in ENDINGS:
        words.pop()
    for length in range(min(4, len(words)), 0, -1):
        before = words[:-length]
        for tail in dict.fromkeys(("_".join(words[-length:]), "_".join([*words[-length:-1], _singular(words[-1])]))):
            if tail in DIRECT:
                sense = DIRECT[tail]
                if NOBODYS.get(sense, frozenset()).intersection(before):
                    return None
                return Reading(sense, direct=True, tells=sense not in WEAK and not PERSONS.intersection(before))
            if tail in OF_PEOPLE:
                return _of_people(tail, before)
    return None


def _of_people(tail: str, before: list[str]) -> Reading | None:
    sense = OF_PEOPLE[tail]
    if not before:
        return Reading(sense, direct=False, beside=sense in BESIDE or tail in BESIDE_WORDS)
    if before[-1] in QUALIFIERS and tail in OF_QUALIFIED:
        return Reading(sense, direct=True)
    return Reading(sense, direct=False) if sense in (WORK, LOOKS) and before[-1] in PERSONS else None


def _japanese(name: str) -> Reading | None:
    for table, direct in JAPANESE_WORDS:
        ends = [word for word in table if name == word or (name.endswith(word) and word not in WHOLE)]
        if ends:
            word = max(ends, key=len)
            if any(nobody in name.removesuffix(word) for nobody in JAPANESE_NOBODYS):
                return None
            return Reading(table[word], direct, beside=not direct, tells=direct and table[word] not in WEAK)
    return None
