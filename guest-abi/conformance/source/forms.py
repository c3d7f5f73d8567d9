"""Cases about the form of a module: exports, features of WebAssembly, types of imports, weak imports."""

from __future__ import annotations

from . import cases
from .cases import ANSWERS, REPLY_AT, REPLY_CAPACITY, Cases, Script, case, ends, operations, run
from .guests import ABI, HANDLER, Function, import_text, small

EXPORTS, FEATURES, IMPORTS, WEAK = "Exports", "WebAssembly", "Imports", "Weak imports"
_LOADS = {"response": ANSWERS}
_NEITHER = "A module without a marker, with two, or with one this host does not know, does not load"
_LACKS = "nor does one that lacks an export, or\nhas one of another type"

ALLOWED = {
    "multi-value": "(func (result i32 i32) i32.const 1 i32.const 2)",
    "bulk memory": "(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))",
    "sign extension": "(func (result i32) (i32.extend8_s (i32.const 1)))",
    "saturating conversions": "(func (result i32) (i32.trunc_sat_f32_s (f32.const 1)))",
    "mutable globals": '(global (export "g") (mut i32) (i32.const 1))',
    "reference types": "(table 1 externref) (func (result externref) (ref.null extern))",
    "fixed-width SIMD": "(func (result v128) (v128.const i64x2 1 2))",
    "tail calls": "(func $f (return_call $f))",
    "extended constant expressions": "(global i32 (i32.add (i32.const 1) (i32.const 2)))",
}

FORBIDDEN = {
    "threads, shared memory, atomics": ["(func (drop (i32.atomic.load (i32.const 0))))"],
    "memory64": ["(table i64 1 funcref)"],
    "multiple memories": ["(memory 1)"],
    "garbage collection": [
        "(type (struct (field i32)))",
        "(func (result i31ref) (ref.i31 (i32.const 0)))",
    ],
    "typed function references": ["(type $t (func)) (func (param (ref $t)) (call_ref $t (local.get 0)))"],
    "exceptions": ["(tag)", "(func try end)"],
    "stack switching": ["(type $t (func)) (type $c (cont $t))"],
    "relaxed SIMD": [
        "(func (param v128 v128) (result v128) (i8x16.relaxed_swizzle (local.get 0) (local.get 1)))"
    ],
    "wide arithmetic": ["(func (result i64 i64) (i64.mul_wide_s (i64.const 1) (i64.const 2)))"],
}
_MEMORIES = {
    "threads, shared memory, atomics": '(memory (export "memory") 1 1 shared)',
    "memory64": '(memory (export "memory") i64 1)',
    "custom page sizes": '(memory (export "memory") 65536 (pagesize 1))',
}
"""Memories with a feature that is not allowed."""


