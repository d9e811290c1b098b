"""Port control by PCI address, in a machine that has such devices, and what is refused."""

import os
import re
import subprocess

from port_requests import request

from vio4wd.binding.sysfs import Sysfs
from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest
from vio4wd.testing.daemon import program

RELAY = 5


def device_of(daemon, relay):
    return daemon.snapshot().relays[relay].device


def test_add_and_remove(daemon, spare):
    """Add and remove by PCI address, and once more with the command"""
    for _ in range(2):
        assert request(daemon, PortControlRequest.ADD, spare.address, virtio_id=RELAY).status
        assert device_of(daemon, RELAY) == spare.address
        assert request(daemon, PortControlRequest.REMOVE, spare.address, virtio_id=RELAY).status
        assert device_of(daemon, RELAY) == ""
    for operation in ("add", "remove"):
        subprocess.run(
            [
                program("virtioforwarder_port_control.py"),
                operation,
                f"--zmq_ep={daemon.endpoint('port_control')}",
                f"--virtio-id={RELAY}",
                f"--pci-addr={spare.address}",
            ],
            check=True,
            timeout=180,
        )


def test_refusals(daemon, nics, vfs):
    """Refused: a PF, a VF on igbvf, one of another relay, a bridge, an address without device"""
    on_kernel = nics[0].vfs()[2]
    assert on_kernel.driver() == "igbvf"
    for address, reason in (
        (nics[0].address, "physical function with 4 virtual functions"),
        (on_kernel.address, "bound to the kernel driver igbvf.*bind it to vfio-pci"),
        (vfs[0].address, "attached to relay 1"),
        ("0000:00:1f.0", "no network device"),
        ("0000:41:1f.7", "no such PCI device"),
    ):
        answer = request(daemon, PortControlRequest.ADD, address, virtio_id=RELAY)
        assert not answer.status
        assert re.search(reason, answer.error_code_source), (address, answer.error_code_source)
    assert device_of(daemon, RELAY) == ""


def test_a_vf_that_another_process_uses(daemon, spare):
    """Refused: a VF that another process has open; then it is let go, and attached"""
    group = os.open(f"/dev/vfio/{Sysfs().function(spare.address).group}", os.O_RDWR)
    try:
        answer = request(daemon, PortControlRequest.ADD, spare.address, virtio_id=RELAY)
        assert not answer.status
        assert "Device or resource busy" in answer.error_code_source, answer.error_code_source
    finally:
        os.close(group)
    assert request(daemon, PortControlRequest.ADD, spare.address, virtio_id=RELAY).status
    assert request(daemon, PortControlRequest.REMOVE, spare.address, virtio_id=RELAY).status
