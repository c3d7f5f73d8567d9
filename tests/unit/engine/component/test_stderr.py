"""What language runtimes write to stderr before they die, as components wrote it, read as exception and stack."""

from __future__ import annotations

import pytest

from alga_runner.engine import read_reason
from alga_runner.engine.component.stderr import MAX_CHARACTERS

_NOTE = "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"


def quickjs(said: str, place: str = "crates/runtime/src/interpreter.rs:51:31") -> str:
    return f"\nthread '<unnamed>' (1) panicked at {place}:\n{said}\n{_NOTE}"


def quickjs_exception(message: str, stack: str) -> str:
    return quickjs(f"Failed to call 'handler': Exception(Exception {{ message: {message}, stack: {stack} }})")


def python(written: str, said: str = "Python function threw an unexpected exception") -> str:
    return f"{written}\nthread '<unnamed>' (1) panicked at runtime/src/lib.rs:1280:25:\n{said}\n{_NOTE}"


def spidermonkey(written: str) -> str:
    return f"{written}\nRedirecting call to abort() to mozalloc_abort\n\n"


QUICKJS_ERROR = quickjs_exception(
    "Some(\"cannot read property 'there' of undefined\")",
    'Some("    at inner (componentize-qjs:user.js:2:10)\\n    at handler (componentize-qjs:user.js:6:57)\\n")',
)
SPIDERMONKEY_ERROR = spidermonkey(
    'can\'t access property "there", request.nothing is undefined\nStack:\n  inner@extension.js:2:3\n'
    "  handler@extension.js:6:51\n  export_handler@/tmp/56f44c6bc59c/sources/initializer.js:3016:15\n"
)
PYTHON_ERROR = python(
    'Traceback (most recent call last):\n  File "/0/app.py", line 34, in handler\n'
    "  File \"/0/app.py\", line 6, in inner\nAttributeError: 'ExecuteRequest' object has no attribute 'nothing'\n"
)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (
            QUICKJS_ERROR,
            (
                "cannot read property 'there' of undefined\n"
                "    at inner (componentize-qjs:user.js:2:10)\n    at handler (componentize-qjs:user.js:6:57)"
            ),
        ),
        (
            SPIDERMONKEY_ERROR,
            (
                'can\'t access property "there", request.nothing is undefined\n'
                "    inner@extension.js:2:3\n    handler@extension.js:6:51"
            ),
        ),
        (
            PYTHON_ERROR,
            (
                "AttributeError: 'ExecuteRequest' object has no attribute 'nothing'\n"
                '    File "/0/app.py", line 6, in inner\n    File "/0/app.py", line 34, in handler'
            ),
        ),
    ],
    ids=["quickjs", "spidermonkey", "python"],
)
def test_an_exception_is_read_with_its_stack_and_without_the_runtimes_words(
    written: str, reason: str
) -> None:
    assert str(read_reason(written)) == reason


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (quickjs_exception(r'Some("line one\nit\'s \"two\" \u{1f600}")', "None"), 'line one\nit\'s "two" 😀'),
        (quickjs_exception(r'Some("\u{d800}\u{110000}")', "None"), "\ufffd\ufffd"),
        (quickjs_exception("None", "None"), "an exception without a message"),
        (quickjs("Failed to call 'handler': Value(String(Ok(\"only text\")))"), "only text"),
        (
            quickjs("Failed to call 'handler': Value(Object(0x14b370))"),
            "it threw a value of the type Object",
        ),
        (
            quickjs('expected number: FromJs { from: "string", to: "i32", message: None }'),
            "its result has a value of another type: expected number, not string",
        ),
        (spidermonkey('"only text"'), '"only text"'),
        (spidermonkey("({code:7})"), "({code:7})"),
        (
            python(
                "",
                "called `Result::unwrap()` on an `Err` value: PyErr { type: <class 'AttributeError'>, value:"
                " AttributeError(\"'NoneType' object has no attribute 'body'\"), traceback: None }",
            ),
            (
                "its result has a value of another type:"
                " AttributeError(\"'NoneType' object has no attribute 'body'\")"
            ),
        ),
        ("thread 'main' panicked at src/lib.rs:3:5:\nindex out of bounds\n" + _NOTE, "index out of bounds"),
        ("an unknown runtime failed\n", "an unknown runtime failed"),
    ],
)
def test_other_failures_are_described_too(written: str, message: str) -> None:
    assert str(read_reason(written)) == message


