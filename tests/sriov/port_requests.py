"""Requests to the daemon by PCI address."""

from vio4wd.config.pci import parse_pci
from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest, PortControlResponse


def request(daemon, op, *addresses, **fields):
    """The daemon's answer to a request, in which nothing is conditional."""
    message = PortControlRequest(op=op, conditional=False, **fields)
    for address in addresses:
        pci = parse_pci(address)
        message.pci_addrs.add(domain=pci.domain, bus=pci.bus, slot=pci.slot, function=pci.function)
    return ask(daemon.endpoint("port_control"), message, PortControlResponse, 60)
