"""Telephone, card, bank account and identity numbers.

A scan looks for stretches with many digits; only those are tried against the forms of the text's language. Whatever has
a check digit is checked, and whatever has none must be written the way such numbers are.
"""

import re
from collections.abc import Callable, Iterator

from modeling_axk1.data.personal import checks
from modeling_axk1.data.personal.found import Found, apart, matches
from modeling_axk1.data.personal.scan import Scan, capitals_and_digits, digit_runs

# So far the patterns look to the left and the right of a number.
_AROUND = 8
_LONGEST_IBAN = 44
# A DNI has seven, a telephone number eight, all others more.
_LEAST_DIGITS = 7
_STRETCH = re.compile(r"[0-9](?:[0-9]|[-. ()/](?=[-. ()/]?[0-9(])){6,}[0-9]?[0-9Xx]?")
# One character for one, so that places stay: full-width forms, and what is written for a hyphen beside a digit.
_PLAIN = {chr(0xFF10 + digit): str(digit) for digit in range(10)} | dict.fromkeys("‐‑‒–—−－ー", "-")
_PLAIN |= {"（": "(", "）": ")", "＋": "+", "\u3000": " ", "\xa0": " "}
_NOT_PLAIN = re.compile("[０-９（＋]|(?<=[0-9０-９])[‐‑‒–—−－ー）\u3000\xa0]|(?<=[0-9０-９]）)[ \u3000\xa0-]")


# No word, digit or sign of another kind of number on either side.
# ASCII ones only: Korean, Japanese and Chinese words stand beside a number without a space.
_LEFT, _RIGHT = r"(?<![\w.+#-])(?<!\d[:/,])(?<![\w)]\()(?<!\w/)", r"(?![\w@]|-\w|[.,:/]\d)"


def _form(pattern: str) -> re.Pattern[str]:
    return re.compile(f"{_LEFT}(?:{pattern}){_RIGHT}", re.ASCII)


# A country's code, and then groups: 8 to 15 digits in all (ITU-T E.164).
_COUNTRY = (
    r"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]"
    r"|21[1-8]|22\d|23\d|24\d|25\d|26\d|29\d|35\d|37\d|38\d|42\d|50\d|59\d|67\d|68\d|69\d|85[2356]|880|886|96\d|97\d|99\d"
)
_INTERNATIONAL = re.compile(
    rf"(?<![\w+./-])\+(?:{_COUNTRY})[-. ]?(?:\(\d{{1,4}}\)[-. ]?)?\d{{1,5}}(?:[-. ]?\d{{2,5}}){{1,4}}{_RIGHT}",
    re.ASCII,
)
_KOREAN = _form(
    r"01[016789][-. ]\d{3,4}[-. ]\d{4}|0(?:2|[3-6][1-5]|70|80|50\d)[-. ]\d{3,4}[-. ]\d{4}"
    r"|\(0(?:2|[3-6][1-5])\) ?\d{3,4}[-. ]\d{4}"
)
_KOREAN_BARE = _form(r"010\d{8}")
_JAPANESE = _form(
    r"0[5789]0-\d{4}-\d{4}|0\d-\d{4}-\d{4}|0\d{2}-\d{3}-\d{4}|0\d{3}-\d{2}-\d{4}"
    r"|\(0\d{1,3}\) ?\d{2,4}-\d{4}|0\d{1,3}\(\d{2,4}\)\d{4}"
)
_JAPANESE_BARE = _form(r"0[789]0\d{8}")
_CHINESE = _form(
    r"1[3-9]\d-\d{4}-\d{4}|0\d{2,3}-[2-8]\d{6,7}(?:-\d{1,5})?|\(0\d{2,3}\) ?[2-8]\d{6,7}"
    r"|09\d\d-\d{3}-\d{3}|\(?0[2-8]\)?[- ]\d{4}-\d{4}"
)
_CHINESE_BARE = _form(r"1[3-9]\d ?\d{4} ?\d{4}")
_SPANISH = _form(
    r"[6-9]\d\d[- ](?!000)\d{3}[- ](?!000)\d{3}|[6-9]\d\d(?:[- ]\d\d){3}|9[1-8][- ]\d{3}[- ]\d\d[- ]\d\d"
    r"|\(\d{2,3}\) \d{4}[- ]\d{4}"
)
_SPANISH_BARE = _form(r"[6-9]\d{8}")
_ENGLISH = _form(
    r"(?:1[-. ])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[-.])[2-9]\d\d[-. ]\d{4}"
    r"|020 \d{4} \d{4}|\(020\) \d{4} \d{4}|01\d1 \d{3} \d{4}|0[17]\d{3} \d{6}"
)
# Told by hyphens and groups alone, these are known in every language; the others only where their language is written.
_PHONES: dict[str, tuple[re.Pattern[str], ...]] = {
    "ko": (_KOREAN, _KOREAN_BARE),
    "ja": (_JAPANESE, _JAPANESE_BARE),
    "zh": (_CHINESE, _CHINESE_BARE),
    "es": (_KOREAN, _SPANISH, _SPANISH_BARE, _ENGLISH),
    "en": (_KOREAN, _ENGLISH),
}
# Bare digits are a telephone number only where something says so.
_SAID = re.compile(
    r"(?:tel|phone|fax|mobile|cell|call|contact|móvil|movil|llam|contacto|whatsapp|sms|전화|연락처|휴대폰|핸드폰|팩스|電話|携帯|ファ.?クス"
    r"|电话|手机|手機|传真|傳真|联系|聯絡|微信)[^\n]{0,24}\Z",
    re.IGNORECASE,
)
_NEEDS_SAYING = frozenset({_SPANISH_BARE})
# The numbers of North America that belong to nobody, for films and manuals.
_FICTIONAL = re.compile(r"555[-. ]?01\d\d\Z")