def test_causes_follow_the_exception() -> None:
    written = python(
        'Traceback (most recent call last):\n  File "/0/app.py", line 16, in handler\n    1 / 0\n    ~~^~~\n'
        "ZeroDivisionError: division by zero\n\n"
        "The above exception was the direct cause of the following exception:\n\n"
        'Traceback (most recent call last):\n  File "/0/app.py", line 18, in handler\n'
        "app.QuotaError: line one\nline two\n"
    )

    assert str(read_reason(written)).splitlines() == [
        "app.QuotaError: line one",
        "line two",
        '    File "/0/app.py", line 18, in handler',
        "  Caused by: ZeroDivisionError: division by zero",
        '    File "/0/app.py", line 16, in handler',
    ]


def test_a_repeated_frame_is_not_part_of_the_message() -> None:
    written = python(
        'Traceback (most recent call last):\n  File "/0/app.py", line 26, in f\n'
        "  [Previous line repeated 996 more times]\nRecursionError: maximum recursion depth exceeded\n"
    )

    reason = read_reason(written)

    assert reason is not None
    assert reason.message == "RecursionError: maximum recursion depth exceeded"


def test_a_traceback_whose_beginning_is_not_kept_is_read() -> None:
    reason = read_reason(PYTHON_ERROR[60:])

    assert reason is not None
    assert reason.message.startswith("AttributeError")


@pytest.mark.parametrize(
    "written",
    [
        quickjs_exception(
            'Some("out of memory")', 'Some("    at handler (componentize-qjs:user.js:12:87)\\n")'
        ),
        spidermonkey('"out of memory"'),
        python(
            'Traceback (most recent call last):\n  File "/0/app.py", line 33, in handler\n'
            "object address  : 0x483ff8\nobject type name: MemoryError\nobject repr     : MemoryError()\n"
            "lost sys.stderr\n"
        ),
        quickjs("memory allocation of 65536 bytes failed"),
    ],
    ids=["quickjs", "spidermonkey", "python", "rust"],
)
def test_a_lack_of_memory_is_known(written: str) -> None:
    reason = read_reason(written)

    assert reason is not None
    assert reason.is_memory


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            (
                "MemoryError: \n\nthread '<unnamed>' (1) panicked at pyo3-0.28.3/src/instance.rs:349:60:\n"
                "PyObject pointer is null\nnote: run with `RUST_BACKTRACE=1` environment variable to display a trace\n"
            ),
            "MemoryError",
        ),
        (
            (
                "runtime: out of memory: cannot allocate 4194304-byte block (8388608 in use)\n"
                "fatal error: out of memory\n\ngoroutine 1 [running]:\n"
            ),
            "runtime: out of memory: cannot allocate 4194304-byte block (8388608 in use)",
        ),
        ("panic: runtime error: out of memory\n", "panic: runtime error: out of memory"),
    ],
)
def test_each_runtime_s_words_for_no_memory_are_understood(written: str, message: str) -> None:
    reason = read_reason(written)

    assert reason is not None
    assert reason.is_memory
    assert reason.message.startswith(message)


@pytest.mark.parametrize("written", [QUICKJS_ERROR, spidermonkey("the shop is out of memory cards")])
def test_any_other_exception_is_no_lack_of_memory(written: str) -> None:
    reason = read_reason(written)

    assert reason is not None
    assert not reason.is_memory


@pytest.mark.parametrize("written", ["", "\n\n", "\nRedirecting call to abort() to mozalloc_abort\n\n"])
def test_a_guest_that_wrote_nothing_gave_no_reason(written: str) -> None:
    assert read_reason(written) is None


@pytest.mark.parametrize(
    "written",
    [
        spidermonkey("too much recursion\nStack:\n" + "  f@extension.js:11:56\n" * 300),
        quickjs_exception('Some("' + "\\\\" * 4000 + '")', "None"),
        python("Traceback (most recent call last):\n" * 300),
        "thread 'x' panicked at " * 300,
        quickjs("PyErr { type: , value: , traceback: " * 220),
        quickjs("Failed to call 'x': Value(" * 300),
        spidermonkey("x\nStack:\n" + "export_@" * 1000),
    ],
)
def test_a_reason_is_bounded(written: str) -> None:
    reason = read_reason(written)

    assert reason is not None
    assert len(str(reason)) <= MAX_CHARACTERS + len("\n    ...")
