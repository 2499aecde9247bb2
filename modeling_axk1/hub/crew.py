"""A few threads that move bytes; the first that fails, or Ctrl-C, stops the others at their next piece."""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from modeling_axk1.errors import HubError
from modeling_axk1.progress import Advance

T = TypeVar("T")


class Crew:
    """`workers` threads that tell `advance` of the bytes they moved.

    Example:
        with progress_bar("fetching", total=total, in_bytes=True) as advance:
            crew = Crew(4, advance)
            crew.run(partial(fetch, path, crew.moved) for path in paths)

    """

    def __init__(self, workers: int, advance: Advance) -> None:
        """Start no thread yet."""
        self._workers, self._advance = workers, advance
        self._stopped = threading.Event()

    def moved(self, amount: int, note: str) -> None:
        """Count bytes of the file `note`; raises HubError in a thread that is to stop."""
        if self._stopped.is_set():
            raise HubError("stopped")
        self._advance(amount, note=note)

    def run(self, tasks: Iterable[Callable[[], T]]) -> list[T]:
        """Run all tasks and return what they return, in any order; raises what the first failed one raised."""
        with ThreadPoolExecutor(self._workers) as pool:
            futures = [pool.submit(task) for task in tasks]
            try:
                return [future.result() for future in as_completed(futures)]
            except BaseException:
                self._stopped.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
