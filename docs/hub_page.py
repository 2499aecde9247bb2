"""The tables of the page about the hub, from its benchmarks; nothing as long as they have not been run."""

import re
from collections.abc import Callable

from results import RESULTS, Table, Word, result

KOREAN = {
    "Download": "내려받기",
    "whole files of": "파일 전체",
    "ranges of": "범위",
    "cold": "캐시에 없을 때",
    "nginx, MiB/s": "nginx, MiB/s",
    "The hub, MiB/s": "허브, MiB/s",
    "The hub over nginx": "허브/nginx",
    "Memory of the hub": "허브의 메모리",
    "Metadata calls beside": "함께 도는 것",
    "nothing": "없음",
    "8 downloads without pause": "쉬지 않는 내려받기 8개",
    "Calls": "요청 수",
    **{name: name for name in ("p50", "p99", "p99.9", "max")},
    "Length": "시간",
    "Clients": "클라이언트",
    "Clients killed": "죽인 클라이언트",
    "Servers killed": "죽인 서버",
    "Commits, files, tags checked": "검사한 커밋, 파일, 태그",
    "Wrong": "틀린 것",
    "Most memory": "최대 메모리",
    "Page": "페이지",
    "First answer": "첫 응답",
    "Then, median": "그다음, 중앙값",
    "Then, longest": "그다음, 최대",
    "front page": "첫 페이지",
    "list with a search": "검색한 목록",
    "card": "카드",
    "files": "파일",
    "revisions": "변경 이력",
    "tensors": "텐서",
    "card of a dataset": "데이터셋 카드",
    "rows": "행",
    "columns": "열 통계",
    "results": "결과",
}


def downloads(word: Word) -> Table:
    """Throughput of 64 clients, over nginx's, and what the hub holds in memory meanwhile."""
    rows = [
        [
            _download(run["download"], word),
            f"{run['median_mib_per_s']['nginx']:,.0f}",
            f"{run['median_mib_per_s']['hub']:,.0f}",
            f"**{run['hub_share_of_nginx']:.0%}**",
            f"{run['memory_mib']['hub']:,.0f} MiB",
        ]
        for run in result("hub_load")["downloads"]
    ]
    header = ["Download", "nginx, MiB/s", "The hub, MiB/s", "The hub over nginx", "Memory of the hub"]
    return header, rows, 1, "hub_load"


def pages(word: Word) -> Table:
    """What a reader waits for each kind of page, after the hub has started and then."""
    rows = [
        [word(run["page"]), *(f"{run[key]:,.0f} ms" for key in ("first_ms", "median_ms", "longest_ms"))]
        for run in result("hub_pages")["runs"]
    ]
    return ["Page", "First answer", "Then, median", "Then, longest"], rows, 1, "hub_pages"


def _download(name: str, word: Word) -> str:
    """Return what is downloaded, like "whole files of 64 MiB, cold", in the page's language."""
    what, size, cold = re.fullmatch(r"(\D+) (\d+ MiB)(, cold)?", name).groups()
    return f"{word(what)} {size}" + (f", {word('cold')}" if cold else "")


def metadata(word: Word) -> Table:
    """Latency of metadata calls at 200 a second."""
    quantiles = ("p50", "p99", "p99.9", "max")
    rows = [
        [
            word(run["beside"]),
            f"{run['requests']:,}",
            *(
                f"**{run['ms'][name]:,.1f} ms**" if name == "p99" else f"{run['ms'][name]:,.1f} ms"
                for name in quantiles
            ),
        ]
        for run in result("hub_load")["metadata"]
    ]
    return ["Metadata calls beside", "Calls", *quantiles], rows, 1, "hub_load"


def soak(_: Word) -> Table:
    """Who was killed, what was looked at afterwards, and what was wrong with it."""
    run = result("hub_soak")
    row = [
        f"{run['seconds']:,.0f} s",
        f"{run['clients']}",
        f"{run['killed']['clients']:,}",
        f"{run['killed']['servers']:,}",
        ", ".join(f"{run['checked'][what]:,}" for what in ("commits", "files", "tags")),
        f"**{len(run['wrong'])}**",
        f"{run['memory_mib']['most']:,.0f} MiB",
    ]
    header = ["Length", "Clients", "Clients killed", "Servers killed", "Commits, files, tags checked", "Wrong"]
    return [*header, "Most memory"], [row], 0, "hub_soak"


def _when_measured(table: Callable[[Word], Table], source: str) -> Callable[[Word], Table | None]:
    return lambda word: table(word) if (RESULTS / f"{source}.json").exists() else None


TABLES = {
    "downloads": _when_measured(downloads, "hub_load"),
    "metadata": _when_measured(metadata, "hub_load"),
    "pages": _when_measured(pages, "hub_pages"),
    "soak": _when_measured(soak, "hub_soak"),
}
