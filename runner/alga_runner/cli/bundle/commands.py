"""The commands that make bundles and signatures: what they take, and their help."""

from __future__ import annotations

from pathlib import Path

import click

from alga_common.cli.commands import load
from alga_common.cli.options import GivenPath, GivenText, json_option

_WORK = "alga_runner.cli.bundle.work"

_PACK_HELP = """Pack an extension's folder into one file, its bundle.

Packed are manifest.json, dist/main.wasm with the source map next to it, and ui/**, without names that start with a dot.
The same files give the same bytes, so the content hash that is printed names exactly these.

\b
Examples:
  alga-runner pack my-extension
  alga-runner pack my-extension -o build/bundle.tar.zst
  alga-runner pack my-extension --json | jq -r .contentHash

Exit status: 0 when it is written, 1 when the folder is no extension, 2 for bad usage.
"""

_KEYGEN_HELP = """Make a key to sign bundles with.

NAME is who signs, as logs will show it. The private key is written to a new file that its owner alone can read: keep it
where bundles are built, and a copy where nothing else is. The line that is printed is the public key. Runners trust its
owner once the line is in their trust bundle, the file that SIGNING_TRUST_BUNDLE names; --trust adds it to that file.

\b
Examples:
  alga-runner keygen "Acme releases" --key acme.key >> trusted-keys
  alga-runner keygen "Acme releases" --key acme.key --trust trusted-keys

To replace a key, make another, add its line, sign the installed bundles again, then remove the old line. A runner reads
its trust bundle when it starts.

Exit status: 0 when the key is written, 1 when it cannot be, 2 for bad usage.
"""

_SIGN_HELP = """Sign a packed bundle.

By the signature the key's owner vouches for exactly these bytes: it is made over the archive's content hash, and
written next to the archive, as ARCHIVE.SIGNATURE. Publish both: in a bundle store the signature is next to
bundle.tar.zst, as bundle.tar.zst.SIGNATURE.

\b
Examples:
  alga-runner sign my-extension-1.0.0.tar.zst --key acme.key
  alga-runner pack my-extension -o b.tar.zst && alga-runner sign b.tar.zst --key acme.key

Exit status: 0 when it is signed, 1 when the archive is no bundle or the key cannot be used, 2 for bad usage.
"""

_VERIFY_HELP = """Verify the signature of a packed bundle, as a runner does before it reads the archive.

The signature is read from ARCHIVE.SIGNATURE, and counts if a key of the trust bundle made it over the content hash of
these bytes. The signer's name is printed as the trust bundle has it.

\b
Examples:
  alga-runner verify my-extension-1.0.0.tar.zst --trust trusted-keys
  SIGNING_TRUST_BUNDLE=trusted-keys alga-runner verify bundle.tar.zst --json

Exit status: 0 when a trusted key signed it, 1 when none did or there is nothing to verify, 2 for bad usage.
"""


@click.command(help=_PACK_HELP, short_help="Pack an extension's folder into a bundle.")
@click.argument("folder", type=GivenPath())
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=GivenPath(),
    help="The bundle to write.  [default: NAME-VERSION.tar.zst, of the manifest]",
)
@json_option
def pack(*, folder: Path, output: Path | None, as_json: bool) -> None:
    """See ``_PACK_HELP``."""
    load(f"{_WORK}:pack")(folder, output, as_json=as_json)


@click.command(help=_KEYGEN_HELP, short_help="Make a key to sign bundles with.")
@click.argument("name", type=GivenText())
@click.option("--key", metavar="FILE", type=GivenPath(), required=True, help="The new private key's file.")
@click.option("--trust", metavar="FILE", type=GivenPath(), help="A trust bundle to add the public key to.")
@json_option
def keygen(*, name: str, key: Path, trust: Path | None, as_json: bool) -> None:
    """See ``_KEYGEN_HELP``."""
    load(f"{_WORK}:keygen")(name, key, trust, as_json=as_json)


@click.command(help=_SIGN_HELP, short_help="Sign a bundle.")
@click.argument("archive", type=GivenPath())
@click.option("--key", metavar="FILE", type=GivenPath(), required=True, help="The private key.")
@json_option
def sign(*, archive: Path, key: Path, as_json: bool) -> None:
    """See ``_SIGN_HELP``."""
    load(f"{_WORK}:sign")(archive, key, as_json=as_json)


@click.command(help=_VERIFY_HELP, short_help="Verify a bundle's signature.")
@click.argument("archive", type=GivenPath())
@click.option(
    "--trust", metavar="FILE", type=GivenPath(), help="The trust bundle.  [env: SIGNING_TRUST_BUNDLE]"
)
@json_option
def verify(*, archive: Path, trust: Path | None, as_json: bool) -> None:
    """See ``_VERIFY_HELP``."""
    load(f"{_WORK}:verify")(archive, trust, as_json=as_json)
