"""The runner over HTTP: ``POST /v1/execute``, health and metrics, as one ASGI app."""

from __future__ import annotations

from .app import Service, create_service

__all__ = ["Service", "create_service"]
