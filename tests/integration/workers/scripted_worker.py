"""A worker process that does the words in its settings' bundle store, one after the other, and nothing else.

It speaks the supervisor's protocol with the standard library and msgpack alone, so that it starts quickly.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

import msgpack

channel = socket.socket(fileno=int(sys.argv[1]))


def send(**message: object) -> None:
    packed = msgpack.packb(message)
    channel.sendall(len(packed).to_bytes(4, "big") + packed)


def receive() -> dict:
    length = int.from_bytes(exactly(4), "big")
    return msgpack.unpackb(exactly(length))


def exactly(count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = channel.recv(count - len(data))
        if not more:
            sys.exit(0)
        data += more
    return data


def counted(number: int) -> dict:
    snapshot = {
        "alga_runner_executions_total": [[["success"], [1]]],
        "alga_runner_executions_in_progress": [[[], [1]]],
    }
    return {"kind": "counters", "round": number, "snapshot": snapshot, "resident": 1000}


signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGHUP, signal.SIGTERM})
start = receive()
for word in start["settings"]["plain"]["bundle_store"].split():
    match word.partition("="):
        case ["ready", *_]:
            send(kind="ready")
        case ["count", *_]:
            send(**counted(0))
        case ["fail", *_]:
            send(kind="failed", code="settings_invalid", message="It cannot.", hint="Mend it.")
            sys.exit(1)
        case ["exit", _, status]:
            sys.exit(int(status))
        case ["die", _, number]:
            os.kill(os.getpid(), int(number or signal.SIGKILL))
        case ["nonsense", *_]:
            send(kind="nonsense")
        case ["replace", *_]:
            send(kind="replace", why="memory")
        case ["second", _, word] if os.path.exists(word):  # noqa: PTH110
            sys.exit(3)
        case ["second", _, word]:
            os.close(os.open(word, os.O_CREAT))
        case ["hang", *_]:
            signal.pause()
while True:
    match receive():
        case {"kind": "measure", "round": number}:
            send(**counted(number))
        case {"kind": "retire" | "drain" | "stop"}:
            sys.exit(0)
