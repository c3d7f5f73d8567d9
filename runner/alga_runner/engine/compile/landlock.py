"""Confines a process to its open files: from then on it opens no file, connects nowhere and signals no process.

With Landlock an unprivileged process gives up rights of its user for good
(https://docs.kernel.org/userspace-api/landlock.html). Newer kernels can take away more of them.
"""

from __future__ import annotations

import ctypes
import struct

_CREATE_RULESET = 444
_RESTRICT_SELF = 446
"""Numbers of the system calls, the same on every processor."""

_ASK_VERSION = 1
_FILES_SINCE = {1: 13, 2: 14, 3: 15, 5: 16}
"""By version of Landlock: how many kinds of file access it knows, one bit each."""

_NET_SINCE = 4
_SCOPES_SINCE = 6
_EVERYTHING = 0b11
_PR_SET_NO_NEW_PRIVS = 38


def restrict_self() -> bool:
    """Confine this process. ``False`` if the kernel has no Landlock: then nothing has changed."""
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(_CREATE_RULESET, None, 0, _ASK_VERSION)
    if version < 1:
        return False
    files = (1 << max(count for since, count in _FILES_SINCE.items() if since <= version)) - 1
    rules = [files]
    if version >= _NET_SINCE:
        rules.append(_EVERYTHING)  # TCP: bind, connect
    if version >= _SCOPES_SINCE:
        rules.append(_EVERYTHING)  # abstract sockets and signals, of processes outside
    packed = struct.pack(f"={len(rules)}Q", *rules)
    ruleset = libc.syscall(_CREATE_RULESET, packed, ctypes.c_size_t(len(packed)), 0)
    if ruleset < 0:
        return False
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return bool(libc.syscall(_RESTRICT_SELF, ruleset, 0) == 0)  # no rule was added: nothing is allowed
