"""Bonds of direct ports: how packets are shared out and heard in each mode, links, members that go."""

import pytest
from test_attach import FRAME, made, stage, taken

from vio4wd.testing.isolated import run_isolated
from vio4wd.testing.wait import wait_for

BURST = 32
#: Frames between eight pairs of Ethernet addresses.
FRAMES = [bytes(11) + bytes([n]) + b"\x88\xb5" + bytes([n]) * 50 for n in range(8)]


class Bond:
    """A bond of two net_ring devices, which send back what they are sent."""

    def __init__(self, st, mode: int) -> None:
        from vio4wd.dpdk import device
        from vio4wd.dpdk.members import MemberTable

        self.pool = st.pool
        self.devices = [f"net_ring{2 * mode}", f"net_ring{2 * mode + 1}"]
        self.port = st.bond(self.devices, mode)
        assert (self.port.ref.kind, self.port.pumped, self.port.polled) == (
            "members",
            False,
            tuple(self.devices),
        )
        self.table = MemberTable.lookup(self.port.ref.rx)
        self.members = [device.ports_of(name)[0] for name in self.devices]

    def send(self, frames: list[bytes]) -> int:
        """Send as a worker does, and free what was not taken; how many packets were."""
        from vio4wd.dpdk._binding import lib

        _, address = made(self.pool, frames)
        sent = lib.vio_members_tx(self.table.address, 0, address, len(frames))
        lib.vio_free_bulk(0, 0, address + 8 * sent, len(frames) - sent)
        return sent

    def into(self, member: int, frames: list[bytes]) -> None:
        """Have a member receive frames."""
        from vio4wd.dpdk._binding import lib

        _, address = made(self.pool, frames)
        assert lib.vio_tx_burst(self.members[member], 0, address, len(frames)) == len(frames)

    def at(self, member: int) -> list[bytes]:
        """What was sent to a member."""
        from vio4wd.dpdk._binding import lib

        return taken(lambda address: lib.vio_rx_burst(self.members[member], 0, address, BURST), BURST)

    def heard(self) -> list[bytes]:
        """What comes in four bursts."""
        from vio4wd.dpdk._binding import lib

        frames = []
        for _ in range(4):
            frames += taken(lambda address: lib.vio_members_rx(self.table.address, 0, address, BURST), BURST)
        return frames


def shared_out() -> None:
    with stage() as st:
        for mode in (0, 1, 2, 3):
            bond = Bond(st, mode)
            assert bond.send(FRAMES) == len(FRAMES)
            first, second = bond.at(0), bond.at(1)
            if mode == 0:
                assert (first, second) == (FRAMES[::2], FRAMES[1::2])
            elif mode == 1:
                assert (first, second) == (FRAMES, [])
            elif mode == 2:
                assert sorted(first + second) == sorted(FRAMES)
                assert first
                assert second
                bond.send(FRAMES)
                assert (bond.at(0), bond.at(1)) == (first, second)
            else:
                assert first == second == FRAMES
            bond.port.detach()
            st.check_clean()


def test_packets_are_shared_out_as_the_mode_says():
    run_isolated(shared_out)


def hearing() -> None:
    with stage() as st:
        for mode in (0, 1, 2, 3):
            bond = Bond(st, mode)
            bond.into(0, FRAMES[:4])
            bond.into(1, FRAMES[4:])
            assert sorted(bond.heard()) == sorted(FRAMES[:4] if mode == 1 else FRAMES)
            bond.port.detach()
            st.check_clean()


def test_the_backup_is_not_heard():
    run_isolated(hearing)


def full() -> None:
    with stage() as st:
        for mode in (0, 1, 2, 3):
            bond = Bond(st, mode)
            # More than there is room in one member, less than in both.
            sent = sum(bond.send(FRAMES[:1] * BURST) for _ in range(34))
            assert sent < 34 * BURST or mode == 0
            while bond.at(0) or bond.at(1):
                pass
            # What was not taken is whole, and the packets of other members do not suffer.
            assert st.pool.available() == st.pool.size
            bond.port.detach()
            st.check_clean()


def test_what_a_full_member_does_not_take_is_given_back():
    run_isolated(full)


def announced() -> None:
    from vio4wd.master.announce import send_frame

    with stage() as st:
        bond = Bond(st, 1)
        frame = FRAME + bytes(50)
        assert send_frame(bond.port.ref, st.pool, frame)
        assert bond.at(0) == [frame]
        stats = bond.port.stats()
        assert (stats.tx_packets, stats.rx_packets) == (1, 1)
        assert bond.port.link_up()
        bond.port.detach()


def test_a_frame_of_the_master_and_the_counters():
    run_isolated(announced)


def shed() -> None:
    from vio4wd.dpdk import device
    from vio4wd.ports.attach import Loss

    with stage() as st:
        bond = Bond(st, 1)
        assert bond.port.loss() is Loss.NOTHING
        first, second = bond.port._members
        first.port.gone = lambda: True
        assert bond.port.loss() is Loss.MEMBER
        bond.port.shed()
        assert device.ports_of(bond.devices[0]) == []
        assert bond.port.polled == (bond.devices[1],)
        # Its number is free for another port, which has nothing to do with the bond.
        other = st.attach("net_ring9")
        assert other.port_id == bond.members[0]
        bond.send(FRAMES)
        assert bond.at(1) == FRAMES
        second.port.gone = lambda: True
        assert bond.port.loss() is Loss.ALL
        bond.port.detach()
        assert device.ports_of("net_ring9") == [other.port_id]
        other.detach()


def test_a_member_that_is_taken_away_is_let_go():
    run_isolated(shed)


class Link:
    """A port of which all that counts is its link."""

    def __init__(self, port_id: int) -> None:
        self.port_id = port_id
        self.up = True

    def link(self) -> bool:
        return self.up


class Table:
    """What a watch says to the workers."""

    def use(self, *, active, heard) -> None:
        self.said = list(active), list(heard)


@pytest.mark.parametrize(
    ("backup", "steps"),
    [
        # Links of both members, and who is sent to and heard then.
        (True, [("10", [0], [0]), ("01", [1], [1]), ("11", [1], [1]), ("00", [], []), ("11", [0], [0])]),
        (False, [("11", [0, 1], [0, 1]), ("01", [1], [0, 1]), ("00", [], [0, 1]), ("10", [0], [0, 1])]),
    ],
    ids=["active-backup", "others"],
)
def test_the_watch_follows_the_links(backup, steps):
    import contextlib

    from vio4wd.ports.direct_bond import Probed, Watch
    from vio4wd.ports.names import parse

    links, table = [Link(5), Link(6)], Table()
    members = [Probed(parse(f"net_ring{link.port_id}"), link, contextlib.ExitStack()) for link in links]
    with contextlib.closing(Watch("net_bonding0", table, members, backup=backup)) as watch:
        for up, active, heard in steps:
            for link, state in zip(links, up, strict=True):
                link.up = state == "1"
            wait_for(lambda: table.said == (active, heard), f"the table to follow {up}")  # noqa: B023
            assert watch.up() == ("1" in up)