def exports() -> Cases:
    """Modules that lack an export, or have one of another type."""

    def one(name: str, rule: str, wat: str, refusal: str | None = None) -> cases.Case:
        expect = {"refused": refusal} if refusal else _LOADS
        return case(f"exports/{name}", EXPORTS, rule, (_slug(name), wat), expect)

    yield one("a small guest", "| `alga_handle` | `(request_length: i32) -> ()` |", small())
    yield one("other exports", "Other exports are ignored.", small('(func (export "other") (param f64))'))
    yield one("no memory", "| `memory` | memory |", small(memory=""), "export_missing")
    yield one(
        "memory under another name",
        "the one linear memory: 32-bit, not shared, not imported",
        small(memory='(memory (export "mem") 1)'),
        "export_missing",
    )
    yield one(
        "memory is a function",
        "the one linear memory: 32-bit, not shared, not imported",
        small('(func (export "memory"))', memory="(memory 1)"),
        "export_mistyped",
    )
    yield one(
        "memory is imported",
        "the one linear memory: 32-bit, not shared, not imported",
        small(
            imports='(import "env" "memory" (memory 1))',
            memory='(export "memory" (memory 0))',
        ),
        "import_unknown",
    )
    yield one("no marker", "| `alga_abi_v1` | `() -> ()` |", small(marker=""), "abi_marker_missing")
    yield one("two markers", _NEITHER, small('(func (export "alga_abi_v2"))'), "abi_marker_conflict")
    yield one(
        "an unknown marker", _NEITHER, small(marker='(func (export "alga_abi_v999"))'), "abi_marker_missing"
    )
    yield one(
        "a marker of another type",
        _LACKS,
        small(marker='(func (export "alga_abi_v1") (result i32) (i32.const 1))'),
        "export_mistyped",
    )
    yield one(
        "the marker is never called",
        "its presence is the version; it is never called",
        small(marker='(func (export "alga_abi_v1") unreachable)'),
    )
    yield one("no handler", _LACKS, small(handle="(func (param i32))"), "export_missing")
    yield one(
        "a handler that returns an int",
        "such as a handler that returns an `int`",
        small(handle='(func (export "alga_handle") (param i32) (result i32) (i32.const 0))'),
        "export_mistyped",
    )
    yield one(
        "a handler without a parameter",
        _LACKS,
        small(handle='(func (export "alga_handle"))'),
        "export_mistyped",
    )
    yield one(
        "a handler that is a global",
        _LACKS,
        small(handle='(global (export "alga_handle") i32 (i32.const 0))'),
        "export_mistyped",
    )
    yield one(
        "_initialize of another type",
        _LACKS,
        small('(func (export "_initialize") (result i32) (i32.const 0))'),
        "export_mistyped",
    )
    yield one(
        "a command",
        "nor one that was built as a command: with `_start` and without `_initialize`",
        small('(func (export "_start"))'),
        "export_missing",
    )
    yield one(
        "_start and _initialize",
        "nor one that was built as a command: with `_start` and without `_initialize`",
        small('(func (export "_start") unreachable) (func (export "_initialize"))'),
    )
    yield one(
        "_initialize runs before the handler",
        "| `_initialize` | `() -> ()` |",
        small(
            '(global $ready (mut i32) (i32.const 0)) (func (export "_initialize") (global.set $ready (i32.const 1)))',
            handler=f"(if (i32.eqz (global.get $ready)) (then unreachable)) {HANDLER}",
        ),
    )
    yield one(
        "_initialize runs once, after the start function",
        "optional; called once after instantiation, for the language's runtime",
        small(
            """(global $step (mut i32) (i32.const 0))
            (func $start (global.set $step (i32.add (global.get $step) (i32.const 1)))) (start $start)
            (func (export "_initialize") (global.set $step (i32.mul (global.get $step) (i32.const 10))))""",
            handler=f"(if (i32.ne (global.get $step) (i32.const 10)) (then unreachable)) {HANDLER}",
        ),
    )
    yield one(
        "the handler is called with the request's length",
        "handle one request; called once",
        small(
            imports=import_text(ABI[0], "request"),
            handler="""(if (i32.ne (local.get 0) (call $frequest (i32.const 0) (i32.const 0))) (then unreachable))
              (if (i32.eqz (local.get 0)) (then unreachable)) """
            + HANDLER,
        ),
    )
    yield case(
        "exports/nothing survives",
        "Guest ABI v1",
        "Nothing survives in globals or memory.",
        (
            "survives",
            small(
                "(global $calls (mut i32) (i32.const 0))",
                handler=f"""(if (i32.or (global.get $calls) (i32.load (i32.const 1024))) (then unreachable))
                (global.set $calls (i32.const 1)) (i32.store (i32.const 1024) (i32.const 1)) {HANDLER}""",
            ),
        ),
        _LOADS,
        times=3,
    )


def features() -> Cases:
    """Modules that use one feature of WebAssembly each."""
    for name, wat in ALLOWED.items():
        yield case(
            f"features/{name}", FEATURES, f"| {name} | yes |", (f"feature-{_slug(name)}", small(wat)), _LOADS
        )
    for name in dict.fromkeys([*FORBIDDEN, *_MEMORIES]):
        texts = [small(wat) for wat in FORBIDDEN.get(name, [])]
        if name in _MEMORIES:
            handler = HANDLER if name != "memory64" else ""
            texts.append(small(memory=_MEMORIES[name], handler=handler))
        for number, text in enumerate(texts, 1):
            which = f" {number}" if len(texts) > 1 else ""
            yield case(
                f"features/{name}{which}",
                FEATURES,
                f"| {name} | no |",
                (f"feature-{_slug(name + which)}", text),
                {"refused": "module_unsupported"},
            )
    yield case(
        "features/a second table",
        FEATURES,
        "WebAssembly 2.0; a module has one table",
        ("feature-second-table", small("(table 1 funcref) (table 1 funcref)")),
        {"refused": "table_limit"},
    )


def imports() -> Cases:
    """Imports with another type or name; unused ones; ones before the handler."""
    firsts = {one["module"]: one for one in reversed(operations())}.values()
    functions = [
        *ABI,
        *(_of(one) for one in firsts),
    ]  # one of each group: a module each takes time to compile
    for function in functions:
        slug = _slug(str(function).removeprefix("alga:"))
        wrong = Function(function.module, function.name, "i" + function.params, function.results)
        yield case(
            f"imports/{function}: of another type",
            "Rules",
            "or one of another type, does not load; the error names it",
            (f"import-mistyped-{slug}", small(imports=import_text(wrong, 1))),
            {"refused": "import_mistyped", "names": [str(function)]},
        )
    for module, name, nearest in (
        ("alga:abi", "respnd", "alga:abi respond"),
        ("alga:scheduler", "craete", "alga:scheduler create"),
        ("alga:schedular", "create", "alga:scheduler create"),
    ):
        yield case(
            f"imports/unknown: {module} {name}",
            "Rules",
            "An unknown `alga:*` import, or one of another type, does not load; the error names it and the nearest "
            "one that exists.",
            (
                f"import-unknown-{_slug(module.removeprefix('alga:') + ' ' + name)}",
                small(imports=import_text(Function(module, name, "iiii", "i"), 1)),
            ),
            {"refused": "import_unknown", "names": [f"{module} {name}", nearest]},
        )
    yield from _early(functions)


