"""What a line of an HTTP/1.1 message may hold, in both directions (RFC 9112, sections 4, 5 and 7.1).

Each expression matches a whole line without its CRLF, or the end of a message's head. None admits a CR, an LF or a null
inside a line, a folded line, or a space before the colon.
"""

from __future__ import annotations

import re

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]"

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-5][0-9]{2})(?: " + _TEXT + rb"*)?")
HEADER_LINE = re.compile(rb"(" + _TOKEN + rb"+):(" + _TEXT + rb"*)")
HEADER_LINES = re.compile(rb"(?:" + _TOKEN + rb"++:" + _TEXT + rb"*+\r\n)*+")
"""Header lines, each with its CRLF. A quantifier never gives back what it took, so a match takes linear time."""

RESPONSE_HEAD = re.compile(STATUS_LINE.pattern + rb"\r\n(" + HEADER_LINES.pattern + rb")")
"""A status line and header lines: the version's second digit, the status, the header lines."""

REQUEST_HEAD = re.compile(
    rb"(" + _TOKEN + rb"++) ([!-~]++) HTTP/1\.([01])\r\n(" + HEADER_LINES.pattern + rb")\r\n"
)
"""A whole head: method, target, the version's second digit, header lines."""

MAX_LENGTH_DIGITS = 18
"""Of a ``content-length``."""
LENGTH = re.compile(rb"[0-9]{1,%d}" % MAX_LENGTH_DIGITS)
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;" + _TEXT + rb"*)?")
MAX_CHUNK_LINE = 256
MAX_TRAILER_LINE = 1024
