"""Numbered traffic notices everything that may become of a packet; the device here is the test."""

import ctypes
import threading

import numpy as np
import pytest

from vio4wd.testing.numbered import Counts, RingGuest
from vio4wd.testing.numbered_kernel import BUFFER, FLOW, RING, exchange
from vio4wd.testing.wait import wait_for

MARK = 77
MARK_AT = 12 + 20  # in a buffer: behind the network header, where the kernel puts it


def u16(address):
    return ctypes.c_uint16.from_address(address)


def u32(address):
    return ctypes.c_uint32.from_address(address)


class Device:
    """The other end of a guest's rings."""

    def __init__(self, flow):
        self.flow = {name: int(flow[name]) for name in FLOW.names}
        self.taken = self.given = 0

    def take(self):
        """The packets sent since the last call, each with its header; their buffers go back."""
        flow, packets = self.flow, []
        while self.taken & 0xFFFF != u16(flow["tx_available"] + 2).value:
            descriptor = u16(flow["tx_available"] + 4 + 2 * (self.taken % RING)).value
            length = u32(flow["tx_descriptors"] + 16 * descriptor + 8).value
            packets.append(ctypes.string_at(flow["tx_buffers"] + BUFFER * descriptor, length))
            self.taken += 1
            self._use("tx", self.taken, descriptor, 0)
        return packets

    def give(self, packet):
        descriptor = u16(self.flow["rx_available"] + 4 + 2 * (self.given % RING)).value
        ctypes.memmove(self.flow["rx_buffers"] + BUFFER * descriptor, packet, len(packet))
        self.given += 1
        self._use("rx", self.given, descriptor, len(packet))

    def give_nonsense(self):
        """A used entry for a descriptor that there is not."""
        self.given += 1
        self._use("rx", self.given, RING, 100)

    def _use(self, ring, index, descriptor, length):
        used = self.flow[f"{ring}_used"]
        u32(used + 4 + 8 * ((index - 1) % RING)).value = descriptor
        u32(used + 8 + 8 * ((index - 1) % RING)).value = length
        u16(used + 2).value = index & 0xFFFF


@pytest.fixture
def flow():
    """The record of a guest that sends when it gets a window."""
    flows, stop = np.zeros(1, FLOW), np.zeros(1, np.int64)
    guest = RingGuest(flows, MARK)
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
    wait_for(lambda: flow["rx_position"] == device.given, "the guest to look")
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
