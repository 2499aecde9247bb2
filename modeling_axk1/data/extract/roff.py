"""What the escapes of roff stand for: groff(7), groff_char(7)."""

import re
from collections.abc import Mapping

# Characters that have names: \(xx or \[xx].
_NAMED = (
    {"em": "—", "en": "–", "hy": "-", "bu": "•", "co": "©", "rg": "®", "tm": "™", "aq": "'", "dq": '"', "lq": "“"}
    | {"rq": "”", "oq": "‘", "cq": "’", "ga": "`", "ha": "^", "ti": "~", "rs": "\\", "+-": "±", "->": "→", "<-": "←"}
    | {"mu": "×", "di": "÷", ">=": "≥", "<=": "≤", "!=": "≠", "==": "≡", "~~": "≈", "if": "∞", "ba": "|", "or": "|"}
    | {"sc": "§", "de": "°", "14": "¼", "12": "½", "34": "¾", "Fo": "«", "Fc": "»", "eu": "€", "Po": "£", "ct": "¢"}
    | {"lB": "[", "rB": "]", "lC": "{", "rC": "}", "la": "⟨", "ra": "⟩", "sl": "/", "pl": "+", "mi": "−", "eq": "="}
    | {"at": "@", "sh": "#", "Do": "$", "*a": "α", "*b": "β", "*p": "π", "*m": "μ", "*l": "λ", "*D": "Δ", "ul": "_"}
    | {"'e": "é", "'a": "á", "'i": "í", "'o": "ó", "'u": "ú", "~n": "ñ", ":u": "ü", ":o": "ö", ":a": "ä", "ss": "ß"}
    | {":e": "ë", ":i": "ï", "`e": "è", "`a": "à", "^e": "ê", "^o": "ô", ",c": "ç", "oa": "å", "o/": "ø", "/o": "ø"}
    | {"'E": "É", "'A": "Á", ":O": "Ö", ":U": "Ü", ":A": "Ä", "r!": "¡", "r?": "¿", "fm": "′", "sd": "″", "pc": "·"}
)
_SINGLE = {"-": "-", "e": "\\", "\\": "\\", " ": " ", "~": " ", "0": " ", "'": "´", "`": "`", ".": ".", "t": "\t"}
_ESCAPE = re.compile(
    r"\\(?:f(?:\(..|\[[^\]]*\]|.)|s[+-]?(?:\([+-]?\d\d|'[^']*'|\[[^\]]*\]|\d)|[mnMFkgYV](?:\(..|\[[^\]]*\]|[+-]?.)"
    r"|[hvwLlDoXzbxBACNSRZH]'[^']*'|\((?P<two>..)|\[(?P<named>[^\]]*)\]"
    r"|\*(?:\((?P<string2>..)|\[(?P<string>[^\]]*)\]|(?P<string1>.))|(?P<single>.)|$)"
)
_UNICODE = re.compile(r"u([0-9A-F]{4,6})")
_ARGUMENT = re.compile(r'"((?:[^"]|"")*)"?|((?:\\ |\\.|\S)+)')
_NOTE = re.compile(r'(?<!\\)\\["#].*$')


def plain(line: str, strings: Mapping[str, str]) -> str:
    """Return the characters that a line of roff shows; `strings` are those that the page defines, by name."""

    def shown(escape: re.Match[str]) -> str:
        if name := escape["two"] or escape["named"]:
            if code := _UNICODE.fullmatch(name):
                return chr(int(code[1], 16))
            return _NAMED.get(name, "")
        if name := escape["string2"] or escape["string"] or escape["string1"]:
            return strings.get(name, "")
        return _SINGLE.get(escape["single"] or "", "")

    return _ESCAPE.sub(shown, _NOTE.sub("", line))


def arguments(rest: str) -> list[str]:
    """Return a request's arguments, still with their escapes: apart by spaces, or within double quotes."""
    return [quoted.replace('""', '"') or bare for quoted, bare in _ARGUMENT.findall(_NOTE.sub("", rest))]
