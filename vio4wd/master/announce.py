"""Sends one frame to a relay's VF while no worker does: how a guest that has migrated here is announced."""

from __future__ import annotations

import ctypes

import numpy as np

from vio4wd.dpdk import functions
from vio4wd.dpdk.mbuf import HEADROOM, MBUF
from vio4wd.dpdk.mempool import Pool
from vio4wd.worker.port_calls import port_calls
from vio4wd.worker.protocol import PortRef

_BURST = ctypes.CFUNCTYPE(*[ctypes.c_uint64] * 5)


def send_frame(port: PortRef, pool: Pool, frame: bytes) -> bool:
    """Put an Ethernet frame on the VF's transmit queue, which nobody else uses meanwhile.

    Returns:
        False: the pool was empty, or the queue had no room.
    """
    calls = port_calls(port)
    slot = np.zeros(1, np.int64)
    address = slot.ctypes.data
    if not _BURST(functions.ALLOC_BULK)(pool.address, 0, address, 1):
        return False
    packet = int(slot[0])
    mbuf = np.frombuffer(memoryview((ctypes.c_char * MBUF.itemsize).from_address(packet)), MBUF)[0]
    mbuf["data_off"] = HEADROOM
    mbuf["refcnt"] = mbuf["nb_segs"] = 1
    mbuf["ol_flags"] = mbuf["next"] = mbuf["tx_offload"] = 0
    mbuf["pkt_len"] = mbuf["data_len"] = len(frame)
    ctypes.memmove(int(mbuf["buf_addr"]) + HEADROOM, frame, len(frame))
    sent = _BURST(calls.transmit)(calls.transmit_to, 0, address, 1)
    if not sent:
        _BURST(functions.FREE_BULK)(0, 0, address, 1)
    return bool(sent)
