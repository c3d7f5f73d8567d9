"""What ``serve --dev`` keeps between its starts, so that other terminals know it: tokens, and a place for bundles."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from alga_common.cli.failures import Failure

from ..settings import UI_PROXY_PREFIX
from .tokens import (
    REGISTRY_KEY,
    RUNNER_DIALECT,
    RUNNER_NAMES,
    TOKENS,
    UI_PROXY_KEY,
    random_tokens,
    read_tokens,
)

_FILE = "tokens.env"


def kept_tokens() -> dict[str, str]:
    """Return this user's development tokens by setting; made up when first asked for. Raises ``Failure``."""
    path = _folder() / _FILE
    try:
        if not path.exists():
            _write(path, random_tokens())
        tokens = read_tokens(path)
        if not tokens.keys() >= TOKENS.keys():  # of another version
            path.unlink()
            return kept_tokens()
    except OSError as error:
        raise _unusable(path.parent, error) from None
    return tokens


def _write(path: Path, tokens: Mapping[str, str]) -> None:
    """Write a file of tokens whole, unless another server was first. ``mkstemp`` makes it this user's alone."""
    descriptor, written = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.writelines(f"{TOKENS[name]}={token}\n" for name, token in tokens.items())
        with suppress(FileExistsError):
            os.link(written, path)
    finally:
        Path(written).unlink()


@contextmanager
def bundle_folder(host: str, port: int) -> Iterator[Path]:
    """Make the empty folder for the bundles of the server that listens there; it goes when the block ends."""
    shutil.rmtree(_bundles(host, port), ignore_errors=True)  # of a server that was killed
    folder = bundles_at(host, port)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def bundles_at(host: str, port: int) -> Path:
    """Return where the development server that listens there has its bundles; it is made, for this user alone.

    A runner needs the folder, and may start before the server.
    """
    folder = _bundles(host, port)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from None
    return folder


def _bundles(host: str, port: int) -> Path:
    return _folder() / f"bundles-{host.replace(':', '_')}-{port}"


def environment(url: str, tokens: Mapping[str, str], bundle_store: object) -> dict[str, str]:
    """Return the variables for other terminals: for admins and callers of the gateway, then for a local runner."""
    variables = {
        "ALGA_SERVER_URL": url,
        **{TOKENS[name]: value for name, value in tokens.items() if name not in RUNNER_NAMES},
        "STORAGE_API_BASE_URL": url,
        "REGISTRY_BASE_URL": url,
        **RUNNER_DIALECT,
        "BUNDLE_STORE_BASE": str(bundle_store),
        "UI_PROXY_BASE_URL": url + UI_PROXY_PREFIX,
        **{RUNNER_NAMES[name]: value for name, value in tokens.items() if name in RUNNER_NAMES},
    }
    if "runner_token" in tokens:
        variables |= dict.fromkeys((UI_PROXY_KEY, REGISTRY_KEY), tokens["runner_token"])
    return variables


def exports(variables: Mapping[str, str]) -> str:
    """Return lines for a shell, each value quoted where it must be."""
    return "".join(f"export {name}={quote(value)}\n" for name, value in variables.items())


def _folder() -> Path:
    """Return the folder of this user's development servers; it is made, for this user alone."""
    state = os.environ.get("XDG_STATE_HOME", "").strip()
    try:
        folder = (Path(state) if state else Path.home() / ".local" / "state") / "alga-server"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_uid != os.geteuid():
            raise PermissionError(0, "it belongs to another user")
        folder.chmod(0o700)
    except OSError as error:
        raise _unusable(state or "the home folder", error) from None
    except RuntimeError:
        raise _unusable("the home folder", OSError(0, "it is not known")) from None
    return folder


def _unusable(place: object, error: OSError) -> Failure:
    return Failure(
        "state_unusable",
        f"Development tokens cannot be kept in {place}: {error.strerror}.",
        hint="Set XDG_STATE_HOME to a folder that this user can write.",
    )
