"""Works while a timer samples the running function."""

from __future__ import annotations

from ..child import Counts, Work
from ..sampling import SAMPLE, sampled


def with_samples(work: Work) -> Work:
    """``work``, whose counts have the samples, too."""

    async def run() -> Counts:
        with sampled() as samples:
            counts = await work()
        return {**counts, **{SAMPLE + name: count for name, count in samples.items()}}

    return run
