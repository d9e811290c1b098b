"""Scenarios that count packets: pvp, sizes, queues, relays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from bench.backends import Backend
from bench.figures import Window
from bench.run import Run, forwarding, windows
from bench.setup import BOTH, VF_TO_VM, VM_TO_VF, Setup
from vio4wd.dpdk import device

_SIZES: Final = (64, 128, 256, 512, 1024, 1280, 1518)
_JUMBO: Final = 9000
_QUEUES: Final = (1, 2, 4, 8)
_RELAYS: Final = (1, 8, 32, 64)


def pvp(run: Run) -> Iterator[Window]:
    """One guest, one VF: small and large frames, both kinds of rings, mergeable buffers or not."""
    if run.quick:
        setups = [Setup(), Setup(packed=True, mergeable=True)]
    else:
        setups = [
            Setup(size, packed=packed, mergeable=mergeable)
            for size, packed, mergeable in itertools.product((64, 1500), (False, True), (False, True))
        ]
    return forwarding(run, "pvp", ((setup.name, setup) for setup in setups))


def sizes(run: Run) -> Iterator[Window]:
    """Frames of all sizes, and a mix."""
    if run.quick:
        kinds = [(False, False)]
        plain: tuple[int, ...] = (1518,)
    else:
        kinds = list(itertools.product((False, True), (False, True)))
        plain = _SIZES
    setups = [
        Setup(size, packed=packed, mergeable=mergeable) for packed, mergeable in kinds for size in plain
    ]
    # A jumbo frame needs several of a guest's buffers.
    setups += [Setup(_JUMBO, packed=packed, mergeable=True) for packed in sorted({ring for ring, _ in kinds})]
    setups += [
        Setup(None, packed=packed, mergeable=mergeable, directions=(direction,))
        for packed, mergeable in kinds
        for direction in (VM_TO_VF, BOTH)
    ]
    return forwarding(run, "sizes", ((setup.name, setup) for setup in setups))


def queues(run: Run) -> Iterator[Window]:
    """A guest with several queue pairs, all served by one core."""
    counts = (1, 2) if run.quick else _QUEUES
    rings = (False,) if run.quick else (False, True)
    setups = [Setup(queues=count, packed=packed) for packed in rings for count in counts]
    return forwarding(run, "queues", ((f"{setup.name}, {_pairs(setup.queues)}", setup) for setup in setups))


def _pairs(count: int) -> str:
    return f"{count} queue pair{'' if count == 1 else 's'}"


def relays(run: Run) -> Iterator[Window]:
    """Relays on one worker: one is busy, the others have a guest and nothing to do."""
    counts = (1, 8) if run.quick else [count for count in _RELAYS if count <= device.max_ports()]
    setups = [Setup(idle=count - 1, directions=(VM_TO_VF, VF_TO_VM)) for count in counts]

    def measure(backend: Backend) -> Iterator[Window]:
        # All numbers of relays in one round: they are compared with each other.
        for setup in setups:
            if backend.can(setup):
                yield from windows(run, "relays", f"{setup.name}, {1 + setup.idle} attached", setup, backend)

    for backend in run.backends:
        yield from run.rounds([backend], measure)
