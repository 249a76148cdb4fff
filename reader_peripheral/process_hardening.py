"""Keeps card data and PINs out of core dumps, other processes' reach and swap, as far as the system lets."""

from __future__ import annotations

import ctypes
import logging
import resource
import sys

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4  # linux/prctl.h
# MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT of sys/mman.h on x86 and Arm: what is touched stays in memory.
# Without the last, the whole stack of every thread would be touched: 8 MB each.
_MCL_ALL_THAT_IS_TOUCHED = 7


def harden_process() -> None:
    """No core dumps; on Linux no ptrace by the same user, and no swap where the memory limit allows."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.warning("this process could not be made undumpable (errno %d)", ctypes.get_errno())
    # An unlimited LimitMEMLOCK is the service unit's to give; without it, locking future pages would make
    # allocations fail later, so it is not tried.
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        log.debug("memory is not locked: the limit on locked memory is not 'unlimited'")
    elif libc.mlockall(_MCL_ALL_THAT_IS_TOUCHED) != 0:
        log.warning("memory could not be locked (errno %d)", ctypes.get_errno())
