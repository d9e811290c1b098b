"""When memory is mapped anew for devices on vfio-pci: for the first of them, each time there is none."""

import contextlib
from types import SimpleNamespace

import pytest

from vio4wd.ports import attach, names

DRIVERS = {"0000:01:10.0": "vfio-pci", "0000:01:10.2": "vfio-pci", "0000:02:00.1": "mlx5_core"}


class Machine:
    """DPDK's ports by number, and how often memory was mapped."""

    def __init__(self):
        self.ports = {}
        self.mapped = 0

    def probe(self, devargs):
        number = next(number for number in range(32) if number not in self.ports)
        self.ports[number] = devargs
        return [number]

    def map_pages(self):
        self.mapped += 1

    def port(self, number):
        return SimpleNamespace(
            watch_removal=lambda name: None,
            unwatch_removal=lambda: None,
        )


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    fake = SimpleNamespace(probe=machine.probe, remove=machine.ports.pop, map_pages=machine.map_pages)
    monkeypatch.setattr(attach, "devices", fake)
    monkeypatch.setattr(attach, "Port", machine.port)
    monkeypatch.setattr(attach, "_on_vfio", set())
    monkeypatch.setattr(attach.eal, "has_vfio", lambda: True)
    monkeypatch.setattr(attach.pci, "require_usable", lambda address: None)
    monkeypatch.setattr(attach.pci, "kernel_driver", DRIVERS.get)
    return machine


def test_memory_is_mapped_for_the_first_device_on_vfio_only(machine):
    def probe(device):
        stack = contextlib.ExitStack()
        attach.probe(names.parse(device), stack)
        return stack

    for device, mapped in (("net_null0", 0), ("0000:02:00.1", 0)):
        probe(device)
        assert machine.mapped == mapped
    first, second = probe("0000:01:10.0"), probe("0000:01:10.2")
    assert machine.mapped == 1
    first.close()
    probe("0000:01:10.0").close()
    assert machine.mapped == 1, "another one was there all the time"
    second.close()
    probe("0000:01:10.2")
    assert machine.mapped == 2
