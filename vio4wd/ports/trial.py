"""Whether workers can poll a port themselves: asked of the driver, in a process that may die of it.

DPDK has no flag for this. Some drivers give a secondary no burst functions at all (net_af_packet, bonds),
some a dummy that moves nothing (net_af_xdp), some their real ones on state that only the primary has. So
once per driver a secondary process is started that does what a worker would do: it looks up the port,
compares where its burst functions come from with what the primary uses, and polls. Only a process that
lives through that makes the port a direct one.

A virtual device that stands on an interface of the kernel is pumped without a trial: its sockets, and
the signals that tell of packets, belong to the process that opened them. net_tap passes the trial, and
receives its first packets in a secondary, but is never told of the next ones.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Final

from vio4wd.dpdk.ethdev import Port, PortInfo

_log = logging.getLogger(__name__)

#: EAL's lcore for the trial; workers have 1 to 64.
LCORE: Final = 127
#: Seconds after which a trial that did not end has failed.
_PATIENCE: Final = 30.0


class Trial:
    """Asks, and remembers the answer for each driver.

    Args:
        prefix: the instance's EAL file prefix.
        cpu: where the trial's process runs, the master's CPU.
    """

    def __init__(self, prefix: str, cpu: int) -> None:
        self._prefix = prefix
        self._cpu = cpu
        self._answers: dict[str, bool] = {}

    def may_be_direct(self, info: PortInfo) -> bool:
        """Whether workers may be able to poll this port, as far as is known before it is started."""
        return self._answers.get(info.driver, not _on_interface(info))

    def is_direct(self, port: Port, info: PortInfo) -> bool:
        """Whether a worker can poll this started port; True: a direct port, False: it must be pumped."""
        if info.driver not in self._answers:
            verdict = self._ask(port, info)
            _log.info("ports of driver %s are %s", info.driver, verdict)
            self._answers[info.driver] = verdict == "direct"
        return self._answers[info.driver]

    def _ask(self, port: Port, info: PortInfo) -> str:
        """ "direct", or why not."""
        if _on_interface(info):
            return "pumped: they stand on an interface of the kernel"
        here = [port.burst_origin(transmit=transmit) for transmit in (False, True)]
        if None in here:
            return "pumped: the driver has no burst functions"
        libraries = [library for library, _ in here if library]  # type: ignore[misc]
        command = [
            *(sys.executable, "-P", "-m"),
            "vio4wd.ports.trial_process",
            f"--prefix={self._prefix}",
            f"--lcore={LCORE}",
            f"--cpu={self._cpu}",
            f"--port={port.port_id}",
            *(f"--library={library}" for library in libraries),
        ]
        if info.bus == "pci":
            command.append(f"--pci={info.device}")
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE
            )
        except subprocess.TimeoutExpired:
            return "pumped: a secondary process hung when it polled one"
        if done.returncode < 0:
            return f"pumped: a secondary process that polled one died of signal {-done.returncode}"
        if done.returncode == 0:
            return done.stdout.strip()
        return f"pumped: {(done.stderr.strip().splitlines() or ['no answer'])[-1]}"


def _on_interface(info: PortInfo) -> bool:
    """Whether it is a virtual device that stands on an interface of the kernel."""
    return info.bus == "vdev" and bool(info.if_index)
