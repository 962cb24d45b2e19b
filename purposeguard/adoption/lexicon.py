"""Recognize names of personal data, in English and Japanese.

A name is split into words and read from its end, because the last word says what a thing is: `customer_email` is an
e-mail address, `email_template` is a template. Some words are personal in any class. Others are personal only in a
class about people: the `name` of a product is no personal data.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

ValueType = Literal["text", "number", "date", "choice", "other"]
"""The type of the values of a field. `other` fits no name of personal data: a flag, a model, a function."""

_JAPANESE: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_LETTERS: Final = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True, slots=True)
class DataKind:
    """A kind of personal data, and the types of values that fit it."""

    description: str
    value_types: frozenset[ValueType] = frozenset({"text"})


def split_words(text: str) -> frozenset[str]:
    """Return the words of a text with blanks between them."""
    return frozenset(text.split())


EMAIL: Final = DataKind("an e-mail address")
PHONE: Final = DataKind("a phone number", frozenset({"text", "number"}))
NAME: Final = DataKind("the name of a person")
BIRTH: Final = DataKind("a date of birth", frozenset({"text", "date", "number"}))
GENDER: Final = DataKind("a gender", frozenset({"text", "number", "date", "choice"}))
IDENTITY: Final = DataKind("a number that identifies a person", frozenset({"text", "number"}))
PAYMENT: Final = DataKind("a means of payment", frozenset({"text", "number"}))
ADDRESS: Final = DataKind("an address")
POSTCODE: Final = DataKind("a part of an address", frozenset({"text", "number"}))
NETWORK: Final = DataKind("an IP address")
SENSITIVE: Final = DataKind("sensitive of a person", frozenset({"text", "choice"}))
WORK: Final = DataKind("the work of a person", frozenset({"text", "choice"}))
AGE: Final = DataKind("an age", frozenset({"text", "number"}))
TERMINAL: Final = DataKind("a terminal of a person")
PLACE: Final = DataKind("where a person is", frozenset({"text", "number", "date", "choice"}))
MONEY: Final = DataKind("the means of a person", frozenset({"text", "number"}))
LOOKS: Final = DataKind("a likeness of a person")

ALWAYS_PERSONAL: Final = {
    EMAIL: "email e_mail email_address e_mail_address mail_address emailaddress メールアドレス Eメール 電子メール "
    "メアド",
    PHONE: "phone telephone tel phone_number telephone_number tel_no telno phonenumber mobile_phone mobile_number "
    "cell_phone cellphone phone_no msisdn fax_number landline home_phone work_phone "
    "電話 電話番号 携帯電話 携帯番号 FAX番号",
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
"""Phrases that are personal in any class."""

PERSONAL_OF_PEOPLE: Final = {
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
"""Phrases that are personal in a class about people."""

_WHOLE_NAMES: Final = split_words("電話 メール 会社 写真 名前 携帯 姓 名")
"""Japanese words that are personal only as a whole name: `会社写真` is no picture of a person."""

_KIND_IF_ALWAYS: Final = {word: kind for kind, text in ALWAYS_PERSONAL.items() for word in text.split()}
_KIND_IF_OF_PEOPLE: Final = {word: kind for kind, text in PERSONAL_OF_PEOPLE.items() for word in text.split()}

_LONGEST_PHRASE: Final = max(phrase.count("_") + 1 for phrase in (*_KIND_IF_ALWAYS, *_KIND_IF_OF_PEOPLE))
"""The number of words of the longest phrase."""

_KINDS_BESIDE_PERSONAL: Final = frozenset({NAME, ADDRESS, AGE, POSTCODE})
_PHRASES_BESIDE_PERSONAL: Final = split_words("company company_name mail mobile employer job job_title")
"""Kinds and phrases that are personal beside data that is always personal, whatever the class is called."""

_TRACES: Final = frozenset({TERMINAL, PLACE, LOOKS, MONEY})
"""Kinds that are personal beside an IP address."""

_KINDS_WITHOUT_PERSON: Final = frozenset({POSTCODE, NETWORK})
"""Kinds that are always personal and still do not show that the class is about a person."""

_PERSONS: Final = split_words(
    "customer user person people member employee patient student teacher contact subscriber lead prospect applicant "
    "candidate guest visitor buyer purchaser attendee participant respondent donor volunteer passenger resident "
    "citizen insured beneficiary cardholder staff author owner sender consumer shopper client individual doctor "
    "nurse pupil spouse claimant address maintainer"
)
"""Last words of the names of classes about people."""

_QUALIFIERS: Final = _PERSONS - {"address", "client"} | split_words(
    "recipient holder father mother guardian emergency consignee billing shipping delivery home private personal"
)
_QUALIFIED: Final = split_words("name full_name address addr age photo mail mobile")
"""`recipient_name`: a phrase that is personal in any class behind one of the qualifiers."""

_IGNORED_CLASS_ENDINGS: Final = split_words(
    "row model dto schema in out create update patch read base request response form data record entity info input "
    "output payload view public private orm table details detail dict new item summary internal db full plain card "
    "entry line list page result draft registration signup application"
)
"""Words at the end of a class name that do not say what it is about."""

_CONFIGURATION: Final = split_words(
    "settings setting config configuration conf options option credentials smtp mailer server template templates "
    "column columns header headers validator parser rule rules regex pattern flags permission permissions labels "
    "translations messages strings texts stats statistics count counts metrics metric counter counters gateway backend "
    "driver adapter interface font instance machine vm container pod peer vpc balancer nameserver broker lease subnet "
    "network host node router cluster socket endpoint proxy dns firewall"
)
"""Words in the names of classes that configure, count or show something. None of their fields is about a person."""

_PERSONAL_CONFIGURATION: Final = split_words("settings setting options option")
"""Words of configuration that may belong to a person: `UserSettings`."""

_ORGANIZATIONS: Final = split_words(
    "company companies organization organisation shop store supplier vendor brand branch office hotel restaurant "
    "product warehouse school hospital bank department site venue institution agency factory facility airport station "
    "place poi"
)
"""Last words of the names of classes about organizations, which may have an address and a telephone."""

_KINDS_OF_ORGANIZATIONS: Final = frozenset({EMAIL, PHONE, ADDRESS, POSTCODE, PAYMENT, AGE, PLACE, WORK})

_IMPERSONAL_PREFIXES: Final = {
    EMAIL: split_words(
        "support noreply reply from default system smtp server bounce webmaster postmaster helpdesk shop store service "
        "sales info company office enable disable send test"
    ),
    PHONE: split_words("support hotline helpdesk service shop store sales company"),
    NETWORK: split_words(
        "server host domain listen bind gateway dns node pod cluster public private elastic lb nat target dest dst "
        "router vip broker db upstream local service master allowed blocked interface network subnet"
    ),
    NAME: split_words("font type css"),
    ADDRESS: split_words("company office store shop"),
    POSTCODE: split_words("company office store shop"),
}
"""Words before data of a kind that make it nobody's: `support_email`, `server_ip`."""

