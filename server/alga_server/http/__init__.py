"""The routes: what every router shares here, the routers themselves in folders below."""

from __future__ import annotations
