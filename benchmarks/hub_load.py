"""The hub under load, against nginx that serves the same files from the same page cache in the same run.

Downloads: 64 clients take whole files and ranges from nginx and from the hub in turn, for a few seconds each; the goal
is 60 % of nginx's throughput. Cold, the files are dropped from the page cache first and each is taken once. Metadata:
200 requests a second arrive whether or not the earlier ones are answered, over repositories of 10 and of 2,000 files
with 1 and with 500 commits; the goal is a 99th percentile below 50 ms. Clients and servers share the cores of this
machine, so only the ratios of medians are worth quoting. Needs nginx (apt-get install nginx-light).

Example: python benchmarks/hub_load.py
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hub_corpus import FILES, MIB, make, repositories
from measure import RESULTS

from modeling_axk1.environment import environment

CLIENTS = 64
CLIENT_PROCESSES = 2
RATE = 200
SEED = 6
GOALS = {"share_of_nginx": 0.6, "metadata_p99_ms": 50.0}

_NGINX = """
daemon off; worker_processes auto; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type application/octet-stream;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port} backlog=1024; root {blobs}; }}
}}
"""


class Server:
    """A running server: its port, the process that leads it, and the path of a large file on it."""

    def __init__(self, process: subprocess.Popen[str], port: int, path: str) -> None:
        self.process = process
        self.port = port
        self._path = path

    def path(self, oid: str) -> str:
        """Return where the large file `oid` is on this server."""
        return self._path.format(oid=oid, first=oid[:2], second=oid[2:4])

    def memory_mib(self) -> float:
        """Return what all processes of this server hold now, shared pages counted once."""
        total = 0
        for process in [self.process.pid, *_children(self.process.pid)]:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return round(total / 1024, 1)


@contextmanager
def nginx(root: Path, port: int) -> Iterator[Server]:
    """Serve the hub's large files with nginx while the block runs."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(_NGINX.format(folder=folder, port=port, blobs=root.resolve() / "blobs"))
        # As root, nginx's workers are another user's, who could not read a private folder.
        user = ["-g", f"user {Path(folder).owner()};"] if os.geteuid() == 0 else []
        command = ["nginx", "-c", str(config), *user]
        with subprocess.Popen(command, text=True) as process:
            try:
                time.sleep(1)
                yield Server(process, port, "/{first}/{second}/{oid}")
            finally:
                process.terminate()


