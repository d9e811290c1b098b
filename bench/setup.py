"""What a backend and its guest are set up for, and the device strings and options that come of it."""

from __future__ import annotations

import dataclasses
from typing import Final

#: Directions of traffic, seen from the guest: what testpmd in the guest does.
VM_TO_VF: Final = "VM→VF"
VF_TO_VM: Final = "VF→VM"
BOTH: Final = "both ways"
DIRECTIONS: Final = (VM_TO_VF, VF_TO_VM, BOTH)
MODES: Final = {VM_TO_VF: "txonly", VF_TO_VM: "rxonly", BOTH: "io"}

#: Sizes of frames that tell all of a mix; with Ethernet header, without checksum.
IMIX: Final = "IMIX"
#: ... as (bytes, frames of twelve).
IMIX_FRAMES: Final = ((64, 7), (594, 4), (1518, 1))

_LARGEST_PLAIN: Final = 1518
_PIECE: Final = 1800  # bytes of a long frame in each of the guest's buffers


@dataclasses.dataclass(frozen=True, slots=True)
class Setup:
    """One arrangement of VF, backend and guest.

    Attributes:
        size: bytes of the frames; None: a mix (IMIX), which comes from the guest.
        queues: queue pairs.
        idle: further relays that are attached, with a silent VF and a guest that does nothing.
        directions: those to be measured; a mix goes both ways by coming back, so that is a setup of its own.
    """

    size: int | None = 64
    packed: bool = False
    mergeable: bool = False
    queues: int = 1
    idle: int = 0
    directions: tuple[str, ...] = DIRECTIONS

    @property
    def name(self) -> str:
        """All settings of guest and frames."""
        size = IMIX if self.size is None else f"{self.size} B"
        ring = "packed" if self.packed else "split"
        return f"{size} {ring}{' mergeable' if self.mergeable else ''}"

    @property
    def jumbo(self) -> bool:
        return self.size is not None and self.size > _LARGEST_PLAIN

    def vf(self, number: int = 0) -> str:
        """The DPDK device that stands for the VF: an endless source and sink, or what sends a mix back."""
        if self.size is None and BOTH in self.directions:
            return f"net_ring{number}"
        return f"net_null{number},size={self.size or 64}"

    def pieces(self) -> str:
        """The segments in which the guest sends a frame, as testpmd takes them."""
        size = self.size or 64
        whole, rest = divmod(size, _PIECE)
        return ",".join(map(str, [_PIECE] * whole + ([rest] if rest else []))) if self.jumbo else str(size)
