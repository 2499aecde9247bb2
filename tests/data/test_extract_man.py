"""Manual pages, and the licences that they state."""

import pytest

from modeling_axk1.data.extract import EXTRACTORS
from modeling_axk1.data.extract.block import Block
from modeling_axk1.data.extract.page_licence import page_licence


def page(body: str, charset: str = "utf-8"):
    (text,) = EXTRACTORS["man"]("a.1", f'.TH A 1 "2024-01-01"\n{body}'.encode(charset))
    return text


def blocks(body: str) -> list[str]:
    return [block.text for block in page(body).blocks]


def test_a_page_reads_as_a_terminal_shows_it():
    assert blocks(
        """.SH "NAME"
ls \\- list directory \\fIcontents\\fR
.\\" a comment
.SH SYNOPSIS
.B ls
.RI [ option ]\\&...
.PP
A paragraph
over two lines, see
.BR dir (1).
.TP
\\fB\\-a\\fR, \\fB\\-\\-all\\fR
do not ignore entries
starting with .
.IP \\(bu 2
a bullet"""
    ) == [
        "NAME",
        "ls - list directory contents",
        "SYNOPSIS",
        "ls [option]...",
        "A paragraph over two lines, see dir(1).",
        "-a, --all\n    do not ignore entries starting with .",
        "• a bullet",
    ]


def test_listings_keep_their_lines():
    body = ".nf\nint main(void)\n{\n    return 0;\\p\n}\n.fi\nThen text."
    assert page(body).blocks == [
        Block("int main(void)\n{\n    return 0;\n}", verbatim=True),
        Block("Then text."),
    ]


def test_east_asian_lines_join_without_a_space_and_korean_with_one():
    assert blocks("これは長い\n文章です。\n.PP\n이것은 긴\n문장입니다.\n.PP\n使用 ls\n命令。") == [
        "これは長い文章です。",
        "이것은 긴 문장입니다.",
        "使用 ls 命令。",
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a\\-b \\(em \\[u00E9] \\(:u \\e n", "a-b — é ü \\ n"),
        ("\\fBbold\\fP \\f(CWcode\\fR \\f[I]x\\f[]", "bold code x"),
        ("\\s-1SMALL\\s0 \\s+2big\\s0", "SMALL big"),
        ("\\*(lqquoted\\*(rq \\*[x]", "“quoted” "),
        ("50\\% \\c", "50 "),
    ],
)
def test_escapes_become_characters(written, shown):
    assert blocks(written) == [shown.strip()]


def test_tables_become_rows():
    body = ".TS\nallbox tab(:);\nl l.\nName:Value\n_\nSIGHUP:1\n.TE"
    assert blocks(body) == ["Name | Value\nSIGHUP | 1"]


def test_definitions_of_macros_and_conditions_are_no_text():
    body = ".de XX\nnot text\n..\n.ds x y\n.if n \\{\\\n.  ad l\nhidden\n.\\}\n.ie t .br\n.el .sp\nText with \\*x."
    assert blocks(body) == ["Text with y."]


def test_the_first_line_names_the_character_set():
    text = EXTRACTORS["man"]("a.1", '.\\" -*- coding: EUC-JP -*-\n.TH A 1\n日本語の説明'.encode("euc-jp"))
    assert text[0].blocks == [Block("日本語の説明")]


GPL = """This is free documentation; you can redistribute it and/or modify it under the terms of the GNU General Public
License as published by the Free Software Foundation; either version {} of the License, or (at your option) any later"""
VERBATIM = """Permission is granted to make and distribute verbatim copies of this manual provided the copyright notice
and this permission notice are preserved on all copies. Permission is granted to copy and distribute modified versions
of this manual under the conditions for verbatim copying{}"""
BSD = "Redistribution and use in source and binary forms, with or without modification, are permitted {} AS IS"


@pytest.mark.parametrize(
    ("notice", "license"),
    [
        ("SPDX-License-Identifier: GPL-2.0-or-later", "GPL-2.0-or-later"),
        ("SPDX-License-Identifier: GPL-2.0+", "GPL-2.0-or-later"),
        ("SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)", "GPL-2.0-only"),
        ("SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note", "GPL-2.0-only"),
        ("SPDX-License-Identifier: GPL-2.0-only AND MIT", None),
        ("%%%LICENSE_START(VERBATIM)", "Linux-man-pages-copyleft"),
        ("%%%LICENSE_START(PUBLIC_DOMAIN)", None),
        (GPL.format(2), "GPL-2.0-or-later"),
        (GPL.format(3), "GPL-3.0-or-later"),
        ("License GPLv3+: GNU GPL version 3 or later", "GPL-3.0-or-later"),
        ("ライセンス GPLv3+: GNU GPL version 3", "GPL-3.0-or-later"),
        ("This page may be distributed under the GNU General Public License, version 2", "GPL-2.0-only"),
        ("may be distributed under the terms of the GNU General Public License", "GPL-1.0-or-later"),
        (VERBATIM.format(". Since the Linux kernel and libraries change"), "Linux-man-pages-copyleft"),
        (VERBATIM.format(""), "Linux-man-pages-copyleft-2-para"),
        ("GNU Free Documentation License, Version 1.1 or any later version", "GFDL-1.1-or-later"),
        (BSD.format("All advertising materials must. endorse or promote products"), "BSD-4-Clause"),
        (BSD.format("endorse or promote products"), "BSD-3-Clause"),
        (BSD.format("provided that"), "BSD-2-Clause"),
        ("Licensed under the Apache License, Version 2.0", "Apache-2.0"),
        ("You may do what you like with this page.", None),
        ("Copyright (C) Somebody. All rights reserved.", None),
        ("", None),
    ],
)
def test_a_licence_is_recognised_only_beyond_doubt(notice, license):
    assert page_licence(notice) == license
    body = "".join(f'.\\" {line}\n' for line in notice.split("\n"))
    assert page(body + ".SH NAME\na").license == license
