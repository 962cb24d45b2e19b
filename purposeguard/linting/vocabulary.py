"""Which names look personal, in English, Japanese, and Japanese in Latin letters, and which types are.

Some words are personal wherever they stand (`DIRECT`), others only of a person (`OF_PEOPLE`): the `name` of a product
is nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Words = tuple[str, ...]

TEXT: Final = frozenset({"text"})
TEXT_OR_NUMBER: Final = frozenset({"text", "number"})
TEXT_OR_DATE: Final = frozenset({"text", "date", "number"})
ANY_VALUE: Final = frozenset({"text", "number", "date", "choice"})


@dataclass(frozen=True, slots=True)
class Sense:
    """What a word means, and which types a value of it may have."""

    what: str
    fits: frozenset[str]
    tells: bool = True
    """Whether it tells that the class which it is in is about a person."""


def words_set(text: str) -> frozenset[str]:
    """Words in a line."""
    return frozenset(text.split())


def _table(*groups: tuple[Sense, str]) -> dict[Words, Sense]:
    return {tuple(phrase.split("_")): sense for sense, text in groups for phrase in text.split()}


EMAIL = Sense("an e-mail address", TEXT)
PHONE = Sense("a phone number", TEXT_OR_NUMBER)
NAME = Sense("the name of a person", TEXT)
BIRTH = Sense("a date of birth", TEXT_OR_DATE)
GENDER = Sense("a gender", ANY_VALUE)
IDENTITY = Sense("a number that identifies a person", TEXT_OR_NUMBER)
PAYMENT = Sense("a means of payment", TEXT_OR_NUMBER)
ADDRESS = Sense("an address", TEXT)
POSTCODE = Sense("a part of an address", TEXT_OR_NUMBER, tells=False)
NETWORK = Sense("an IP address", TEXT, tells=False)
SENSITIVE = Sense("sensitive of a person", frozenset({"text", "choice"}))
WORK = Sense("the work of a person", frozenset({"text", "choice"}))
AGE = Sense("an age", TEXT_OR_NUMBER)
TERMINAL = Sense("a terminal of a person", TEXT)
PLACE = Sense("where a person is", ANY_VALUE)
MONEY = Sense("the means of a person", TEXT_OR_NUMBER)
LOOKS = Sense("a likeness of a person", TEXT)

DIRECT: Final = _table(
    (EMAIL, "email e_mail email_address e_mail_address mail_address mailaddress emailaddress meeru_adoresu"),
    (
        PHONE,
        (
            "phone telephone tel phone_number telephone_number tel_no tel_number telno phonenumber mobile_phone "
            "mobile_number cell_phone cellphone mobile_no phone_no msisdn fax_number landline home_phone "
            "work_phone denwa denwa_bango denwa_bangou denwabango denwabangou keitai keitai_denwa keitai_bango "
            "keitai_bangou tel_bango"
        ),
    ),
    (
        NAME,
        (
            "contact_person simei_kana namae_kana tantosha_mei tantousha_mei first_name last_name family_name "
            "given_name middle_name surname firstname lastname maiden_name forename givenname familyname shimei "
            "seimei furigana shimei_kana seimei_kana name_kana kana_name sei_kana mei_kana name_kanji "
            "name_furigana first_name_kana last_name_kana family_name_kana given_name_kana"
        ),
    ),
    (
        BIRTH,
        (
            "birthdate birth_date date_of_birth birthday dob birth_day birth_year year_of_birth birthplace "
            "place_of_birth dateofbirth seinengappi seinen_gappi seinengapi tanjobi tanjoubi tanjyoubi"
        ),
    ),
    (GENDER, "gender sex seibetsu"),
    (
        IDENTITY,
        (
            "ssn social_security_number social_security_no national_id national_id_number "
            "national_insurance_number passport passport_number passport_no my_number mynumber mynumber_card "
            "individual_number kojin_bango kojin_bangou kojinbango kojinbangou driver_license "
            "driver_license_number drivers_license drivers_license_number driving_license driving_licence "
            "driving_licence_number license_plate menkyo_bango menkyosho_bango menkyosho_bangou"
        ),
    ),
    (
        PAYMENT,
        (
            "credit_card credit_card_number creditcard card_number cardnumber iban bank_account "
            "bank_account_number cvv cvc cardholder koza_bango kouza_bango kouza_bangou koza_bangou"
        ),
    ),
    (
        ADDRESS,
        (
            "home_address postal_address street_address mailing_address residential_address billing_address "
            "shipping_address delivery_address jusho juusho jyusho jyuusho juusyo jusyo jyuusyo genjusho home_addr"
        ),
    ),
    (
        POSTCODE,
        (
            "yubinbangou yuubinnbangou postal_code postcode post_code zip_code zipcode yubin_bango yubinbango "
            "yuubin_bango yuubin_bangou yubin_bangou yuubinbango yuubinbangou yubinbangou"
        ),
    ),
    (NETWORK, "ip ip_address ip_addr ipaddress ipaddr client_ip remote_ip remote_addr remote_address user_ip"),
    (
        SENSITIVE,
        (
            "religion ethnicity nationality marital_status blood_type blood_group sexual_orientation "
            "medical_history criminal_record kokuseki honseki shukyo shuukyou ketsuekigata byoreki"
        ),
    ),
    (WORK, "occupation shokugyo shokugyou syokugyou kinmusaki"),
    (AGE, "nenrei"),
    (WORK, "gakureki shokureki"),
    (IDENTITY, "insurance_number health_insurance_number hihokensha_bango tax_file_number"),
)
"""Personal wherever it stands."""

OF_PEOPLE: Final = _table(
    (
        NAME,
        (
            "name full_name fullname display_name nickname nick_name namae onamae username user_name screen_name "
            "simei legal_name"
        ),
    ),
    (POSTCODE, "zip"),
    (ADDRESS, "address addr address_line street street_name house_number banchi"),
    (ADDRESS, "todofuken todoufuken shikuchoson shikuchouson"),
    (AGE, "age"),
    (
        WORK,
        (
            "kaisyamei kinmusakimei job_title job employer company company_name position department kaishamei "
            "kaisha_mei yakushoku busho bushomei kaisha"
        ),
    ),
    (MONEY, "salary income annual_income nenshu nenshuu account_number"),
    (LOOKS, "photo avatar portrait signature selfie face_image"),
    (EMAIL, "mail"),
    (PHONE, "mobile fax cell"),
    (TERMINAL, "device_id user_agent advertising_id idfa gaid imei imsi mac_address cookie_id cookie"),
    (PLACE, "latitude longitude geolocation city prefecture location"),
)
"""Personal in a class about people."""

BESIDE: Final = frozenset(
    words
    for words, sense in OF_PEOPLE.items()
    if sense in (NAME, ADDRESS, AGE, POSTCODE)
    or words[0] in ("company", "kaisha", "kaishamei", "mail", "mobile", "employer", "job")
)
"""Of these: those that are personal beside a field that is so wherever it stands, whatever the class is called."""

PERSONS: Final = words_set(
    "customer user person people member employee patient student teacher contact subscriber lead prospect "
    "applicant candidate guest visitor buyer purchaser attendee participant respondent donor volunteer passenger "
    "resident citizen insured beneficiary cardholder staff author owner sender consumer shopper enrollee client "
    "individual human doctor nurse pupil colleague friend spouse claimant address kokyaku riyosha riyousha "
    "kaiin maintainer shain jugyoin juugyouin kanja gakusei okyakusama okyaku kyaku moushikomisha mousikomisha "
    "oubosha koukyaku"
)
"""Who a class may be about, by the last word of its name."""

QUALIFIERS: Final = words_set(
    "doctor nurse "
    "customer user person employee patient student teacher contact subscriber lead prospect applicant candidate "
    "guest visitor buyer purchaser recipient sender author owner holder cardholder attendee participant donor "
    "spouse father mother guardian emergency consignee insured passenger kokyaku riyosha riyousha kaiin shain "
    "okyakusama tantosha tantousha moushikomisha shopper billing shipping delivery home private personal"
)
"""What before `name` or `address` says whose it is."""

OF_QUALIFIED: Final = frozenset(
    {("name",), ("full", "name"), ("address",), ("addr",), ("age",), ("photo",), ("mail",), ("namae",), ("mobile",)}
)

DATA_WORDS: Final = words_set(
    "row model dto schema in out create update patch read base request response form data record entity info input "
    "output payload view public private orm table details detail dict new item summary internal db full tagged "
    "untagged plain card entry line list page result draft registration signup application update"
)
"""What a class may have at the end of its name beside that which it is about."""

INDIRECT: Final = frozenset({"profile", "account", "contact", "identity"})
"""Of a person where a person's word stands before it: `UserProfile`."""

