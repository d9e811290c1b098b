"""The virtio-net device of a Linux guest, as options of QEMU."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal


@dataclasses.dataclass(frozen=True)
class VirtioNic:
    """What the device offers to the guest's driver and how QEMU reaches the backend.

    Attributes:
        socket: path of the vhost-user socket.
        server: QEMU listens on the socket and the backend connects.
        reconnect_ms: milliseconds between attempts to reach a lost backend; None: QEMU does not try again.
        mac: the guest's address.
        queue_pairs: pairs offered; the guest's driver uses as many as it has CPUs.
        generation: "legacy": virtio 0.9 only, "modern": virtio 1.x only, "transitional": both.
        packed: packed virtqueues (virtio 1.1), not with legacy devices.
        offloads: checksum and segmentation offloads, both directions.
        mtu: VIRTIO_NET_F_MTU, None: not offered by QEMU.
        queue_size: entries of each ring, a power of two up to 1024.
        properties: further properties of QEMU's device, e.g. "guest_ufo=off".
        tap: name of a tap interface that QEMU makes and serves the device with itself, "": the socket's
            backend does.
    """

    socket: Path
    server: bool = False
    reconnect_ms: int | None = None
    mac: str = "52:54:00:00:00:01"
    queue_pairs: int = 1
    generation: Literal["legacy", "transitional", "modern"] = "modern"
    packed: bool = False
    mergeable: bool = True
    event_idx: bool = True
    indirect: bool = True
    in_order: bool = False
    offloads: bool = True
    mtu: int | None = None
    queue_size: int = 256
    properties: tuple[str, ...] = ()
    tap: str = ""

    def __post_init__(self) -> None:
        if self.packed and self.generation == "legacy":
            raise ValueError("a legacy device has no packed virtqueues")

    def arguments(self, number: int) -> list[str]:
        """QEMU's arguments for this device, which becomes the guest's eth<number>."""
        device = {
            "id": f"nic{number}",
            "netdev": f"net{number}",
            "mac": self.mac,
            "addr": f"{0x10 + number:#x}",
            "rx_queue_size": str(self.queue_size),
            "tx_queue_size": str(self.queue_size),
            "disable-modern": _switch(self.generation == "legacy"),
            "disable-legacy": _switch(self.generation == "modern"),
            "packed": _switch(self.packed),
            "mrg_rxbuf": _switch(self.mergeable),
            "event_idx": _switch(self.event_idx),
            "indirect_desc": _switch(self.indirect),
            "in_order": _switch(self.in_order),
            "csum": _switch(self.offloads),
            "guest_csum": _switch(self.offloads),
            "mq": _switch(self.queue_pairs > 1),
        }
        for offload in ("tso4", "tso6", "ecn", "ufo"):
            device[f"guest_{offload}"] = device[f"host_{offload}"] = _switch(self.offloads)
        for offload in ("guest_uso4", "guest_uso6", "host_uso"):
            device[offload] = _switch(self.offloads)
        if self.mtu is not None:
            device["host_mtu"] = str(self.mtu)
        # Each pair has two interrupts, the control queue and configuration changes one each.
        device["vectors"] = str(2 * self.queue_pairs + 2)
        properties = ",".join([*(f"{name}={value}" for name, value in device.items()), *self.properties])
        return [*self._backend(number), "-device", f"virtio-net-pci,{properties}"]

    def _backend(self, number: int) -> list[str]:
        if self.tap:
            return ["-netdev", f"tap,id=net{number},ifname={self.tap},script=no,downscript=no"]
        channel = f"socket,id=channel{number},path={self.socket}"
        if self.server:
            channel += ",server=on,wait=off"
        elif self.reconnect_ms is not None:
            channel += f",reconnect-ms={self.reconnect_ms}"
        backend = f"vhost-user,id=net{number},chardev=channel{number},queues={self.queue_pairs}"
        return ["-chardev", channel, "-netdev", backend]


def _switch(on: bool) -> str:
    return "on" if on else "off"
