"""Types and options of ``alga-runner`` alone. Their messages say what to type instead."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import click

from alga_common.cli.commands import load
from alga_common.cli.options import GivenText, ParamType, VariableOption
from alga_common.environment import variable


class HostOption(VariableOption):
    """The option ``--host``. A variable ``HOST`` counts if it is an address; shells set it to the machine's name."""

    def _variable(self) -> str | None:
        name = super()._variable()
        return name if name != "HOST" or _is_address(variable("HOST") or "") else None


class WorkerCount(ParamType[int]):
    """How many processes: a number, or ``auto`` for one for each core."""

    name = "count"
    MOST = 256

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        text = str(value).strip().lower()
        if text == "auto":
            cores: int = load("alga_runner.workers:usable_cores")()
            return min(cores, self.MOST)
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= self.MOST):
            self.fail(f"{value!r} is not a number from 1 to {self.MOST}, nor auto.", param, ctx)
        return int(text)


def _is_address(text: str) -> bool:
    try:
        ip_address(text.strip())
    except ValueError:
        return text.strip() == "localhost"
    return True


bundle_store_option = click.option(
    "--bundle-store",
    metavar="FOLDER",
    type=GivenText(),
    help="Where extensions are published: a path, a file:// URL, or an object store's http(s) URL.  "
    "[env: BUNDLE_STORE_BASE]",
)

server_url_option = click.option(
    "--server-url",
    metavar="URL",
    type=GivenText(),
    help="The Alga server that answers host calls.  [env: STORAGE_API_BASE_URL]",
)
