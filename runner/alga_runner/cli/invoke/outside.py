"""The file of secrets that ``invoke`` is given, and the servers that it may call."""

from __future__ import annotations

import json
from pathlib import Path

import click
from pydantic_core import from_json

from ...egress import parse_rules
from ...settings import Settings

_LOOPBACK = {"localhost": "127.0.0.0/8 ::1"}
"""The addresses of names of this machine: an author who names one on the command line means it."""


def read_secrets(file: Path | None) -> dict[str, str]:
    """The secrets in ``file``, none without one. Raises click's usage error, which quotes none."""
    if file is None:
        return {}
    try:
        document = from_json(file.read_bytes())
    except OSError as error:
        fault = f"it cannot be read: {error.strerror}."
    except ValueError:
        fault = "it is not JSON."
    else:
        if isinstance(document, dict) and all(isinstance(value, str) for value in document.values()):
            return document
        fault = f"it is no JSON object of texts, such as {json.dumps({'api_key': '...'})}."
    raise click.BadParameter(fault, param_hint="'--secrets'")


def with_allowed_hosts(hosts: tuple[str, ...]) -> Settings | None:
    """The environment's settings with ``hosts`` allowed; ``None`` without any. Raises click's usage error."""
    if not hosts:
        return None
    try:
        rules = parse_rules(" ".join(hosts))
    except ValueError as error:
        raise click.BadParameter(f"it {error}.", param_hint="'--allow-host'") from None
    addresses = [_LOOPBACK.get(rule.host, rule.host if rule.is_address else "") for rule in rules]
    own = Settings.load()
    return Settings.load(
        egress_allow=" ".join([own.egress_allow, *hosts]),
        egress_allow_addresses=" ".join([own.egress_allow_addresses, *addresses]),
    )
