"""WASI preview 1, the host's own: enough for a language's runtime, nothing of the machine (guest ABI, "Imports").

Clock, random, stdout and stderr as log lines, exit, waiting for clocks, and questions about descriptors 0 to 2. No
files, no sockets, no arguments, no environment. The rest of the interface links and answers ENOSYS.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import anyio

from ..errors import GuestExit
from .abi import Import, host_import
from .session import Session

MODULE = "wasi_snapshot_preview1"

SUCCESS, BADF, FAULT, INVAL, NOSYS, SPIPE = 0, 8, 21, 28, 52, 70
"""WASI error numbers."""

MAX_RANDOM_BYTES = 64 * 1024
QUICK_RANDOM_BYTES = 4 * 1024
"""Random bytes that are made in microseconds; more suspend the guest."""

_MAX_VECTORS = 1024
_MAX_WRITE_BYTES = 64 * 1024
"""Taken by one ``fd_write``, which may write less than it is given: vectors may overlap, so that a small memory can ask
for gigabytes."""

_MAX_SUBSCRIPTIONS = 64
_CLOCK_REALTIME, _CLOCK_MONOTONIC, _CLOCKS = 0, 1, 4
_CHARACTER_DEVICE = 2
_RIGHTS_WRITE = 1 << 6

_u32 = struct.Struct("<I")
_u64 = struct.Struct("<Q")
_vector = struct.Struct("<II")
_fdstat = struct.Struct("<BxHxxxxQQ")
_filestat = struct.Struct("<QQB7xQQQQQ")
_subscription = struct.Struct("<QB7xI4xQQH6x")
_event = struct.Struct("<QHB5x16x")


def _sizes_get(session: Session, count: int, size: int) -> int:
    session.write("args_sizes_get", count, _u32.pack(0))
    session.write("args_sizes_get", size, _u32.pack(0))
    return SUCCESS


def _nothing(_session: Session, *_arguments: int) -> int:
    return SUCCESS


def _now_ns(session: Session, clock: int) -> int:
    return session.clock_ns() if clock == _CLOCK_REALTIME else time.monotonic_ns()


def _clock_res_get(session: Session, clock: int, where: int) -> int:
    if clock >= _CLOCKS:
        return INVAL
    session.write("clock_res_get", where, _u64.pack(1))
    return SUCCESS


def _clock_time_get(session: Session, clock: int, _precision: int, where: int) -> int:
    if clock >= _CLOCKS:
        return INVAL
    session.write("clock_time_get", where, _u64.pack(_now_ns(session, clock)))
    return SUCCESS


def _random_get(session: Session, where: int, length: int) -> int | Coroutine[Any, Any, int]:
    if length > MAX_RANDOM_BYTES:
        return INVAL
    if length > QUICK_RANDOM_BYTES:
        return _much_random(session, where, length)
    session.write("random_get", where, os.urandom(length))
    return SUCCESS


async def _much_random(session: Session, where: int, length: int) -> int:
    session.write("random_get", where, os.urandom(length))
    return SUCCESS


async def _fd_write(session: Session, descriptor: int, vectors: int, count: int, written: int) -> int:
    if descriptor not in (1, 2):
        return BADF
    if count > _MAX_VECTORS:
        return INVAL
    session.check_range("fd_write", written, _u32.size)
    parts = _vector.iter_unpack(session.read("fd_write", vectors, count * _vector.size))
    data = bytearray()
    for offset, length in parts:
        session.check_range("fd_write", offset, length)
        data += session.read("fd_write", offset, min(length, _MAX_WRITE_BYTES - len(data)))
    await session.log.stream(session, descriptor, bytes(data))
    session.write("fd_write", written, _u32.pack(len(data)))
    return SUCCESS


def _fd_read(session: Session, descriptor: int, _vectors: int, _count: int, read: int) -> int:
    if descriptor != 0:
        return BADF
    session.write("fd_read", read, _u32.pack(0))
    return SUCCESS


def _fd_fdstat_get(session: Session, descriptor: int, where: int) -> int:
    if descriptor > 2:
        return BADF
    rights = _RIGHTS_WRITE if descriptor else 0
    session.write("fd_fdstat_get", where, _fdstat.pack(_CHARACTER_DEVICE, 0, rights, 0))
    return SUCCESS


def _fd_filestat_get(session: Session, descriptor: int, where: int) -> int:
    if descriptor > 2:
        return BADF
    session.write("fd_filestat_get", where, _filestat.pack(0, 0, _CHARACTER_DEVICE, 1, 0, 0, 0, 0))
    return SUCCESS


def _known_descriptor(_session: Session, descriptor: int, *_arguments: int) -> int:
    return SUCCESS if descriptor <= 2 else BADF


def _fd_seek(_session: Session, descriptor: int, *_arguments: int) -> int:
    return SPIPE if descriptor <= 2 else BADF


def _bad_descriptor(_session: Session, *_arguments: int) -> int:
    return BADF


def _no_such_call(_session: Session, *_arguments: int) -> int:
    return NOSYS


def _proc_exit(session: Session, status: int) -> None:
    session.exit_status = status
    raise GuestExit(f"The guest exited with status {status}.")


async def _poll_oneoff(session: Session, subscriptions: int, events: int, count: int, stored: int) -> int:
    """Waits for the earliest of ``count`` clocks; the guest stays suspended, within the execution's deadline."""
    if not 0 < count <= _MAX_SUBSCRIPTIONS:
        return INVAL
    session.check_range("poll_oneoff", events, count * _event.size)
    session.check_range("poll_oneoff", stored, _u32.size)
    waits: list[tuple[int, int]] = []
    for user_data, tag, clock, timeout, _precision, flags in _subscription.iter_unpack(
        session.read("poll_oneoff", subscriptions, count * _subscription.size)
    ):
        if tag != 0 or clock >= _CLOCKS:
            return NOSYS if tag else INVAL
        absolute = flags & 1
        waits.append((max(0, timeout - _now_ns(session, clock)) if absolute else timeout, user_data))
    shortest = min(wait for wait, _ in waits)
    await anyio.sleep(shortest / 1e9)
    due = [_event.pack(user_data, SUCCESS, 0) for wait, user_data in waits if wait == shortest]
    session.write("poll_oneoff", events, b"".join(due))
    session.write("poll_oneoff", stored, _u32.pack(len(due)))
    return SUCCESS


