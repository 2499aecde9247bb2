from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling_axk1.data.document import Document, run_steps
from modeling_axk1.data.personal import checks
from modeling_axk1.data.steps.pii import KINDS, find, pii, rules
from tests.data.planted_pii import planted

KEY = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn\n" * 3 + "-----END RSA PRIVATE KEY-----"


def replaced(text: str, language: str = "en") -> str:
    outcome = run_steps([pii()], Document(text, language, "source", "1", "file", "MIT"))
    assert isinstance(outcome, Document)
    return outcome.text


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "en",
            "Mail kim@corp.co.kr or Kim@Corp.co.kr, not lee@corp.co.kr",
            "Mail <EMAIL_1> or <EMAIL_1>, not <EMAIL_2>",
        ),
        ("en", "kim (at) corp (dot) co (dot) kr", "<EMAIL_1>"),
        ("en", "user@example.com git@github.com a@b.local getty@tty1.service x@2x.png", None),
        (
            "ko",
            "전화는 010-2345-6789, 010 2345 6789, (02) 345-6789입니다",
            "전화는 <PHONE_1>, <PHONE_1>, <PHONE_2>입니다",
        ),
        ("ko", "고객센터 1588-1234, 2023-10-12, 제1234-5678호", None),
        ("ja", "電話０３－３４５６－７８９１まで", "電話<PHONE_1>まで"),
        ("ja", "コンピューター 2024-01-02", None),
        ("zh", "手机13812345678，座机010-62345678。", "手机<PHONE_1>，座机<PHONE_2>。"),
        ("es", "Llame al 612 345 678 o al +34 91 234 56 78.", "Llame al <PHONE_1> o al <PHONE_2>."),
        ("es", "población: 612345678 habitantes", None),
        ("en", "Call (212) 736-5000; films say 212-555-0123.", "Call <PHONE_1>; films say 212-555-0123."),
        ("code", "x = 212-736-5000", None),
        ("ko", "주민등록번호 800101-1234561은, 800101-1234560은", "주민등록번호 800101-1234561은, <NATIONAL_ID_1>은"),
        ("en", "4111 1111 1111 1111 and 4111 1111 1111 1112", "<CARD_1> and 4111 1111 1111 1112"),
        ("en", "ISBN 978-3-16-148410-0", None),
        ("en", "GB82 WEST 1234 5698 7654 32", "<IBAN_1>"),
        ("en", "GB83 WEST 1234 5698 7654 32", None),
        ("en", "ping 203.245.44.98, 127.0.0.1 and 192.0.2.1", "ping <IP_1>, 127.0.0.1 and 192.0.2.1"),
        ("en", "version 4.57.14.4, OID 1.3.6.1.4.1.311, mask 255.255.255.0, 8.8.8.8", None),
        ("en", "2a02:1234::5678 and 2001:db8::1", "<IP_1> and 2001:db8::1"),
        ("code", f"key = '''{KEY}'''", "key = '''<PRIVATE_KEY_1>'''"),
        ("code", 'api_key = "9fK2mX7qLp4vR8wT1zBn"', 'api_key = "<SECRET_1>"'),
        ("code", 'api_key = "your-api-key-1234"', None),
        ("code", 'token = "left_parenthesis_2"', None),
        ("code", "postgres://app:9fK2mX7qLp@db.corp.kr/x", "postgres://app:<SECRET_1>@db.corp.kr/x"),
        ("en", "AKIAIOSFODNN7EXAMPLE", None),
        ("es", "DNI 12345678Z, no 12345678A", "DNI <NATIONAL_ID_1>, no 12345678A"),
    ],
)
def test_what_is_replaced_and_what_stays(language, text, expected):
    assert replaced(text, language) == (text if expected is None else expected)


@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        ("801301123456", False),  # no thirteenth month
        ("210101323456", None),  # after October 2020 there is no check digit
        ("800101123456", True),
        ("800101523456", True),  # a foreigner's
    ],
)
def test_resident_numbers_are_judged_by_date_and_check_digit(body, verdict):
    judged = [checks.resident_number(body + str(last)) for last in range(10)]
    others = {True: False, None: None, False: False}[verdict]
    assert judged.count(True) == (0 if verdict is False else 1)
    assert [one for one in judged if one is not True] == [others] * judged.count(others)


@pytest.mark.parametrize(
    ("number", "right"), [("4111111111111111", True), ("4111111111111112", False), ("0" * 16, False)]
)
def test_cards_are_judged_by_network_and_luhn(number, right):
    assert checks.card_number(number) is right


@pytest.mark.parametrize(("number", "right"), [("11010519491231002X", True), ("110105194912310021", False)])
def test_chinese_identity_numbers_are_judged_by_their_check_digit(number, right):
    assert checks.chinese_identity_number(number) is right


@pytest.mark.parametrize(("number", "right"), [("123456789018", True), ("123456789012", False)])
def test_individual_numbers_are_judged_by_their_check_digit(number, right):
    assert checks.my_number(number) is right
    said = replaced(f"マイナンバーは{number}です", "ja")
    assert said == ("マイナンバーは<NATIONAL_ID_1>です" if right else f"マイナンバーは{number}です")
    assert replaced(f"値は{number}です", "ja") == f"値は{number}です"


def test_planted_values_are_found_and_little_else():
    lines = planted(seed=3, per_kind=40)
    hits = misses = vain = 0
    for line in lines:
        found = [(line.text[one.start : one.end], one.kind) for one in find(line.text, line.language)]
        right = line.kind and any(value in line.value and line.value.endswith(value) for value, _ in found)
        hits += bool(right)
        misses += line.kind is not None and not right
        vain += len(found) - bool(right)
    assert hits / (hits + misses) >= 0.99
    assert hits / (hits + vain) >= 0.99


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_planted_somewhere(kind):
    assert any(line.kind == kind for line in planted(seed=1, per_kind=14))


@given(
    st.lists(st.sampled_from([line.text for line in planted(1, 6)]), max_size=6), st.sampled_from(["ko", "es", "code"])
)
def test_doing_it_twice_changes_nothing(lines, language):
    once = replaced("\n".join(lines), language)
    assert replaced(once, language) == once


@given(st.text(), st.sampled_from(["ko", "ja", "zh", "es", "en", "code"]))
def test_any_text_is_searched_and_finds_lie_in_order(text, language):
    found = find(text, language)
    assert all(0 <= one.start < one.end <= len(text) for one in found)
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_replacements_are_counted_by_kind():
    step = pii()
    run_steps([step], Document("kim@corp.kr kim@corp.kr 203.245.44.98", "en", "s", "1", "f", "MIT"))
    assert step.counts == {"email": 2, "ip": 1}


def test_the_table_of_kinds_is_what_is_replaced():
    assert [row["placeholder"] for row in rules()] == [f"<{kind.upper()}_1>" for kind in KINDS]
