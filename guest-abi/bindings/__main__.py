"""Write the generated files of the SDKs."""

from __future__ import annotations

from . import generated

for path, text in generated().items():
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
