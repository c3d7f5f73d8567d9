"""Bundles whose signatures are verified before anything of them is read."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from alga_common.readiness import OK, Finding
from alga_common.text import counted

from ...errors import BundleError, BundleSignatureInvalid, BundleUnsigned
from ..bundle import Bundle
from ..source import BundleSource, WrappedBundles, parsed_hash
from .trust import TrustBundle

logger = logging.getLogger("alga_runner")

SIGNATURES_CHECK = "signatures"


class SignedBundles(WrappedBundles):
    """The bundles of another source, each with the name of its signer.

    One without a valid signature of a trusted key is refused if signatures are ``required``, else logged.
    """

    def __init__(self, source: BundleSource, trust: TrustBundle, *, required: bool) -> None:
        super().__init__(source)
        self._trust = trust
        self._required = required

    async def fetch(self, tenant_id: str, extension_id: str, content_hash: str) -> Bundle:
        """See ``BundleSource``. Raises ``BundleUnsigned``, ``BundleSignatureInvalid``."""
        signer: str | None = None
        try:
            signer = await self._signer(tenant_id, extension_id, parsed_hash(content_hash))
        except BundleError as error:
            if self._required:
                raise
            logger.warning(
                "Bundle not verified: %s",
                error,
                extra={
                    "action": "bundle_unverified",
                    "status": error.code,
                    "tenant_id": tenant_id,
                    "extension_id": extension_id,
                },
            )
        return replace(await self._source.fetch(tenant_id, extension_id, content_hash), signer=signer)

    async def check(self) -> Sequence[Finding]:
        """Check the other source, and say whose signatures count."""
        verb = "must be" if self._required else "should be"
        sentence = f"Bundles {verb} signed with one of {counted(len(self._trust), 'trusted key')}."
        return [*await self._source.check(), Finding(SIGNATURES_CHECK, OK, sentence)]

    async def _signer(self, tenant_id: str, extension_id: str, content_hash: str) -> str:
        fault: BundleError | None = None
        async for document in self._source.signatures(tenant_id, extension_id, content_hash):
            try:
                return self._trust.signer(content_hash, document)
            except BundleSignatureInvalid as error:
                fault = error
        raise fault or BundleUnsigned(f"The bundle {content_hash} has no signature.")
