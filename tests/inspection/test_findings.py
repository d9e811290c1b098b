"""Whatever is not as it should be is said, and nothing else."""

import pytest

from vio4wd.inspection.findings import Severity, findings
from vio4wd.inspection.rates import rates
from vio4wd.inspection.snapshot import take
from vio4wd.shm import layout

HZ = 2_000_000_000


@pytest.fixture
def healthy(tables):
    """Everything works: both workers run, the link of relay 3 is up, its pool is full."""
    record = tables[0]
    for slot in (0, 1):
        record["workers"][slot]["state"] = layout.WORKER_RUNNING
        record["workers"][slot]["heartbeat"] = 10 * HZ
    record["relays"][3]["link_up"] = 1
    record["relays"][3]["pool_size"] = 1000
    record["relays"][3]["pool_free"] = 900
    return record


def texts(record, severity=None):
    return [
        finding.text
        for finding in findings(take(record, 10 * HZ))
        if severity is None or finding.severity == severity
    ]


def test_health_is_silent(healthy):
    assert texts(healthy) == []


def test_a_worker_that_hangs(healthy):
    healthy["workers"][1]["heartbeat"] = 5 * HZ
    healthy["workers"][1]["pid"] = 77
    assert texts(healthy, Severity.ERROR) == ["worker on CPU 5 (pid 77) hangs: no sign of life for 5.0s"]


def test_a_worker_that_died(healthy):
    healthy["workers"][0]["state"] = layout.WORKER_STOPPED
    assert texts(healthy, Severity.ERROR) == ["worker on CPU 2 is stopped: 1 directions stand still"]


def test_a_stopped_ring(healthy):
    healthy["rings"][3, 1]["error"] = layout.RING_BAD_ADDRESS
    healthy["rings"][3, 1]["error_detail"] = 0xBAD000
    (text,) = texts(healthy, Severity.ERROR)
    assert "relay 3 queue 1 is stopped: address outside the guest's memory (0xbad000)" in text


def test_link_and_pool(healthy):
    healthy["relays"][3]["link_up"] = 0
    healthy["relays"][3]["pool_free"] = 12
    assert texts(healthy, Severity.WARNING) == [
        "relay 3: the link of 0000:05:08.1 is down",
        "relay 3: packet pool nearly empty, 12 of 1000 mbufs free",
    ]


def test_one_side_only(healthy):
    healthy["relays"][3]["vm_state"] = layout.VM_UNINIT
    assert texts(healthy) == ["relay 3: no guest is ready on /tmp/virtio-forwarder3.sock"]
    healthy["relays"][3]["vm_state"] = layout.VM_READY
    healthy["relays"][3]["vf_state"] = layout.VF_UNINIT
    assert texts(healthy) == ["relay 3: a guest but no VF"]


def test_nobody_serves(healthy):
    healthy["relays"][3]["vm_to_vf_slot"] = -1
    assert texts(healthy, Severity.ERROR) == ["relay 3 VM to VF is served by no worker"]


def test_traffic(healthy):
    before = take(healthy, 10 * HZ)
    healthy["directions"][3, layout.VF_TO_VM, 0]["dropped_full"] = 500
    healthy["directions"][3, layout.VM_TO_VF, 0]["dropped_invalid"] = 20
    healthy["directions"][3, layout.VM_TO_VF, 0]["dropped_no_mbuf"] = 1
    healthy["workers"][0]["busy_cycles"] = 99 * HZ * 2 // 100
    after = take(healthy, 10 * HZ)
    found = [finding.text for finding in findings(after, rates(before, after, 2.0))]
    assert found == [
        "worker on CPU 2 is fully loaded (99%)",
        "relay 3 VF to VM drops 250 packets/s: the guest's receive queues are full",
        "relay 3 VM to VF drops 10 packets/s: malformed packets from the guest",
        "relay 3 VM to VF waits for packet memory: the pool is empty",
    ]


def test_a_vf_that_overflows(healthy):
    before = take(healthy, 10 * HZ)
    healthy["relays"][3]["port_imissed"] = 3000
    after = take(healthy, 10 * HZ)
    (finding,) = findings(after, rates(before, after, 2.0))
    assert finding.text == "relay 3: the VF drops 1.50k packets/s, CPU 5 does not take them in time"


def test_a_missing_guest_is_no_reason_to_warn(healthy):
    healthy["relays"][3]["vm_state"] = layout.VM_UNINIT
    before = take(healthy, 10 * HZ)
    healthy["directions"][3, layout.VF_TO_VM, 0]["dropped_unconnected"] = 100
    after = take(healthy, 10 * HZ)
    (finding,) = findings(after, rates(before, after, 1.0))
    assert finding.severity == Severity.NOTE
    assert finding.text.endswith("100 packets/s are dropped")


def test_the_worst_comes_first(healthy):
    healthy["relays"][3]["vm_state"] = layout.VM_UNINIT
    healthy["relays"][3]["link_up"] = 0
    healthy["workers"][1]["state"] = layout.WORKER_STOPPED
    order = [finding.severity for finding in findings(take(healthy, 10 * HZ))]
    assert order == sorted(order)
    assert len(order) == 3
