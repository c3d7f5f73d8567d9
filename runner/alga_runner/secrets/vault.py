"""Vault's transit engine: one bounded exchange for each envelope that it sealed (alga-contract 1.6)."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from time import monotonic

import anyio
import anyio.to_thread
import httpx
from pydantic_core import from_json

from alga_common.fair_limiter import share
from alga_common.http.exchange import Answer, get, post
from alga_common.http.response import HttpProtocolError
from alga_common.http.transport import Head, Header, SocketTransport
from alga_common.readiness import OK, REFUSED, TIME_LIMIT_S, Finding

from ..errors import HostCallCode, HostCallError
from .refusal import refuse

VAULT_CHECK = "vault"
TOKEN_CHECK = "vault_token"  # noqa: S105 - the name of a check

TIMEOUT_S = 10.0
"""Longest wait for one answer of Vault; the deadline can be sooner."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_CONNECTIONS = 32
_MAX_TOKEN_BYTES = 8 * 1024

_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._-]*)*")
_TOKEN = re.compile(r"[!-~]+")

_REASONS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "Vault cannot decrypt it with the key that it names",
    HTTPStatus.FORBIDDEN: "Vault does not accept the token, or the token may not decrypt with the key",
    HTTPStatus.NOT_FOUND: "Vault has no such mount or key",
}
"""What a status means for an operator."""


class Vault:
    """Decrypts by a Vault at ``url``; ``mount`` is that of envelopes that name none.

    The token is read from ``token_file`` for each exchange, so that an agent may renew it.
    """

    def __init__(
        self,
        url: str,
        *,
        token_file: Path,
        namespace: str | None = None,
        mount: str = "transit",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._url = url
        self._token_file = token_file
        self._namespace = namespace
        self._mount = mount
        self._transport = transport or SocketTransport(
            MAX_CONNECTIONS, share(MAX_CONNECTIONS), max_answer_bytes=MAX_ANSWER_BYTES
        )

    async def decrypt(
        self, ciphertext: str, key_path: str, mount: str | None, tenant_id: str, deadline: float
    ) -> bytes:
        """The plaintext, by ``deadline``, a reading of ``time.monotonic()``. Raises ``HostCallError``."""
        paths = [(mount or self._mount).strip("/"), key_path.strip("/")]
        if not all(map(_PATH.fullmatch, paths)):
            refuse("its mount or its key_path is not a path in Vault")
        url = httpx.URL(f"{self._url}/v1/{paths[0]}/decrypt/{paths[1]}")
        content = json.dumps({"ciphertext": ciphertext}).encode()

        async def send(headers: list[Header]) -> Answer:
            head = Head("POST", url, [*headers, (b"content-type", b"application/json")])
            return await post(
                self._transport, head, content, owner=tenant_id, max_answer_bytes=MAX_ANSWER_BYTES
            )

        with anyio.move_on_after(min(TIMEOUT_S, deadline - monotonic())):
            return _plaintext(await self._ask(send))
        raise HostCallError(HostCallCode.TIMEOUT, "The secrets were not opened in the available time.")

    async def check(self) -> Sequence[Finding]:
        """Whether Vault answers, and accepts the token."""
        try:
            with anyio.fail_after(TIME_LIMIT_S):
                url = httpx.URL(f"{self._url}/v1/auth/token/lookup-self")

                async def send(headers: list[Header]) -> Answer:
                    return await get(self._transport, url, headers, max_answer_bytes=MAX_ANSWER_BYTES)

                answer = await self._ask(send)
        except TimeoutError:
            sentence = f"Vault did not answer within {TIME_LIMIT_S:g} s."
            return [
                Finding(VAULT_CHECK, "timed_out", sentence, "Check VAULT_ADDR, and firewalls in between.")
            ]
        except HostCallError as error:
            if error.fault is None:
                return [Finding(VAULT_CHECK, "unreachable", "Vault cannot be reached.", "Check VAULT_ADDR.")]
            return [Finding(TOKEN_CHECK, "unusable", str(error.detail), "Check ALGA_VAULT_TOKEN_FILE.")]
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            sentence = f"Vault answers with HTTP {answer.status}: it may be sealed."
            return [Finding(VAULT_CHECK, "failing", sentence, "Unseal it, or see its log.")]
        reached = Finding(VAULT_CHECK, OK, "Vault answers.")
        if answer.status == HTTPStatus.OK:
            return [reached, Finding(TOKEN_CHECK, OK, "Vault accepts the token.")]
        sentence = f"Vault does not accept the token (HTTP {answer.status})."
        hint = "Check ALGA_VAULT_TOKEN_FILE and VAULT_NAMESPACE."
        return [reached, Finding(TOKEN_CHECK, REFUSED, sentence, hint)]

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _ask(self, send: Callable[[list[Header]], Awaitable[Answer]]) -> Answer:
        token = await anyio.to_thread.run_sync(self._token)
        headers = [(b"host", self._host()), (b"x-vault-request", b"true"), (b"x-vault-token", token)]
        if self._namespace:
            headers.append((b"x-vault-namespace", self._namespace.encode("ascii", "replace")))
        try:
            try:
                return await send(headers)
            except httpx.ReadError:  # an idle connection that Vault had closed; to decrypt twice does no harm
                return await send(headers)
        except HttpProtocolError as error:
            refuse(f"Vault's answer {error}")
        except httpx.HTTPError:
            raise HostCallError(
                HostCallCode.UNAVAILABLE, "What opens the secrets cannot be reached."
            ) from None

    def _host(self) -> bytes:
        return httpx.URL(self._url).netloc

    def _token(self) -> bytes:
        try:
            with self._token_file.open("rb") as file:
                token = file.read(_MAX_TOKEN_BYTES).decode("ascii").strip()
        except (OSError, UnicodeError):
            refuse("the file of Vault's token cannot be read (ALGA_VAULT_TOKEN_FILE)")
        if not _TOKEN.fullmatch(token):
            refuse("the file of Vault's token does not hold a token on one line (ALGA_VAULT_TOKEN_FILE)")
        return token.encode()


def _plaintext(answer: Answer) -> bytes:
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise HostCallError(
            HostCallCode.UNAVAILABLE,
            "What opens the secrets does not answer now.",
            detail=f"Vault answers with HTTP {answer.status}",
        )
    if answer.status != HTTPStatus.OK:
        refuse(_REASONS.get(answer.status, f"Vault answers with HTTP {answer.status}"))
    try:
        document = from_json(answer.body)
        return base64.b64decode(document["data"]["plaintext"], validate=True)
    except (ValueError, LookupError, TypeError, binascii.Error):
        refuse("Vault's answer has no plaintext in base64")
