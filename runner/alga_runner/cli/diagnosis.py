"""The checks of ``alga-runner doctor``: those of ``/readyz``, and those that ``serve`` makes before it starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alga_common.cli.doctor import setting_finding
from alga_common.readiness import NOT_CONFIGURED, OK, Finding
from alga_common.signals.coroutines import run
from alga_common.text import counted

from ..bundles.source import STORE_CHECK
from ..egress import METADATA, connect
from ..engine import check_in_subprocess, native_built, native_fault
from ..errors import AlgaError
from ..runner import Runner
from ..service.app import create_service
from ..service.callers import OPENING
from ..service.health import checks_of
from ..service.server import require_store
from ..settings import Settings
from .failures import explain


def diagnose(given: Mapping[str, Any], *, require_token: bool) -> list[Finding]:
    """Return what the checks find with the settings that are ``given`` and those of the environment."""
    try:
        settings = Settings.load(**{name: value for name, value in given.items() if value is not None})
        runner = Runner(settings)
    except AlgaError as error:
        return [setting_finding(explain(error))]
    return run(_diagnose, runner, settings, require_token)


async def _diagnose(runner: Runner, settings: Settings, require_token: bool) -> list[Finding]:
    findings = [Finding("settings", OK, "The settings can be used."), _token(runner, settings, require_token)]
    store = [*await _store(runner, settings), *_signatures(settings)]
    names = {finding.name for finding in store}
    findings += store
    findings += [finding for finding in await checks_of(runner).findings() if finding.name not in names]
    findings += [*_egress(settings), *await runner.check_vault()]
    return [*findings, _native(settings), await _engine(runner)]


def _token(runner: Runner, settings: Settings, require_token: bool) -> Finding:
    try:
        create_service(runner, settings, require_token=require_token)
    except AlgaError as error:
        return Finding("service_token", error.code, str(error), error.hint)
    sentence = "Callers are asked for a token." if require_token else "Everyone may call."
    if settings.allow_unauthenticated_execute:
        sentence = f"{OPENING} is set: everyone who can connect may execute any extension for any tenant."
    return Finding("service_token", OK, sentence)


async def _store(runner: Runner, settings: Settings) -> Sequence[Finding]:
    try:
        await require_store(runner, settings)
    except AlgaError as error:
        return [Finding(STORE_CHECK, error.code, str(error), error.hint)]
    return await runner.check_bundle_store()


def _signatures(settings: Settings) -> Sequence[Finding]:
    if settings.signatures != "off" or not settings.signing_trust_bundle:
        return []
    return [
        Finding(
            "signatures",
            NOT_CONFIGURED,
            "There is a trust bundle, and no signature is verified.",
            f"Set {Settings.variables('signatures')[0]} to warn or require.",
        )
    ]


def _egress(settings: Settings) -> Iterator[Finding]:
    """Where guests' requests may go: open doors are named, and fail no check."""
    egress = connect(settings)
    rules = egress.rules
    if not rules:
        hint = f"Name servers in {Settings.variables('egress_allow')[0]}: docs/egress.md."
        yield Finding("egress", NOT_CONFIGURED, "Extensions may call no other servers.", hint)
        return
    sentence = f"Extensions may call other servers, by {counted(len(rules), 'rule')}"
    if any(rule.host == "*" for rule in rules):
        sentence += ", and one of them allows any name"
    yield Finding("egress", OK, f"{sentence}.")
    if networks := egress.addresses.allowed:
        sentence = (
            f"Addresses that are not the internet's are open to them, in {counted(len(networks), 'network')}"
        )
        if any(egress.addresses.refusal(address) is None for address in METADATA):
            sentence += ", and metadata services of clouds are among them"
        yield Finding("egress_addresses", OK, f"{sentence}.")


async def _engine(runner: Runner) -> Finding:
    try:
        check_in_subprocess()
        async with runner:
            return Finding("engine", OK, "The engine runs, and passes its checks.")
    except AlgaError as error:
        return Finding("engine", error.code, str(error), error.hint)


def _native(settings: Settings) -> Finding:
    """Whether guests run through the native helper. Where one is required and missing, the settings fail before."""
    name, fault = "native_engine", native_fault()
    if settings.native_engine == "off":
        variable = Settings.variables("native_engine")[0]
        return Finding(name, NOT_CONFIGURED, f"The engine does without its native helper: {variable} is off.")
    if fault is not None:
        return Finding(name, NOT_CONFIGURED, str(fault), fault.hint)
    if native_built():
        return Finding(name, OK, "Guests of core modules run through the engine's native helper.")
    return Finding(
        name,
        NOT_CONFIGURED,
        "The engine's native helper was not built; guests run without it, more slowly.",
        "Build it with `alga-runner native`.",
    )
