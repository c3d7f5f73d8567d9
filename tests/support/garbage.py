"""Collections of garbage that look at what a test made alone: a worker of the suite has millions of older objects."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def of_its_own() -> Iterator[Callable[[], object]]:
    """Give the function that collects the garbage made since, while older objects stay as they are."""
    gc.freeze()
    try:
        yield gc.collect
    finally:
        gc.unfreeze()


@contextmanager
def no_collection() -> Iterator[None]:
    """Leave the garbage of other tests alone for now: their finalizers would count as what a test calls."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
