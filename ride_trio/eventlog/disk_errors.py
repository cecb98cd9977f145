"""What the disk says, as the log tells it."""

from __future__ import annotations

import errno
from typing import Final

from ride_trio.errors import LogError, LogFailedError, LogFullError

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def disk_error(error: OSError) -> LogError:
    """What is told of a write that has failed, and was taken back."""
    if error.errno in NO_ROOM:
        return LogFullError(f"the disk is full: {error.strerror}; nothing of this is stored")
    return LogFailedError(f"the log can't be written: {error}; nothing of this is stored")