_ANSWERS: dict[str, tuple[str, Callable[..., int | Awaitable[int] | None]]] = {
    "args_get": ("ii", _nothing),
    "args_sizes_get": ("ii", _sizes_get),
    "environ_get": ("ii", _nothing),
    "environ_sizes_get": ("ii", _sizes_get),
    "clock_res_get": ("ii", _clock_res_get),
    "clock_time_get": ("iIi", _clock_time_get),
    "fd_close": ("i", _known_descriptor),
    "fd_datasync": ("i", _known_descriptor),
    "fd_fdstat_get": ("ii", _fd_fdstat_get),
    "fd_fdstat_set_flags": ("ii", _known_descriptor),
    "fd_filestat_get": ("ii", _fd_filestat_get),
    "fd_prestat_dir_name": ("iii", _bad_descriptor),
    "fd_prestat_get": ("ii", _bad_descriptor),
    "fd_read": ("iiii", _fd_read),
    "fd_seek": ("iIii", _fd_seek),
    "fd_sync": ("i", _known_descriptor),
    "fd_tell": ("ii", _fd_seek),
    "fd_write": ("iiii", _fd_write),
    "poll_oneoff": ("iiii", _poll_oneoff),
    "random_get": ("ii", _random_get),
    "sched_yield": ("", _nothing),
}

_UNSUPPORTED = {
    "fd_advise": "iIIi",
    "fd_allocate": "iII",
    "fd_fdstat_set_rights": "iII",
    "fd_filestat_set_size": "iI",
    "fd_filestat_set_times": "iIIi",
    "fd_pread": "iiiIi",
    "fd_pwrite": "iiiIi",
    "fd_readdir": "iiiIi",
    "fd_renumber": "ii",
    "path_create_directory": "iii",
    "path_filestat_get": "iiiii",
    "path_filestat_set_times": "iiiiIIi",
    "path_link": "iiiiiii",
    "path_open": "iiiiiIIii",
    "path_readlink": "iiiiii",
    "path_remove_directory": "iii",
    "path_rename": "iiiiii",
    "path_symlink": "iiiii",
    "path_unlink_file": "iii",
    "proc_raise": "i",
    "sock_accept": "iii",
    "sock_recv": "iiiiii",
    "sock_send": "iiiii",
    "sock_shutdown": "ii",
}

WASI_IMPORTS: tuple[Import, ...] = (
    *(
        host_import(MODULE, name, params, "i", answer, early=True, only_if_long=answer is _random_get)
        for name, (params, answer) in _ANSWERS.items()
    ),
    *(
        host_import(MODULE, name, params, "i", _no_such_call, early=True)
        for name, params in _UNSUPPORTED.items()
    ),
    host_import(MODULE, "proc_exit", "i", "", _proc_exit, early=True),
)
"""The whole interface, one import each."""
