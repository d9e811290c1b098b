"""A guest that asks for offloads and a VF that can or cannot, and the packets that go between them."""

from frames import Frame
from hypothesis import strategies as st
from rig import check_all_is_back

from vio4wd.shm.layout import VM_TO_VF
from vio4wd.testing.guest_memory import GuestMemory
from vio4wd.testing.mock_guest import MockGuest, NetHeader
from vio4wd.testing.mock_pool import MockPool, MockPort
from vio4wd.testing.mock_worker import MockWorker
from vio4wd.testing.strategies import numbered_packet

NEEDS_CSUM, DATA_VALID = 1, 2
TCPV4, UDP, TCPV6, ECN = 1, 3, 4, 0x80
SOFTWARE = {"guest_offloads": 1}
HARDWARE = {"guest_offloads": 1, "vf_checksums": 1, "vf_segments": 1}


class Rig:
    """A guest that may ask for offloads, and a VF that can or cannot."""

    def __init__(self, offloads, *, packed=False, data_room=2048):
        self.guest = MockGuest(GuestMemory([(0, 1 << 20)]), packed=packed, size=64)
        self.pool = MockPool(512, data_room)
        self.port = MockPort(self.pool)
        self.worker = MockWorker(VM_TO_VF, [self.guest], self.pool, self.port, offloads=offloads)

    def send(self, *packets):
        """Send (packet, header) pairs; what the VF gets."""
        for packet, header in packets:
            self.guest.send(packet, header=header, layout=(12,) if len(packet) % 2 else ())
        self.guest.publish()
        assert self.worker.run() == len(packets)
        assert len(self.guest.sent()) == len(packets)
        sent = self.port.sent()
        check_all_is_back(self.guest, self.pool, self.worker)
        return sent


def asks(frame, gso_size=0, ecn=0):
    """The network header with which a guest leaves a frame's checksum, and its cutting, to the device."""
    kind = 0
    if gso_size:
        kind = UDP if frame.protocol == 17 else (TCPV4 if frame.version == 4 else TCPV6) | ecn
    return NetHeader(
        flags=NEEDS_CSUM,
        gso_type=kind,
        hdr_len=frame.header,
        gso_size=gso_size,
        csum_start=frame.transport,
        csum_offset=frame.checksum_at,
    )


def frames(most, protocols=(6, 17), least=0):
    return st.builds(
        Frame,
        version=st.sampled_from([4, 6]),
        protocol=st.sampled_from(protocols),
        payload=st.builds(numbered_packet, st.integers(0, 2**32 - 1), st.integers(least, most)),
        tags=st.integers(0, 2),
        ip_options=st.sampled_from([0, 0, 1, 10]),
        tcp_options=st.sampled_from([0, 3, 10]),
        flags=st.sampled_from([0x10, 0x18, 0x19, 0x99]),
        sequence=st.sampled_from([0, 2**32 - 1000, 77]),
        identification=st.sampled_from([0, 65533]),
    )
