"""What a frontend has set up: plain data for the relay to read, owned and changed by the device alone."""

from __future__ import annotations

import dataclasses
from typing import Final

from vio4wd.limits import MAX_QUEUES
from vio4wd.vhost.fds import close_all
from vio4wd.vhost.features import Protocol, Virtio, header_size
from vio4wd.vhost.inflight import Inflight
from vio4wd.vhost.memory import MemoryRegion, MemoryTable
from vio4wd.vhost.rings import Vring

#: DRIVER_OK of the device status (virtio 1.3 §2.1).
DRIVER_OK: Final = 4


@dataclasses.dataclass(frozen=True, slots=True)
class DirtyLog:
    """Shared memory with a bit for each guest page of 4096 bytes, set by us when we write to the page.

    Nothing says that it covers all of the guest's memory: check the bit's place before setting it.

    Attributes:
        fd: the file, owned by the state.
        size: bytes.
        offset: where it begins in the file, a multiple of the page size.
    """

    fd: int
    size: int
    offset: int


class DeviceState:
    """One virtio device, as far as its frontend has set it up.

    Attributes:
        features: device feature bits the guest took (masks of `Virtio`).
        protocol_features: vhost-user feature bits the frontend took (masks of `Protocol`).
        memory: the guest's memory.
        vrings: MAX_QUEUES of them, by queue number.
        log: where to log written pages while `logging`, None: nowhere.
        inflight: where to note how far each ring is, None: nowhere.
        log_fd: eventfd that tells the frontend that the log has changed, -1: none.
        mtu: in bytes, as the frontend told the guest, 0: not told.
        status: device status bits; counts only if the frontend took `Protocol.STATUS`.
    """

    def __init__(self) -> None:
        self.features = 0
        self.protocol_features = 0
        self.memory = MemoryTable()
        self.vrings = tuple(Vring(index) for index in range(MAX_QUEUES))
        self.log: DirtyLog | None = None
        self.inflight: Inflight | None = None
        self.log_fd = -1
        self.mtu = 0
        self.status = 0

    @property
    def regions(self) -> tuple[MemoryRegion, ...]:
        """The guest's memory by guest address."""
        return self.memory.regions

    @property
    def memory_number(self) -> int:
        """Names this state of the memory table; unique in this process."""
        return self.memory.number

    @property
    def packed(self) -> bool:
        """The virtqueues are packed ones."""
        return bool(self.features & Virtio.RING_PACKED)

    @property
    def header_size(self) -> int:
        """Bytes of the virtio-net header before each packet (virtio 1.3 §5.1.6.1)."""
        return header_size(self.features)

    @property
    def logging(self) -> bool:
        """Writes to guest memory must be logged, in `log`."""
        return bool(self.features & Virtio.LOG_ALL) and self.log is not None

    @property
    def driver_up(self) -> bool:
        """The guest's driver wants service, as far as the frontend tells."""
        return not self.protocol_features & Protocol.STATUS or bool(self.status & DRIVER_OK)

    def started_queues(self) -> list[Vring]:
        """Queues that run, enabled or not."""
        return [vring for vring in self.vrings if vring.runnable] if self.driver_up else []

    def place_rings(self) -> None:
        """Find all rings in guest memory, after anything that matters to that has changed."""
        for vring in self.vrings:
            vring.place(self.memory, packed=self.packed)

    def set_log(self, log: DirtyLog | None) -> None:
        """Put this log in the place of the present one, which is closed."""
        old, self.log = self.log, log
        close_all([old.fd] if old else [])

    def set_inflight(self, inflight: Inflight | None) -> None:
        """Put this memory in the place of the present one, which is closed."""
        old, self.inflight = self.inflight, inflight
        close_all([old.fd] if old else [])

    def set_log_fd(self, fd: int) -> None:
        """Put this eventfd in the place of the present one, which is closed."""
        old, self.log_fd = self.log_fd, fd
        close_all([old])

    def reset(self) -> None:
        """The device as the guest finds it after a reset: what belongs to the connection stays.

        That is the protocol features, the memory table, the log, the in-flight memory, and the interrupts.
        """
        self.features = 0
        self.status = 0
        for vring in self.vrings:
            vring.reset()

    def close(self) -> None:
        """Forget everything and close all descriptors."""
        self.reset()
        self.protocol_features = 0
        self.mtu = 0
        self.memory.close()
        self.set_log(None)
        self.set_inflight(None)
        self.set_log_fd(-1)
        for vring in self.vrings:
            vring.close()
