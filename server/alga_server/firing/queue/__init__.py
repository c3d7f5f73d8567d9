"""How a due schedule reaches a worker."""

from __future__ import annotations
