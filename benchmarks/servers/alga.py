"""``alga-server serve`` on a free port, with the settings of the benchmark and a database that is there."""

from __future__ import annotations

import sys
from pathlib import Path

from pydantic import SecretStr

from alga_server.cli.serving import listen, log_to_stderr, serve_until_signal, url_of

from ..seeding import TOKEN, settings


def main(url: str, runner_url: str | None = None, bundles: str | None = None) -> int:
    """Serve until SIGTERM; with a runner, schedules fire, and the bundles that it reads are put where it finds them."""
    log_to_stderr()
    chosen = settings(url)
    if runner_url and bundles:
        own = {
            "runner_url": runner_url,
            "runner_service_token": SecretStr(TOKEN),
            "bundle_store": Path(bundles),
            "dispatch_schedules": True,
        }
        chosen = chosen.model_copy(update=own)
    with listen("127.0.0.1", 0) as listener:
        where = url_of(listener)
        return serve_until_signal(chosen, listener, allow_clock=False, ready=lambda: print(where, flush=True))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
