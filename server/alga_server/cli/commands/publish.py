"""``alga-server publish`` and ``extensions``: the extensions that tenants can install."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from alga_common.cli.commands import load
from alga_common.text import listed, minute

from ..options import client
from ..session import Session
from ..warmup import ANSWER_S, warmup_text, warn_if_refused

if TYPE_CHECKING:
    from alga_common.cli.page import Page

    from ..admin import Admin


_PUBLISH = """Publish an extension, so that tenants can install it.

PATH is an extension's folder, of which manifest.json, dist/main.wasm, its source map (dist/main.wasm.map) and ui/ are
packed, or a packed bundle (.tar.zst).
A version never changes: publishing the same content again changes nothing, other content under the same version is
refused. The server has the runner compile it, so that no execution waits for that; a component takes seconds. If the
runner cannot, the extension is published all the same, and the command shows why. The signature of a packed bundle, in
the file with .SIGNATURE at the end of its name (see `alga-runner sign`), is published with it.

\b
Examples:
  alga-server publish my-extension
  alga-server publish my-extension-1.2.0.tar.zst
  EXTENSION=$(alga-server publish my-extension --id)

Exit status: 0 published, now or before; 1 refused; 2 for bad usage.
"""

_EXTENSIONS = """List the published extensions, every version of each, the highest last.

\b
Examples:
  alga-server extensions
  alga-server extensions --name com.example.sync
  alga-server extensions --json | jq -r '.extensions[].name'

Exit status: 0 done; 1 failed; 2 for bad usage.
"""


@click.command(help=_PUBLISH, short_help="Publish an extension's folder or bundle.")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--id", "only_id", is_flag=True, help="Print the extension's id alone.")
@client
def publish(session: Session, *, path: Path, only_id: bool) -> None:
    """See ``_PUBLISH``."""
    archive: bytes = load("alga_server.cli.extension_files:read_archive")(path)

    headers: dict[str, str] = load("alga_server.cli.extension_files:signature_header")(path)

    async def work(admin: Admin) -> tuple[int, Any]:
        return await admin.call("POST", "extensions", content=archive, headers=headers, answer_s=ANSWER_S)

    status, published = session.ask(work, doing=f"Publishing and compiling {path}")
    created = status == 201
    warn_if_refused(published["warmup"])

    def report(page: Page) -> None:
        if only_id:
            page.line(published["extensionId"])
            return
        name = f"{published['name']} {published['version']}"
        again = "its signature is stored" if headers else "nothing changed"
        page.line(f"Published {name}." if created else f"{name} was published before; {again}.")
        page.line(f"  extension     {published['extensionId']}")
        page.line(f"  content hash  {published['contentHash']}")
        page.line(f"  capabilities  {listed(published['capabilities'])}")
        page.line(f"  endpoints     {len(published['endpoints'])}")
        if text := warmup_text(published["warmup"]):
            page.line(f"  compiled      {text}")

    session.answer({**published, "created": created}, report)


@click.command(help=_EXTENSIONS, short_help="List the published extensions.")
@click.option("--name", metavar="NAME", help="Only extensions with this name.")
@client
def extensions(session: Session, *, name: str | None) -> None:
    """See ``_EXTENSIONS``."""

    async def work(admin: Admin) -> Any:
        return await admin.get("extensions", name=name)

    answer = session.ask(work)
    rows = [
        [
            extension["name"],
            version["version"],
            listed(version["capabilities"], nothing="-"),
            minute(version["createdAt"]),
            extension["extensionId"],
        ]
        for extension in answer["extensions"]
        for version in extension["versions"]
    ]
    columns = ["NAME", "VERSION", "CAPABILITIES", "PUBLISHED (UTC)", "EXTENSION"]
    session.answer(answer, lambda page: page.table(columns, rows, empty="Nothing is published."))
