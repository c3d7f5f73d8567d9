"""How a command fails, and how it prints a JSON document."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..text import plain


class Failure(Exception):
    """A command cannot do what it was asked to.

    ``code`` is stable (docs/errors.md, docs/alga-server.md), or empty where a check of the command did not hold.
    ``hint`` is the next step.
    ``fields`` maps a field of the request to what is wrong with it. ``sentence`` is printed on stderr in place of
    ``message``, with ``places`` below it; ``details`` are more members of the JSON document.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str,
        fields: Mapping[str, str] | None = None,
        sentence: str | None = None,
        places: Sequence[str] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.fields = dict(fields or {})
        self.sentence = sentence or message
        self.places = places
        self.details = {"fieldErrors": self.fields} if details is None else details

    def document(self) -> dict[str, Any]:
        """Return the failure for machines."""
        return {"code": self.code, "message": str(self), "hint": self.hint, **self.details}


def print_document(value: Any) -> None:
    """Print one JSON document on stdout, in ASCII."""
    sys.stdout.write(json.dumps(plain(value), indent=2) + "\n")
    sys.stdout.flush()
