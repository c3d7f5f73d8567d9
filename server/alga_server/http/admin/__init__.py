"""The admin API: publish extensions, install them, manage their schedules. JSON in camelCase.

Each module has the routes of one noun, with the models of their requests and answers; FastAPI checks requests by the
models and derives the OpenAPI document from them.
"""

from __future__ import annotations
