"""Ports of each kind: attached, polled the way they can be, and detached without a trace."""

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vio4wd.dpdk.errors import DpdkError
from vio4wd.testing.isolated import primary, run_isolated
from vio4wd.testing.netns import Wire
from vio4wd.testing.wait import wait_for

#: DPDK's memif never closes an abstract socket, so that it cannot be attached twice.
MEMIF = "net_memif0,role=server,socket-abstract=no,socket={folder}/memif.sock"
FRAME = bytes.fromhex("ffffffffffff 525400000001 88b5")  # local experimental EtherType


class Stage:
    """A primary with everything that ports need."""

    def __init__(self, prefix: str, pump) -> None:
        from vio4wd.dpdk.mempool import Pool
        from vio4wd.ports.attach import POOL_SIZE
        from vio4wd.ports.trial import Trial

        self.pool = Pool.create("pool", POOL_SIZE)
        self.pump = pump
        self.trial = Trial(prefix, 0)

    def attach(self, device: str, relay: int = 1, **options):
        from vio4wd.ports.attach import PortOptions, attach

        return attach(device, relay, self.pool, self.pump, self.trial, PortOptions(**options))

    def bond(self, members: list[str], mode: int = 1, name: str = "net_bonding0", relay: int = 1):
        from vio4wd.ports.bond import attach_bond

        return attach_bond(name, members, mode, relay, self.pool, self.pump, self.trial)

    def check_clean(self) -> None:
        from vio4wd.dpdk import device

        assert device.ports_used() == 0
        assert self.pool.available() == self.pool.size


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    from vio4wd.ports.pump import Pump

    logging.basicConfig(level=logging.INFO)
    pump = Pump()  # before DPDK has started, as in the daemon
    with primary() as prefix:
        made = Stage(prefix, pump)
        try:
            yield made
            made.check_clean()
        finally:
            made.pump.close()


def rings(port):
    from vio4wd.dpdk.ring import Ring

    return Ring.lookup(port.ref.rx), Ring.lookup(port.ref.tx)


def made(pool, frames: list[bytes]):
    """Packets of a pool that hold frames: the array of their pointers, and its address."""
    from vio4wd.dpdk._binding import ffi, lib

    count = len(frames)
    packets = ffi.new("struct rte_mbuf *[]", count)
    address = int(ffi.cast("uintptr_t", packets))
    assert lib.vio_alloc_bulk(pool.address, 0, address, count) == count
    import numpy as np

    from vio4wd.dpdk.mbuf import HEADROOM, MBUF

    for packet, frame in zip(packets, frames, strict=True):
        mbuf = np.frombuffer(ffi.buffer(ffi.cast("char *", packet), MBUF.itemsize), MBUF)[0]
        buffer = ffi.cast("char *", int(mbuf["buf_addr"]) + HEADROOM)
        ffi.memmove(buffer, frame, len(frame))
        mbuf["data_off"] = HEADROOM
        mbuf["pkt_len"] = mbuf["data_len"] = len(frame)
        mbuf["ol_flags"] = mbuf["tx_offload"] = 0
    return packets, address


def send(pool, ring, frames: list[bytes]) -> None:
    """Put frames into a ring as a worker would."""
    from vio4wd.dpdk._binding import lib

    packets, address = made(pool, frames)
    count, sent = len(packets), 0
    while sent < count:
        sent += lib.vio_ring_enqueue(ring.address, 0, address + 8 * sent, count - sent)


def receive(ring, limit: int = 64) -> list[bytes]:
    """Take frames out of a ring as a worker would."""
    from vio4wd.dpdk._binding import lib

    return taken(lambda address: lib.vio_ring_dequeue(ring.address, 0, address, limit), limit)


def taken(take: Callable[[int], int], limit: int = 64) -> list[bytes]:
    """Frames of the packets that `take` writes to an address, `limit` at most; it returns their number."""
    from vio4wd.dpdk._binding import ffi, lib

    packets = ffi.new("struct rte_mbuf *[]", limit)
    address = int(ffi.cast("uintptr_t", packets))
    count = take(address)
    import numpy as np

    from vio4wd.dpdk.mbuf import MBUF

    frames = []
    for packet in packets[0:count]:
        mbuf = np.frombuffer(ffi.buffer(ffi.cast("char *", packet), MBUF.itemsize), MBUF)[0]
        start = int(mbuf["buf_addr"]) + int(mbuf["data_off"])
        frames.append(bytes(ffi.buffer(ffi.cast("char *", start), int(mbuf["data_len"]))))
    lib.vio_free_bulk(0, 0, address, count)
    return frames


