"""One command's requests to one server, and the answer that it prints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from alga_common.cli.commands import load
from alga_common.cli.failures import print_document
from alga_common.cli.progress import ProgressLine

if TYPE_CHECKING:
    import httpx

    from alga_common.cli.page import Page

    from .admin import Admin

T = TypeVar("T")


class Session:
    """Runs a command's requests. ``transport`` carries them in place of sockets."""

    def __init__(self, url: str, *, as_json: bool, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._as_json = as_json
        self._transport = transport

    def ask(self, work: Callable[[Admin], Awaitable[T]], *, doing: str | None = None) -> T:
        """Run ``work`` with an ``Admin`` of the server, and return its result. Raises ``Failure``.

        ``doing`` is shown meanwhile, for work that can take seconds.
        """
        with ProgressLine(doing) if doing else nullcontext():
            result: T = load("alga_server.cli.admin:run")(self._url, self._transport, work)
        return result

    def answer(self, document: Any, report: Callable[[Page], None]) -> None:
        """Print ``document`` if JSON is wanted, else what ``report`` writes."""
        if self._as_json:
            print_document(document)
        else:
            report(load("alga_common.cli.page:Page")())
