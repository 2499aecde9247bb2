"""Text with personal data planted in it, and with what only looks like it; the same for the same seed.

Every value is made by its register's own rules (check digits, ranges, groups), none is copied from anywhere.
"""

import base64
import random
import string
from dataclasses import dataclass

LANGUAGES = ("ko", "ja", "zh", "es", "en")
# What stands around a value, {} being its place: with and without a word that says what it is.
SENTENCES = {
    "ko": [
        "문의: {}",
        "담당자 연락처는 {}입니다.",
        "자세한 내용은 {} 로 알려 주십시오.",
        "등록된 값({})을 확인한다.",
        "{}",
    ],
    "ja": [
        "お問い合わせ: {}",
        "担当者の連絡先は{}です。",
        "詳しくは {} までお知らせください。",
        "登録された値（{}）を確認する。",
        "{}",
    ],
    "zh": ["联系方式：{}", "负责人的联系方式是{}。", "詳情請洽 {} 。", "请确认登记的内容（{}）。", "{}"],
    "es": [
        "Contacto: {}",
        "El dato del responsable es {}.",
        "Escriba o llame a {} para saber más.",
        "El valor ({}) está registrado.",
        "{}",
    ],
    "en": [
        "Contact: {}",
        "The person in charge is at {}.",
        "Please use {} for details.",
        "The value ({}) is on file.",
        "{}",
    ],
}
# The same around what is no personal data.
HARMLESS = {
    "ko": ["버전 {} 에서 고쳤다.", "값은 {} 이다.", "참고: {}", "{}"],
    "ja": ["バージョン {} で修正された。", "値は {} である。", "参照: {}", "{}"],
    "zh": ["在版本 {} 中修复。", "该值为 {} 。", "参见：{}", "{}"],
    "es": ["Corregido en la versión {}.", "El valor es {}.", "Véase {}", "{}"],
    "en": ["Fixed in version {}.", "The value is {}.", "See {}", "{}"],
}
_RESIDENT = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_CHINESE = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


@dataclass(frozen=True)
class Planted:
    """A line of text in a language, and the value in it with its kind; None for what must stay."""

    language: str
    text: str
    value: str
    kind: str | None


