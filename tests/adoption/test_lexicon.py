"""Names that indicate personal data, in English and Japanese."""

import pytest

from purposeguard.adoption.lexicon import (
    ADDRESS,
    ALWAYS_PERSONAL,
    EMAIL,
    NAME,
    PERSONAL_OF_PEOPLE,
    PHONE,
    FieldDescription,
    find_kinds,
    find_meaning,
    find_personal_fields,
    find_topic,
    split_name,
)

PERSONAL_ANYWHERE = """
eMail emailAddress EMAIL user_email customerEmail contact_email email2 email_1 emails backup_email
private_email_address phoneNumber mobileNumber firstName given_name_kana customer_name recipientName
patient_full_name birthDate driversLicenseNumber billingAddress ipAddress source_ip email_ja phone_raw 顧客氏名
自宅住所 携帯電話番号 連絡先電話番号 お客様メールアドレス ＩＰアドレス 電話番号1
"""

NOT_PERSONAL = """
id key number plan product_name file_name host_name table_name class_name event_name shop_name email_template
email_subject email_verified email_sent_at email_count emails_sent has_email is_email send_email email_enabled
email_backend phone_model phone_os phone_verified name_length address_id address_type address_space age_limit
max_age min_age gender_ratio support_email noreply_email default_from_email server_ip listen_ip bind_address
web_address font_family_name birth_rate message package village average stage telegram hotel total element
sexagesimal tablet image passport_photo_count mailing mailbox mailer shipped skip tip script description
zip_file ipsum multiple recipe grip lead_time contact_id user_id customer_id owner_id user_group customer_type
title status text notes created_at updated_at phone_id gendered
商品名 価格 数量 更新日 メール件名 メールアドレス確認済み 住所録 電話帳 会社住所
本社電話番号 店舗住所 製品名 性別比 年齢制限 氏名変更日 サポートメールアドレス 契約番号 顧客番号 備考 題名
"""


@pytest.mark.parametrize("name", PERSONAL_ANYWHERE.split())
def test_names_that_are_personal_in_any_class(name):
    meaning = find_meaning(name)
    assert meaning is not None
    assert meaning.always


@pytest.mark.parametrize("name", NOT_PERSONAL.split())
def test_names_that_are_not_personal(name):
    assert find_meaning(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("billingEMail_1", ["billing", "e", "mail"]),
        ("IPAddress", ["ip", "address"]),
        ("date-of-birth", ["date", "of", "birth"]),
        ("HTTPServer2", ["http", "server"]),
        ("ｅｍａｉｌ", ["email"]),
        ("PrénomÉlève", ["prénom", "élève"]),
        ("顧客_email", ["顧客", "email"]),
        ("", []),
        ("__", []),
        ("_1", []),
    ],
)
def test_names_are_split_into_words(name, words):
    assert split_name(name) == words


PEOPLE = """
Customers EmployeeRecord PatientCreate NewCustomer CustomerRow UserIn UserOut UserInDB CustomerContact
UserProfile CustomerAccount LeadDTO ProspectSchema CustomerAddress 顧客 会員情報 申込者 利用者 従業員
"""

NOT_PEOPLE = """
Product Order Category Plan File Event UserGroup CustomerSegment UserRole MemberPlan EmployeeType Profile
Account HttpClient ApiClient IpAddress MacAddress WebAddress EmailSender Company Store Report Page Table
Column Recipient 商品 会社 店舗 契約
"""


@pytest.mark.parametrize("name", PEOPLE.split())
def test_classes_about_people(name):
    assert find_topic(name).people


@pytest.mark.parametrize("name", NOT_PEOPLE.split())
def test_classes_about_something_else(name):
    assert not find_topic(name).people


@pytest.mark.parametrize(
    "name", ["MailConfig", "Settings", "UserStats", "EmailTemplate", "SmtpServer", "ColumnHeaders"]
)
def test_classes_of_configuration(name):
    assert find_topic(name).configuration


@pytest.mark.parametrize("name", ["UserSettings", "CustomerOptions"])
def test_settings_of_a_person_are_no_configuration(name):
    assert not find_topic(name).configuration


@pytest.mark.parametrize("name", ["Company", "StoreRow", "Supplier", "Hotel", "取引先", "支店"])
def test_classes_about_organizations(name):
    assert find_topic(name).organization


def test_each_phrase_means_what_its_table_says_and_is_in_one_table_only():
    always, of_people = (
        {word for text in table.values() for word in text.split()} for table in (ALWAYS_PERSONAL, PERSONAL_OF_PEOPLE)
    )
    assert not always & of_people
    meanings = {word: find_meaning(word) for word in always | of_people}
    assert {word for word, meaning in meanings.items() if meaning and meaning.always} == always
    assert {
        word for word, meaning in meanings.items() if meaning and not (meaning.always or meaning.implies_person)
    } == of_people


CLASSES = [
    ("Customer", "id name email phone plan", "name email phone"),
    ("Product", "name age title product_name", ""),
    ("UserGroup", "name", ""),
    ("Company", "name phone address postal_code", ""),
    (
        "Order",
        "number customer_name shipping_address recipient_name total",
        "customer_name shipping_address recipient_name",
    ),
    ("Signup", "email name nickname", "email name nickname"),
    ("Ticket", "support_email noreply_email", ""),
    ("Visit", "ip user_agent page", "ip user_agent"),
    ("Page", "user_agent path", ""),
    ("MailConfig", "default_from_email email server_ip", ""),
    ("申込", "お名前 郵便番号 携帯電話 数量", "お名前 郵便番号 携帯電話"),
    ("商品", "商品名 名前 価格 メール件名", ""),
    ("会社", "会社名 本社住所 代表電話番号", ""),
]
"""The name of a class, its fields, and those that look personal."""


@pytest.mark.parametrize(("class_name", "fields", "personal"), CLASSES)
def test_fields_are_read_beside_each_other_and_in_their_class(class_name, fields, personal):
    found = find_personal_fields(class_name, [FieldDescription(name) for name in fields.split()])
    assert list(found) == personal.split()


def test_types_and_labels_of_fields_count():
    fields = [
        FieldDescription("to", type_name="pydantic.EmailStr"),
        FieldDescription("server", type_name="ipaddress.IPv4Address"),
        FieldDescription("phone", "other"),
        FieldDescription("birthday", "date"),
        FieldDescription("field_7", labels=("E-mail address",)),
        FieldDescription("text", "text"),
    ]
    found = find_personal_fields("Message", fields)
    assert {name: field.reason for name, field in found.items()} == {
        "to": "its type `EmailStr` indicates an e-mail address",
        "birthday": "its name indicates a date of birth",
        "field_7": "its name indicates an e-mail address",
    }


def test_a_reason_says_what_makes_a_name_personal():
    fields = [FieldDescription("email"), FieldDescription("name")]
    reasons = {name: find_personal_fields(name, fields)["name"].reason for name in ("Customer", "Signup")}
    assert reasons == {
        "Customer": "its name indicates the name of a person, in a class about people",
        "Signup": "its name indicates the name of a person, beside fields that are personal",
    }


@pytest.mark.parametrize(
    "title",
    [
        "Name, e-mail, telephone and address",
        "氏名・メールアドレス・電話番号・住所",
        "Names, phones, e-mail addresses, address",
    ],
)
def test_titles_name_kinds_of_data(title):
    assert find_kinds(title) == {NAME, EMAIL, PHONE, ADDRESS}


def test_a_title_may_name_no_kind():
    assert find_kinds("What was typed into forms") == frozenset()
