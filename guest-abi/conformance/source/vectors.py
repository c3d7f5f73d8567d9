"""Cases made from the vectors: what a host reads and writes, and what the SDKs' guests make of messages."""

from __future__ import annotations

from typing import Any

from . import cases
from .cases import FREE, REPLY_AT, REPLY_CAPACITY, TEXT, Case, Cases, Script, case, ends, run, vectors
from .documents import example, name_of
from .guests import ABI, import_text, small

MESSAGES, REFUSALS = "Messages", "Refusals"
RULES = {
    "shape": (
        'a request is a map, required members are there, types are as stated (an integer is not a boolean, nor `"5"` '
        "or `5.5` an integer)"
    ),
    "key": "keys are strings: not `bin`, not integers",
    "extension": "no extension types; timestamps are one",
    "depth": "containers nest at most 32 deep, the message's own map included",
    "duplicate": "no key twice in one map",
    "utf8": "strings and keys are UTF-8: no surrogates, no overlong forms",
    "json": (
        "what becomes JSON (`payload`) holds no `bin`, NaN, infinity, or integer beyond 2^53 on either side of zero, "
        "and nests at most 28 deep: a reply of `list` puts it four deeper"
    ),
    "items": "10,000 maps and arrays in a message, 10,000 members in each",
}
"""The rules of the vectors, in the words of ABI.md."""

_FRAMING = "are broken framing and end\nthe execution"
_FORMS = "Any form of\nMessagePack is accepted, not only the shortest"
_OF_EVERY_DOCUMENT = {"key", "extension", "depth", "duplicate", "utf8"}
_DEEPEST = 32
SDKS = ("assemblyscript", "c", "rust")


def host_calls() -> Cases:
    """Requests of host calls."""
    operations = {one["name"]: one for one in cases.operations()}
    for vector in vectors("host-call-requests"):
        operation = operations[vector["operation"]]
        call, group = (
            f"{operation['module']} {operation['function']}",
            operation["module"].removeprefix("alga:"),
        )
        answer = example(name_of(operation["output"]), whole=False)
        data = bytes.fromhex(vector["hex"])
        script = Script(cases.probe_functions(group))
        more: dict[str, Any] = {
            "grants": [operation["capability"]],
            "answers": {operation["name"]: {"ok": answer}},
        }
        if vector["kind"] == "valid":
            script.host_call(call, data, {"ok": answer})
            defaults = {"enabled"} if operation["function"] == "create" else set()
            given = {name: value for name, value in vector["value"].items() if name not in defaults}
            more["asked"] = [{"operation": operation["name"], "input": given}]
            rule = _FORMS
        elif vector["kind"] == "refused":
            error: dict[str, Any] = {"code": vector["code"], "message": TEXT}
            if "field" in vector:
                error["fieldErrors"] = {vector["field"]: TEXT}
            script.host_call(call, data, {"err": error})
            rule = RULES[vector["rule"]] if "rule" in vector else "64 KiB for a request"
        else:
            script.write(FREE, data).call(call, FREE, len(data), REPLY_AT, REPLY_CAPACITY)
            more["expect"] = ends("broken_framing", operation["function"])
            rule = _FRAMING
        section = MESSAGES if vector["kind"] == "valid" else REFUSALS
        name = f"vectors/host-call-requests: {operation['name']}: {vector['name']}"
        yield run(name, section, rule, group, script, **more)


def values() -> Cases:
    """Any value, as a member that the host ignores."""
    script = lambda: Script(cases.probe_functions("context"))  # noqa: E731
    answers = {"context.get": {"ok": {"context": example("ContextInfo", whole=False)}}}
    for levels in (_DEEPEST, _DEEPEST + 1):
        reply = {"ok": {}} if levels == _DEEPEST else {"err": {"code": "validation-failed", "message": TEXT}}
        yield run(
            f"vectors/values: {levels} containers deep, with the map",
            REFUSALS,
            RULES["depth"],
            "context",
            script().host_call("alga:context get", b"\x81\xa1x" + b"\x91" * (levels - 1) + b"\xc0", reply),
            answers=answers,
            asked=[{"operation": "context.get", "input": {}}] if levels == _DEEPEST else [],
        )
    for vector in vectors("values"):
        data = bytes.fromhex(vector["hex"])
        name = f"vectors/values: {vector['name']}"
        if vector["kind"] == "valid":
            if _depth(vector["value"]) >= _DEEPEST:
                continue  # in a map, it nests too deep
            yield run(
                name,
                MESSAGES,
                _FORMS,
                "context",
                script().host_call("alga:context get", b"\x81\xa1x" + data, {"ok": {}}),
                answers=answers,
                asked=[{"operation": "context.get", "input": {}}],
            )
        elif vector["kind"] == "refused":
            rule = "The rules hold for members that are ignored, too."
            error = {"code": vector["code"], "message": TEXT}
            request = b"\x81\xa1x" + data
            yield run(
                name,
                REFUSALS,
                rule,
                "context",
                script().host_call("alga:context get", request, {"err": error}),
                answers=answers,
            )
        else:
            yield run(
                name,
                REFUSALS,
                _FRAMING,
                "context",
                script()
                .write(FREE, data)
                .call("alga:context get", FREE, len(data), REPLY_AT, REPLY_CAPACITY),
                answers=answers,
                expect=ends("broken_framing"),
            )


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def responses() -> Cases:
    """What a guest responds."""
    for vector in vectors("responses"):
        data = bytes.fromhex(vector["hex"])
        script = Script(cases.probe_functions("context"))
        script.write(FREE, data).call("alga:abi respond", FREE, len(data)).leave()
        if vector["kind"] == "valid":
            value = vector["value"]
            headers = [[header["name"], header["value"]] for header in value["headers"]]
            expect: dict[str, Any] = {"response": {**value, "headers": headers}}
            rule = "| `Response` | `status` | integer, 200 to 599 | of HTTP, never an interim one |"
        else:
            expect = ends("invalid_response")
            rule = "Anything else is `invalid_response`, broken framing too."
        name = f"vectors/responses: {vector['name']}"
        yield run(name, MESSAGES, rule, "context", script, expect=expect)


