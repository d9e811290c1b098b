"""The program whose instructions are counted: each kernel for a while, and for twice as long.

Run by `bench.instructions` under callgrind, and once before without it, to fill the cache of compiled
code.
"""

from __future__ import annotations

import dataclasses
import gc
import sys
from collections.abc import Iterator

from bench import callgrind
from bench.driver import Bed
from bench.rounds import rounds
from bench.stubs import StubVf
from vio4wd.kernels.records import BURST
from vio4wd.shm import layout

#: Bursts, or polls that find nothing, of the shorter run; the longer one has twice as many.
BURSTS, POLLS = 256, 8192
#: Buffers of 2 KiB that a jumbo frame takes.
_JUMBO, _JUMBO_BUFFERS = 9000, 5


@dataclasses.dataclass(frozen=True)
class Case:
    """What is counted.

    Attributes:
        name: direction, ring and packet.
        per_burst: packets of each burst; 0: polls that find nothing.
        length: bytes of each packet.
        buffers: of the guest, that each packet takes.
    """

    name: str
    direction: int
    packed: bool
    per_burst: int = BURST
    length: int = 64
    mergeable: bool = False
    buffers: int = 1

    @property
    def bursts(self) -> int:
        """Bursts of the shorter run."""
        return BURSTS if self.per_burst else POLLS

    @property
    def counted(self) -> int:
        """Packets (polls, if they find nothing) that the longer run has more than the shorter."""
        return self.bursts * (self.per_burst or 1)


def cases() -> Iterator[Case]:
    """All of them."""
    for direction, direction_name in enumerate(layout.DIRECTION_NAMES):
        for packed in (False, True):
            name = f"{direction_name} {'packed' if packed else 'split'}"
            yield Case(f"{name} idle poll", direction, packed, per_burst=0)
            for length in (64, 1500):
                yield Case(f"{name} {length} B", direction, packed, length=length)
            if direction == layout.VF_TO_VM:
                yield Case(f"{name} 64 B mergeable", direction, packed, mergeable=True)
                yield Case(
                    f"{name} {_JUMBO} B mergeable",
                    direction,
                    packed,
                    length=_JUMBO,
                    mergeable=True,
                    buffers=_JUMBO_BUFFERS,
                )


def _count(case: Case) -> None:
    vf = StubVf(case.length, silent=case.per_burst == 0)
    bed = Bed(
        case.direction,
        packed=case.packed,
        length=case.length,
        functions=vf.functions,
        mergeable=case.mergeable,
        buffers=case.buffers,
    )
    bed.run(case.per_burst, 8)
    for part in (0, 1, 2):  # what is done once only, by the interpreter too, falls to part 0
        arguments = bed.arguments(case.per_burst, part * case.bursts)
        callgrind.zero()
        rounds(*arguments)
        callgrind.dump(f"{case.name}/{part}")
    bed.run(case.per_burst, 1)  # the checks of what was counted


def main() -> int:
    """Dump the instructions of the runs of each case, as "<case>/1" and "<case>/2" ("<case>/0": no burst)."""
    gc.disable()
    callgrind.start()
    for case in cases():
        _count(case)
    callgrind.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
