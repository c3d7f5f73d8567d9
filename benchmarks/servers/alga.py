"""``alga-server serve`` on a free port, with the settings of the benchmark and a database that is there."""

from __future__ import annotations

import sys

from alga_server.cli.serving import listen, log_to_stderr, serve_until_signal, url_of

from ..seeding import settings


def main(url: str) -> int:
    """Serve until SIGTERM."""
    log_to_stderr()
    with listen("127.0.0.1", 0) as listener:
        where = url_of(listener)
        return serve_until_signal(
            settings(url), listener, allow_clock=False, ready=lambda: print(where, flush=True)
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
