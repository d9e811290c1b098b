"""A daemon as schedulers see it: two ZeroMQ endpoints, workers that can do no more than they can.

Time passes a hundred times as fast as in reality: a measurement of 5 seconds takes 50 ms.
"""

import threading
import time

import zmq

from vio4wd.control.proto.virtioforwarder_pb2 import (
    CoreSchedRequest,
    CoreSchedResponse,
    StatsRequest,
    StatsResponse,
)

PACE = 100


class PlayedDaemon:
    """Serves DIRECTORY/stats and DIRECTORY/core_sched while the context lasts.

    Attributes:
        where: CPUs of each relay, which UPDATE changes.
        moves: (relay, cpus) of all updates, in order.
    """

    def __init__(self, directory, cpus, where, demand, exact=True, refuse=""):
        """
        Args:
            demand: core seconds a second that (relay, direction number) wants.
            exact: tell measured loads; otherwise only the rates that the old model makes them of.
            refuse: answer updates with this error.
        """
        self.stats_ep = f"ipc://{directory}/stats"
        self.sched_ep = f"ipc://{directory}/core_sched"
        self.cpus = cpus
        self.where = dict(where)
        self.moves = []
        self._demand = demand
        self._exact = exact
        self._refuse = refuse
        self._ending = threading.Event()

    def __enter__(self):
        self._ending.clear()
        self._context = zmq.Context()
        self._sockets = {}
        for endpoint, answer in ((self.stats_ep, self._stats), (self.sched_ep, self._sched)):
            socket = self._context.socket(zmq.REP)
            socket.setsockopt(zmq.LINGER, 0)
            socket.bind(endpoint)
            self._sockets[socket] = answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._thread.join()
        self._context.destroy(linger=0)

    def _serve(self):
        poller = zmq.Poller()
        for socket in self._sockets:
            poller.register(socket, zmq.POLLIN)
        while not self._ending.is_set():
            for socket, _ in poller.poll(20):
                socket.send(self._sockets[socket](socket.recv()).SerializeToString())

    def _stats(self, frame):
        request = StatsRequest.FromString(frame)
        time.sleep(request.delay / 1000 / PACE)
        wanted = {(relay, n): self._demand(relay, n) for relay in self.where for n in (0, 1)}
        asked = dict.fromkeys(self.cpus, 0.0)
        for (relay, number), load in wanted.items():
            asked[self.where[relay][number]] += load
        response = StatsResponse(status=StatsResponse.OK)
        for relay, cpus in self.where.items():
            loads = [wanted[relay, n] / max(1.0, asked[cpus[n]]) for n in (0, 1)]
            self._add(response, relay, cpus, loads)
        self._add(response, 63, (-1, -1), (0.0, 0.0))  # attached, but nobody serves it yet
        return response

    def _add(self, response, relay, cpus, loads):
        state = response.relay.add(id=relay, active=True, socket_id=0)
        state.vhost.vhost_socket_name = "NONE"
        state.cpu.vf_to_vm, state.cpu.vm_to_vf = cpus
        for direction, side, state_name, load in (
            (state.vf_to_vm, "from_vf", "DPDK_READY", loads[0]),
            (state.vm_to_vf, "from_vm", "VIRTIO_READY", loads[1]),
        ):
            direction.active = True
            direction.internal_state = state_name
            for field in direction.DESCRIPTOR.fields:
                if "rate" in field.name:
                    setattr(direction, field.name, 0.0)
            setattr(direction, f"pkt_rate_rx_{side}", load / 50e-9)
            if self._exact:
                direction.load = load

    def _sched(self, frame):
        request = CoreSchedRequest.FromString(frame)
        if request.op == CoreSchedRequest.GET_EAL_CORES:
            return CoreSchedResponse(status=CoreSchedResponse.OK, eal_cores=self.cpus)
        if self._refuse:
            return CoreSchedResponse(
                status=CoreSchedResponse.ERROR, error_code=5, error_code_source=self._refuse
            )
        for entry in request.relay_cpu_map:
            self.where[entry.relay_number] = (entry.vf2virtio_cpu, entry.virtio2vf_cpu)
            self.moves.append((entry.relay_number, self.where[entry.relay_number]))
        return CoreSchedResponse(status=CoreSchedResponse.OK)

    def loads(self):
        """Core seconds a second wanted of each CPU."""
        found = dict.fromkeys(self.cpus, 0.0)
        for relay, cpus in self.where.items():
            for number, cpu in enumerate(cpus):
                found[cpu] += self._demand(relay, number)
        return found


def uneven(relay, number):
    """One heavy relay beside light ones."""
    return 0.4 if relay == 0 else 0.02


#: Eight relays of two workers, the heavy one all on CPU 1.
START = {relay: (1, 1) if relay < 4 else (2, 2) for relay in range(8)}
