"""Give back the disk space of a part of a file, which then reads as zeros."""

import ctypes
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # linux/falloc.h


def punch(descriptor: int, start: int, nbytes: int) -> None:
    """Turn these bytes of an open file into a hole; raises OSError where that is not possible."""
    if _fallocate()(descriptor, _KEEP_SIZE | _PUNCH_HOLE, start, nbytes):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def can_punch(folder: Path) -> bool:
    """Whether files in `folder` can have holes punched into them: on Linux, and on most of its file systems."""
    if not sys.platform.startswith("linux"):
        return False
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(8192))
        file.flush()
        try:
            punch(file.fileno(), 0, 8192)
        except OSError:
            return False
    return True


@cache
def _fallocate() -> Any:
    function = ctypes.CDLL(None, use_errno=True).fallocate
    function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return function
