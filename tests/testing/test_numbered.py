"""Numbered traffic notices everything that may become of a packet; the device here is the test."""

import ctypes
import threading

import numpy as np
import pytest

from vio4wd.testing.numbered import Counts, RingGuest
from vio4wd.testing.numbered_kernel import FLOW, exchange
from vio4wd.testing.numbered_rings import BUFFER, RING, SIDE
from vio4wd.testing.wait import wait_for

MARK = 77
MARK_AT = 12 + 20  # in a buffer: behind the network header, where the kernel puts it


def u16(address):
    return ctypes.c_uint16.from_address(address)


def u32(address):
    return ctypes.c_uint32.from_address(address)


def u64(address):
    return ctypes.c_uint64.from_address(address)


class Device:
    """The other end of a guest's rings."""

    def __init__(self, flow):
        self.flow = flow
        self.rings = {name: {field: int(flow[name][field]) for field in SIDE.names} for name in ("tx", "rx")}
        self.taken = self.given = 0

    def take(self):
        """The packets sent since the last call, each with its header; their buffers go back."""
        packets = []
        while (chain := self._available("tx", self.taken)) is not None:
            buffer, length = chain
            packets.append(ctypes.string_at(int(self.flow["tx_buffers"]) + BUFFER * buffer, length))
            self._use("tx", self.taken, buffer, 0)
            self.taken += 1
        return packets

    def give(self, packet):
        buffer, room = self._available("rx", self.given)
        assert room == BUFFER
        ctypes.memmove(int(self.flow["rx_buffers"]) + BUFFER * buffer, packet, len(packet))
        self._use("rx", self.given, buffer, len(packet))
        self.given += 1

    def give_nonsense(self):
        """A used entry for a buffer that there is not."""
        self._use("rx", self.given, RING, 100)
        self.given += 1

    def _available(self, name, count):
        """Buffer and length of a ring's chain of this number, None: it is not there."""
        ring = self.rings[name]
        if ring["packed"]:
            word = u64(ring["descriptors"] + 16 * (count % RING) + 8).value
            lap = 1 ^ count // RING & 1
            if (word >> 55 & 1, word >> 63) != (lap, 1 ^ lap):
                return None
            return word >> 32 & 0xFFFF, word & 0xFFFFFFFF
        if count & 0xFFFF == u16(ring["available"] + 2).value:
            return None
        buffer = u16(ring["available"] + 4 + 2 * (count % RING)).value
        return buffer, u32(ring["descriptors"] + 16 * buffer + 8).value

    def _use(self, name, count, buffer, length):
        ring = self.rings[name]
        if ring["packed"]:
            lap = 1 ^ count // RING & 1
            u64(ring["descriptors"] + 16 * (count % RING) + 8).value = (
                length | buffer << 32 | lap << 55 | lap << 63
            )
            return
        u32(ring["used"] + 4 + 8 * (count % RING)).value = buffer
        u32(ring["used"] + 8 + 8 * (count % RING)).value = length
        u16(ring["used"] + 2).value = (count + 1) & 0xFFFF


@pytest.fixture(params=[False, True], ids=["split", "packed"])
def flow(request):
    """The record of a guest that sends when it gets a window."""
    flows, stop = np.zeros(1, FLOW), np.zeros(1, np.int64)
    guest = RingGuest(flows, MARK, packed=request.param)
    flows["patience"] = 10**15
    sleep = ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value
    arguments = (flows.ctypes.data, 1, stop.ctypes.data, sleep)
    thread = threading.Thread(target=exchange, args=arguments)
    thread.start()
    yield flows[0]
    stop[0] = 1
    thread.join()
    guest.close()


def packets_of(device, flow, count):
    """So many packets from the guest, which sends no more."""
    flow["window"] = count
    packets = []
    wait_for(lambda: packets.extend(device.take()) or len(packets) == count, "the guest to send")
    flow["window"] = 0
    return packets


def counts_after(flow, device):
    """The counts when the guest has seen everything that the device gave it."""
    wait_for(lambda: flow["rx"]["position"] == device.given, "the guest to look")
    return Counts.of(flow)


def changed(packet, place):
    return packet[:place] + bytes([packet[place] ^ 1]) + packet[place + 1 :]


def test_all_is_well(flow):
    device = Device(flow)
    for _ in range(10):
        for packet in packets_of(device, flow, 64):
            device.give(packet)
        counts = counts_after(flow, device)
        assert (counts.lost, counts.wrong) == (0, {})
    assert counts.arrived == 640


def test_everything_is_noticed(flow):
    device = Device(flow)
    first, second, third, fourth, fifth = packets_of(device, flow, 5)
    for packet in (second, first, second, changed(third, -1 % len(third)), changed(fourth, MARK_AT), fifth):
        device.give(packet)
    counts = counts_after(flow, device)
    assert counts.sent == 5
    assert counts.lost == 2  # the third and the fourth
    assert counts.wrong == {"duplicated": 1, "reordered": 1, "foreign": 1, "damaged": 1}
    device.give(third[:-8])
    device.give_nonsense()
    assert counts_after(flow, device).wrong == {
        "duplicated": 1,
        "reordered": 1,
        "foreign": 1,
        "damaged": 2,
        "ring_faults": 1,
    }


def test_packets_that_went_down_are_written_off(flow):
    device = Device(flow)
    assert len(packets_of(device, flow, 8)) == 8  # and never given back
    flow["patience"] = 10**7
    flow["window"] = 8
    more = []
    wait_for(lambda: more.extend(device.take()) or more, "the guest to go on")
    flow["window"] = 0
    flow["epoch"] += 1  # seen when a round is over
    wait_for(lambda: flow["known_epoch"] == flow["epoch"], "the guest to stop")
    more += device.take()
    for packet in more:
        device.give(packet)
    counts = counts_after(flow, device)
    assert (counts.lost, counts.wrong) == (8, {})
    assert counts.write_offs >= 1
