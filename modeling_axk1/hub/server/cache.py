"""A bounded memory of things that never change."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Cache:
    """Keeps what was made, the least recently used going first when all together cost more than `limit` bytes.

    Only for what its key settles for good, like an object by its digest: nothing here is ever refreshed, and other
    processes keep caches of their own. One value may cost up to an eighth of the limit; a larger one is not kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._cost = 0
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any], cost: Callable[[Any], int]) -> Any:
        """Return the value of `key`, made when it is not here; `cost` estimates its bytes."""
        with self._lock:
            if (kept := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return kept[0]
        # Not under the lock: two threads may make the same value, none waits for the other.
        value = make()
        bytes_ = cost(value)
        if bytes_ <= self._limit // 8:
            with self._lock:
                if key not in self._kept:
                    self._kept[key] = (value, bytes_)
                    self._cost += bytes_
                while self._cost > self._limit:
                    self._cost -= self._kept.popitem(last=False)[1][1]
        return value