THINGS: Final = words_set(
    "settings setting config configuration conf options option credentials smtp mailer server template templates "
    "column columns header headers validator parser rule rules regex pattern flags permission "
    "permissions labels translations messages strings texts stats statistics count counts metrics counter "
    "counters gateway backend driver adapter interface font instance machine vm container pod peer vpc balancer "
    "nameserver broker lease subnet network host node router cluster socket endpoint proxy dns firewall"
)
"""What a class is called that tells how something is set up, counted or shown: no field of it is about a person."""

OF_A_PERSON: Final = frozenset({"settings", "setting", "options", "option"})
"""Of these: those that are somebody's where a person's word stands beside them, `UserSettings`."""

BODIES: Final = words_set(
    "company companies organization organisation shop store supplier vendor brand branch office hotel restaurant "
    "product warehouse school hospital bank department site venue institution agency factory facility airport "
    "station place poi"
)
"""What a class is called that is about no person, though it may have an address and a telephone."""

OF_BODIES: Final = frozenset({EMAIL, PHONE, ADDRESS, POSTCODE, PAYMENT, AGE, PLACE, WORK})
"""What such a body may have without its being anybody's."""

NOBODYS: Final = {
    EMAIL: words_set(
        "support noreply reply from default system smtp server bounce webmaster postmaster helpdesk shop store "
        "service sales info company office enable disable send test"
    ),
    PHONE: words_set("support hotline helpdesk service shop store sales company"),
    NETWORK: words_set(
        "server host listen bind gateway dns node pod cluster public private elastic lb nat target dest dst router "
        "vip broker db upstream local service master allowed blocked"
    ),
    NAME: words_set("font type css"),
    ADDRESS: words_set("company office store shop"),
    POSTCODE: words_set("company office store shop"),
    IDENTITY: frozenset(),
}
"""Words before others that say that it is no person's: `support_email`, `server_ip`."""

