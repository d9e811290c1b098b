"""A guest behind a VF that a worker polls, and a peer behind another VF of the same NIC."""

import json
import re
import subprocess

import pytest

from vio4wd.testing.daemon import program
from vio4wd.testing.kernel_guest import KernelGuest

ADDRESS = "10.1.0.2"


@pytest.fixture(scope="module")
def guest(daemon, vfs, place):
    with KernelGuest(
        daemon.socket(1), place / "guest", mac=vfs[0].mac, address=f"{ADDRESS}/24", mtu=9000, cpu=2
    ) as started:
        daemon.wait_guest(1)
        yield started


def ping(namespace, address, count=20, size=56, *options):
    """Ping from a namespace; how many echoes came back."""
    output = namespace.run(
        *("ping", "-c", str(count), "-i", "0.2", "-W", "5", "-s", str(size), *options, address), timeout=120
    )
    return int(re.search(r"(\d+) received", output)[1])


def test_vfs_are_bound_and_polled(daemon, vfs, record):
    """VFs bound by netdev name and by address, attached, polled by workers"""
    assert [vf.driver() for vf in vfs] == ["vfio-pci"] * 2
    relays = daemon.snapshot().relays
    for relay, vf in enumerate(vfs, 1):
        assert (relays[relay].device, relays[relay].pumped) == (vf.address, False)
        assert relays[relay].vf_state == "DPDK_READY"
    record("lspci -k", subprocess.run(["lspci", "-k", "-d", "8086:"], capture_output=True, text=True).stdout)


def test_ping(guest, peer, daemon, record):
    """Ping through VF, relay and guest"""
    assert ping(peer, ADDRESS) == 20
    done = subprocess.run(
        [program("vio4wd-inspect"), "--json", f"--pid-path={daemon.directory}"],
        capture_output=True,
        text=True,
        check=True,
    )
    record("vio4wd-inspect --json", done.stdout)
    relays = {relay["id"]: relay for relay in json.loads(done.stdout)["relays"]}
    assert relays[1]["vf_to_vm"]["packets_out"] >= 20
