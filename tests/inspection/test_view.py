"""The operator's screen, at the widths it is made for."""

import io

import pytest
from rich.console import Console

from vio4wd.inspection.document import document
from vio4wd.inspection.figures import ASCII, UNICODE
from vio4wd.inspection.rates import rates
from vio4wd.inspection.snapshot import take
from vio4wd.inspection.view import History, view
from vio4wd.inspection.watch import Screen
from vio4wd.limits import MAX_RELAYS
from vio4wd.shm import layout


@pytest.fixture
def busy(tables):
    """(snapshot, rates) of one second in which relay 3 moved packets and relay 9 waited for its guest."""
    record = tables[0]
    record["workers"]["pid"][0] = 1234
    record["workers"]["state"][:2] = layout.WORKER_RUNNING
    record["relays"][3]["peer"] = b"pid 4711 (qemu-system-x86)"
    record["relays"][3]["link_up"] = 1
    record["relays"][9]["vf_state"] = layout.VF_READY
    record["relays"][9]["device"] = b"net_af_packet9,iface=a-name-too-long-for-80-columns"
    before = take(record)
    direction = record["directions"][3, 0, 0]
    direction["packets_in"] = direction["packets_out"] = 1_230_000
    direction["bytes_in"] = direction["bytes_out"] = 64 * 1_230_000
    direction["bursts"] = 40_000
    direction["busy_cycles"] = 200_000_000
    direction["latency_histogram"][12] = direction["latency_samples"] = 10
    record["rings"][3, 0]["depth"] = 123
    after = take(record)
    return after, rates(before, after, 1.0)


def text_of(sample, width, drawn=UNICODE, **options):
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(view(*sample, instance="vio4wd", width=width, drawn=drawn, **options))
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_everything_an_operator_asks_for_is_there(busy, width):
    text = text_of(busy, width)
    assert all(len(line) <= width for line in text.splitlines())
    for wanted in ("1.23M", "0000:05:08.1", "VF→VM", "VM→VF", "no guest", "123", "cyc/pkt", "burst", "busy"):
        assert wanted in text
    for title in ("CPU", "state", "beat", "busy", "asleep", "serves", "depth", "longest"):
        assert title in text  # not cut
    if width >= 120:
        assert "1234" in text
        assert "pid 4711 (qemu-system-x86)" in text
        assert "163" in text  # cycles a packet


def test_plain_terminals_get_plain_characters(busy):
    history = History()
    history.add(busy[1])
    history.add(busy[1])
    text = text_of(busy, 120, ASCII, history=history)
    assert text.replace("…", "").isascii()  # rich's own ellipsis; the command replaces it on output
    assert "VF>VM" in text


def test_history_is_drawn(busy):
    history = History(length=3)
    for _ in range(5):
        history.add(busy[1])
    assert history.busy()[0] == (0.0, 0.0, 0.0)
    assert "▁▁▁" in text_of(busy, 120, history=history)


def test_order_and_unused_relays(busy):
    relays = [line for line in text_of(busy, 120, unused=True).splitlines() if "VF→VM" in line]
    assert len(relays) == MAX_RELAYS
    by_load = [line for line in text_of(busy, 120, unused=True, order="load").splitlines() if "VF→VM" in line]
    assert by_load[0].split()[0] == "3"


def test_latencies_are_shown_where_they_are_sampled(busy, tables):
    assert "p99" in text_of(busy, 80)
    tables[0]["directions"]["latency_samples"] = 0
    taken = take(tables)
    assert "p99" not in text_of((taken, rates(taken, taken, 1.0)), 80)


def test_nothing_attached(tables):
    tables[0]["relays"]["vf_state"] = layout.VF_UNINIT
    tables[0]["relays"]["vm_state"] = layout.VM_UNINIT
    taken = take(tables)
    assert "No relay has a VF or a guest." in text_of((taken, rates(taken, taken, 1.0)), 80)


def test_document(busy):
    found = document(*busy)
    assert [relay["id"] for relay in found["relays"]] == [3, 9]
    relay = found["relays"][0]
    assert (relay["vf_to_vm"]["cpu"], relay["vm_to_vf"]["cpu"]) == (5, 2)
    assert relay["active"] is True
    assert relay["vf_to_vm"]["rates"]["packets_in"] == 1_230_000
    assert relay["vf_to_vm"]["rates"]["latency"]["samples"] == 10
    assert relay["rates"]["missed"] == 0
    assert [worker["cpu"] for worker in found["workers"]] == [2, 5]
    assert found["workers"][1]["directions"] == [{"relay": 3, "direction": "vf_to_vm", "lane": 0}]
    assert {finding["severity"] for finding in found["findings"]} <= {"error", "warning", "note"}
    assert len(document(*busy, unused=True)["relays"]) == MAX_RELAYS


@pytest.mark.parametrize("width", [80, 120])
def test_each_lane_has_a_line_where_there_are_several(busy, tables, width):
    relay = tables[0]["relays"][3]
    relay["lanes"], relay["vf_queues"] = 2, 2
    relay["vf_to_vm_slot"][:2] = (1, 0)
    relay["vm_to_vf_slot"][:2] = (0, -1)
    taken = take(tables)
    sample = (taken, rates(taken, taken, 1.0))
    text = text_of(sample, width)
    assert all(len(line) <= width for line in text.splitlines())
    assert [line.count("lane 0 ") for line in text.splitlines()].count(1) == 2
    assert "0000:05:08.1, 2 queues" in text
    assert "VM to VF lane 1 is served by no worker" in text
    (found,) = (relay for relay in document(*sample)["relays"] if relay["id"] == 3)
    assert [lane["cpu"] for lane in found["vf_to_vm"]["lanes"]] == [5, 2]
    assert all("rates" in lane for lane in found["vm_to_vf"]["lanes"])


def test_keys():
    screen = Screen()
    for key in ("down", "j", "down", "k", "", "x"):
        screen.press(key, page=10)
    assert screen.offset == 2
    screen.press("page down", page=10)
    assert screen.offset == 12
    screen.clamp(lines=15, page=10)
    assert screen.offset == 5
    screen.press("end", page=10)
    screen.clamp(lines=15, page=10)
    assert screen.offset == 5
    screen.press("page up", page=10)
    assert screen.offset == 0
    screen.press("s", page=10)
    assert screen.order == "load"
    screen.press("a", page=10)
    screen.press(" ", page=10)
    assert (screen.unused, screen.paused, screen.quit) == (True, True, False)
    screen.press("q", page=10)
    assert screen.quit
