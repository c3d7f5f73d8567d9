"""An install's storage, as a runner calls it."""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from alga_common.time import rfc3339

from .server import Install


@dataclass
class Storage:
    """The storage of one install; members of calls are the contract's."""

    install: Install
    namespace: str = "notes"

    @property
    def now(self) -> str:
        """The server's time, as answers have it."""
        return str(rfc3339(self.install.alga.clock.now()))

    def pass_time(self, seconds: int) -> None:
        self.install.alga.clock.advance(timedelta(seconds=seconds))

    async def call(self, operation: str, **members: Any) -> httpx.Response:
        return await self.install.host_call("storage", operation, **{"namespace": self.namespace, **members})

    async def put(self, key: str, value: Any = 1, **members: Any) -> dict[str, Any]:
        response = await self.call("put", key=key, value=value, **members)
        assert response.status_code == 200, response.text
        written: dict[str, Any] = response.json()
        return written

    async def get(self, key: str, **members: Any) -> dict[str, Any] | None:
        response = await self.call("get", key=key, **members)
        assert response.status_code in {200, 404}, response.text
        record: dict[str, Any] | None = response.json() if response.status_code == 200 else None
        return record

    async def page(self, **members: Any) -> dict[str, Any]:
        response = await self.call("list", **members)
        assert response.status_code == 200, response.text
        listed: dict[str, Any] = response.json()
        return listed

    async def keys(self, **members: Any) -> builtins.list[builtins.list[str]]:
        """The keys of each page, to the end."""
        pages = [await self.page(**members)]
        while pages[-1]["nextCursor"] is not None:
            pages.append(await self.page(**members, cursor=pages[-1]["nextCursor"]))
        return [[item["key"] for item in page["items"]] for page in pages]


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Status and code of an answer."""
    return response.status_code, response.json()["code"]
