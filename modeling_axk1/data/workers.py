"""Work spread over processes: results come as they are ready, and no process outlives the one that started it."""

import multiprocessing
import os
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Any, Self, TypeVar

from modeling_axk1.errors import AXK1Error, DataError

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """`count` processes that carry out tasks; with one, the tasks are carried out in this process.

    Example:
        with Workers(2) as workers:
            for task, result in workers.run(work, deque(tasks)):
                ...

    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise DataError(f"workers must be at least 1, got {count}")
        self.count = count
        self._processes: list[Any] = []
        self._connections: list[Connection] = []

    def __enter__(self) -> Self:
        # Not forked: this process has threads (the progress bar's, pyarrow's), and a fork of those may hang.
        context = multiprocessing.get_context("spawn")
        for _ in range(self.count if self.count > 1 else 0):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            theirs.close()  # so that the end of the process is the end of the connection
            self._processes.append(process)
            self._connections.append(ours)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()
        for connection in self._connections:
            connection.close()

    def run(self, work: Callable[[Task], Iterable[Result]], tasks: deque[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield (task, result) for every result of `work(task)` as it comes; tasks may be added meanwhile.

        `work` is pickled once for each process and stays there, so what it remembers serves all its tasks. Raises
        what `work` raises; DataError when a process was killed.
        """
        if not self._connections:
            while tasks:
                task = tasks.popleft()
                for result in work(task):
                    yield task, result
            return
        for connection in self._connections:
            connection.send(("work", work))
        idle = list(reversed(self._connections))
        busy: dict[Connection, Task] = {}
        while tasks or busy:
            while tasks and idle:
                connection = idle.pop()
                busy[connection] = tasks.popleft()
                connection.send(("task", busy[connection]))
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                kind, value = _receive(ready)
                if kind == "error":
                    raise value
                if kind == "end":
                    del busy[ready]
                    idle.append(ready)
                else:
                    yield busy[ready], value


def _receive(connection: Connection) -> tuple[str, Any]:
    try:
        message: tuple[str, Any] = connection.recv()
    except (EOFError, ConnectionResetError):
        raise DataError(
            "a worker process was killed, perhaps for want of memory; the same command goes on where it was"
        ) from None
    return message


def _serve(connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work: Callable[[Any], Iterable[Any]] = iter
    while True:
        try:
            kind, value = connection.recv()
        except EOFError:
            return
        if kind == "work":
            work = value
            continue
        try:
            for result in work(value):
                connection.send(("result", result))
            connection.send(("end", None))
        except (AXK1Error, OSError, MemoryError) as error:
            connection.send(("error", error))
        except Exception as error:
            connection.send(("error", RuntimeError("".join(traceback.format_exception(error)))))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
