"""The check digits that tell a number of some register from any other digits. All take digits without separators."""

import datetime

# Weights of a Korean resident registration number and of a Chinese identity number.
_RESIDENT = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
_CHINESE = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
# Since October 2020 new resident registration numbers end in random digits.
_RANDOM_SINCE = datetime.date(2020, 10, 1)
_CENTURIES = {
    "9": 1800,
    "0": 1800,
    "1": 1900,
    "2": 1900,
    "5": 1900,
    "6": 1900,
    "3": 2000,
    "4": 2000,
    "7": 2000,
    "8": 2000,
}
# The first digits of a card number and the lengths that go with them (ISO/IEC 7812 and the networks' own tables).
_CARDS = (
    (((4, 4),), (13, 16, 19)),
    (((51, 55), (2221, 2720)), (16,)),
    (((34, 34), (37, 37)), (15,)),
    (((6011, 6011), (644, 649), (65, 65)), (16,)),
    (((3528, 3589),), (16,)),
    (((62, 62),), (16, 17, 18, 19)),
    (((300, 305), (36, 36), (38, 38)), (14,)),
)
# Length of an IBAN by country (the registry of ISO 13616).
_IBAN = {
    "AD": 24, "AE": 23, "AT": 20, "BE": 16, "BG": 22, "BR": 29, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22,
    "DK": 18, "DO": 28, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22, "GI": 23, "GR": 27, "GT": 28, "HR": 21,
    "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "KW": 30, "KZ": 20, "LI": 21, "LT": 20, "LU": 20, "LV": 21,
    "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "QA": 29, "RO": 24, "SA": 24, "SE": 24, "SI": 19,
    "SK": 24, "SM": 27, "SV": 28, "TR": 26, "UA": 29,
}  # fmt: skip


def resident_number(digits: str) -> bool | None:
    """Judge a Korean resident registration number: YYMMDD, a digit for century and sex, six more.

    Returns None when the date is one and the check digit says nothing: numbers given since October 2020 have none.
    """
    day = _date(_CENTURIES[digits[6]] + int(digits[:2]), digits[2:6])
    if day is None:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, _RESIDENT, strict=False))
    # Numbers of foreigners (5 to 8) are checked against two more.
    expected = (11 - total % 11 + (2 if digits[6] in "5678" else 0)) % 10
    if expected == int(digits[12]):
        return True
    return None if day >= _RANDOM_SINCE else False


def chinese_identity_number(text: str) -> bool:
    """Judge a Chinese identity number: region, YYYYMMDD, sequence, check digit (GB 11643-1999)."""
    if _date(int(text[6:10]), text[10:14]) is None:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text, _CHINESE, strict=False))
    return "10X98765432"[total % 11] == text[17].upper()


def my_number(digits: str) -> bool:
    """Judge a Japanese individual number (My Number): eleven digits and a check digit."""
    total = sum(int(digit) * (place + 1 if place <= 6 else place - 5) for place, digit in enumerate(digits[10::-1], 1))
    return int(digits[11]) == (0 if total % 11 <= 1 else 11 - total % 11)


def dni(text: str) -> bool:
    """Judge a Spanish DNI or NIE: eight digits, or X, Y or Z and seven, and a letter that follows from them."""
    number = int(text[:-1].translate(str.maketrans("XYZ", "012")))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == text[-1]


def luhn(digits: str) -> bool:
    """Judge a number whose last digit is Luhn's (ISO/IEC 7812-1)."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(value - 9 if value > 9 else value for value in doubled) + sum(map(int, digits[::-2]))) % 10 == 0


def card_number(digits: str) -> bool:
    """Judge the number of a payment card: a network's first digits and length, and Luhn's check."""
    for ranges, lengths in _CARDS:
        if len(digits) in lengths and any(low <= int(digits[: len(str(low))]) <= high for low, high in ranges):
            return len(set(digits)) > 1 and luhn(digits)
    return False


def iban(text: str) -> bool:
    """Judge an IBAN without spaces: its country's length, and 1 as the remainder by 97 (ISO 13616)."""
    if _IBAN.get(text[:2]) != len(text):
        return False
    return int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1


def _date(year: int, month_day: str) -> datetime.date | None:
    try:
        return datetime.date(year, int(month_day[:2]), int(month_day[2:]))
    except ValueError:
        return None
