"""Bonds: every mode, members that lose their link and come back, and what is refused."""

import contextlib
import select
import socket

import pytest
from test_attach import FRAME, _listen, _next, ours, receive, rings, send, stage

from vio4wd.dpdk.errors import DpdkError
from vio4wd.testing.isolated import run_isolated
from vio4wd.testing.netns import Wire, pairs
from vio4wd.testing.wait import wait_for


def members(wires: list[tuple[str, str, str]]) -> list[str]:
    return [f"net_af_packet{n},iface={interface}" for n, (interface, _, _) in enumerate(wires)]


def set_link(namespace: str, interface: str, state: str) -> None:
    import subprocess

    subprocess.run(
        ["nsenter", f"--net=/run/netns/{namespace}", "ip", "link", "set", interface, state], check=True
    )


def frames_in_every_mode(wires: list[tuple[str, str, str]]) -> None:
    with stage() as st, contextlib.ExitStack() as stack:
        listening = [
            stack.enter_context(contextlib.closing(_listen(namespace, inner)))
            for _, inner, namespace in wires
        ]
        for mode in (0, 1, 2, 3, 5, 6):
            port = st.bond(members(wires), mode)
            assert port.pumped
            active(port, 2)
            rx, tx = rings(port)
            sent = [FRAME + bytes([mode, n]) + bytes(60) for n in range(8)]
            send(st.pool, tx, sent)
            arrived = arrivals(listening, 16 if mode == 3 else 8)
            assert sorted(arrived) == sorted(sent * 2 if mode == 3 else sent)
            listening[0].send(FRAME + bytes(60))
            into_bond(rx)
            port.detach()
            st.check_clean()


def arrivals(wires: list[socket.socket], count: int) -> list[bytes]:
    """That many frames, from whichever wire."""
    found: list[bytes] = []
    while len(found) < count:
        readable, _, _ = select.select(wires, [], [], 60)
        assert readable, f"{len(found)} frames of {count}"
        for wire in readable:
            frame, (_, _, kind, *_) = wire.recvfrom(2048)
            if kind != socket.PACKET_OUTGOING:
                found.append(frame)
    return found


def into_bond(ring) -> None:
    wait_for(lambda: ours(receive(ring)), "a frame into the bond")


def active(port, count: int) -> None:
    from vio4wd.dpdk import bonding

    wait_for(lambda: len(bonding.active_members(port.port_id)) == count, f"{count} active members")


@contextlib.contextmanager
def two_wires():
    with Wire("10.77.2.1/24") as first, Wire("10.77.3.1/24") as second:
        yield [(wire.interface, wire.inner, wire.namespace) for wire in (first, second)]


def test_frames_cross_in_every_mode():
    with two_wires() as wires:
        run_isolated(frames_in_every_mode, wires)


def failover(wires: list[tuple[str, str, str]]) -> None:
    from vio4wd.dpdk import bonding

    with stage() as st:
        port = st.bond(members(wires), 1)
        active(port, 2)
        _, tx = rings(port)
        (_, inner, namespace), (_, other_inner, other) = wires
        with contextlib.closing(_listen(other, other_inner)) as second:
            set_link(namespace, inner, "down")
            active(port, 1)
            wait_for(port.link_up, "the link of the bond")
            send(st.pool, tx, [FRAME + bytes(60)])
            assert _next(second) == FRAME + bytes(60)
        set_link(namespace, inner, "up")
        active(port, 2)
        set_link(other, other_inner, "down")
        active(port, 1)
        with contextlib.closing(_listen(namespace, inner)) as first:
            send(st.pool, tx, [FRAME + bytes(61)])
            assert _next(first) == FRAME + bytes(61)
        set_link(namespace, inner, "down")
        wait_for(lambda: not port.link_up(), "the bond's link to go down")
        set_link(other, other_inner, "up")
        wait_for(port.link_up, "the bond's link to come back")
        wait_for(lambda: bonding.active_members(port.port_id) == [1], "the other member to serve")
        port.detach()


def test_a_member_without_link_is_left_out_until_it_is_back():
    with two_wires() as wires:
        run_isolated(failover, wires)


def numbered(frames: list[bytes]) -> list[bytes]:
    """Those with the type of FRAME, whoever sent them."""
    return [frame for frame in frames if frame[12:14] == FRAME[12:14]]


def aggregate(ends: list[tuple[str, str]]) -> None:
    from vio4wd.dpdk import device
    from vio4wd.dpdk.ethdev import Port

    with stage() as st:
        devices = [
            [f"net_af_packet{2 * side + n},iface={pair[side]}" for n, pair in enumerate(ends)]
            for side in (0, 1)
        ]
        bonds = [st.bond(devices[side], 4, f"net_bonding{side}", side + 1) for side in (0, 1)]
        (rx0, tx0), (rx1, tx1) = map(rings, bonds)
        links = [Port(device.ports_of(f"net_af_packet{n}")[0]) for n in (0, 1)]
        # The bonds speak with each other before there is anything to forward.
        wait_for(lambda: all(link.stats().tx_packets and link.stats().rx_packets for link in links), "LACP")
        # Frames wait until there is an aggregate; addresses choose the link that each of them takes.
        sent = sorted(FRAME[:11] + bytes([n]) + FRAME[12:] + bytes(60) for n in range(16))
        for tx, rx in ((tx0, rx1), (tx1, rx0)):
            before = [link.stats() for link in links]
            send(st.pool, tx, sent)
            got: list[bytes] = []
            wait_for(lambda got=got, rx=rx: got.extend(numbered(receive(rx))) or len(got) == 16, "the frames")
            assert sorted(got) == sent
            after = [link.stats() for link in links]
            counter = "tx_packets" if tx is tx0 else "rx_packets"
            moved = [
                getattr(new, counter) - getattr(old, counter) for new, old in zip(after, before, strict=True)
            ]
            assert min(moved) >= 8
        for bond in bonds:
            bond.detach()


def test_lacp_forms_an_aggregate_with_another_bond():
    with pairs(2) as ends:
        run_isolated(aggregate, ends)


def refusals() -> None:
    from vio4wd.ports.names import DeviceNameError

    pair = ["net_null0", "net_null1"]
    with stage() as st:
        for name, devices, mode, reason in (
            ("bond0", pair, 1, "must begin with net_bonding"),
            ("net_bonding0", pair[:1], 1, "2 to 8 members, not 1"),
            ("net_bonding0", [f"net_null{n}" for n in range(9)], 1, "2 to 8 members, not 9"),
            ("net_bonding0", pair, 7, "no bonding mode 7"),
            ("net_bonding0", ["net_null0", "net_null0"], 1, "net_null0 is attached already"),
            ("net_bonding0", ["net_null0", "net_af_packet0,iface=nothere"], 1, "No such device"),
            ("net_bonding0", ["net_null0", "net_bonding1"], 1, "is a bond"),
        ):
            with pytest.raises((DpdkError, DeviceNameError), match=reason):
                st.bond(devices, mode, name)
            st.check_clean()


def test_refusals_leave_nothing():
    run_isolated(refusals)