def direct(device: str) -> None:
    with stage() as st:
        for relay in (3, 4):  # again after it was detached
            port = st.attach(device, relay)
            assert not port.pumped
            assert port.ref.kind == "ethdev"
            assert port.ref.port_id == port.port_id
            assert port.mtu == 1500
            port.detach()
            st.check_clean()


@pytest.mark.parametrize("device", ["net_null0,size=64", "net_ring0", MEMIF])
def test_direct_ports(device: str, tmp_path: Path):
    run_isolated(direct, device.format(folder=tmp_path))


def pumped(device: str, interface: str, inner: str, namespace: str) -> None:
    """Frames cross a pumped port both ways, whole and in order; mbufs all come back."""
    with stage() as st:
        port = st.attach(device.format(interface=interface))
        assert port.pumped
        assert port.ref.kind == "rings"
        wait_for(port.link_up, "the link")
        rx, tx = rings(port)
        with contextlib.closing(_listen(namespace, inner)) as wire:
            frames = [FRAME + n.to_bytes(4, "big") + bytes(50 + n % 1000) for n in range(3000)]
            for first in range(0, len(frames), 100):
                send(st.pool, tx, frames[first : first + 100])
                got = [_next(wire) for _ in range(100)]
                assert got == frames[first : first + 100]
            received: list[bytes] = []
            for first in range(0, len(frames), 100):
                for frame in frames[first : first + 100]:
                    wire.send(frame)
                goal = first + 100
                while len(received) < goal:
                    received += wait_for(lambda: ours(receive(rx)), "frames from the wire", interval=0)
            assert received == frames
            # Some are left in the ring and the kernel's buffers when the port goes.
            for frame in frames:
                wire.send(frame)
        counters = port.stats()
        assert counters.tx_packets == len(frames)
        port.detach()


def ours(frames: list[bytes]) -> list[bytes]:
    return [frame for frame in frames if frame.startswith(FRAME)]


def _listen(namespace: str, interface: str) -> socket.socket:
    """A packet socket on an interface of a namespace ("": ours)."""
    kind = 0x88B5
    if not namespace:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    else:
        import threading

        from pyroute2 import netns

        found: list[socket.socket] = []

        def make() -> None:
            netns.setns(namespace)
            found.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind)))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        (made,) = found
    made.bind((interface, kind))
    made.settimeout(60)
    return made


def _next(wire: socket.socket) -> bytes:
    """The next frame that came from the other side."""
    while True:
        frame, (_, _, kind, *_) = wire.recvfrom(2048)
        if kind != socket.PACKET_OUTGOING:
            return frame


@pytest.mark.parametrize("driver", ["net_af_packet"])
def test_pumped_ports(driver: str):
    with Wire("10.77.1.1/24") as wire:
        run_isolated(pumped, driver + "0,iface={interface}", wire.interface, wire.inner, wire.namespace)


def tap() -> None:
    with stage() as st:
        port = st.attach("net_tap0,iface=vio4wdtap")
        assert port.pumped
        rx, tx = rings(port)
        with contextlib.closing(_listen("", "vio4wdtap")) as wire:
            wire.send(FRAME + bytes(50))
            wait_for(lambda: ours(receive(rx)), "a frame from the tap")
            send(st.pool, tx, [FRAME + bytes(60)])
            assert _next(wire) == FRAME + bytes(60)
        port.detach()


def test_tap():
    run_isolated(tap)


