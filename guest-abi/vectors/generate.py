"""Write the test vectors of guest ABI v1: each message and each refusal as bytes and what they mean.

Run ``python guest-abi/vectors/generate.py`` after a change; a test fails while the committed files differ. The bytes
are put together by hand, without a MessagePack library, because no library writes what a host must refuse.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from source import host_call_requests, replies, requests, responses, values
from source.writing import Vector

FILES: dict[str, Callable[[], Iterator[Vector]]] = {
    "values.json": values.vectors,
    "host-call-requests.json": host_call_requests.vectors,
    "responses.json": responses.vectors,
    "replies.json": replies.vectors,
    "requests.json": requests.vectors,
}


def render(name: str) -> str:
    """The text of one file: one vector a line."""
    lines = ",\n".join(json.dumps(vector, ensure_ascii=True) for vector in FILES[name]())
    return f"[\n{lines}\n]\n"


def main() -> None:
    """Write every file next to this script, or into the folder that the first argument names."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name in FILES:
        (folder / name).write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main()
