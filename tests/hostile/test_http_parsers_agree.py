"""Mutated requests: h11 reads each accepted one in the same way; one that only h11 accepts is refused for a reason."""

from __future__ import annotations

import os
import re
from random import Random
from typing import NamedTuple

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from alga_common.http.request_body import BadBody
from alga_common.http.request_head import END_OF_HEAD, MAX_HEAD_BYTES, BadHead, read_head
from tests.support.http_cases import ANSWERED, LAST, REFUSED

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "50"))

MUTATIONS = 40
"""Of each example."""

PIECES = [
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b"\x0b", b"\x7f", b"\xff", b":", b",", b";", b"0", b"1", b"a", b"F",
    b"\r\n ", b"\r\n\r\n", b"content-length: 1\r\n", b"content-length: 5\r\n", b"Content-Length: 1\r\n", b"x: y\r\n",
    b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip\r\n", b"host: y\r\n", b"connection: close\r\n",
    b"expect: 100-continue\r\n", b"HTTP/1.0", b"HTTP/1.2", b"1\r\na\r\n", b"0\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: z\r\n\r\n",
]  # fmt: skip
SOUND = [case.sent for case in (LAST | ANSWERED).values() if len(case.sent) < 1000]
SEEDS = SOUND * 3 + [sent for sent in REFUSED.values() if len(sent) < 1000]


class Read(NamedTuple):
    """A request as it was read, and the bytes behind it."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    behind: bytes


def ours(sent: bytes) -> Read | None:
    """The request, ``None`` if it is refused or not complete. A coding is in lower case, as h11 has it."""
    end = sent.find(END_OF_HEAD) + len(END_OF_HEAD)
    try:
        head = read_head(sent[:end])
        if head.body is None:
            body, behind = b"", sent[end:]
        else:
            body, behind = head.body.feed(sent[end:])
    except (BadHead, BadBody):
        return None
    if head.body is not None and not head.body.complete:
        return None
    headers = [
        (name, value.lower() if name == b"transfer-encoding" else value) for name, value in head.headers
    ]
    return Read(head.method.encode(), head.target, headers, body, behind)


def theirs(sent: bytes) -> Read | None:
    """The same by h11."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    connection.receive_data(sent)
    body = b""
    try:
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return None
        while isinstance(event := connection.next_event(), h11.Data):
            body += event.data
    except h11.RemoteProtocolError:
        return None
    if not isinstance(event, h11.EndOfMessage):
        return None
    behind, _ = connection.trailing_data
    headers = [(bytes(name), bytes(value)) for name, value in request.headers]
    return Read(bytes(request.method), bytes(request.target), headers, body, behind)


def reason(sent: bytes, read: Read) -> str | None:
    """Why a request that h11 accepts is refused here."""
    rest = sent[: len(sent) - len(read.behind)] if read.behind else sent
    head, _, body = rest.partition(END_OF_HEAD)
    values = dict(read.headers)
    lengths = re.findall(rb"(?im)^content-length[ \t]*:([^\r\n]*)", head)
    is_chunked = b"transfer-encoding" in values
    reasons = {
        "a line ends in LF": head.count(b"\n") != head.count(b"\r\n") or END_OF_HEAD not in rest,
        "a header is folded": re.search(rb"\r\n[ \t]", head),
        "two framings": is_chunked and lengths,
        "a length twice": len(lengths) > 1 or any(b"," in length for length in lengths),
        "a length that is too long": any(len(length.strip()) > 18 for length in lengths),
        "another version": not re.search(rb" HTTP/1\.[01]\r\n", head[: head.find(b"\r\n") + 2]),
        "chunks in HTTP/1.0": is_chunked and b" HTTP/1.0\r\n" in head,
        "a control character in a value": re.search(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]", head),
        "a line of chunks or trailers with a control character, an LF, or too long": is_chunked
        and re.search(
            rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n)|[^\r\n]{256}|[0-9a-fA-F]{9}", body
        ),
        "a framing, or a folded line, in trailers": is_chunked
        and re.search(rb"(?i)\n(content-length|transfer-encoding)\s*:|\r\n[ \t]", body),
    }
    return next((name for name, holds in reasons.items() if holds), None)


def mutated(seed: int) -> list[bytes]:
    """Requests of the table with up to four pieces replaced, added or left out: the same for the same ``seed``."""
    random = Random(seed)
    requests = []
    for _ in range(MUTATIONS):
        sent = bytearray(random.choice(SEEDS))
        for _ in range(random.randint(0, 4)):
            at = random.randint(0, len(sent))
            sent[at : at + random.randint(0, 3)] = random.choice([b"", *PIECES])
        requests.append(bytes(sent))
    return requests


@settings(max_examples=EXAMPLES)
@given(st.integers(0))
def test_a_mutated_request_is_read_as_h11_reads_it_or_refused_for_a_reason(seed: int) -> None:
    for sent in mutated(seed):
        read, by_h11 = ours(sent), theirs(sent)
        if read is not None:
            assert read == by_h11, sent
        elif by_h11 is not None:
            assert reason(sent, by_h11) is not None, sent


@settings(max_examples=EXAMPLES)
@given(st.integers(0))
def test_a_body_is_read_alike_however_it_is_cut(seed: int) -> None:
    random = Random(seed)
    for sent in mutated(seed):
        whole = ours(sent)
        if whole is None:
            continue
        head, _, rest = sent.partition(END_OF_HEAD)
        body = read_head(head + END_OF_HEAD).body
        pieces, read, behind = rest, b"", b""
        while body is not None and pieces and not body.complete:
            size = random.randint(1, len(pieces))
            piece, behind = body.feed(pieces[:size])
            read, pieces = read + piece, pieces[size:]
        assert (read, behind + pieces) == (whole.body, whole.behind)