_RESIDENT = _form(r"\d{6} ?- ?[0-9]\d{6}|\d{6}[0-9]\d{6}")
_RESIDENT_SAID = re.compile(r"(?:주민|외국인|거소|등록번호|resident|RRN)[^\n]{0,24}\Z", re.IGNORECASE)
_CHINESE_IDENTITY = _form(r"[1-8]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d\d{3}[0-9Xx]")
_MY_NUMBER = _form(r"\d{4}[- ]?\d{4}[- ]?\d{4}")
_MY_NUMBER_SAID = re.compile(r"(?:マイナンバー|個人番号|my number)[^\n]{0,16}\Z", re.IGNORECASE)
_SOCIAL_SECURITY = _form(r"(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}")
_CARD = _form(r"\d{4}([- ])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([- ])\d{6}\2\d{4,5}|\d{13,19}")
_DNI = re.compile(r"(?:\d{8}-?|\d\d\.\d{3}\.\d{3}-?|[XYZ]-?\d{7}-?)[A-HJ-NP-TV-Z](?![\w-])", re.ASCII)
_IBAN = re.compile(r"[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![\w-])", re.ASCII)


def numbers(text: str, language: str, scanned: Scan) -> Iterator[Found]:
    """Find telephone, card, bank account and identity numbers as they are written in `language`.

    `scanned` is the text's scan.
    """
    ibans = capitals_and_digits(scanned)
    runs = digit_runs(scanned, _LEAST_DIGITS)
    if not ibans and not runs:
        return
    if not text.isascii():
        text = _plain(text, sorted([*runs, *((place, place + _LONGEST_IBAN) for place in ibans)]))
    forms = _FORMS.get(language, _FORMS["en"])
    for first, last in runs:
        # One more, as a number may end in a letter.
        for stretch in _STRETCH.finditer(text, first, last + 1):
            # A sign before and a letter behind belong to some forms and rule others out.
            start, end = max(0, stretch.start() - 2), min(len(text), stretch.end() + 2)
            for kind, pattern, holds in forms:
                for match in pattern.finditer(text, start, end):
                    if holds(text, match):
                        yield Found(*match.span(), kind)
    for match in matches(_IBAN, text, ibans):
        if apart(text, match, "-") and checks.iban(match.group().replace(" ", "")):
            yield Found(*match.span(), "iban")
    for first, last in runs if language == "es" else ():
        # A letter before, and one behind with what stands after it.
        for match in _DNI.finditer(text, max(0, first - 1), last + 2):
            if apart(text, match, ".-") and checks.dni(re.sub(r"[.-]", "", match.group())):
                yield Found(*match.span(), "national_id")


def _plain(text: str, where: list[tuple[int, int]]) -> str:
    """Return the text with plain characters in and around some stretches of it."""
    parts, done = [], 0
    for start, end in where:
        for match in _NOT_PLAIN.finditer(text, max(done, start - _AROUND), end + _AROUND):
            parts += [text[done : match.start()], _PLAIN.get(match[0], match[0])]
            done = match.end()
    return "".join([*parts, text[done:]])


Holds = Callable[[str, re.Match[str]], bool]


def _digits(match: re.Match[str]) -> str:
    return re.sub(r"[^0-9Xx]", "", match.group())


def _said(text: str, match: re.Match[str], words: re.Pattern[str]) -> bool:
    return bool(words.search(text, max(0, match.start() - 40), match.start()))


def _is_phone(text: str, match: re.Match[str]) -> bool:
    digits = _digits(match)
    if match.re is _INTERNATIONAL and match.group()[1:].isdigit() and len(digits) < 10:
        return False
    if match.re in _NEEDS_SAYING and not _said(text, match, _SAID):
        return False
    return 8 <= len(digits) <= 15 and not _FICTIONAL.search(match.group()) and len(set(digits[-8:])) > 1


def _is_resident_number(text: str, match: re.Match[str]) -> bool:
    verdict = checks.resident_number(_digits(match))
    if verdict is None:
        # A date and no check digit: with the hyphen in its place it is one, bare digits must be said to be one.
        return "-" in match.group() or _said(text, match, _RESIDENT_SAID)
    return verdict


def _is_my_number(text: str, match: re.Match[str]) -> bool:
    return _said(text, match, _MY_NUMBER_SAID) and checks.my_number(_digits(match))


def _always(text: str, match: re.Match[str]) -> bool:
    return True


def _forms(language: str) -> list[tuple[str, re.Pattern[str], Holds]]:
    """What is looked for in a language, in the order in which an earlier find keeps later ones from its place."""
    return [
        ("national_id", _RESIDENT, _is_resident_number),
        ("national_id", _CHINESE_IDENTITY, lambda _, match: checks.chinese_identity_number(match.group())),
        ("card", _CARD, lambda _, match: checks.card_number(_digits(match))),
        *([("national_id", _MY_NUMBER, _is_my_number)] if language == "ja" else []),
        *([("national_id", _SOCIAL_SECURITY, _always)] if language == "en" else []),
        ("phone", _INTERNATIONAL, _is_phone),
        *[("phone", pattern, _is_phone) for pattern in _PHONES[language]],
    ]


_FORMS = {language: _forms(language) for language in _PHONES}
# In a program, digits are anything; only what a check digit and a date vouch for is a person's number.
_FORMS["code"] = [
    ("national_id", _RESIDENT, lambda _, match: "-" in match.group() and checks.resident_number(_digits(match)) is True)
]
