"""The helper of `sandbox`: the number of its end of a socket is its argument.

Each byte that comes brings a connection, for which it forks; it ends when the socket does. Nothing here starts a
thread: a fork would be without it.
"""

import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

import pyarrow
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from modeling_axk1.errors import WeightsError
from modeling_axk1.hub.server.browse.sandboxed import UnfitError
from modeling_axk1.hub.server.browse.sandboxed.checkpoint import checkpoint
from modeling_axk1.hub.server.browse.sandboxed.columns import columns
from modeling_axk1.hub.server.browse.sandboxed.rows import rows

_TASKS: dict[str, Callable[..., bytes]] = {"checkpoint": checkpoint, "rows": rows, "columns": columns}


def main(control: socket.socket) -> None:
    """Fork for every task."""
    pyarrow.set_cpu_count(1)
    gc.freeze()
    gc.disable()  # a fork lives for seconds, and makes many small things
    pyarrow.set_io_thread_count(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a fork ended
    while True:
        sign, handles, _, _ = socket.recv_fds(control, 1, 1)
        if not sign:
            return
        if os.fork() == 0:
            with suppress(BaseException):
                control.close()
                with socket.socket(fileno=handles[0]) as connection:
                    _serve(connection)
            os._exit(0)
        for handle in handles:
            os.close(handle)


def _limit(cpu_seconds: int, memory: int) -> None:
    """Bound what this process may take, for good: seconds of the processor, and bytes beyond what it has."""
    # The signal's default ends the process, wherever in C++ it is.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 3 * cpu_seconds)
    _lower(resource.RLIMIT_CPU, cpu_seconds)
    _lower(resource.RLIMIT_CORE, 0)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    with suppress(OSError, ValueError):
        with open("/proc/self/statm") as statm:  # noqa: PTH123
            used = int(statm.read().split()[0]) * resource.getpagesize()
        with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
            score.write("1000")  # where memory ends all the same, this goes first
    with suppress(OSError, ValueError):  # macOS knows no such limit
        _lower(resource.RLIMIT_AS, used + memory)
    _lower(resource.RLIMIT_FSIZE, 0)  # it writes no files
    with suppress(OSError):  # the hub's unit for systemd allows no priorities
        os.nice(5)


def _lower(limit: int, wanted: int) -> None:
    """Set a limit, or keep the lower one that there is."""
    hard = resource.getrlimit(limit)[1]
    least = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(limit, (least, least))


def _serve(connection: socket.socket) -> None:
    question = bytearray()
    while piece := connection.recv(1 << 16):
        question += piece
    given = json.loads(question)
    memory = given.pop("memory")
    _limit(given.pop("cpu_seconds"), memory)
    try:
        good, answer = True, _TASKS[given.pop("task")](**given)
    except (UnfitError, WeightsError) as error:
        good, answer = False, str(error).encode("utf-8", "replace")
    except MemoryError:
        good, answer = False, f"reading it takes more than {memory >> 20} MiB of memory".encode()
    except OSError as error:  # its own text would name a path of this machine
        good, answer = False, f"a file cannot be read: {error.strerror or 'it is damaged'}".encode()
    except Exception as error:  # not the file's fault alone: it should have been told in words
        good, answer = False, f"the hub cannot read it ({type(error).__name__})".encode()
    connection.sendall((b"+" if good else b"-") + len(answer).to_bytes(8, "big") + answer)


main(socket.socket(fileno=int(sys.argv[1])))
