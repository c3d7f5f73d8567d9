"""Variables of the environment: which are set, which are unknown, and how a bad one is reported."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from difflib import get_close_matches

from .text import cut, escape_controls

_MAX_NAMES = 5
_MAX_NAME_CHARACTERS = 80

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SERVICE_LINK = re.compile(
    r"\w+_(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")


class EnvironmentFault(ValueError):
    """A variable or a setting cannot be used. The message is a sentence that names it and quotes no value."""

    code = "settings_invalid"

    def __init__(self, sentence: str, *, hint: str) -> None:
        super().__init__(sentence)
        self.hint = hint


def variable(name: str) -> str | None:
    """The value of a variable; ``None`` if it is unset, blank, or a link that Kubernetes made."""
    value = os.environ.get(name, "")
    return None if not value.strip() or _is_service_link(name, value) else value


def parse_environment(text: str) -> dict[str, str]:
    """The variables in lines ``NAME=VALUE``, with or without ``export`` and quotes; ``#`` begins a comment line.

    Raises ``ValueError``, which names the line and quotes nothing of it.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        name, separator, value = line.strip().removeprefix("export ").partition("=")
        name, value = name.strip(), value.strip()
        if not name or name.startswith("#"):
            continue
        if not separator or not _NAME.fullmatch(name) or "\0" in value:
            raise ValueError(f"line {number} is not NAME=VALUE")
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        variables[name] = value
    return variables


def check_names(prefix: str, known: Mapping[str, str]) -> None:
    """Raise ``EnvironmentFault`` for variables that start with ``prefix``, in any case, and are not ``known``.

    ``known`` maps a spelling to the name that is read; the fault names the nearest. Blank variables count as unset, and
    what Kubernetes sets for a service of the same name is left alone.
    """
    read = set(known.values())
    unknown = sorted(
        name
        for name, value in os.environ.items()
        if name.upper().startswith(prefix)
        and name not in read
        and value.strip()
        and not _is_service_link(name, value)
    )
    if not unknown:
        return
    nearest = {known[get_close_matches(name.upper(), known, n=1, cutoff=0.0)[0]]: None for name in unknown}
    one = len(unknown) == 1
    raise EnvironmentFault(
        f"{_listed(unknown)} {'is' if one else 'are'} set, and there is no such setting.",
        hint=f"The nearest {'is' if len(nearest) == 1 else 'are'} {_listed(list(nearest))}. "
        f"docs/settings.md lists every name; unset {'it' if one else 'them'} if not needed.",
    )


def _is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes made the variable, for pods that start after a service: ``ALGA_RUNNER_PORT=tcp://...``."""
    if _SERVICE_LINK.fullmatch(name):
        return True
    return name.endswith("_PORT") and _SERVICE_URL.match(value) is not None


def _listed(names: list[str]) -> str:
    shown = [escape_controls(cut(name, _MAX_NAME_CHARACTERS)) for name in names[:_MAX_NAMES]]
    if len(names) > _MAX_NAMES:
        shown.append(f"{len(names) - _MAX_NAMES} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
