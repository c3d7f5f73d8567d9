"""The HTTP exchange alone, with aiohttp, which is there only where the peers are installed."""

from __future__ import annotations

import aiohttp

from .posting import DOCUMENT, HEADERS, PATH, Posting


class Aiohttp(Posting):
    """``aiohttp.ClientSession().post``."""

    async def connect(self, url: str) -> None:
        """With aiohttp's defaults."""
        session = aiohttp.ClientSession(headers=HEADERS)

        async def post() -> str:
            async with session.post(url + PATH, json=DOCUMENT) as response:
                return str((await response.json())["scheduleId"])

        self.post = post
