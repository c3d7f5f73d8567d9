"""Scheduler sample: an extension in Python that sets up, changes and removes its own schedules."""

from __future__ import annotations

from alga_extension import Router, extension
from attempt import attempt
from manage import cleanup, configure, refusals_as_responses, schedules, setup
from sync import sync

WitWorld = extension(
    refusals_as_responses(
        Router()
        .on("POST", "/setup", setup)
        .on("POST", "/configure", configure)
        .on("GET", "/schedules", schedules)
        .on("POST", "/cleanup", cleanup)
        .on("POST", "/sync", sync)
        .on("POST", "/try", attempt)
    )
)
