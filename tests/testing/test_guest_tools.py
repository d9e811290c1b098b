"""The tools that start guests, as far as no guest is needed."""

import subprocess
import sys
from pathlib import Path

import pytest

from vio4wd.testing import resources
from vio4wd.testing.process import ChildProcess
from vio4wd.testing.testpmd import virtio_user
from vio4wd.testing.virtio_nic import VirtioNic
from vio4wd.testing.wait import wait_for

SETUP = Path(__file__).parents[2] / "scripts" / "setup-guest"


def test_set_up_again_does_nothing_and_says_nothing():
    result = subprocess.run([SETUP], capture_output=True, text=True, timeout=250, check=True)
    result = subprocess.run([SETUP], capture_output=True, text=True, timeout=10, check=True)
    assert result.stdout + result.stderr == ""


def properties(nic):
    """The properties of QEMU's device."""
    arguments = nic.arguments(0)
    return arguments[arguments.index("-device") + 1].split(",")


def test_a_legacy_device_has_no_modern_side():
    nic = VirtioNic(Path("/x"), generation="legacy", mergeable=False, offloads=False)
    assert {"disable-modern=on", "disable-legacy=off", "mrg_rxbuf=off", "csum=off", "packed=off"} <= set(
        properties(nic)
    )


def test_each_queue_pair_has_its_interrupts():
    assert {"mq=on", "vectors=10"} <= set(properties(VirtioNic(Path("/x"), queue_pairs=4)))


def test_a_legacy_device_cannot_be_packed():
    with pytest.raises(ValueError, match="packed"):
        VirtioNic(Path("/x"), generation="legacy", packed=True)


def test_server_mode_listens():
    assert "socket,id=channel0,path=/x,server=on,wait=off" in VirtioNic(Path("/x"), server=True).arguments(0)


def test_virtio_user_device_string():
    device = virtio_user(Path("/x"), queues=2, mergeable=False, packed=True)
    assert device.startswith("net_virtio_user0,path=/x,queues=2,queue_size=256,")
    assert "mrg_rxbuf=0" in device
    assert "packed_vq=1" in device


def test_a_child_ends_with_its_block_and_its_output_is_kept(tmp_path):
    with ChildProcess(["sh", "-c", "echo hello; exec sleep 1000"], tmp_path / "log") as child:
        wait_for(lambda: "hello" in child.output(), "the child's first word", 30)
        assert child.running()
    assert child.status() is not None
    assert child.tail() == "hello"


def test_resources_tell_what_has_grown(tmp_path):
    # What speaks has been loaded whole.
    program = "import time; print('hello', flush=True); time.sleep(1000)"
    with ChildProcess([sys.executable, "-c", program], tmp_path / "log") as child:
        wait_for(lambda: "hello" in child.output(), "the child's first word", 30)
        before = resources.of_process(child.pid)
        assert before.growth(resources.of_process(child.pid)) == {}
        assert before.fds["/dev/null"] == 1
        more = resources.Resources(before.fds + before.fds, before.mappings)
        assert before.growth(more)["/dev/null"] == 1


def test_waiting_ends_with_what_was_waited_for():
    with pytest.raises(TimeoutError, match="waited 0 s for nothing"):
        wait_for(lambda: False, "nothing", timeout=0.0)
    assert wait_for(lambda: 7, "seven") == 7