_FLAG_PREFIXES: Final = split_words(
    "is has have can should allow enable show hide use verify require requires needs include no with send without max "
    "min total num count"
)
"""First words of fields that are a flag, or a number of something."""

_IGNORED_FIELD_ENDINGS: Final = split_words(
    "str text value raw plain old new current previous original primary secondary main en ja jp kana kanji full "
    "encrypted hashed hash sha md"
)
"""Last words that do not change what a field is."""

_IMPERSONAL_CLASS_PREFIXES: Final = {
    "client": split_words("http api rest db sql redis web socket grpc async test mail smtp oauth s3 sync base"),
    "address": split_words(
        "ip mac web network memory bus base socket server company office store shop warehouse email"
    ),
    "contact": split_words("dry electric"),
    "sender": split_words("mail email message event http sms push"),
    "owner": split_words("code"),
}
"""Words before the last word of a class name that make it about no person: `HttpClient`, `IpAddress`."""

_JAPANESE_PERSONS: Final = split_words(
    "顧客 お客様 利用者 会員 社員 従業員 患者 学生 生徒 申込者 応募者 見込み客 見込客 個人"
    " 担当者 ユーザ メンバー 保護者 購入者 受講者 契約者 名簿 連絡先 職員 被保険者 参加者"
)
_JAPANESE_ORGANIZATIONS: Final = split_words("会社 企業 法人 店舗 支店 取引先 仕入先 商品 製品 施設 学校 病院 倉庫")
_JAPANESE_IMPERSONAL: Final = split_words("会社 本社 店舗 支店 商品 製品 法人 代表 サポート 送信元 サーバ 事業所")

