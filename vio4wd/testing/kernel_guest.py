"""A guest whose TCP/IP stack is this machine's kernel: for machines in which a Linux VM would be too slow.

    with KernelGuest(socket, directory, mac="52:54:00:bb:00:00", address="10.1.0.2/24") as guest:
        guest.run("ping", "-c", "1", "10.1.0.1")

dpdk-testpmd's virtio driver talks to the backend and passes packets to a tap interface and back. The
interface lies in a namespace of its own, or the kernel would answer for its address everywhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vio4wd.testing.namespace import Namespace
from vio4wd.testing.testpmd import Testpmd, virtio_user

_MEMORY_MB: Final = 128
#: Bytes of testpmd's buffers; a jumbo frame fits in one.
_BUFFER: Final = 10240
_BUFFERS: Final = 4096


class KernelGuest(Namespace):
    """One guest with one interface: the namespace, until `close`.

    Args:
        socket: the backend's.
        directory: for testpmd's log.
        mac: of its interface.
        address: of its interface, "10.1.0.2/24".
        interface: its name.
        mtu: bytes.
        cpu: the CPU of the forwarding thread, which never rests.

    Raises:
        TestpmdError: testpmd did not come up.
    """

    def __init__(
        self,
        socket: Path,
        directory: Path,
        *,
        mac: str,
        address: str,
        interface: str = "guest0",
        mtu: int = 1500,
        cpu: int = 0,
    ) -> None:
        super().__init__()
        self.interface = interface
        self.testpmd = Testpmd(
            [virtio_user(socket, mac=mac), f"net_tap0,iface={interface},mac={mac}"],
            directory,
            cpus=(cpu, cpu),
            mbufs=_BUFFERS,
            memory_mb=_MEMORY_MB,
            # Its prompt must not be disturbed by messages that the tap interface went up.
            arguments=[f"--mbuf-size={_BUFFER}", "--no-lsc-interrupt"],
        )
        try:
            self.testpmd.open(timeout=180)
            # The tap's driver drops what is longer.
            self.testpmd.command(f"port config mtu 1 {mtu}")
            self.take(interface, address)
            self.testpmd.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it; its interface goes with it."""
        self.testpmd.close()
        super().close()
