"""A guest whose TCP/IP stack is this machine's kernel: for machines in which a Linux VM would be too slow.

    with KernelGuest(socket, directory, mac="52:54:00:bb:00:00", address="10.1.0.2/24") as guest:
        guest.run("ping", "-c", "1", "10.1.0.1")

dpdk-testpmd's virtio driver talks to the backend and passes packets to one end of a veth pair and back. The
other end, the guest's interface, lies in a namespace of its own, or the kernel would answer for its address
everywhere. (A tap interface would do as well, but DPDK's driver for it takes no jumbo frames.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vio4wd.master.numa import node_of_cpu
from vio4wd.testing.namespace import Namespace
from vio4wd.testing.netns import join
from vio4wd.testing.testpmd import Testpmd, virtio_user

_MEMORY_MB: Final = 128
#: Bytes of testpmd's buffers; a jumbo frame fits in one.
_BUFFER: Final = 10240
_BUFFERS: Final = 4096
#: Bytes of the frames of net_af_packet's ring, and of its blocks. A block must consist of whole pages and
#: whole frames: the driver counts on frames that follow each other without a gap.
_FRAME: Final = 9216
_BLOCK: Final = 4 * _FRAME


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
        outside = f"{interface}-out"
        behind = f"net_af_packet0,iface={outside},framesz={_FRAME},blocksz={_BLOCK}"
        self.testpmd = Testpmd(
            [virtio_user(socket, mac=mac), behind],
            directory,
            cpus=(cpu, cpu),
            mbufs=_BUFFERS,
            memory_mb=_MEMORY_MB,
            # DPDK would go by the numbers of its threads, not by the CPUs that they run on.
            node=node_of_cpu(cpu),
            # Its prompt must not be disturbed by messages that an interface went up.
            arguments=[f"--mbuf-size={_BUFFER}", "--no-lsc-interrupt"],
        )
        try:
            self.take(join(outside, mtu), address, name=interface)
            self.run("ip", "link", "set", interface, "address", mac)
            self.testpmd.open(timeout=180)
            self.testpmd.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it; its interface goes with it."""
        self.testpmd.close()
        super().close()
