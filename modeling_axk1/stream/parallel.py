"""The same work on many things by a few threads, which Ctrl-C does not wait for."""

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

_Item = TypeVar("_Item")


def in_parallel(work: Callable[[_Item], object], items: Iterable[_Item], threads: int) -> None:
    """Call `work` with each of `items`; raises the first error once what was begun beside it has ended.

    Unlike a pool of concurrent.futures, whose threads a process waits for even when it is told to end: one of them may
    be waiting for a server that does not answer.
    """
    left, lock = iter(items), threading.Lock()
    errors: list[BaseException] = []
    stopped = threading.Event()

    def run() -> None:
        while not stopped.is_set():
            with lock:
                item = next(left, left)
            if item is left:
                return
            try:
                work(item)  # type: ignore[arg-type]
            except BaseException as error:  # it is raised by whoever waits
                errors.append(error)
                stopped.set()

    workers = [threading.Thread(target=run, name="axk1-fetching", daemon=True) for _ in range(threads)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        stopped.set()
    if errors:
        raise errors[0]
