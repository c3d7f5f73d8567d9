"""``wasi:http`` sends nothing: a component's one way out is ``alga:extension/http`` (alga-contract 7, fault 3)."""

from __future__ import annotations

from typing import Any, cast

from alga_runner.engine import ComponentImport, FunctionType, ValueType
from alga_runner.guests import wasi_p2

ERROR_CODE = ValueType(
    "variant", (("DNS-timeout", None), ("HTTP-request-denied", None), ("internal-error", None))
)
HANDLE = FunctionType(
    (("request", ValueType("own")), ("options", ValueType("option", element=ValueType("own")))),
    ValueType("result", element=ValueType("own"), error=ERROR_CODE),
)


def test_an_outgoing_request_is_refused_by_its_own_error() -> None:
    offer = wasi_p2.offer(ComponentImport("wasi:http/outgoing-handler", "0.2.3", "handle", HANDLE))

    assert offer is not None
    assert not offer.suspends
    assert cast("Any", offer.answer)(None, 1, None) == ("err", ("HTTP-request-denied", None))


def test_a_function_that_makes_a_request_has_no_answer() -> None:
    made = FunctionType((("headers", ValueType("own")),), ValueType("own"))
    imported = ComponentImport("wasi:http/types", "0.2.3", "[constructor]outgoing-request", made)

    assert wasi_p2.offer(imported) is None


def test_nothing_of_http_is_carried_out_but_the_reading_of_an_error() -> None:
    answered = {name: set(functions) for name, functions in wasi_p2._ANSWERS.items() if "http" in name}

    assert answered == {"wasi:http/types": {"http-error-code"}}
