"""The guest of a measurement: dpdk-testpmd with DPDK's own virtio driver, on one core."""

from __future__ import annotations

import contextlib
import dataclasses
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bench.backends import Served
from bench.setup import BOTH, IMIX_FRAMES, MODES, VF_TO_VM, VM_TO_VF, Setup
from vio4wd.testing.testpmd import Testpmd, virtio_user

#: Seconds from the start of forwarding until it runs evenly.
_WARM_UP: Final = 0.3
#: Idle guests that one testpmd holds; DPDK's packages allow 32 ports.
_A_PROCESS: Final = 31
#: Long frames come and go in several mbufs (RTE_ETH_TX_OFFLOAD_MULTI_SEGS).
_JUMBO: Final = ("--max-pkt-len=9216", "--enable-scatter", "--tx-offloads=0x8000")


@dataclasses.dataclass(frozen=True, slots=True)
class Traffic:
    """What moved in a window.

    Attributes:
        mpps: million packets a second that the guest sent or received; both ways: of the slower way.
        guest_drop: share of the packets it offered that the guest could not send, 0 for VF→VM.
        vf_drop: share of the VF's packets that found no buffer in the guest; None: the backend tells none.
        cycles: of the backend's core for each packet, in the bursts that had any; None: it tells none.
    """

    mpps: float
    guest_drop: float
    vf_drop: float | None
    cycles: float | None


class Guest:
    """A guest on a backend's socket, from `__enter__` to `__exit__`."""

    def __init__(self, setup: Setup, served: Served, directory: Path, cpu: int) -> None:
        self._setup = setup
        self._served = served
        devices = [
            virtio_user(
                served.socket,
                queues=setup.queues,
                mergeable=setup.mergeable,
                packed=setup.packed,
            )
        ]
        if setup.size is None:
            directory.mkdir(parents=True, exist_ok=True)
            mix = directory / "mix.pcap"
            mix.write_bytes(imix_capture())
            devices.append(f"net_pcap0,rx_pcap={mix},infinite_rx=1")
        self._program = Testpmd(
            devices,
            directory,
            cpus=(cpu, cpu),
            queues=setup.queues,
            arguments=_JUMBO if setup.jumbo else [],
        )

    def __enter__(self) -> Self:
        self._program.open()
        try:
            self._program.command(f"set txpkts {self._setup.pieces()}")
        except BaseException:
            self._program.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._program.close()

    @contextlib.contextmanager
    def busy(self, direction: str) -> Iterator[None]:
        """Send, receive, or both, evenly from the beginning of the block on."""
        # A mix comes from a second port, whose packets forwarding takes to the first.
        self._program.set_mode("io" if self._setup.size is None else MODES[direction])
        self._program.start()
        time.sleep(_WARM_UP)
        yield
        self._program.stop()

    def measure(self, direction: str, seconds: float) -> Traffic:
        """What moves in the next `seconds`."""
        before, began = self._counts(), time.monotonic()
        old = self._served.counts()
        time.sleep(seconds)
        after, ended = self._counts(), time.monotonic()
        new = self._served.counts()
        received, sent, dropped = (last - first for first, last in zip(before, after, strict=True))
        packets = {VM_TO_VF: sent, VF_TO_VM: received, BOTH: min(sent, received)}[direction]
        vf_drop, cycles = None, None
        if old and new:
            vf_drop = (new.dropped - old.dropped) / max(new.received - old.received, 1)
            if new.packets > old.packets:
                cycles = (new.cycles - old.cycles) / (new.packets - old.packets)
        return Traffic(packets / (ended - began) / 1e6, dropped / max(sent + dropped, 1), vf_drop, cycles)

    def _counts(self) -> tuple[int, int, int]:
        """Packets received, sent, and not taken by the ring."""
        virtio = self._program.forwarded()[0]
        return virtio.rx_packets, virtio.tx_packets, virtio.tx_dropped


@contextlib.contextmanager
def idle_guests(sockets: Sequence[Path], directory: Path, cpu: int) -> Iterator[None]:
    """Guests that are connected and do nothing, for the time of a `with` block."""
    with contextlib.ExitStack() as running:
        for first in range(0, len(sockets), _A_PROCESS):
            part = sockets[first : first + _A_PROCESS]
            devices = [virtio_user(socket, number=number) for number, socket in enumerate(part)]
            # They need few packets, where testpmd would take memory for ports that may come.
            running.enter_context(
                Testpmd(
                    devices,
                    directory / f"idle{first}",
                    cpus=(cpu, cpu),
                    memory_mb=64,
                    arguments=["--total-num-mbufs=16384"],
                )
            )
        yield


def imix_capture() -> bytes:
    """A capture file (pcap) with the frames of the mix, large ones spread among the small."""
    frames = sorted(((place + 0.5) / count, size) for size, count in IMIX_FRAMES for place in range(count))
    capture = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    addresses = bytes.fromhex("525400000002525400000001") + b"\x08\x00"
    for _, size in frames:
        capture += struct.pack("<IIII", 0, 0, size, size) + addresses.ljust(size, b"\0")
    return capture