def planted(seed: int, per_kind: int) -> list[Planted]:
    """Make `per_kind` lines for every kind and language that has it, and as many of every harmless kind."""
    rng = random.Random(seed)
    lines = []
    for language in LANGUAGES:
        for kind, makers in _personal(language).items():
            for number in range(per_kind):
                value = makers[number % len(makers)](rng)
                lines.append(Planted(language, rng.choice(SENTENCES[language]).format(value), value, kind))
        for make in _HARMLESS:
            for _ in range(max(1, per_kind // 4)):
                value = make(rng)
                lines.append(Planted(language, rng.choice(HARMLESS[language]).format(value), value, None))
    for number in range(per_kind * 2):
        text, value, kind = _code(rng, number)
        lines.append(Planted("code", text, value, kind))
    rng.shuffle(lines)
    return lines


def digits(rng: random.Random, count: int) -> str:
    """Random digits."""
    return "".join(rng.choice(string.digits) for _ in range(count))


def token(rng: random.Random, count: int, letters: str = string.ascii_letters + string.digits) -> str:
    """Random letters and digits."""
    return "".join(rng.choice(letters) for _ in range(count))


def _personal(language: str) -> dict:
    kinds = {
        "email": [email],
        "card": [card],
        "iban": [iban],
        "ip": [ipv4, ipv6],
        "secret": [aws, github, slack],
        "phone": _PHONES[language],
    }
    national = {"ko": [resident, foreigner, new_resident], "zh": [chinese_identity], "es": [dni, nie], "en": [ssn]}
    return kinds | ({"national_id": national[language]} if language in national else {})


def email(rng):
    user = rng.choice(["kim", "tanaka", "li.wei", "jose_garcia", "mary-ann", "j.smith"])
    return (
        f"{user}{rng.randint(1, 99)}@{rng.choice(['mail.co.kr', 'corp.co.jp', 'firma.es', 'gmail.com', 'uni.edu.cn'])}"
    )


def ipv4(rng):
    first = rng.choice([45, 61, 81, 121, 139, 177, 203, 211])
    return f"{first}.{rng.randint(32, 254)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


def ipv6(rng):
    groups = [rng.randint(1, 65535) for _ in range(3)]
    return f"{rng.choice(['2400', '2a02', '2607', '240e'])}:{groups[0]:x}:{groups[1]:x}::{groups[2]:x}"


def _luhn(body):
    total = 0
    for place, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def card(rng):
    number = _luhn(rng.choice(["4", "51", "55", "3530", "6011", "62"]).ljust(4, rng.choice("123")) + digits(rng, 11))
    parts = [number[place : place + 4] for place in range(0, 16, 4)]
    return rng.choice([" ", "-", ""]).join(parts)


def iban(rng):
    country, length = rng.choice([("ES", 20), ("DE", 18), ("FR", 23), ("GB", 0)])
    body = token(rng, 4, string.ascii_uppercase) + digits(rng, 14) if country == "GB" else digits(rng, length)
    check = 98 - int("".join(str(int(c, 36)) for c in body + country + "00")) % 97
    number = f"{country}{check:02d}{body}"
    return " ".join(number[place : place + 4] for place in range(0, len(number), 4)) if rng.random() < 0.5 else number


def _date(rng, first, last):
    return f"{rng.randint(first, last):04d}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}"


def _resident(rng, codes, extra, check=True, first=1930, last=2019):
    date = _date(rng, first, last)
    code = codes[0 if date < "2000" else 1][rng.randint(0, 1)]
    body = date[2:] + code + digits(rng, 5)
    total = sum(int(d) * w for d, w in zip(body, _RESIDENT, strict=True))
    last_digit = (11 - total % 11 + extra) % 10
    return body + (str(last_digit) if check else str((last_digit + 1) % 10))


def resident(rng):
    number = _resident(rng, ("12", "34"), 0)
    return number[:6] + rng.choice(["-", ""]) + number[6:]


def foreigner(rng):
    number = _resident(rng, ("56", "78"), 2)
    return number[:6] + rng.choice(["-", ""]) + number[6:]


def new_resident(rng):
    number = _resident(rng, ("12", "34"), 0, check=False, first=2021, last=2025)
    return f"{number[:6]}-{number[6:]}"


def chinese_identity(rng):
    body = rng.choice(["110105", "310115", "440106", "510104"]) + _date(rng, 1950, 2010) + digits(rng, 3)
    return body + "10X98765432"[sum(int(d) * w for d, w in zip(body, _CHINESE, strict=True)) % 11]


def dni(rng):
    number = rng.randint(10_000_000, 99_999_999)
    return f"{number}{rng.choice(['', '-'])}{'TRWAGMYFPDXBNJZSQVHLCKE'[number % 23]}"


def nie(rng):
    first, number = rng.randint(0, 2), rng.randint(1_000_000, 9_999_999)
    return f"{'XYZ'[first]}{number:07d}{'TRWAGMYFPDXBNJZSQVHLCKE'[(first * 10**7 + number) % 23]}"


def ssn(rng):
    return f"{rng.randint(1, 665):03d}-{rng.randint(1, 99):02d}-{rng.randint(1, 9999):04d}"


def aws(rng):
    return "AKIA" + token(rng, 16, string.ascii_uppercase + "234567")


def github(rng):
    return "ghp_" + token(rng, 36)


def slack(rng):
    return f"xoxb-{digits(rng, 12)}-{digits(rng, 12)}-{token(rng, 24)}"


_PHONES = {
    "ko": [
        lambda rng: f"010-{rng.randint(2000, 9999)}-{digits(rng, 4)}",
        lambda rng: f"02-{rng.randint(300, 999)}-{digits(rng, 4)}",
        lambda rng: f"(031) {rng.randint(200, 999)}-{digits(rng, 4)}",
        lambda rng: f"+82-10-{rng.randint(2000, 9999)}-{digits(rng, 4)}",
        lambda rng: f"010{rng.randint(2000, 9999)}{digits(rng, 4)}",
        lambda rng: f"+82 2 {rng.randint(300, 999)} {digits(rng, 4)}",
    ],
    "ja": [
        lambda rng: f"03-{rng.randint(3000, 6999)}-{digits(rng, 4)}",
        lambda rng: f"0{rng.choice('789')}0-{rng.randint(1000, 9999)}-{digits(rng, 4)}",
        lambda rng: f"+81-3-{rng.randint(3000, 6999)}-{digits(rng, 4)}",
        lambda rng: f"０３－{rng.randint(3000, 6999)}－{digits(rng, 4)}".translate(
            {48 + d: 0xFF10 + d for d in range(10)}
        ),
        lambda rng: f"06({rng.randint(6000, 6999)}){digits(rng, 4)}",
        lambda rng: f"090{digits(rng, 8)}",
    ],
    "zh": [
        lambda rng: f"1{rng.choice('3578')}{rng.randint(0, 9)}{digits(rng, 8)}",
        lambda rng: f"+86 1{rng.choice('3578')}{rng.randint(0, 9)} {digits(rng, 4)} {digits(rng, 4)}",
        lambda rng: f"010-{rng.randint(2, 8)}{digits(rng, 7)}",
        lambda rng: f"021-{rng.randint(2, 8)}{digits(rng, 7)}",
        lambda rng: f"09{digits(rng, 2)}-{digits(rng, 3)}-{digits(rng, 3)}",
        lambda rng: f"(02) {rng.randint(2000, 8999)}-{digits(rng, 4)}",
    ],
    "es": [
        lambda rng: f"+34 {rng.choice('679')}{digits(rng, 2)} {digits(rng, 3)} {digits(rng, 3)}",
        lambda rng: f"6{digits(rng, 2)} {digits(rng, 3)} {digits(rng, 3)}",
        lambda rng: f"91 {digits(rng, 3)} {digits(rng, 2)} {digits(rng, 2)}",
        lambda rng: f"+52 55 {digits(rng, 4)} {digits(rng, 4)}",
        lambda rng: f"teléfono 6{digits(rng, 8)}",
        lambda rng: f"9{rng.choice('345678')}{rng.randint(0, 9)} {digits(rng, 2)} {digits(rng, 2)} {digits(rng, 2)}",
    ],
    "en": [
        lambda rng: f"({rng.randint(201, 989)}) {rng.randint(600, 989)}-{digits(rng, 4)}",
        lambda rng: f"{rng.randint(201, 989)}-{rng.randint(600, 989)}-{digits(rng, 4)}",
        lambda rng: f"+1 {rng.randint(201, 989)} {rng.randint(600, 989)} {digits(rng, 4)}",
        lambda rng: f"+44 20 {rng.randint(7000, 8999)} {digits(rng, 4)}",
        lambda rng: f"020 {rng.randint(7000, 8999)} {digits(rng, 4)}",
        lambda rng: f"{rng.randint(201, 989)}.{rng.randint(600, 989)}.{digits(rng, 4)}",
    ],
}


def isbn(rng):
    body = rng.choice(["978", "979"]) + digits(rng, 9)
    number = body + str(-sum(int(d) * (1, 3)[place % 2] for place, d in enumerate(body)) % 10)
    return f"{number[:3]}-{number[3]}-{number[4:8]}-{number[8:12]}-{number[12]}" if rng.random() < 0.7 else number


def uuid(rng):
    text = token(rng, 32, "0123456789abcdef")
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


_HARMLESS = [
    isbn,
    uuid,
    lambda rng: token(rng, rng.choice([32, 40, 64]), "0123456789abcdef"),
    lambda rng: f"{rng.randint(1, 12)}.{rng.randint(0, 20)}.{rng.randint(0, 30)}",
    lambda rng: f"{rng.randint(1, 9)}.{rng.randint(0, 20)}.{rng.randint(0, 20)}.{rng.randint(0, 9)}",
    lambda rng: f"{rng.randint(1990, 2026)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}",
    lambda rng: (
        f"{rng.randint(1990, 2026)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}T{rng.randint(0, 23):02d}:30:15"
    ),
    lambda rng: f"{rng.randint(1990, 2026)}{rng.randint(1, 12):02d}{rng.randint(1, 28):02d}",
    lambda rng: f"{rng.randint(10, 99)}.{digits(rng, 6)}",
    lambda rng: f"{rng.randint(100, 999)},{digits(rng, 3)},{digits(rng, 3)}",
    lambda rng: f"192.168.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
    lambda rng: f"10.{rng.randint(0, 255)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}",
    lambda rng: f"2001:db8::{rng.randint(1, 65535):x}",
    lambda rng: f"1.3.6.1.4.1.{rng.randint(100, 9999)}.{rng.randint(1, 9)}",
    lambda rng: f"user{rng.randint(1, 9)}@example.{rng.choice(['com', 'org', 'net'])}",
    lambda rng: f"git@{rng.choice(['github.com', 'gitlab.com'])}:axk1/data.git",
    lambda rng: f"getty@tty{rng.randint(1, 6)}.service",
    lambda rng: f"icon@{rng.randint(2, 3)}x.png",
    lambda rng: f"0x{token(rng, 8, '0123456789ABCDEF')}",
    lambda rng: f"{token(rng, 4, '0123456789abcdef')}:{token(rng, 2, 'abcdef')}:00:1f:{token(rng, 2, '0123456789')}:05",
    lambda rng: f"12:{rng.randint(10, 59)}:{rng.randint(10, 59)}.{digits(rng, 3)}",
    lambda rng: f"RFC {rng.randint(1000, 9999)}",
    lambda rng: f"#{rng.randint(100000, 999999)}",
    lambda rng: f"1 {digits(rng, 3)} {digits(rng, 3)} B",
    lambda rng: f"{rng.randint(201, 989)}-555-01{digits(rng, 2)}",
    lambda rng: f"AKIA{token(rng, 9, string.ascii_uppercase)}EXAMPLE",
    lambda rng: f"{digits(rng, 6)}-{digits(rng, 4)}",
]


def _code(rng, number):
    """Return a line of program with its secret, or with a value that is none."""
    secret, name = token(rng, rng.randint(24, 44)), rng.choice(["api_key", "SECRET_KEY", "auth_token", "password"])
    body = base64.b64encode(bytes(rng.randrange(256) for _ in range(150))).decode()
    key = f"-----BEGIN PRIVATE KEY-----\n{body[:64]}\n{body[64:128]}\n{body[128:]}\n-----END PRIVATE KEY-----"
    cases = [
        (f'{name} = "{secret}"', secret, "secret"),
        (f"export {name.upper()}={secret}", secret, "secret"),
        (f'config = {{"{name}": "{secret}"}}', secret, "secret"),
        (f'URL = "postgres://admin:{secret[:14]}@db.internal.net/main"', secret[:14], "secret"),
        (key, key, "private_key"),
        ((value := github(rng)) and f'client = Client("{value}")', value, "secret"),
        ((value := email(rng)) and f"# Author: <{value}>", value, "email"),
        (f'{name} = os.environ["{name.upper()}_FOR_SERVICE"]', "", None),
        (f'{name} = "your-{name}-goes-here"', "", None),
        (f'token = "{rng.choice(["identifier_or_keyword", "end_of_statement", "string_literal"])}"', "", None),
        (f'assert sha256 == "{token(rng, 64, "0123456789abcdef")}"', "", None),
        ("auth = hashlib.new('sha256', usedforsecurity=False)", "", None),
        (f"x = {digits(rng, 16)} * 010", "", None),
        (f'VERSION = "{rng.randint(1, 9)}.{rng.randint(0, 99)}.{rng.randint(0, 99)}.{rng.randint(0, 9)}"', "", None),
    ]
    return cases[number % len(cases)]
