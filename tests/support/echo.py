"""A guest that answers with the request it got, as the MessagePack that it got it in."""

from __future__ import annotations

import base64
from typing import Any

import msgpack

from .guests import guest_wat

_AT = 1024
_MOST = 60_000
_HEAD = b"\x82\xa6status\xcc\xc8\xa4body\xc6\0\0\0\0"
"""A response of status 200 whose body is as long as the four bytes at the end say."""


def echo_guest() -> str:
    """The guest's text."""
    end = _AT + len(_HEAD)
    swapped = " ".join(
        f"(i32.store8 (i32.const {end - 4 + at}) (i32.shr_u (local.get $n) (i32.const {24 - 8 * at})))"
        for at in range(4)
    )
    return guest_wat(
        f"""(local $n i32)
        (local.set $n (call $request (i32.const {end}) (i32.const {_MOST})))
        {swapped}
        (call $respond (i32.const {_AT}) (i32.add (local.get $n) (i32.const {len(_HEAD)})))""",
        imports='(import "alga:abi" "request" (func $request (param i32 i32) (result i32)))',
        data=_HEAD,
    )


def echoed(reply: dict[str, Any]) -> dict[str, Any]:
    """The request that the guest of this reply got."""
    request: dict[str, Any] = msgpack.unpackb(base64.b64decode(reply["body_b64"]))
    return request
