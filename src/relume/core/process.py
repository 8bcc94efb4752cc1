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


def end_with_parent() -> None:
    """When the parent process is killed, the system sends this one SIGTERM. On Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


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