def _early(functions: list[Function]) -> Cases:
    works = {"alga:abi fail": ends("guest_failed", "early"), "alga:log emit": _LOADS}
    rule = (
        "Until `alga_handle` starts, that is in a start function and in `_initialize`, only `alga:log`, `alga:abi` "
        "`fail`, WASI and `env` work; any other host\nfunction ends the execution with `too_early`."
    )
    for function in functions:
        arguments = (
            "(i32.const 1) (i32.const 64) (i32.const 5)"
            if function.name == "emit"
            else " ".join(
                ["(i32.const 64)", "(i32.const 5)", "(i32.const 1024)", "(i32.const 1024)"][
                    : len(function.params)
                ]
            )
        )
        call = f"(call $f{'respond' if function.name == 'respond' else 1} {arguments})"
        call = f"(drop {call})" if function.results else call
        imported = "" if function.name == "respond" else import_text(function, 1)
        expect = works.get(str(function), ends("too_early", function.name))
        texts = {"_initialize": f'(func (export "_initialize") {call})'}
        if function in ABI:
            texts["a start function"] = f"(func $start {call}) (start $start)"
        for when, text in texts.items():
            yield case(
                f"early/{function}, in {when}",
                EXPORTS,
                rule,
                (
                    f"early-{_slug(str(function).removeprefix('alga:'))}-{when.split()[-2] if ' ' in when else 'init'}",
                    small(text, imports=imported, data=b"early"),
                ),
                expect,
                grants=["cap:log.emit"],
                **({"log": [["info", "early"]]} if function.name == "emit" else {}),
            )


def weak_functions() -> tuple[Function, ...]:
    """What the probe of weak imports imports: every operation, and one that no host has."""
    known = [_of(one) for one in operations()]
    return (
        *ABI,
        *(Function(f"{one.module}?", one.name, one.params, one.results) for one in known),
        Function("alga:none-such?", "do-it", "iiii", "i"),
        Function("alga:scheduler?", "none-such", "iiii", "i"),
    )


def weak() -> Cases:
    """Weak imports: of operations that the host has, of ones that it lacks, and of what cannot be one."""
    functions = weak_functions()
    missing = (
        "One that lacks it links a function that answers every call with the code `unsupported`, and the guest goes "
        "on\nwithout."
    )
    for function in functions[-2:]:
        script = Script(functions)
        for _ in range(2):
            script.host_call(str(function), {}, {"err": {"code": "unsupported", "message": cases.TEXT}})
        yield run(f"weak/{function}: unsupported", WEAK, missing, "weak", script)
        script = Script(functions)
        script.call(str(function), 0, 0, REPLY_AT, 0, gives=cases.at_least(1))
        script.ask(
            "alga:abi reply",
            REPLY_AT,
            REPLY_CAPACITY,
            reply={"err": {"code": "unsupported", "message": cases.TEXT}},
        )
        yield run(f"weak/{function}: through reply", WEAK, missing, "weak", script)
        script = Script(functions).call(str(function), 0xFFFFFFFF, 2, REPLY_AT, REPLY_CAPACITY)
        yield run(
            f"weak/{function}: pointers are checked",
            "Rules",
            "must lie in memory",
            "weak",
            script,
            expect=ends("out_of_bounds"),
        )
    for name, module, function, params, rule in (
        ("of another type", "alga:none-such", "do-it", "ii", "So only host calls, of the one type"),
        (
            "capitals",
            "alga:none-such",
            "doIt",
            "iiii",
            "Groups and operations have names of lower-case\nletters",
        ),
        ("a digit first", "alga:none-such", "2do", "iiii", "digits and hyphens that start with a letter"),
        (
            "65 characters",
            "alga:none-such",
            "a" * 65,
            "iiii",
            "64 characters at most; any other name does not load.",
        ),
        ("of respond", "alga:abi", "respond", "ii", "So only host calls, of the one type"),
    ):
        wat = small(imports=import_text(Function(module + "?", function, params, "i"), 1))
        refusal = "import_mistyped" if name in {"of another type", "of respond"} else "import_unknown"
        yield case(f"weak/refused: {name}", WEAK, rule, (f"weak-{_slug(name)}", wat), {"refused": refusal})
    for count in (100, 101):
        wat = small(
            imports=" ".join(
                import_text(Function("alga:none?", f"f{n}", "iiii", "i"), n) for n in range(count)
            )
        )
        expect = _LOADS if count == 100 else {"refused": "import_unknown"}
        yield case(
            f"weak/{count} lacking", WEAK, "at most 100 that the host lacks", (f"weak-{count}", wat), expect
        )


def _of(operation: dict[str, str]) -> Function:
    return Function(operation["module"], operation["function"], "iiii", "i")


def _slug(name: str) -> str:
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())