_ECHO = small(
    """(func $head (param $length i32)
      (i32.store8 (i32.const 80) (i32.shr_u (local.get $length) (i32.const 24)))
      (i32.store8 (i32.const 81) (i32.shr_u (local.get $length) (i32.const 16)))
      (i32.store8 (i32.const 82) (i32.shr_u (local.get $length) (i32.const 8)))
      (i32.store8 (i32.const 83) (local.get $length)))""",
    imports=import_text(ABI[0], "request"),
    memory='(memory (export "memory") 16)',
    data=b"\x82\xa6status\xcc\xc8\xa4body\xc6",
    handler="""(call $head (local.get 0)) (drop (call $frequest (i32.const 84) (local.get 0)))
      (call $frespond (i32.const 64) (i32.add (local.get 0) (i32.const 20)))""",
)
"""A guest whose response has the request, as it was copied, for a body."""


def requests() -> Cases:
    """What a handler is asked: the host writes it."""
    everything = {
        "context": example("ContextInfo"),
        "http": {**example("HttpInfo"), "method": "POST", "url": "/sync?a=1"},
        "user": example("UserInfo"),
    }
    tables = "| `Request` | `context` | `ContextInfo` |  |"
    named = [(vector["name"], vector["value"], tables) for vector in vectors("requests")]
    named.append(("every member of the schema", everything, tables))
    for method in ("GET", "HEAD", "DELETE"):
        url = "/a/b%2Fc?x=1&x=2&y&z=%ff"
        rule = "as the caller\nwrote it, so a name may be repeated or have no value"
        named.append(
            (
                f"{method} with a query, as written",
                {"http": {"method": method, "url": url, "body": None}},
                rule,
            )
        )
    named.append(
        ("an empty body", {"http": {"body": cases.binary(b"")}}, "nil is no body, an empty one is a body")
    )
    payload = "/sync?payload=%7B%22a%22%3A%22b%20%2Bc%22%7D"
    named.append(
        (
            "a GET's payload",
            {"http": {"method": "GET", "url": payload, "body": None}},
            "A space is `%20` and a plus sign is `%2B`",
        )
    )
    for name, value, rule in named:
        head = value["http"].get("method") == "HEAD"
        body = {} if head else {"body": {"message": value}}
        yield case(
            f"vectors/requests: {name}",
            MESSAGES,
            rule,
            ("echo-request", _ECHO),
            {"response": {"status": 200, **body}},
            request=value,
        )


def sdks() -> Cases:
    """What the SDKs' guests make of values: they decode the request's body, and encode it again."""
    for sdk in SDKS:
        for file in ("values", "host-call-requests"):
            for vector in vectors(file):
                if echo := _echoed(sdk, file, vector):
                    yield echo


def _echoed(sdk: str, file: str, vector: dict[str, Any]) -> Case | None:
    if vector["kind"] == "valid":
        if file != "values":
            return None
        canonical = vector.get("canonical", vector["hex"])
        expect: dict[str, Any] = {"response": {"status": 200, "body": {"$bin": canonical}}}
        rule = _FORMS
    elif vector["kind"] == "breach" or vector.get("rule") in _OF_EVERY_DOCUMENT:
        expect = {"response": {"status": 422}}
        rule = RULES[vector["rule"]] if vector["kind"] == "refused" else _FRAMING
    else:
        return None
    return case(
        f"sdk/{sdk}: {file}: {vector['name']}",
        MESSAGES if vector["kind"] == "valid" else REFUSALS,
        rule,
        f"sdks/{sdk}.wasm",
        expect,
        request={"http": {"url": "/value", "body": {"$bin": vector["hex"]}}},
    )
