"""The database: tables, transactions, locks, migrations."""

from __future__ import annotations
