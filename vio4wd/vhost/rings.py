"""One virtqueue as the frontend has set it up, and where in guest memory its parts lie."""

from __future__ import annotations

import dataclasses
from typing import Final

from vio4wd.vhost.fds import close_all
from vio4wd.vhost.memory import ADDRESS_LIMIT, MemoryTable

#: Most entries of a virtqueue (virtio 1.3 §2.7 and §2.8.10.1).
MAX_SIZE: Final = 32768
#: VHOST_VRING_F_LOG in the flags of SET_VRING_ADDR: writes to the used ring are logged.
LOG_USED: Final = 1


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One of the three areas of a virtqueue."""

    name: str
    length: int
    alignment: int


def parts(size: int, *, packed: bool) -> tuple[Part, Part, Part]:
    """The areas that SET_VRING_ADDR calls descriptor, available and used, in this order.

    Lengths in bytes as virtio 1.3 gives them: §2.7 for split rings, §2.8 for packed ones, where the
    latter two are the event suppression structures of driver and device.
    """
    if packed:
        return (
            Part("descriptor ring", 16 * size, 16),
            Part("driver event area", 4, 4),
            Part("device event area", 4, 4),
        )
    return (
        Part("descriptor table", 16 * size, 16),
        Part("available ring", 6 + 2 * size, 2),
        Part("used ring", 6 + 8 * size, 4),
    )


@dataclasses.dataclass(slots=True)
class Vring:
    """A virtqueue. The descriptors are owned by it and -1 where there is none.

    Attributes:
        index: number in the device (even: the guest receives, odd: it transmits).
        size: entries, 0: not said yet.
        user_addresses: of the three parts (`parts`) in the frontend's address space; None: not said yet.
        descriptors, available, used: guest-physical addresses of the parts, -1: not known or not valid.
        log_used: guest-physical address of the used part for the dirty log, -1: it is not to be logged.
        base: position it begins at, as the frontend encodes it; None: the listener has it.
        kick_fd: eventfd the guest notifies us with.
        call_fd: eventfd that interrupts the guest, -1: the guest polls.
        err_fd: eventfd that tells the frontend of a broken ring.
        enabled: packets flow; a ring that is started but not enabled is drained (odd) or left alone (even).
        started: from SET_VRING_KICK to GET_VRING_BASE.
        fault: why a started ring cannot be served, "": it can.
    """

    index: int
    size: int = 0
    user_addresses: tuple[int, int, int] | None = None
    descriptors: int = -1
    available: int = -1
    used: int = -1
    log_used: int = -1
    base: int | None = 0
    kick_fd: int = -1
    call_fd: int = -1
    err_fd: int = -1
    enabled: bool = False
    started: bool = False
    fault: str = ""

    @property
    def runnable(self) -> bool:
        """It is started and all of it lies in guest memory."""
        return self.started and not self.fault

    def place(self, memory: MemoryTable, *, packed: bool) -> None:
        """Find the parts in guest memory, or `fault`."""
        self.descriptors = self.available = self.used = -1
        self.fault = self._place(memory, packed) if self.started else ""

    def _place(self, memory: MemoryTable, packed: bool) -> str:
        if not self.size or self.user_addresses is None:
            return "it has no size or no addresses yet"
        if not packed and self.size & (self.size - 1):
            return f"a split ring of {self.size} entries, which is no power of two"
        base = self.base or 0
        found = []
        for part, user_address in zip(parts(self.size, packed=packed), self.user_addresses, strict=True):
            address = memory.guest_address(user_address, part.length)
            if address is None:
                return (
                    f"its {part.name} ({part.length} bytes at {user_address:#x}) does not lie in a region"
                    " of the guest's memory"
                )
            if address % part.alignment or user_address % part.alignment:
                return f"its {part.name} at {user_address:#x} is not aligned to {part.alignment} bytes"
            found.append(address)
        if packed and max(base & 0x7FFF, base >> 16 & 0x7FFF) >= self.size:
            return f"its position {base:#x} is beyond its {self.size} entries"
        if self.log_used + parts(self.size, packed=packed)[2].length > ADDRESS_LIMIT:
            return f"its log address {self.log_used:#x} is beyond 2^63"
        self.descriptors, self.available, self.used = found
        return ""

    def set_fd(self, name: str, fd: int) -> None:
        """Put a descriptor (-1: none) in the place of `kick_fd`, `call_fd` or `err_fd`, which is closed."""
        old = getattr(self, name)
        setattr(self, name, fd)
        close_all([old])

    def stop(self) -> None:
        """Stopped: neither notified nor served; how it is set up and whether it is enabled stays."""
        self.started = False
        self.fault = ""
        self.set_fd("kick_fd", -1)

    def reset(self) -> None:
        """As new, but that the guest's interrupt and the error eventfd stay."""
        self.stop()
        self.size = 0
        self.user_addresses = None
        self.descriptors = self.available = self.used = self.log_used = -1
        self.base = 0
        self.enabled = False

    def close(self) -> None:
        """As new; all descriptors are closed."""
        self.reset()
        self.set_fd("call_fd", -1)
        self.set_fd("err_fd", -1)
