"""The Alga server as the runner sees it: one port, its HTTP client, its dialects."""

from __future__ import annotations

from .connect import DIALECTS, connect
from .http import HttpAlgaServer
from .in_process import InProcessAlgaServer
from .port import AlgaServer, Identity

__all__ = ["DIALECTS", "AlgaServer", "HttpAlgaServer", "Identity", "InProcessAlgaServer", "connect"]
