"""Command lines of the guide's chapters 7 and 14, as printed there, with a daemon at the default endpoints.

Devices that exist on any machine stand in the place of the PCI addresses. The lines for OVSDB and for the
command file are in tests/control, those for VFs by netdev in tests/sriov.
"""

import os
import subprocess
from pathlib import Path

import pytest

from vio4wd.testing.daemon import Daemon, orderly, program

pytestmark = pytest.mark.timeout(120)


class GuideDaemon(Daemon):
    """A daemon whose endpoints are where the commands look for them."""

    def endpoint(self, service):
        return f"ipc:///var/run/virtio-forwarder/{service}"


@pytest.fixture
def daemon(place, request):
    """A daemon with the lines of the configuration file that the test asks for."""
    config = place / "virtioforwarder"
    config.write_text(request.param)
    started = GuideDaemon(place / "daemon", options=[f"--config={config}"])
    with orderly(started):
        yield started


def typed(line):
    """What a command line prints; it must succeed."""
    path = f"{Path(program('vio4wd-master')).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", line], env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def attached(daemon):
    """Devices by relay."""
    return {relay.id: relay.device for relay in daemon.snapshot().relays if relay.device}


@pytest.mark.parametrize("daemon", ["VIRTIOFWD_STATIC_VFS=(net_null5=5 net_null6=6)\n"], indirect=True)
def test_vfs_bonds_and_the_tools(daemon):
    static = {5: "net_null5", 6: "net_null6"}
    assert attached(daemon) == static
    typed("virtioforwarder_port_control.py add --virtio-id=1 \\\n--pci-addr=net_null1")
    assert attached(daemon) == {1: "net_null1", **static}

    statistics = typed("virtioforwarder_stats.py --include-inactive").splitlines()
    assert "relay_1.vf_to_vm.cpu_1.internal_state=DPDK_READY" in statistics
    assert "relay_5.vm_to_vf.cpu_1.internal_state=VIRTIO_UNINIT" in statistics
    assert typed("virtioforwarder_core_pinner.py --virtio-cpu=1:1,1") == ""
    assert typed("virtioforwarder_core_pinner.py").splitlines() != []

    typed("virtioforwarder_port_control.py remove --virtio-id=1 \\\n--pci-addr=net_null1")
    assert attached(daemon) == static
    bond = (
        "virtioforwarder_port_control.py add --virtio-id=1 \\\n"
        "--name=net_bonding0 --pci-addr=net_null1 --pci-addr=net_null2"
    )
    for mode in ("", *(f" \\\n--mode={number}" for number in range(7))):
        typed(f"{bond}{mode}")
        assert attached(daemon) == {1: "net_bonding0", **static}
        typed("virtioforwarder_port_control.py remove --virtio-id=1 \\\n--name=net_bonding0")
        assert attached(daemon) == static


@pytest.mark.parametrize("daemon", ["VIRTIOFWD_DYNAMIC_SOCKETS=true\n"], indirect=True)
def test_pairs_of_device_and_socket(daemon, place):
    path = place / "vhostuser.sock"
    pair = f"\\\n--vhost-path={path}"
    typed(f"virtioforwarder_port_control.py add_sock {pair} --pci-addr=net_null1")
    assert path.is_socket()
    assert typed(f"virtioforwarder_port_control.py query_pci --vhost-path={path}") == "net_null1\n"
    typed(f"virtioforwarder_port_control.py remove_sock {pair} \\\n--pci-addr=net_null1")
    assert not path.exists()
    typed(
        f"virtioforwarder_port_control.py add_sock {pair} --pci-addr=net_null1 \\\n"
        "--pci-addr=net_null2 --name=net_bonding0 --mode=0"
    )
    assert attached(daemon) == {0: "net_bonding0"}
    assert path.is_socket()
    typed(f"virtioforwarder_port_control.py remove_sock {pair} \\\n--name=net_bonding0")
    assert attached(daemon) == {}
    assert not path.exists()
