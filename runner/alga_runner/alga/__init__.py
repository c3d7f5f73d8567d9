"""The Alga server as the runner sees it: one port, its HTTP client, its dialects."""

from __future__ import annotations

from . import answers
from .dialects import DIALECTS
from .http import HttpAlgaServer, connect
from .port import AlgaServer, Identity, NoAlgaServer, SchedulePage
from .ui_proxy import UiProxy, connect_ui_proxy

__all__ = [
    "DIALECTS",
    "AlgaServer",
    "HttpAlgaServer",
    "Identity",
    "NoAlgaServer",
    "SchedulePage",
    "UiProxy",
    "answers",
    "connect",
    "connect_ui_proxy",
]
