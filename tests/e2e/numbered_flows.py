"""UDP flows of numbered packets, sent on every queue pair of a guest and expected back."""

import struct

from vio4wd.testing.wait import wait_for


def frame(flow, number):
    """An Ethernet frame with a UDP packet of a flow, the `number`-th of it."""
    payload = struct.pack("!II", flow, number).ljust(32, b"\0")
    udp = struct.pack("!HHHH", 10000 + flow, 9, 8 + len(payload), 0)
    addresses = bytes([10, 9, 0, 1, 10, 9, 0, 2])
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(payload), 0, 0, 64, 17, 0) + addresses
    return bytes.fromhex("525400990002 525400990001 0800") + ip + udp + payload


def flow_and_number(data):
    """What the payload of such a frame says."""
    return struct.unpack_from("!II", data, 42)


def exchange(guest, number, arrived, flows, packets):
    """Each pair sends `packets` packets of each of its `flows` flows; return when all have come back.

    The flows of pair p are those from p * flows on. `arrived` is a list for each pair, to which (flow,
    number) of what comes there is added; `number` is how often this was called before.
    """
    goal = sum(map(len, arrived)) + len(guest.pairs) * flows * packets

    for packet in range(packets):
        for position, pair in enumerate(guest.pairs):
            for flow in range(flows):
                pair.send(frame(position * flows + flow, number * packets + packet))
    for pair in guest.pairs:
        pair.publish()

    def collect():
        for pair, came in zip(guest.pairs, arrived, strict=True):
            pair.sent()
            received = pair.received()
            came += [flow_and_number(packet.data) for packet in received]
            for _ in received:
                pair.post([256])
            pair.publish()
        return sum(map(len, arrived)) >= goal

    wait_for(collect, "the packets to come back", 60, interval=0.001)


def check_order(arrived, flows, count):
    """Every one of the flows has come on one queue, its `count` packets in their order."""
    numbers = {}
    queues = {}
    for queue, packets in enumerate(arrived):
        for flow, number in packets:
            numbers.setdefault(flow, []).append(number)
            queues.setdefault(flow, set()).add(queue)
    assert sorted(numbers) == list(range(flows))
    assert all(len(used) == 1 for used in queues.values())
    assert all(order == list(range(count)) for order in numbers.values())
