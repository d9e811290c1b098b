"""The one thread that talks to DPDK on behalf of the event loop.

Attaching or starting a device takes from milliseconds to seconds and must not hold up guests or
control clients; DPDK's device functions may not be called from two threads at once. One thread solves
both, and keeps changes in the order in which they were asked for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import ParamSpec, TypeVar

from vio4wd.master.responsiveness import put_ahead

P = ParamSpec("P")
R = TypeVar("R")


class DeviceThread:
    """Runs blocking DPDK calls one after the other. A call that has begun always ends: cancelling the
    caller does not lose track of a device."""

    def __init__(self) -> None:
        self._thread = concurrent.futures.ThreadPoolExecutor(
            1,
            thread_name_prefix="devices",
            # Or the event loop waits for the interpreter lock while a worker keeps this one from running.
            initializer=put_ahead,
        )
        self._gate = asyncio.Lock()

    async def run(self, call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Result of the call, or what it raised."""
        async with self._gate:
            future = asyncio.wrap_future(self._thread.submit(call, *args, **kwargs))
            try:
                return await asyncio.shield(future)
            except asyncio.CancelledError:
                await asyncio.wait([future])
                raise

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Keeps calls waiting. A DPDK secondary that starts reads the list of devices, which must not
        change meanwhile."""
        async with self._gate:
            yield

    def close(self) -> None:
        """Wait for the call that runs, and end the thread."""
        self._thread.shutdown(wait=True)