QUESTIONS: Final = words_set(
    "is has have can should allow enable show hide use verify require requires needs include no with send without "
    "max min total num count"
)
"""Words at the beginning by which a field is a question, or a number of something."""

ENDINGS: Final = words_set(
    "str text value raw plain old new current previous original primary secondary main en ja jp eng kana kanji "
    "roman romaji full encrypted hashed hash sha256 md5"
)
"""Words at the end that leave a thing what it is."""

JAPANESE_DIRECT: Final = {
    EMAIL: "メールアドレス Eメール Eメールアドレス 電子メール 電子メールアドレス メアド",
    PHONE: "電話 電話番号 携帯電話 携帯番号 携帯電話番号 FAX番号 ファックス番号 ファクス番号 連絡先電話番号 TEL",
    NAME: (
        "氏名 姓名 お名前 フリガナ ふりがな 氏名カナ 氏名かな 苗字 名字 姓 顧客名 利用者名 会員名 担当者名 担当者 "
        "契約者名 代表者名 保護者名 世帯主 配偶者 申込者名 患者名 社員名 宛名"
    ),
    BIRTH: "生年月日 誕生日 出生地",
    AGE: "年齢",
    GENDER: "性別",
    IDENTITY: (
        "マイナンバー 個人番号 免許証番号 運転免許証番号 旅券番号 パスポート番号 被保険者番号 保険証番号 "
        "基礎年金番号 住民票コード"
    ),
    PAYMENT: "クレジットカード番号 クレジットカード カード番号 口座番号 銀行口座",
    ADDRESS: "住所 現住所 自宅住所 お届け先 届け先 届け先住所 送付先住所 本籍 本籍地 番地 居住地",
    POSTCODE: "郵便番号",
    NETWORK: "IPアドレス",
    SENSITIVE: "国籍 血液型 病歴 宗教 信条 人種 犯罪歴 既往歴 婚姻状況 家族構成 続柄",
    WORK: "職業 勤務先 勤務先名 学歴 職歴 職種 役職",
    MONEY: "年収",
    LOOKS: "顔写真",
    PLACE: "位置情報",
}
JAPANESE_OF_PEOPLE: Final = {
    NAME: "名前 名 名称カナ ニックネーム ユーザー名",
    WORK: "会社名 会社 部署 部署名 所属 肩書",
    ADDRESS: "都道府県 市区町村",
    LOOKS: "写真 署名",
    EMAIL: "メール",
    TERMINAL: "端末ID",
    PHONE: "携帯",
}
JAPANESE_PERSONS: Final = (
    *(
        "顧客",
        "お客様",
        "利用者",
        "会員",
        "社員",
        "従業員",
        "患者",
        "学生",
        "生徒",
        "申込者",
        "応募者",
        "見込み客",
        "見込客",
        "個人",
    ),
    *(
        "担当者",
        "ユーザー",
        "ユーザ",
        "メンバー",
        "保護者",
        "購入者",
        "受講者",
        "契約者",
        "名簿",
        "連絡先",
        "職員",
        "被保険者",
        "参加者",
    ),
)
JAPANESE_BODIES: Final = (
    "会社",
    "企業",
    "法人",
    "店舗",
    "支店",
    "取引先",
    "仕入先",
    "商品",
    "製品",
    "施設",
    "学校",
    "病院",
    "倉庫",
)
JAPANESE_NOBODYS: Final = (
    "会社",
    "本社",
    "店舗",
    "支店",
    "商品",
    "製品",
    "法人",
    "代表",
    "サポート",
    "送信元",
    "サーバー",
    "サーバ",
    "事業所",
)