@contextmanager
def hub(root: Path, workers: int | None) -> Iterator[Server]:
    """Serve `root` as `axk1 hub serve` does while the block runs."""
    command = [sys.executable, "-m", "modeling_axk1", "hub", "serve", "--root", str(root), "--port", "0"]
    if workers:
        command += ["--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            endpoint = process.stdout.readline().split()[-1]
            yield Server(process, int(endpoint.rpartition(":")[2]), f"/{FILES}/resolve/main/{{oid}}")
        finally:
            process.terminate()


def client(job: dict[str, Any]) -> subprocess.Popen[str]:
    """Start a client process on a job of hub_clients.py."""
    command = [sys.executable, str(Path(__file__).with_name("hub_clients.py"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    json.dump(job, process.stdin)
    process.stdin.close()
    process.stdin = None
    return process


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Return what a client counted."""
    result: dict[str, Any] = json.loads(process.communicate()[0])
    if result["failures"]:
        raise SystemExit(f"{result['failures']} requests failed; this measures nothing")
    return result


def throughput(server: Server, oids: list[str], ranges: list[str | None], seconds: float, once: bool) -> float:
    """Return the MiB per second that 64 clients received together."""
    targets = [[server.path(oid), wanted] for oid in oids for wanted in ranges]
    share = CLIENT_PROCESSES
    jobs = [
        {"work": "download", "port": server.port, "connections": CLIENTS // share, "seconds": seconds, "once": once}
        | {"targets": targets[number::share]}
        for number in range(share)
    ]
    results = [answer(process) for process in [client(job) for job in jobs]]
    return sum(result["received"] / result["seconds"] for result in results) / MIB


def downloads(
    servers: dict[str, Server], root: Path, files: dict[int, list[str]], options: Any
) -> list[dict[str, Any]]:
    """Measure every kind of download on both servers in turn."""
    small, large = min(files), max(files)
    step = min(8 * MIB, large // 2)
    ranges: list[str | None] = [f"bytes={start}-{start + step - 1}" for start in range(0, large, step)]
    kinds: list[tuple[str, int, list[str | None], bool]] = [
        (f"whole files of {small // MIB} MiB", small, [None], False),
        (f"whole files of {large // MIB} MiB", large, [None], False),
        (f"ranges of {step // MIB} MiB", large, ranges, False),
        (f"whole files of {large // MIB} MiB, cold", large, [None], True),
        (f"ranges of {step // MIB} MiB, cold", large, ranges, True),
    ]
    runs = []
    for name, size, wanted, cold in kinds:
        rates: dict[str, list[float]] = {server: [] for server in servers}
        for round_ in range(options.repeats + 1):
            for which, server in servers.items():
                if cold:
                    _drop_from_cache(root, files[size])
                rate = throughput(server, files[size], wanted, 0 if cold else options.seconds, cold)
                if round_:  # the first round warms up
                    rates[which].append(round(rate, 1))
        medians = {which: statistics.median(values) for which, values in rates.items()}
        runs.append(
            {
                "download": name,
                "hub_share_of_nginx": round(medians["hub"] / medians["nginx"], 3),
                "median_mib_per_s": medians,
                "mib_per_s": rates,
                "memory_mib": {which: server.memory_mib() for which, server in servers.items()},
            }
        )
        print(runs[-1], file=sys.stderr, flush=True)
    return runs


def questions(quick: bool) -> list[list[Any]]:
    """Return [weight, request] of what clients ask: mostly HEAD of files, as a download of a repository does."""
    found = []
    for name in repositories(quick):
        files, _ = repositories(quick)[name]
        body = "paths=model.safetensors&paths=README.md&paths=none.json&expand=False"
        form = f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n"
        for weight, first, headers, sent in (
            (15, f"GET /api/models/{name}/revision/main", "", ""),
            (5, f"GET /api/models/{name}?blobs=true", "", ""),
            (10, f"GET /api/models/{name}/tree/main?recursive=true&expand=false", "", ""),
            (5, f"GET /api/models/{name}/tree/main", "", ""),
            (5, f"GET /api/models/{name}/commits/main", "", ""),
            (5, f"GET /api/models/{name}/refs", "", ""),
            (15, f"POST /api/models/{name}/paths-info/main", form, body),
            (20, f"HEAD /{name}/resolve/main/model.safetensors", "", ""),
            (20, f"HEAD /{name}/resolve/main/part-00/{min(files, 150) // 2:05}.json", "", ""),
        ):
            found.append([weight, f"{first} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n{sent}"])
    return found


def metadata(server: Server, options: Any, beside: str, busy: list[dict[str, Any]]) -> dict[str, Any]:
    """Measure the latency of metadata calls while the downloads `busy` run."""
    ask = {"work": "ask", "port": server.port, "seed": SEED, "questions": questions(options.quick)}
    answer(client({**ask, "rate": RATE / 4, "seconds": 2 * options.seconds}))  # warms up
    loads = [client(job) for job in busy]
    result = answer(client({**ask, "rate": RATE, "seconds": options.ask_seconds}))
    for process in loads:
        process.kill()
        process.communicate()
    every = sorted(value for values in result["milliseconds"].values() for value in values)
    run = {
        "beside": beside,
        "requests_per_s": RATE,
        "requests": len(every),
        "ms": {name: round(every[min(int(len(every) * q), len(every) - 1)], 2) for name, q in _QUANTILES.items()},
        "worst_ms_by_request": {
            request: round(max(values), 2) for request, values in sorted(result["milliseconds"].items())
        },
        "memory_mib": server.memory_mib(),
    }
    print(run, file=sys.stderr, flush=True)
    return run


_QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "max": 1.0}


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    return [int(child) for child in found.split()]


def _drop_from_cache(root: Path, oids: list[str]) -> None:
    for oid in oids:
        handle = os.open(root / "blobs" / oid[:2] / oid[2:4] / oid, os.O_RDONLY)
        try:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def main() -> None:
    """Measure downloads and metadata calls, and write release/results/hub_load.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, help="worker processes of the hub (default: what `hub serve` takes)")
    parser.add_argument("--repeats", type=int, default=5, help="measured rounds of each download (default: 5)")
    parser.add_argument("--seconds", type=float, default=5, help="length of a round (default: 5)")
    parser.add_argument("--ask-seconds", type=float, default=60, help="length of the metadata run (default: 60)")
    parser.add_argument("--only", choices=["downloads", "metadata"], help="one half of it")
    parser.add_argument("--port", type=int, default=18080, help="free port for nginx (default: 18080)")
    parser.add_argument("--folder", type=Path, help="where to make the hub (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="FOLDER", help="where to write the result")
    parser.add_argument("--quick", action="store_true", help="small files and short rounds: shows that it runs")
    options = parser.parse_args()
    if options.quick:
        options.repeats, options.seconds, options.ask_seconds = 1, 0.5, 2
    sizes = {MIB: 4, 4 * MIB: 4} if options.quick else {MIB: 64, 64 * MIB: 32}
    result: dict[str, Any] = {"command": "python benchmarks/hub_load.py", "seed": SEED, "clients": CLIENTS}
    result |= {"workers": options.workers or "default", "quick": options.quick, "goals": GOALS}
    with tempfile.TemporaryDirectory(dir=options.folder) as home, ExitStack() as stack:
        root = Path(home) / "hub"
        files = make(root, sizes, options.quick, SEED)
        ours = stack.enter_context(hub(root, options.workers))
        if options.only != "metadata":
            theirs = stack.enter_context(nginx(root, options.port))
            result["downloads"] = downloads({"nginx": theirs, "hub": ours}, root, files, options)
        if options.only != "downloads":
            busy = {"work": "download", "port": ours.port, "connections": 8, "seconds": 600, "once": False}
            busy["targets"] = [[ours.path(oid), None] for oid in files[max(files)]]
            result["metadata"] = [
                metadata(ours, options, "nothing", []),
                metadata(ours, options, "8 downloads without pause", [busy]),
            ]
    nginx_version = subprocess.run(["nginx", "-v"], capture_output=True, text=True).stderr.strip()
    result["nginx"] = nginx_version.rpartition("/")[2]
    text = json.dumps({**result, **environment()}, indent=2, ensure_ascii=False) + "\n"
    (options.out / "hub_load.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
