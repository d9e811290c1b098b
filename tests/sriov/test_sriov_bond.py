"""Two VFs of two NICs as one port, active-backup; what they talk to is beyond the cables."""

import re

import pytest
from port_requests import request

from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest
from vio4wd.testing.kernel_guest import KernelGuest
from vio4wd.testing.wait import wait_for

RELAY = 4
GUEST = "10.2.0.2"
MAC = "52:54:00:bb:0b:0d"


@pytest.fixture
def members(nics):
    """A VF of each NIC on vfio-pci, both with the same MAC address, which their NICs enforce."""
    found = []
    try:
        for nic in nics:
            vf = nic.vfs()[2]
            nic.set_mac(vf, MAC)
            vf.to_vfio()
            found.append(vf)
        yield found
    finally:
        for nic, vf in zip(nics, found, strict=False):
            nic.set_mac(vf, vf.mac)
            vf.to_kernel()


def test_active_backup(daemon, nics, members, far, place):
    """Bond of two NICs' VFs, active-backup: goes on when either cable is pulled"""

    def flows():
        # The hub brings each frame to both members, so echoes may come back twice.
        output = far.run("sh", "-c", f"ping -c 5 -i 0.2 -W 5 {GUEST} || true")
        return re.search(r"[ ]5 received", output)

    addresses = [vf.address for vf in members]
    fields = {"virtio_id": RELAY, "name": "net_bonding0", "mode": 1}
    answer = request(daemon, PortControlRequest.ADD, *addresses, **fields)
    assert answer.status, answer.error_code_source
    guest = KernelGuest(
        daemon.socket(RELAY), place / "bond-guest", mac=MAC, address=f"{GUEST}/24", interface="guest1", cpu=2
    )
    try:
        wait_for(flows, "echoes through the bond")
        for nic in nics:
            nic.set_cable(plugged=False)
            try:
                wait_for(flows, f"echoes without the cable of {nic.netdev}")
            finally:
                nic.set_cable(plugged=True)
            wait_for(flows, f"echoes with the cable of {nic.netdev} back")
    finally:
        guest.close()
        request(daemon, PortControlRequest.REMOVE, *addresses, **fields)
