"""The two services that know relays and CPUs: config tells, core scheduling moves."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from typing import Final

from vio4wd.control.controller import ControlError, Controller
from vio4wd.control.proto.virtioforwarder_pb2 import (
    ConfigRequest,
    ConfigResponse,
    CoreSchedRequest,
    CoreSchedResponse,
    RelayCPU,
)
from vio4wd.control.service import ERRNO, Refusal
from vio4wd.limits import MAX_RELAYS

_log = logging.getLogger(__name__)

SOURCE: Final = "core scheduling"
#: In the place of a CPU: none, or leave it as it is.
NO_CPU: Final = -1


class Config:
    """Which CPUs serve which relay."""

    request_type = ConfigRequest

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    async def answer(self, request: ConfigRequest) -> ConfigResponse:
        """All relays in use, by number; of several lanes the map that others know has the first."""
        served = sorted(self._controller.relay_cpu_map().items())
        return ConfigResponse(
            status=ConfigResponse.OK,
            relay_cpu_map=[_entry(relay, lanes[0]) for relay, lanes in served],
            lane_cpu_map=[
                _entry(relay, pair, lane)
                for relay, lanes in served
                if len(lanes) > 1
                for lane, pair in enumerate(lanes)
            ],
        )

    def refuse(self, refusal: Refusal, detail: str) -> ConfigResponse:
        """The protocol knows one error."""
        return ConfigResponse(status=ConfigResponse.EBADR)


class CoreSched:
    """Moves relays between workers."""

    request_type = CoreSchedRequest

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    async def answer(self, request: CoreSchedRequest) -> CoreSchedResponse:
        """The workers' CPUs; or OK when all moves are made, ERROR at the first that fails.

        All entries are checked before the first is acted on.
        """
        cores = self._controller.eal_cores()
        if request.op == CoreSchedRequest.GET_EAL_CORES:
            return CoreSchedResponse(status=CoreSchedResponse.OK, eal_cores=cores)
        try:
            _check(request.relay_cpu_map, cores)
            for entry in request.relay_cpu_map:
                await self._controller.move(
                    entry.relay_number, entry.vf2virtio_cpu, entry.virtio2vf_cpu, _lane(entry)
                )
        except ControlError as error:
            _log.error("update: %s", error)
            return _error(error.code, str(error))
        return CoreSchedResponse(status=CoreSchedResponse.OK)

    def refuse(self, refusal: Refusal, detail: str) -> CoreSchedResponse:
        """An ERROR."""
        return _error(ERRNO[refusal], f"{SOURCE}: {refusal.value}: {detail}")


def _entry(relay: int, cpus: tuple[int, int], lane: int | None = None) -> RelayCPU:
    return RelayCPU(relay_number=relay, vf2virtio_cpu=cpus[0], virtio2vf_cpu=cpus[1], lane=lane)


def _lane(entry: RelayCPU) -> int | None:
    return entry.lane if entry.HasField("lane") else None


def _check(entries: Sequence[RelayCPU], cores: Sequence[int]) -> None:
    lanes: dict[int, set[int | None]] = {}
    for entry in entries:
        relay = entry.relay_number
        if not 0 <= relay < MAX_RELAYS:
            raise ControlError(
                errno.EINVAL, SOURCE, f"there is no relay {relay}: relays are 0 to {MAX_RELAYS - 1}"
            )
        lane, given = _lane(entry), lanes.setdefault(relay, set())
        if given and (lane is None or lane in given or None in given):
            raise ControlError(errno.EINVAL, SOURCE, f"relay {relay} is given more than once")
        given.add(lane)
        for cpu in (entry.vf2virtio_cpu, entry.virtio2vf_cpu):
            if cpu != NO_CPU and cpu not in cores:
                workers = ",".join(str(core) for core in cores)
                raise ControlError(
                    errno.EINVAL, SOURCE, f"CPU {cpu} has no worker: the workers' are {workers}"
                )


def _error(code: int, message: str) -> CoreSchedResponse:
    return CoreSchedResponse(status=CoreSchedResponse.ERROR, error_code=code, error_code_source=message)