KINDS_OF_TYPES: Final = {
    **dict.fromkeys(
        (
            "pydantic.EmailStr",
            "pydantic.networks.EmailStr",
            "pydantic.NameEmail",
            "pydantic.networks.NameEmail",
            "django.db.models.fields.EmailField",
            "sqlalchemy_utils.types.email.EmailType",
        ),
        EMAIL,
    ),
    **dict.fromkeys(
        (
            "pydantic.IPvAnyAddress",
            "pydantic.networks.IPvAnyAddress",
            "ipaddress.IPv4Address",
            "ipaddress.IPv6Address",
            "django.db.models.fields.GenericIPAddressField",
            "sqlalchemy.dialects.postgresql.types.INET",
            "sqlalchemy_utils.types.ip_address.IPAddressType",
        ),
        NETWORK,
    ),
    **dict.fromkeys(
        (
            "pydantic_extra_types.phone_numbers.PhoneNumber",
            "phonenumbers.PhoneNumber",
            "phonenumber_field.modelfields.PhoneNumberField",
            "sqlalchemy_utils.types.phone_number.PhoneNumberType",
        ),
        PHONE,
    ),
    "pydantic_extra_types.payment.PaymentCardNumber": PAYMENT,
}
"""Types whose values are personal, whatever the field is called."""


@dataclass(frozen=True, slots=True)
class ClassTopic:
    """The topic of a class or table, by its name. For most classes, none of these is true."""

    people: bool = False
    organization: bool = False
    configuration: bool = False


@dataclass(frozen=True, slots=True)
class NameMeaning:
    """The kind of data that the name of a field indicates, and the classes in which it does so."""

    kind: DataKind
    always: bool
    """Personal in any class. If false, personal in a class about people."""
    beside_personal: bool = False
    """Personal also beside fields that are always personal."""
    implies_person: bool = False
    """Shows that the class is about a person. The e-mail address of a package's author does not."""


@dataclass(frozen=True, slots=True)
class FieldDescription:
    """A field or column, as a scan sees it."""

    name: str
    value_type: ValueType | None = None
    """None if it is not known; then it fits every kind."""
    type_name: str = ""
    """The dotted name of its type: `pydantic.EmailStr`."""
    labels: tuple[str, ...] = ()
    """Further names: an alias, the name of the column, a title."""


@dataclass(frozen=True, slots=True)
class PersonalField:
    """A field that looks personal, and the reason."""

    kind: DataKind
    reason: str


def split_name(name: str) -> list[str]:
    """Return the words of a name, in lower case and without digits: `billingEMail_1` → billing, e, mail."""
    words: list[str] = []
    for letters in _LETTERS.findall(unicodedata.normalize("NFKC", name)):
        start = 0
        for index in range(1, len(letters)):
            next_is_lower = letters[index + 1 : index + 2].islower()
            if letters[index].isupper() and (letters[index - 1].islower() or next_is_lower):
                words.append(letters[start:index].lower())
                start = index
        words.append(letters[start:].lower())
    return words


