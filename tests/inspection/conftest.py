"""Tables as a master and two workers might have written them."""

import numpy as np
import pytest

from vio4wd.shm import layout

HZ = 2_000_000_000


@pytest.fixture
def tables():
    """Two workers on CPUs 2 and 5; relay 3 is up, its directions on one worker each."""
    table = np.zeros(1, layout.TABLES)
    record = table[0]
    record["header"]["tsc_hz"] = HZ
    record["header"]["master_pid"] = 4711
    record["control"]["cpu"] = -1
    record["control"]["cpu"][0] = 2
    record["control"]["cpu"][1] = 5
    record["relays"]["vf_to_vm_slot"] = -1
    record["relays"]["vm_to_vf_slot"] = -1
    record["relays"]["port_id"] = -1
    record["workers"]["longest_relay"] = -1
    relay = record["relays"][3]
    relay["vf_state"] = layout.VF_READY
    relay["vm_state"] = layout.VM_READY
    relay["vf_to_vm_slot"] = 1
    relay["vm_to_vf_slot"] = 0
    relay["device"] = b"0000:05:08.1"
    relay["socket"] = b"/tmp/virtio-forwarder3.sock"
    record["queues"][3, 0]["ready"] = 1
    record["queues"][3, 0]["size"] = 256
    return table
