"""One process at a time per stage and output; a stage ends with its parent process."""

import ctypes
import fcntl
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PR_SET_PDEATHSIG = 1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of mallopt


def end_with_parent() -> None:
    """When the parent process is killed, the system sends this one SIGTERM. On Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def keep_freed_memory() -> None:
    """glibc gives the memory of a freed tensor back to the system, and the next tensor costs a fault per page: up to a tenth of a
    step on a CPU. Now it keeps what it has, except blocks over 32 MiB, its maximum. On Linux only."""
    if mallopt := sys.platform == "linux" and getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(M_MMAP_THRESHOLD, 2**25)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


@contextmanager
def held(path: Path, tell: Callable[[str], object]) -> Iterator[None]:
    """Holds the lock file `path`. Waits while another process holds it, and names that process. A dead process holds none."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                pid = file.read()
                tell(f"process {pid} is still at work on the same; waiting until it ends. To end it: kill {pid}")
                fcntl.flock(file, fcntl.LOCK_EX)
            if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
                continue  # its last holder has removed it
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield
            return