def find_topic(class_name: str) -> ClassTopic:
    """Return what a class or table is about."""
    name = unicodedata.normalize("NFKC", class_name)
    if contains_japanese(name):
        return ClassTopic(_contains_any(name, _JAPANESE_PERSONS), _contains_any(name, _JAPANESE_ORGANIZATIONS))
    words = split_name(name)
    configuration = _CONFIGURATION.intersection(words)
    if configuration <= _PERSONAL_CONFIGURATION and any(make_singular(word) in _PERSONS for word in words):
        configuration = frozenset()
    while len(words) > 1 and words[-1] in _IGNORED_CLASS_ENDINGS:
        words.pop()
    last = make_singular(words[-1]) if words else ""
    before = {make_singular(word) for word in words[:-1]}
    people = last in _PERSONS and not before & _IMPERSONAL_CLASS_PREFIXES.get(last, frozenset())
    people = people or (last in ("profile", "account") and bool(before & _PERSONS))
    return ClassTopic(people and not configuration, last in _ORGANIZATIONS, bool(configuration))


def find_meaning(name: str) -> NameMeaning | None:
    """Return the meaning of a field's name, or None if it indicates no personal data."""
    plain = unicodedata.normalize("NFKC", name).strip("_")
    if contains_japanese(plain):
        return _find_japanese_meaning(re.sub(r"[0-9_]+$", "", plain))
    words = split_name(plain)
    if not words or words[0] in _FLAG_PREFIXES:
        return None
    while len(words) > 1 and words[-1] in _IGNORED_FIELD_ENDINGS:
        words.pop()
    for length in range(min(_LONGEST_PHRASE, len(words)), 0, -1):
        before = words[:-length]
        for phrase in _spell_phrase(words[-length:]):
            if phrase in _KIND_IF_ALWAYS:
                return _find_meaning_in_any_class(_KIND_IF_ALWAYS[phrase], before)
            if phrase in _KIND_IF_OF_PEOPLE:
                return _find_meaning_for_people(phrase, before)
    return None


def find_kinds(title: str) -> frozenset[DataKind]:
    """Return the kinds of data that a title names: "Name, e-mail and telephone" names three."""
    kinds = {**_KIND_IF_OF_PEOPLE, **_KIND_IF_ALWAYS}
    plain = unicodedata.normalize("NFKC", title)
    found = {
        kind for phrase, kind in kinds.items() if len(phrase) > 1 and contains_japanese(phrase) and phrase in plain
    }
    words = split_name(plain)
    for start in range(len(words)):
        for length in range(1, _LONGEST_PHRASE + 1):
            found.update(kinds[phrase] for phrase in _spell_phrase(words[start : start + length]) if phrase in kinds)
    return frozenset(found)


@functools.cache
def list_words_of(kind: DataKind) -> frozenset[str]:
    """Return the words in the phrases that indicate a kind of data."""
    words: set[str] = set()
    for table in (ALWAYS_PERSONAL, PERSONAL_OF_PEOPLE):
        for phrase in table.get(kind, "").split():
            words.update(phrase.split("_"))
    return frozenset(words)


def find_personal_fields(class_name: str, fields: Sequence[FieldDescription]) -> dict[str, PersonalField]:
    """Return the fields of a class or table that look personal, by their names.

    Args:
        class_name: The name of the class or table, which says whether it is about people.
        fields: All its fields, inherited ones included, because fields are read beside each other.
    """
    topic = find_topic(class_name)
    if topic.configuration:
        return {}
    kinds_by_type = {field.name: kind for field in fields if (kind := _find_kind_of_type(field)) is not None}
    meanings = {field.name: meaning for field in fields if (meaning := _find_fitting_meaning(field)) is not None}
    about_person = any(
        meaning.implies_person and not _belongs_to_organization(meaning.kind, topic) for meaning in meanings.values()
    )
    has_address = any(meaning.kind is NETWORK for meaning in meanings.values())
    personal: dict[str, PersonalField] = {}
    for field in fields:
        if field.name in kinds_by_type:
            kind = kinds_by_type[field.name]
            reason = f"its type `{field.type_name.rpartition('.')[2]}` indicates {kind.description}"
            personal[field.name] = PersonalField(kind, reason)
        elif field.name in meanings:
            meaning = meanings[field.name]
            context = _find_context(meaning, topic, about_person=about_person, has_address=has_address)
            if context is not None:
                reason = f"its name indicates {meaning.kind.description}{context}"
                personal[field.name] = PersonalField(meaning.kind, reason)
    return personal


