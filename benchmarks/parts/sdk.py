"""What guests cost that the SDKs for core modules build: a hello, and the creation of a schedule."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgpack

from ..contest import Entry
from ..figures import Result, Spread
from ..part import Effort, Part
from ..processes import Child

GUEST_ABI = Path(__file__).resolve().parents[2] / "guest-abi"


@dataclass(frozen=True)
class Request:
    """What a guest is asked."""

    method: str
    path: str
    body: bytes | None = None

    def order(self, wasm: Path) -> dict[str, str | None]:
        """The order that asks the guest in ``wasm``."""
        body = None if self.body is None else base64.b64encode(self.body).decode()
        return {"wasm": str(wasm), "method": self.method, "path": self.path, "body_b64": body}


@dataclass(frozen=True)
class Guest:
    """The guest of one SDK, and the two requests to it."""

    wasm: Path
    hello: Request
    create: Request


_INPUT = msgpack.packb(
    {"endpoint": "/sync", "cron": "0 * * * *", "name": "Hourly sync", "payload": {"full": False}}
)


def _template(sdk: str) -> Guest:
    return Guest(
        GUEST_ABI / sdk / "template/dist/main.wasm", Request("GET", "/hello"), Request("POST", "/setup")
    )


GUESTS = {
    "assemblyscript": Guest(
        GUEST_ABI / "assemblyscript/tests/codec.wasm",
        Request("POST", "/value", msgpack.packb("hello")),
        Request("POST", "/perform/scheduler.create", _INPUT),
    ),
    "rust": _template("rust"),
    "c": _template("c"),
    "go": _template("go"),
}
"""By the SDK's name. Go's is too large to commit."""


def run(effort: Effort) -> Sequence[Result]:
    """The key is the CPU time of the execution that creates a schedule, without what a server would take."""
    guests = {name: guest for name, guest in GUESTS.items() if guest.wasm.exists()}
    with Child("benchmarks.contestants.sdk:Sdk", effort.core) as child:
        entries = {
            f"{name} {what}": Entry(child, request.order(guest.wasm))
            for name, guest in guests.items()
            for what, request in (("hello", guest.hello), ("create", guest.create))
        }
        timings = effort.contest(entries, rounds=40, batch_s=0.03)
    results = []
    for name, guest in GUESTS.items():
        if name not in guests:
            note = f"needs `make guest-{name}-build`"
            results.append(Result(f"sdk.{name}_create_us", None, note=note))
            continue
        hello, create = timings[f"{name} hello"], timings[f"{name} create"]
        figures: dict[str, Spread | float] = {
            f"{name}_hello_cpu_us": hello.cpu,
            f"{name}_create_cpu_us": create.cpu,
            f"{name}_module_bytes": guest.wasm.stat().st_size,
        }
        counts = {"hello": hello.counts["checked"], "create": create.counts["host_calls"]}
        results.append(Result(f"sdk.{name}_create_us", create.cpu.median, create.cpu, counts, figures))
    return results


PART = Part("sdk", tuple(f"sdk.{name}_create_us" for name in GUESTS), (), run)
