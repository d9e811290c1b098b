"""Lanes: how a relay's directions are divided among workers where the VF has several queues.

A VF with several queues spreads what it receives over them by flow (RSS). Each direction of its relay then
has as many *lanes* as there are queues on both sides; each lane is served by one worker, which alone touches
the lane's queues:

* VF->VM lane k of n takes from the VF's queues v with v % n == k, and has every n-th of the guest's enabled
  receive queues to itself, over which it spreads the packets by flow.
* VM->VF lane k of n takes from the guest's transmit queues of the pairs p with p % n == k. What comes from
  pair p always goes to the VF's queue p % (number of the VF's queues).

The number of the VF's queues and that of lanes are powers of two, so that p and p % (VF queues) belong to
the same lane whatever n is. The number of lanes may thus change, while none is served, without a flow
changing its queue of the VF: nothing is lost or reordered by that.
"""

from __future__ import annotations

from vio4wd.limits import MAX_LANES


def power_of_two(most: int) -> int:
    """The largest power of two up to `most`; 1 at least."""
    return 1 << max(most, 1).bit_length() - 1


def worthwhile(workers: int) -> int:
    """Most queues of a VF, a power of two, of which so many workers make use."""
    return min(power_of_two(2 * workers - 1), MAX_LANES)


def lanes(vf_queues: int, receive_queues: int) -> int:
    """Lanes of each direction.

    Args:
        vf_queues: queues of the VF, a power of two.
        receive_queues: the guest's that are enabled, 0: no guest. Every lane needs one.
    """
    return min(vf_queues, power_of_two(receive_queues))


def vf_queues_of(lane: int, of: int, vf_queues: int) -> range:
    """The VF's queues, of `vf_queues`, that belong to a lane `of` so many."""
    return range(lane, vf_queues, of)


def vf_queue_of(pair: int, vf_queues: int) -> int:
    """The VF's queue, of `vf_queues`, that takes what the guest sends on a queue pair."""
    return pair % vf_queues
