"""What schedulers and monitors ask a running daemon over ZeroMQ.

Each question has a connection of its own: a daemon that was restarted is found again by the next one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from vio4wd.control.client import ClientError, ask
from vio4wd.control.proto.virtioforwarder_pb2 import (
    CoreSchedRequest,
    CoreSchedResponse,
    RelayCPU,
    StatsRequest,
    StatsResponse,
)

#: Longest time over which a daemon measures, in seconds.
LONGEST_MEASUREMENT: Final = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class DaemonLink:
    """A daemon's two endpoints. All methods raise ClientError when there is no answer, or an error.

    Attributes:
        timeout: seconds to wait for an answer, the time that was asked to be spent measuring not counted.
    """

    stats_ep: str
    sched_ep: str
    timeout: float = 5.0

    def measure(self, seconds: float) -> Sequence[StatsResponse.RelayState]:
        """All relays' states, with rates over the next `seconds` (up to LONGEST_MEASUREMENT)."""
        request = StatsRequest(delay=round(1000 * min(seconds, LONGEST_MEASUREMENT)))
        response = ask(self.stats_ep, request, StatsResponse, self.timeout + seconds)
        if response.status != StatsResponse.OK:
            raise ClientError(f"{self.stats_ep}: refused: {StatsResponse.Status.Name(response.status)}")
        return response.relay

    def cores(self) -> list[int]:
        """CPUs of the workers."""
        request = CoreSchedRequest(op=CoreSchedRequest.GET_EAL_CORES)
        return list(self._core_sched(request).eal_cores)

    def move(self, relay: int, cpus: tuple[int, int], lane: int | None = None) -> None:
        """Serve a relay's (VF->VM, VM->VF), all of it or one lane, on these CPUs from now on."""
        entry = RelayCPU(relay_number=relay, vf2virtio_cpu=cpus[0], virtio2vf_cpu=cpus[1], lane=lane)
        self._core_sched(CoreSchedRequest(op=CoreSchedRequest.UPDATE, relay_cpu_map=[entry]))

    def _core_sched(self, request: CoreSchedRequest) -> CoreSchedResponse:
        response = ask(self.sched_ep, request, CoreSchedResponse, self.timeout)
        if response.status != CoreSchedResponse.OK:
            reason = response.error_code_source or "refused"
            raise ClientError(f"{self.sched_ep}: {reason} (error {response.error_code})")
        return response
