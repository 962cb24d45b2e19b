"""What names say of a person, in English and Japanese."""

import pytest

from purposeguard.adoption.lexicon import DIRECT_WORDS, WORDS_OF_PEOPLE, reading_of, subject_of, words_of

DIRECTLY = """
eMail emailAddress EMAIL user_email customerEmail contact_email email2 email_1 emails backup_email
private_email_address phoneNumber mobileNumber firstName given_name_kana customer_name recipientName
patient_full_name birthDate driversLicenseNumber billingAddress ipAddress source_ip email_ja phone_raw 顧客氏名
自宅住所 携帯電話番号 連絡先電話番号 お客様メールアドレス ＩＰアドレス 電話番号1
"""

NEITHER = """
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


@pytest.mark.parametrize("name", DIRECTLY.split())
def test_personal_wherever_it_stands(name):
    found = reading_of(name)
    assert found is not None
    assert found.direct


@pytest.mark.parametrize("name", NEITHER.split())
def test_not_personal(name):
    assert reading_of(name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("billingEMail_1", ["billing", "e", "mail"]),
        ("IPAddress", ["ip", "address"]),
        ("date-of-birth", ["date", "of", "birth"]),
        ("HTTPServer2", ["http", "server"]),
        ("ｅｍａｉｌ", ["email"]),
        ("", []),
        ("__", []),
        ("_1", []),
    ],
)
def test_words(name, words):
    assert words_of(name) == words


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
    assert subject_of(name).person


@pytest.mark.parametrize("name", NOT_PEOPLE.split())
def test_classes_that_are_not(name):
    assert not subject_of(name).person


@pytest.mark.parametrize(
    "name", ["MailConfig", "Settings", "UserStats", "EmailTemplate", "SmtpServer", "ColumnHeaders"]
)
def test_classes_of_how_something_is_set_up(name):
    assert subject_of(name).thing


@pytest.mark.parametrize("name", ["UserSettings", "CustomerOptions"])
def test_settings_of_somebody(name):
    assert not subject_of(name).thing


@pytest.mark.parametrize("name", ["Company", "StoreRow", "Supplier", "Hotel", "取引先", "支店"])
def test_classes_of_bodies(name):
    assert subject_of(name).body


def test_each_word_reads_as_its_table_says_and_is_in_one_table_only():
    direct, of_people = (
        {word for text in table.values() for word in text.split()} for table in (DIRECT_WORDS, WORDS_OF_PEOPLE)
    )
    assert not direct & of_people
    readings = {word: reading_of(word) for word in direct | of_people}
    assert {word for word, reading in readings.items() if reading and reading.direct} == direct
    assert {
        word for word, reading in readings.items() if reading and not (reading.direct or reading.tells)
    } == of_people
