"""An extension that sends its secret ``api_key`` to another server, and passes the answer on."""

from __future__ import annotations

from pathlib import Path

from alga_runner.bundles import Bundle

from .bundles import bundle_files, manifest_api
from .component_world import world_component

_URL = "https://api.example.com/rates"
_HANDLER = """
  (call $secrets.get (i32.const 2048) (i32.const 7) (i32.const 512))
  (i32.store (i32.const 700) (i32.const 2144)) (i32.store (i32.const 704) (i32.const 13))
  (i32.store (i32.const 708) (i32.load (i32.const 516))) (i32.store (i32.const 712) (i32.load (i32.const 520)))
  (call $http.fetch (i32.const 2064) (i32.const 3) (i32.const 2080) (i32.const {length})
    (i32.const 700) (i32.eqz (i32.load8_u (i32.const 512))) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 600))
  (if (i32.load8_u (i32.const 600))
    (then (i32.store16 (i32.const 0) (i32.const 500)))
    (else
      (i32.store16 (i32.const 0) (i32.load16_u (i32.const 604)))
      (i32.store (i32.const 12) (i32.const 1))
      (i32.store (i32.const 16) (i32.load (i32.const 620)))
      (i32.store (i32.const 20) (i32.load (i32.const 624)))))
  (i32.const 0)"""


def rates(url: str = _URL) -> Bundle:
    """The extension, which asks ``url``."""
    data = {2048: "api_key", 2064: "GET", 2080: url, 2144: "authorization"}
    assert len(url) <= 64
    guest = world_component(
        _HANDLER.format(length=len(url)),
        ["secrets get", "http fetch"],
        code=" ".join(f'(data (i32.const {place}) "{text}")' for place, text in data.items()),
    )
    return Bundle.from_files(
        bundle_files(
            guest,
            name="com.example.rates",
            capabilities=["cap:http.fetch", "cap:secrets.get"],
            api=manifest_api("GET /rates"),
        )
    )


def write_rates(folder: Path, url: str = _URL) -> Path:
    """The extension as a folder."""
    for name, content in rates(url).files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
