"""A guest whose TCP/IP stack is this machine's kernel: for machines in which a Linux VM would be too slow.

    with KernelGuest(socket, directory, mac="52:54:00:bb:00:00", address="10.1.0.2/24") as guest:
        subprocess.run(["ping", "-c", "1", "10.1.0.1"])

dpdk-testpmd's virtio driver talks to the backend and passes packets to a tap interface and back.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pyroute2 import IPRoute

from vio4wd.testing.testpmd import Testpmd, virtio_user
from vio4wd.testing.wait import wait_for

_MEMORY_MB: Final = 128
#: Bytes of testpmd's buffers; a jumbo frame fits in one.
_BUFFER: Final = 10240
_BUFFERS: Final = 4096


class KernelGuest:
    """One guest with one interface, from `start` to `close`.

    Args:
        socket: the backend's.
        directory: for testpmd's log.
        mac: of its interface.
        address: of its interface, "10.1.0.2/24".
        interface: its name.
        mtu: bytes.
        cpu: the CPU of the forwarding thread, which never rests.
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
        server: bool = False,
    ) -> None:
        self.interface = interface
        self._address = address
        self._mtu = mtu
        self.testpmd = Testpmd(
            [
                virtio_user(socket, mac=mac, server=server),
                f"net_tap0,iface={interface},mac={mac}",
            ],
            directory,
            cpus=(cpu, cpu),
            mbufs=_BUFFERS,
            memory_mb=_MEMORY_MB,
            # Its prompt must not be disturbed by messages that the tap interface went up.
            arguments=[f"--mbuf-size={_BUFFER}", "--no-lsc-interrupt"],
        )

    def start(self) -> None:
        """Start it and return when its interface is up.

        Raises:
            TestpmdError: testpmd did not come up.
        """
        self.testpmd.open(timeout=180)
        try:
            host, prefix = self._address.split("/")
            with IPRoute() as routes:
                index = wait_for(lambda: routes.link_lookup(ifname=self.interface), "the tap interface")[0]
                Path(f"/proc/sys/net/ipv6/conf/{self.interface}/disable_ipv6").write_text("1")
                routes.link("set", index=index, mtu=self._mtu, state="up")
                routes.addr("add", index=index, address=host, prefixlen=int(prefix))
            self.testpmd.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End it; its interface goes with it."""
        self.testpmd.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
