"""The mock guest driver against a device as simple as can be."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference_device import device_of

from vio4wd.testing.guest_memory import GuestMemory, OutOfBoundsError
from vio4wd.testing.mock_guest import LEGACY_HEADER, MockGuest, NetHeader
from vio4wd.testing.ring_driver import DeviceError, RingFullError
from vio4wd.testing.strategies import buffers, guest_options, numbered_packet, packet_lengths

RINGS = pytest.mark.parametrize("packed", [False, True], ids=["split", "packed"])


@given(data=st.data(), options=guest_options(sizes=(4, 8, 32)), seed=st.integers(0, 2**32))
def test_what_is_sent_arrives(data, options, seed):
    guest = options.build()
    device = device_of(guest.transmit_ring)
    pending, sent, taken, done = [], [], [], []
    shuffle = random.Random(seed)
    for number in range(20):
        packet = numbered_packet(number, data.draw(packet_lengths(300)))
        total = options.header_size + len(packet)
        buffer = data.draw(buffers(total, packed=options.packed, most_segments=3))
        if buffer.descriptors > guest.transmit_ring.free:
            with pytest.raises(RingFullError):
                guest.send(packet, layout=buffer.lengths, indirect=buffer.indirect, direct=buffer.direct)
            guest.publish()
            chains = device.take()
            taken += [chain.read(guest.memory)[options.header_size :] for chain in chains]
            pending += chains
            if not options.in_order:
                shuffle.shuffle(pending)
            (device.give_last if options.in_order else device.give)([(chain, 0) for chain in pending])
            pending.clear()
            done += guest.sent()
            assert guest.transmit_ring.free == options.size
        guest.send(packet, layout=buffer.lengths, indirect=buffer.indirect, direct=buffer.direct)
        sent.append(packet)
    guest.publish()
    taken += [chain.read(guest.memory)[options.header_size :] for chain in device.take()]
    assert taken == sent
    guest.check()


@settings(max_examples=40)
@given(data=st.data(), options=guest_options(sizes=(4, 8, 32)))
def test_what_the_device_writes_is_received(data, options):
    guest = options.build()
    device = device_of(guest.receive_ring)
    expected, received = [], []
    for number in range(12):
        while guest.receive_ring.free >= 3:
            buffer = data.draw(buffers(80, packed=options.packed, most_segments=3))
            guest.post(buffer.lengths, indirect=buffer.indirect, direct=buffer.direct)
        guest.publish()
        chains = device.take()
        length = data.draw(st.integers(1, 80 * len(chains) if options.mergeable else 80))
        length = max(length - options.header_size, 1)
        packet = numbered_packet(number, length)
        count = -(-(length + options.header_size) // 80)
        header = NetHeader(flags=1, gso_size=number, num_buffers=count if options.header_size == 12 else 0)
        message = header.pack(options.header_size) + packet
        expected.append((header, packet))
        done = []
        for chain in chains[:count]:
            written = chain.write(guest.memory, message)
            message = message[written:]
            done.append((chain, written))
        device.give(done)
        # The rest comes back as packets of one byte.
        for chain in chains[count:]:
            single = NetHeader(num_buffers=1 if options.header_size == 12 else 0)
            expected.append((single, b"x"))
            written = chain.write(guest.memory, single.pack(options.header_size) + b"x")
            device.give([(chain, written)])
        received += [(packet.header, packet.data) for packet in guest.received()]
    assert received == expected
    guest.check()
    assert guest.receive_ring.free == options.size


@RINGS
@pytest.mark.parametrize("event_index", [False, True])
@pytest.mark.parametrize("start", [0, 6, 7, 15])
def test_kicks_only_when_the_device_asks(packed, event_index, start):
    guest = MockGuest(packed=packed, size=8, event_index=event_index, start=start)
    ring, device = guest.transmit_ring, device_of(guest.transmit_ring)

    def send(count):
        for _ in range(count):
            guest.send(b"packet")
        guest.publish()

    assert not ring.kick_wanted()
    send(1)
    assert ring.kick_wanted()
    assert not ring.kick_wanted()
    device.take()
    if event_index:
        device.request_kick(after=3)
        send(2)
        assert not ring.kick_wanted()
        send(1)
        assert ring.kick_wanted()
        send(1)
        assert not ring.kick_wanted()
    else:
        device.suppress_kicks()
        send(1)
        assert not ring.kick_wanted()


@RINGS
@pytest.mark.parametrize("event_index", [False, True])
@pytest.mark.parametrize("start", [0, 6, 7, 15])
def test_interrupts_are_due_only_when_the_driver_asks(packed, event_index, start):
    guest = MockGuest(packed=packed, size=8, event_index=event_index, start=start)
    ring, device = guest.transmit_ring, device_of(guest.transmit_ring)
    for _ in range(8):
        guest.send(b"packet")
    guest.publish()
    chains = [(chain, 0) for chain in device.take()]

    def use(count):
        device.give(chains[:count])
        del chains[:count]

    ring.request_interrupt()
    assert not ring.interrupt_due()
    use(1)
    assert ring.interrupt_due()
    assert not ring.interrupt_due()
    guest.sent()
    if event_index:
        ring.request_interrupt(after=3)
        use(2)
        assert not ring.interrupt_due()
        use(1)
        assert ring.interrupt_due()
    ring.suppress_interrupts()
    use(1)
    assert not ring.interrupt_due()
    ring.request_interrupt()
    use(3)
    assert ring.interrupt_due() == (not event_index)  # the event lies before what is used already
    guest.sent()


@RINGS
def test_a_device_that_uses_buffers_twice_is_found(packed):
    guest = MockGuest(packed=packed, size=4)
    device = device_of(guest.transmit_ring)
    guest.send(b"one")
    guest.send(b"two")
    guest.publish()
    first, _ = device.take()
    device.give([(first, 0), (first, 0)])
    with pytest.raises(DeviceError, match="twice"):
        guest.sent()


@RINGS
def test_a_device_that_uses_what_it_never_had_is_found(packed):
    guest = MockGuest(packed=packed, size=4)
    device = device_of(guest.transmit_ring)
    guest.send(b"one")
    guest.publish()
    (chain,) = device.take()
    guest.send(b"two")
    object.__setattr__(chain, "id", 3 if not packed else 0)
    device.give([(chain, 0)])
    with pytest.raises(DeviceError, match="which it does not have"):
        guest.sent()


@RINGS
def test_used_lengths_are_checked(packed):
    guest = MockGuest(packed=packed, size=4, header_size=12)
    receiver, transmitter = device_of(guest.receive_ring), device_of(guest.transmit_ring)
    guest.post([20])
    guest.send(b"one")
    guest.publish()
    transmitter.give([(transmitter.take()[0], 1)])
    with pytest.raises(DeviceError, match="wrote 1 bytes to a packet"):
        guest.sent()
    (chain,) = receiver.take()
    receiver.give([(chain, 21)])
    with pytest.raises(DeviceError, match="21 bytes to a buffer of 20"):
        guest.received()


@RINGS
@pytest.mark.parametrize(
    ("length", "buffers", "reason"), [(11, 1, "less than"), (20, 0, "num_buffers"), (20, 2, "num_buffers")]
)
def test_broken_packets_are_found(packed, length, buffers, reason):
    guest = MockGuest(packed=packed, size=4)
    device = device_of(guest.receive_ring)
    guest.post([20])
    guest.publish()
    (chain,) = device.take()
    chain.write(guest.memory, NetHeader(num_buffers=buffers).pack(12) + b"12345678")
    device.give([(chain, length)])
    with pytest.raises(DeviceError, match=reason):
        guest.received()


def test_writes_beside_a_buffer_are_found():
    guest = MockGuest(size=4)
    device = device_of(guest.receive_ring)
    guest.post([20])
    guest.publish()
    (chain,) = device.take()
    chain.write(guest.memory, NetHeader(num_buffers=1).pack(12) + b"12345678")
    guest.memory.write(chain.segments[0].address + 20, b"9")
    device.give([(chain, 20)])
    with pytest.raises(OutOfBoundsError):
        guest.check()
    with pytest.raises(OutOfBoundsError):
        guest.received()


def test_segments_lie_where_they_are_asked_for():
    memory = GuestMemory([(0x10000, 0x10000), (0x20000, 0x1000)])
    guest = MockGuest(memory, size=4, header_size=LEGACY_HEADER)
    device = device_of(guest.transmit_ring)
    guest.send(b"0123456789" * 4, at=[0x1FFF0])
    guest.publish()
    (chain,) = device.take()
    assert chain.segments[0].address == 0x1FFF0
    assert chain.read(memory)[10:] == b"0123456789" * 4
    with pytest.raises(ValueError, match="layout of 51 bytes for 50"):
        guest.send(b"0123456789" * 4, layout=(51,))
