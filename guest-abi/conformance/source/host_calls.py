"""Cases of every operation, made from the schema: a new one has them once ``build.py`` has run."""

from __future__ import annotations

from typing import Any

import msgpack

from alga_runner.models import DEFAULT_CAPABILITIES

from . import cases
from .cases import FREE, REPLY_AT, REPLY_CAPACITY, TEXT, Case, Cases, Script, ends, run
from .documents import example, kind, members, name_of, required, wrong_values
from .guests import MEMORY

HOST_CALLS, MESSAGES, REFUSALS, RULES, LIFETIMES = "Host calls", "Messages", "Refusals", "Rules", "Lifetimes"
_TYPES = (
    'a request is a map, required members are there, types are as stated (an integer is not a boolean, nor `"5"` or '
    "`5.5` an integer)"
)
_OK = msgpack.packb({"status": 200})
_HEAVY = 1024 * 1024
_CLEARED = {"name", "payload", "missedWindowSeconds"}


def plain(value: Any) -> Any:
    """``value`` with bytes for their tagged form."""
    if isinstance(value, dict):
        return bytes.fromhex(value["$bin"]) if "$bin" in value else {k: plain(v) for k, v in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def operations() -> Cases:
    """The cases of each operation."""
    for operation in cases.operations():
        yield from _Of(operation).cases()
    yield from _retryable()
    yield from _context()


class _Of:
    """The cases of one operation."""

    def __init__(self, operation: dict[str, Any]) -> None:
        self.name = operation["name"]
        self.operation = operation
        self.group = operation["module"].removeprefix("alga:")
        self.call = f"{operation['module']} {operation['function']}"
        self.input, self.output = name_of(operation["input"]), name_of(operation["output"])
        self.whole, self.least = example(self.input), example(self.input, whole=False)
        self.answer = example(self.output)

    def script(self) -> Script:
        return Script(cases.probe_functions(self.group))

    def run(self, name: str, section: str, rule: str, script: Script, **members: Any) -> Case:
        members = {
            "grants": [self.operation["capability"]],
            "answers": {self.name: {"ok": self.answer}},
            **members,
        }
        return run(f"{self.name}/{name}", section, rule, self.group, script, **members)

    def asked(self, given: Any) -> list[dict[str, Any]]:
        return [{"operation": self.name, "input": given}]

    def answered(self, name: str, section: str, rule: str, request: Any, given: Any) -> Case:
        script = self.script().host_call(self.call, request, {"ok": self.answer})
        return self.run(name, section, rule, script, asked=self.asked(given))

    def refused(self, name: str, request: Any, code: str, section: str, rule: str, *fields: str) -> Case:
        error: dict[str, Any] = {"code": code, "message": TEXT}
        if fields:
            error["fieldErrors"] = dict.fromkeys(fields, TEXT)
        return self.run(name, section, rule, self.script().host_call(self.call, request, {"err": error}))

    def cases(self) -> Cases:
        row = f"| `{self.operation['module']}` | `{self.operation['function']}` |"
        unknown = {**plain(self.whole), "$unknown": {"a": [1, None]}}
        yield self.answered("every member", HOST_CALLS, row, plain(self.whole), self.whole)
        yield self.answered(
            "an unknown member is ignored", MESSAGES, "Unknown keys are ignored by both sides", unknown, {}
        )
        least = example(self.output, whole=False)
        yield self.run(
            "required members alone",
            MESSAGES,
            "Optional members, marked `?`, are absent\nwhen they have no value",
            self.script().host_call(
                self.call,
                plain(self.least),
                {"ok": {**least, **dict.fromkeys(members(self.output).keys() - least.keys(), cases.ABSENT)}},
            ),
            answers={self.name: {"ok": least}},
            asked=self.asked(self.least),
        )
        yield from self.forms()
        yield from self.refusals()
        yield from self.wrong_members()
        yield from self.borders()
        for code in self.operation["codes"]:
            yield self.failure(code)

    def forms(self) -> Cases:
        optional = members(self.input).keys() - set(required(self.input))
        if optional:
            nils = {**plain(self.least), **dict.fromkeys(sorted(optional))}
            yield self.answered("a nil reads as absent", MESSAGES, "a nil reads as absent", nils, {})
        for member, schema in members(self.input).items():
            if kind(schema) == "integer":
                number = max(1, schema.get("minimum", 1))
                request = {**plain(self.least), member: float(number)}
                rule = "where an integer is asked, a float with an integral value counts as one: `5.0` is 5"
                yield self.answered(f"{member} as a float", MESSAGES, rule, request, {member: number})
        yield self.run(
            "through reply",
            HOST_CALLS,
            "make room for `n` bytes and call `alga:abi` `reply`. Do not repeat the call, it has\ntaken effect",
            self.script()
            .write(FREE, data := msgpack.packb(plain(self.least)))
            .call(self.call, FREE, len(data), REPLY_AT, 0, gives=cases.at_least(2))
            .ask("alga:abi reply", REPLY_AT, REPLY_CAPACITY, reply={"ok": self.answer}, **{"as": 0}),
            asked=self.asked(self.least),
        )

    def refusals(self) -> Cases:
        if self.operation["capability"] not in DEFAULT_CAPABILITIES:
            denied = {"err": {"code": "denied", "message": TEXT}}
            yield self.run(
                "denied without the capability, and not even decoded",
                REFUSALS,
                "A call that is `denied` is not decoded, so its bytes can break nothing.",
                self.script()
                .host_call(self.call, b"\xc1", denied)
                .host_call(self.call, plain(self.least), denied),
                grants=[],
            )
        yield self.refused("an array", [1], "validation-failed", REFUSALS, _TYPES)
        for missing in required(self.input):
            request = {name: value for name, value in plain(self.whole).items() if name != missing}
            yield self.refused(
                f"{missing} is missing", request, "validation-failed", REFUSALS, _TYPES, missing
            )
        yield self.run(
            "broken framing",
            REFUSALS,
            "are broken framing and end\nthe execution",
            self.script().write(FREE, b"\xc1").call(self.call, FREE, 1, REPLY_AT, REPLY_CAPACITY),
            expect=ends("broken_framing", self.operation["function"]),
        )
        limit = self.operation["limits"]["requestBytes"]
        least = msgpack.packb(plain(self.least))
        for size, reply in (
            (65_536, {"ok": self.answer}),
            (limit + 1, {"err": {"code": "too-large", "message": TEXT}}),
        ):
            head = bytes([least[0] + 1]) + least[1:] + msgpack.packb("$unknown")
            head += b"\xc6" + (size - len(head) - 5).to_bytes(4, "big")
            yield self.run(
                f"a request of {size:,} bytes",
                REFUSALS,
                "64 KiB for a request; a `payload` may add 300,000 bytes",
                self.script()
                .grow((size >> 16) + 2)
                .write(MEMORY, head)
                .ask(self.call, MEMORY, size, REPLY_AT, REPLY_CAPACITY, reply=reply),
                **({"asked": self.asked(self.least)} if "ok" in reply else {}),
                **({"slow": True} if size > _HEAVY else {}),
            )

    def wrong_members(self) -> Cases:
        for member, schema in members(self.input).items():
            for what, value in wrong_values(schema):
                request = {**plain(self.whole), member: value}
                payload = kind(schema) == "Json"
                rule = "what becomes JSON (`payload`) holds no `bin`" if payload else _TYPES
                yield self.refused(
                    f"{member} is {what}", request, "validation-failed", REFUSALS, rule, member
                )

    def borders(self) -> Cases:
        for name, arguments in {
            "the request's range": (MEMORY, 1, REPLY_AT, 100),
            "the reply's range": (FREE, 1, MEMORY - 10, 11),
        }.items():
            yield self.run(
                f"{name} is checked first",
                RULES,
                "that is checked first, so a\ncall that ends the execution has done nothing",
                self.script().write(FREE, b"\x80").call(self.call, *arguments),
                expect=ends("out_of_bounds", self.operation["function"]),
            )
        yield self.run(
            "after respond",
            LIFETIMES,
            "Any other host function ends the execution with `too_late`",
            self.script()
            .write(FREE, _OK)
            .call("alga:abi respond", FREE, len(_OK))
            .write(FREE, msgpack.packb(plain(self.least)))
            .call(self.call, FREE, len(msgpack.packb(plain(self.least))), REPLY_AT, REPLY_CAPACITY),
            expect=ends("too_late", self.operation["function"]),
        )

    def failure(self, code: str) -> Case:
        error = {"code": code, "message": "No.", "fieldErrors": {"member": "Wrong"}, "retryAfterMs": 1500}
        expected = {
            "err": {"code": code, "message": TEXT, "fieldErrors": {"member": "Wrong"}, "retryAfterMs": 1500}
        }
        return self.run(
            f"answers {code}",
            MESSAGES,
            f"| `{code}` |",
            self.script().host_call(self.call, plain(self.least), expected),
            answers={self.name: {"err": error}},
            asked=self.asked(self.least),
        )


def _retryable() -> Cases:
    """``retryable`` in errors of the scheduler."""

    def create(**more: str) -> dict[str, Any]:
        return {"endpoint": "/sync", "cron": "0 * * * *", **more}

    rule = (
        "`retryable` is true where the same call may succeed later, and does no harm if the first was carried out "
        "after all: after `rate-limited`;"
    )
    for function, request, code, retryable in (
        ("list", {}, "unavailable", True),
        ("list", {}, "timeout", True),
        ("list", {}, "not-found", False),
        ("list", {}, "internal", False),
        ("update", {"scheduleId": "s-1"}, "timeout", True),
        ("delete", {"scheduleId": "s-1"}, "unavailable", True),
        ("delete", {"scheduleId": "s-1"}, "conflict", False),
        ("create", create(), "unavailable", False),
        ("create", create(), "timeout", False),
        ("create", create(), "rate-limited", True),
        ("create", create(idempotencyKey="key-1"), "unavailable", True),
        ("create", create(idempotencyKey="key-1"), "timeout", True),
        ("create", create(idempotencyKey="key-1"), "quota-exceeded", False),
    ):
        name = f"scheduler.{function}"
        with_key = " with a key" if "idempotencyKey" in request else ""
        expected = {"code": code, "message": TEXT}
        expected["retryable"] = True if retryable else {"$absent": True}
        yield run(
            f"retryable/{name}{with_key}: {code}",
            MESSAGES,
            rule,
            "scheduler",
            Script(cases.probe_functions("scheduler")).host_call(
                f"alga:scheduler {function}", request, {"err": expected}
            ),
            grants=["cap:scheduler.manage"],
            answers={name: {"err": {"code": code, "message": "No."}}},
            asked=[{"operation": name, "input": request}],
        )
    for value, given in (
        (None, {"name": None, "payload": None, "missedWindowSeconds": None}),
        ("absent", {}),
    ):
        request = {"scheduleId": "s-1", "enabled": False, **given}
        absent = dict.fromkeys(_CLEARED - given.keys(), cases.ABSENT)
        yield run(
            f"scheduler.update/members that are {'nil are cleared' if value is None else 'absent are left'}",
            MESSAGES,
            "an absent `name`, `payload` or `missedWindowSeconds` leaves the stored value, and nil clears it",
            "scheduler",
            Script(cases.probe_functions("scheduler")).host_call(
                "alga:scheduler update", request, {"ok": {}}
            ),
            grants=["cap:scheduler.manage"],
            answers={"scheduler.update": {"ok": {}}},
            asked=[{"operation": "scheduler.update", "input": {**request, **dict(sorted(absent.items()))}}],
        )


def _context() -> Cases:
    """``alga:context get`` without an answer from elsewhere: the request's own context."""
    context = example("ContextInfo")
    yield run(
        "context.get/the context of the request",
        HOST_CALLS,
        "| `alga:context` | `get` |",
        "context",
        Script(cases.probe_functions("context")).host_call(
            "alga:context get", {}, {"ok": {"context": context}}
        ),
        request={"context": context},
    )
