"""What runner and server share. It imports neither."""

from __future__ import annotations
