"""The licence that a manual page states in its own comments or text, as an SPDX identifier.

Only notices that name their licence beyond doubt are recognised; whatever else a page says stays unknown.
"""

import re

# The tags of the Linux man-pages project before it changed to SPDX.
_TAGS = {
    "GPLv2+_DOC_FULL": "GPL-2.0-or-later",
    "GPLv2+_DOC_ONEPARA": "GPL-2.0-or-later",
    "GPLv2+_DOC_MISC": "GPL-2.0-or-later",
    "GPLv2+_SW_3_PARA": "GPL-2.0-or-later",
    "GPLv2+_SW_ONEPARA": "GPL-2.0-or-later",
    "GPLv2_ONELINE": "GPL-2.0-only",
    "GPLv2_MISC": "GPL-2.0-only",
    "GPL_NOVERSION_ONELINE": "GPL-1.0-or-later",
    "VERBATIM": "Linux-man-pages-copyleft",
    "VERBATIM_TWO_PARA": "Linux-man-pages-copyleft-2-para",
    "VERBATIM_ONE_PARA": "Linux-man-pages-1-para",
    "BSD_3_CLAUSE_UCB": "BSD-3-Clause",
    "BSD_4_CLAUSE_UCB": "BSD-4-Clause-UC",
    "MIT": "MIT",
}
_SPDX = re.compile(r"SPDX-License-Identifier:[ \t]*([(A-Za-z0-9][A-Za-z0-9.+() -]*)")
# Names that SPDX has replaced.
_RENAMED = {
    "GPL-2.0": "GPL-2.0-only",
    "GPL-2.0+": "GPL-2.0-or-later",
    "GPL-3.0": "GPL-3.0-only",
    "GPL-3.0+": "GPL-3.0-or-later",
    "LGPL-2.1": "LGPL-2.1-only",
    "LGPL-2.1+": "LGPL-2.1-or-later",
}
_TAG = re.compile(r"%%%LICENSE_START\(([^)]+)\)")
# In order: the first that is found holds.
_NOTICES = tuple(
    (license, re.compile(pattern, re.IGNORECASE))
    for license, pattern in (
        (
            "Linux-man-pages-copyleft",
            r"verbatim copies of this manual provided the copyright notice and this permission notice are preserved"
            r".{0,500}Since the Linux kernel",
        ),
        (
            "Linux-man-pages-copyleft-2-para",
            r"verbatim copies of this manual provided the copyright notice and this permission notice are preserved"
            r".{0,200}modified versions of this manual under the conditions for verbatim copying",
        ),
        ("GFDL-1.1-or-later", r"GNU Free Documentation License,? Version 1\.1 or any later"),
        ("GFDL-1.2-or-later", r"GNU Free Documentation License,? Version 1\.2 or any later"),
        ("GFDL-1.3-or-later", r"GNU Free Documentation License,? Version 1\.3 or any later"),
        ("GPL-3.0-or-later", r"(?:License|ライセンス|Licencia|许可证|授权)[^.]{0,20}GPLv3\+"),
        ("GPL-2.0-or-later", r"(?:License|ライセンス|Licencia|许可证|授权)[^.]{0,20}GPLv2\+"),
        (
            "GPL-3.0-or-later",
            r"General Public License.{0,120}version 3.{0,40}(?:later|newer)"
            r"|version 3 of the License, or \(?at your opt",
        ),
        (
            "GPL-2.0-or-later",
            r"General Public License.{0,120}version 2.{0,60}(?:later|newer)"
            r"|version 2 of the License, or \(?at your opt",
        ),
        ("GPL-2.0-only", r"General Public License,? (?:as published by .{0,60})?(?:version 2|v2)\b"),
        (
            "GPL-1.0-or-later",
            r"(?:distributed|redistributed|freely distributable|copied|covered) (?:freely )?(?:under|by) "
            r"(?:the )?(?:terms of )?(?:the )?"
            r"(?:GNU General Public License|GNU GPL|GPL)",
        ),
        ("BSD-4-Clause", r"Redistribution and use in source and binary forms.{0,900}All advertising materials"),
        ("BSD-3-Clause", r"Redistribution and use in source and binary forms.{0,1200}endorse or promote products"),
        ("BSD-2-Clause", r"Redistribution and use in source and binary forms.{0,1500}AS IS"),
        ("Apache-2.0", r"Licensed under the Apache License, Version 2\.0"),
        ("MIT", r"Permission is hereby granted, free of charge.{0,700}substantial portions of the Software"),
    )
)


def page_licence(notes: str) -> str | None:
    """Return the SPDX identifier of the licence that the notes (comments, or a page's text) state, or None.

    Example:
        >>> page_licence("SPDX-License-Identifier: GPL-2.0-or-later")
        'GPL-2.0-or-later'

    """
    if spdx := _SPDX.search(notes):
        return _first_alternative(spdx[1])
    if (tag := _TAG.search(notes)) and tag[1] in _TAGS:
        return _TAGS[tag[1]]
    plain = re.sub(r"[\s*#]+", " ", notes)
    return next((license for license, pattern in _NOTICES if pattern.search(plain)), None)


def _first_alternative(expression: str) -> str | None:
    """Of a choice (`A OR B`) take the first, by its present name; several that hold at once (AND) are not simple."""
    first = re.split(r"\s+OR\s+", expression.strip(" ()"))[0].split(" WITH ")[0].strip(" ()")
    return None if " " in first else _RENAMED.get(first, first)