def contains_japanese(text: str) -> bool:
    """Return True if a text contains a letter that Japanese is written with."""
    return _JAPANESE.search(text) is not None


def make_singular(word: str) -> str:
    """Return an English word in the singular, if it looks like a plural."""
    if word.endswith("sses"):
        return word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _contains_any(text: str, words: Iterable[str]) -> bool:
    return any(word in text for word in words)


def _spell_phrase(words: Sequence[str]) -> tuple[str, str]:
    """Return a phrase as the tables spell it, as it is and in the singular."""
    return "_".join(words), "_".join([*words[:-1], *map(make_singular, words[-1:])])


def _find_meaning_in_any_class(kind: DataKind, before: Sequence[str]) -> NameMeaning | None:
    if _IMPERSONAL_PREFIXES.get(kind, frozenset()).intersection(before):
        return None
    implies_person = kind not in _KINDS_WITHOUT_PERSON and not _PERSONS.intersection(before)
    return NameMeaning(kind, always=True, implies_person=implies_person)


def _find_meaning_for_people(phrase: str, before: Sequence[str]) -> NameMeaning | None:
    kind = _KIND_IF_OF_PEOPLE[phrase]
    if not before:
        beside = kind in _KINDS_BESIDE_PERSONAL or phrase in _PHRASES_BESIDE_PERSONAL
        return NameMeaning(kind, always=False, beside_personal=beside)
    if before[-1] in _QUALIFIERS and phrase in _QUALIFIED:
        return NameMeaning(kind, always=True)
    return NameMeaning(kind, always=False) if kind in (WORK, LOOKS) and before[-1] in _PERSONS else None


def _find_japanese_meaning(name: str) -> NameMeaning | None:
    """Return the meaning of the longest word at the end of a name. Words that are always personal come first."""
    for table in (_KIND_IF_ALWAYS, _KIND_IF_OF_PEOPLE):
        endings = [word for word in table if contains_japanese(word) and _ends_in(name, word)]
        if endings:
            word = max(endings, key=len)
            if _contains_any(name.removesuffix(word), _JAPANESE_IMPERSONAL):
                return None
            always = table is _KIND_IF_ALWAYS
            implies_person = always and table[word] not in _KINDS_WITHOUT_PERSON
            return NameMeaning(table[word], always, beside_personal=not always, implies_person=implies_person)
    return None


def _ends_in(name: str, word: str) -> bool:
    return name == word or (name.endswith(word) and word not in _WHOLE_NAMES)


def _find_kind_of_type(field: FieldDescription) -> DataKind | None:
    kind = KINDS_OF_TYPES.get(field.type_name)
    if kind is None or _IMPERSONAL_PREFIXES.get(kind, frozenset()).intersection(split_name(field.name)):
        return None
    return kind


def _find_fitting_meaning(field: FieldDescription) -> NameMeaning | None:
    """Return the meaning of a field's name, or of the first of its labels that has one, if the type fits."""
    for name in (field.name, *field.labels):
        meaning = find_meaning(name)
        if meaning is not None:
            fits = field.value_type is None or field.value_type in meaning.kind.value_types
            return meaning if fits else None
    return None


def _belongs_to_organization(kind: DataKind, topic: ClassTopic) -> bool:
    return topic.organization and not topic.people and kind in _KINDS_OF_ORGANIZATIONS


def _find_context(meaning: NameMeaning, topic: ClassTopic, *, about_person: bool, has_address: bool) -> str | None:
    """Return what makes a field personal beside its name, or None if it is not personal in this class."""
    if _belongs_to_organization(meaning.kind, topic):
        return None
    if meaning.always:
        return ""
    if topic.people:
        return ", in a class about people"
    beside_personal = about_person and meaning.beside_personal
    if not topic.organization and (beside_personal or (has_address and meaning.kind in _TRACES)):
        return ", beside fields that are personal"
    return None