NO_PERSONS: Final = {
    "client": words_set("http api rest db sql redis web socket grpc async test mail smtp oauth s3 sync base"),
    "address": words_set("ip mac web network memory bus base socket server company office store shop warehouse email"),
    "contact": words_set("dry electric"),
    "sender": words_set("mail email message event http sms push"),
    "author": frozenset(),
    "owner": words_set("code"),
}
"""Words before others by which a class is about no person after all: `HttpClient`, `IpAddress`."""


PERSONAL_TYPES: Final = {
    **dict.fromkeys(("pydantic.EmailStr", "pydantic.NameEmail"), EMAIL),
    **dict.fromkeys(
        (
            "pydantic.IPvAnyAddress",
            "ipaddress.IPv4Address",
            "ipaddress.IPv6Address",
        ),
        NETWORK,
    ),
    **dict.fromkeys(
        (
            *(
                "pydantic_extra_types.phone_numbers.PhoneNumber",
                "pydantic_extra_types.phone_numbers.PhoneNumberValidator",
            ),
            *("phonenumbers.PhoneNumber", "phonenumbers.phonenumber.PhoneNumber"),
        ),
        PHONE,
    ),
    **dict.fromkeys(
        (
            "pydantic_extra_types.payment.PaymentCardNumber",
            "pydantic.PaymentCardNumber",
        ),
        PAYMENT,
    ),
}
"""Types whose values are personal, whatever the field is called."""
