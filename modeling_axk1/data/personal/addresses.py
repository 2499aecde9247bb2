"""E-mail and IP addresses of people and machines; those that standards set aside for examples are left alone."""

import ipaddress
import re
from collections.abc import Iterator

from modeling_axk1.data.personal.found import Found, apart, matches, places
from modeling_axk1.data.personal.scan import Scan, bracketed_at, colons, dotted

_LOCAL = re.compile(r"[A-Za-z0-9](?:[\w.+%-]{0,62}[\w+%-])?\Z", re.ASCII)
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![\w@])", re.ASCII)
# user (at) host (dot) net, and the like in square and angle brackets.
_SPELT = re.compile(r"[(\[<{] ?(?:at|AT) ?[)\]>}] ?")
_SPELT_LOCAL = re.compile(r"[\w.+-]{1,64} ?\Z", re.ASCII)
_SPELT_DOMAIN = re.compile(
    r"[\w-]{1,63}(?:(?:\.| ?[(\[<{] ?(?:dot|DOT|punto) ?[)\]>}] ?)[A-Za-z][\w-]{1,62})+", re.ASCII
)
# A password before the host of a URL is not the name before an e-mail's host.
_USER_OF_URL = re.compile(r"://[^\s/]{0,100}\Z")
# Names that no mail reaches (RFC 2606, 6761, 6762), and the ends of file and unit names, which look like domains.
_RESERVED = re.compile(
    r"(?:^|\.)(?:example\.(?:com|net|org|edu)|example|test|invalid|localhost|local|localdomain|internal|lan|home|onion)$"
)
_NOT_A_DOMAIN = re.compile(
    r"service|socket|target|timer|mount|automount|path|slice|device|swap|scope|png|jpg|jpeg|gif|svg|"
    r"webp|html|htm|xml|json|yaml|yml|toml|txt|log|conf|cfg|ini|gz|tgz|zip|tar|deb|rpm|whl|jar|dll|"
    r"exe|cpp|hpp|css|scss|js|ts|mjs|tsx|vue|rst|tex|pdf|csv|sql|patch|diff|orig|lock",
    re.IGNORECASE,
)
# Accounts of machines, in addresses by which programs and not people are reached.
_MACHINES = frozenset(["git", "hg", "svn", "noreply", "no-reply", "donotreply"])
_HIDDEN_BY_HOST = "users.noreply.github.com"

_IPV4 = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(?![\w-]|\.[0-9])", re.ASCII)
_IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}(?![\w:])", re.ASCII)
# What stands before the number of a version, a section or an object identifier.
_NUMBERED = re.compile(
    r"(?:\bv|version|versión|versions?|release|rev|section|sección|chapter|oid|버전|판|バージョン|版本?|第|§|[<>~^]=?|==)[\s:=(\"']*\Z",
    re.IGNORECASE,
)
_ADDRESSED = re.compile(
    r"(?:\bip(?:v4)?\b|address|addr|host|server|ping|inet|dns|gateway|주소|서버|アドレス|サーバ|地址|服务器|伺服器|dirección|servidor)"
    r"[^\n]{0,20}\Z",
    re.IGNORECASE,
)
# Addresses that everybody uses as examples, and the resolvers that every manual names.
_KNOWN = frozenset(
    ["1.2.3.4", "1.1.1.1", "1.0.0.1", "8.8.8.8", "8.8.4.4", "9.9.9.9", "4.4.4.4", "208.67.222.222", "208.67.220.220"]
)
_KNOWN_NETWORKS = ("2001:4860:4860:", "2606:4700:4700:", "2620:fe::")


def emails(text: str, scanned: Scan) -> Iterator[Found]:
    """Find e-mail addresses, also with the sign spelt out in brackets, but no reserved domains and machine accounts.

    `scanned` is the text's scan.
    """
    for at in places(text, "@"):
        local = _LOCAL.search(text, max(0, at - 65), at)
        domain = _DOMAIN.match(text, at + 1)
        if local and domain and _reaches_a_person(local.group(), domain.group()):
            start = local.start()
            if not _USER_OF_URL.search(text, max(0, start - 110), start):
                yield Found(start, domain.end(), "email")
    for sign in matches(_SPELT, text, bracketed_at(scanned)):
        local = _SPELT_LOCAL.search(text, max(0, sign.start() - 66), sign.start())
        domain = _SPELT_DOMAIN.match(text, sign.end())
        if local and domain and "example" not in domain.group().lower():
            yield Found(local.start(), domain.end(), "email")


def _reaches_a_person(local: str, domain: str) -> bool:
    domain = domain.lower()
    if _NOT_A_DOMAIN.fullmatch(domain.rpartition(".")[2]) or domain.endswith(_HIDDEN_BY_HOST):
        return False
    return local.lower() not in _MACHINES and not _RESERVED.search(domain) and ".." not in local


def ip_addresses(text: str, scanned: Scan) -> Iterator[Found]:
    """Find IP addresses that the Internet routes; private, reserved and documentation ranges are left alone.

    `scanned` is the text's scan.
    """
    for dot in dotted(scanned):
        start = dot - 1
        while start > max(0, dot - 3) and text[start - 1] in "0123456789":
            start -= 1
        match = _IPV4.match(text, start)
        if match and apart(text, match, ".:/-") and _is_public(match.group()) and _is_address(text, match):
            yield Found(*match.span(), "ip")
    for match in matches(_IPV6, text, (colon - 4 for colon in colons(scanned))):
        groups = [group for group in match.group().split(":") if group]
        if len(groups) < 3 or match.group().lower().startswith(_KNOWN_NETWORKS) or not apart(text, match, ":."):
            continue
        if _is_public(match.group()):
            yield Found(*match.span(), "ip")


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return text not in _KNOWN and address.is_global and not address.is_multicast


def _is_address(text: str, match: re.Match[str]) -> bool:
    """Tell an address from the number of a version, which may have four parts too."""
    before = text[max(0, match.start() - 30) : match.start()]
    if _NUMBERED.search(before):
        return False
    # Four numbers below a hundred are rarely a host, and often a section; then something must say that they are one.
    return max(map(int, match.group().split("."))) > 99 or bool(_ADDRESSED.search(before))