def backlog() -> None:
    """A driver that takes nothing for a while loses nothing: its ring fills, and later drains in order."""
    with stage() as st:
        from vio4wd.dpdk import device
        from vio4wd.dpdk.ethdev import Port
        from vio4wd.dpdk.ring import Ring

        # net_ring returns what is sent; pumped here, its own ring is what can be full.
        (number,) = device.probe("net_ring0")
        loop = Port(number)
        loop.configure(1, 512, st.pool, mtu=1500)
        loop.start()
        rx, tx = Ring.create("rx", 64), Ring.create("tx", 4096)
        lane = st.pump.add(number, rx, tx)
        frames = [FRAME + n.to_bytes(4, "big") for n in range(2000)]
        send(st.pool, tx, frames)
        wait_for(lambda: tx.count() < 1000, "the driver's ring to fill")
        received: list[bytes] = []
        while len(received) < len(frames):
            received += wait_for(lambda: receive(rx), "frames", interval=0)
        assert received == frames
        counters = lane.counters()
        assert (counters.rx_packets, counters.tx_packets, counters.refused) == (2000, 2000, 0)
        # Removed with packets everywhere: in the lane, in both rings, in the device.
        send(st.pool, tx, frames)
        st.pump.remove(lane)
        rx.drain()
        tx.drain()
        loop.drain(4096)
        loop.stop()
        device.remove(number)
        rx.free()
        tx.free()


def test_the_pump_holds_what_a_driver_does_not_take():
    run_isolated(backlog)


def refusals() -> None:
    from vio4wd.ports.names import DeviceNameError

    with stage() as st:
        for device, reason in (
            ("nonsense!", "names no device"),
            ("ffff:ff:1f.7", "ffff:ff:1f.7: there is no such PCI device"),
            ("net_af_packet0,iface=nothere", "net_af_packet0 cannot be attached: .*No such device"),
            ("net_memif0,role=client,socket=/nowhere", "does not start: .*/nowhere"),
        ):
            with pytest.raises((DpdkError, DeviceNameError), match=reason):
                st.attach(device)
            st.check_clean()


def test_refusals_leave_nothing():
    run_isolated(refusals)


def jumbo(folder: Path) -> None:
    from vio4wd.dpdk.mempool import Pool
    from vio4wd.ports.attach import data_room

    with stage() as st:
        small = st.pool
        st.pool = Pool.create("jumbo", 2047, data_room=data_room(9000))
        port = st.attach("net_ring0", mtu=9000, descriptors=256)
        assert port.mtu == 9000
        port.detach()
        # More than a driver can do is cut to what it can.
        port = st.attach(MEMIF.format(folder=folder), mtu=9000, descriptors=256)
        assert port.mtu == 1500
        port.detach()
        st.check_clean()
        st.pool.free()
        st.pool = small


def test_mtu_is_what_the_driver_can_do(tmp_path: Path):
    run_isolated(jumbo, tmp_path)


def jumbo_frames(interface: str, inner: str, namespace: str) -> None:
    from vio4wd.dpdk.mempool import Pool
    from vio4wd.ports.attach import data_room

    with stage() as st:
        small = st.pool
        st.pool = Pool.create("jumbo", 2047, data_room=data_room(9000))
        port = st.attach(f"net_af_packet0,iface={interface},framesz=9216,blocksz=36864", mtu=9000)
        assert port.mtu == 9000
        rx, tx = rings(port)
        with contextlib.closing(_listen(namespace, inner)) as wire:
            for first in range(6):  # more than one block of the ring holds
                frame = FRAME + bytes(range(first, 250)) * 36
                send(st.pool, tx, [frame])
                got, _ = wire.recvfrom(10000)
                assert got == frame
                wire.send(frame)
                assert wait_for(lambda: ours(receive(rx)), "a jumbo frame") == [frame]
        port.detach()
        st.check_clean()
        st.pool.free()
        st.pool = small


def test_jumbo_frames_cross_a_pumped_port():
    with Wire("10.77.4.1/24", mtu=9000) as wire:
        run_isolated(jumbo_frames, wire.interface, wire.inner, wire.namespace)


def many() -> None:
    """Attached and detached again and again: files and memory stay level."""
    with stage() as st:

        def cycle() -> int:
            ports = [st.attach(f"net_null{n}", n) for n in range(4)]
            for port in ports:
                port.detach()
            return sum(1 for _ in Path("/proc/self/fd").iterdir())

        before = cycle()
        assert all(cycle() == before for _ in range(50))


def test_cycles_leave_nothing():
    run_isolated(many)
