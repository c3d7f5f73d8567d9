"""One command's talk with one server: the calls it makes, the answer it prints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import httpx

    from .admin import Admin
    from .page import Page

T = TypeVar("T")


class Session:
    """``transport`` carries the requests in place of sockets."""

    def __init__(self, url: str, *, as_json: bool, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url = url
        self._as_json = as_json
        self._transport = transport

    def ask(self, work: Callable[[Admin], Awaitable[T]]) -> T:
        """What ``work`` returns, which is given the server. Raises ``Failure``."""
        import anyio  # noqa: PLC0415 - not needed for help

        from .admin import Admin  # noqa: PLC0415 - httpx comes with it

        async def talk() -> T:
            async with Admin(self._url, transport=self._transport) as admin:
                return await work(admin)

        return anyio.run(talk)

    def answer(self, document: Any, report: Callable[[Page], None]) -> None:
        """Print ``document`` if JSON is wanted, else what ``report`` writes."""
        from .page import Page  # noqa: PLC0415 - rich comes with it

        page = Page()
        if self._as_json:
            page.document(document)
        else:
            report(page)
