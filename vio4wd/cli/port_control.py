"""virtioforwarder_port_control.py: attach and detach VFs, bonds and sockets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from vio4wd.cli import arguments
from vio4wd.config import values
from vio4wd.config.control_table import PORT_CONTROL_EP
from vio4wd.config.pci import parse_pci
from vio4wd.control.client import ask
from vio4wd.control.proto.virtioforwarder_pb2 import PortControlRequest, PortControlResponse

PROGRAM: Final = "virtioforwarder_port_control.py"

_EPILOG: Final = """\
examples:
  %(prog)s add --virtio-id=1 --pci-addr=0000:05:08.1
  %(prog)s remove --virtio-id=1 --pci-addr=0000:05:08.1
  %(prog)s add --virtio-id=1 --name=net_bonding0 --pci-addr=05:08.1 --pci-addr=05:08.2 --mode=1
  %(prog)s remove --virtio-id=1 --name=net_bonding0
  %(prog)s add_sock --vhost-path=/run/vm1.sock --pci-addr=0000:05:08.1
  %(prog)s remove_sock --vhost-path=/run/vm1.sock --pci-addr=0000:05:08.1
  %(prog)s query_pci --vhost-path=/run/vm1.sock

exit status: 0 done, 1 refused or no answer (the reason is on stderr), 2 wrong usage
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = arguments.parser(
        PROGRAM, "Attaches VFs and bonds to relays of a running virtio-forwarder, and detaches them.", _EPILOG
    )
    operations = [name.lower() for name in PortControlRequest.Op.keys()]  # noqa: SIM118 - no mapping
    parser.add_argument("op", choices=operations, metavar="operation", help=", ".join(operations))
    parser.add_argument(
        "--virtio-id", metavar="N", type=arguments.value(values.relay), help="relay, 0 to 63 (add, remove)"
    )
    parser.add_argument(
        "--pci-addr",
        metavar="A",
        action="append",
        default=[],
        help="PCI address, or a DPDK device string as net_af_packet0,iface=eth1; several make a bond",
    )
    parser.add_argument(
        "--vhost-path", metavar="P", help="vhost-user socket (add_sock, remove_sock, query_pci)"
    )
    parser.add_argument("--name", metavar="B", help="name of a bond, begins with net_bonding")
    parser.add_argument(
        "--mode",
        metavar="0..6",
        type=arguments.value(values.number_in(0, 6, "bond mode")),
        help="bond mode: 0 round robin, 1 active-backup (default), 2 balance, 3 broadcast, "
        "4 802.3ad, 5 TLB, 6 ALB",
    )
    parser.add_argument(
        "--conditional", action="store_true", help="a request that would change nothing is no error"
    )
    parser.add_argument(
        "--zmq_ep",
        "--zmq-ep",
        metavar="EP",
        type=arguments.value(values.endpoint),
        default=PORT_CONTROL_EP,
        help="endpoint of the daemon (default: %(default)s)",
    )
    return parser


def make_request(options: argparse.Namespace) -> PortControlRequest:
    """The request that the options ask for.

    Raises:
        ValueError: a PCI address with a number out of range.
    """
    request = PortControlRequest(op=options.op.upper(), conditional=options.conditional)
    for device in options.pci_addr:
        address = parse_pci(device)
        if address is None:
            request.devices.append(device)
        else:
            request.pci_addrs.add(**address._asdict())
    for field in ("virtio_id", "name", "mode", "vhost_path"):
        given = getattr(options, field)
        if given is not None:
            setattr(request, field, given)
    return request


def _run(argv: Sequence[str] | None) -> int:
    parser = build_parser()
    options = parser.parse_args(argv)
    try:
        request = make_request(options)
    except ValueError as error:
        parser.error(str(error))
    response = ask(options.zmq_ep, request, PortControlResponse, options.timeout)
    if response.status != PortControlResponse.OK:
        reason = response.error_code_source or "refused"
        print(f"{PROGRAM}: {options.op}: {reason} (error {response.error_code})", file=sys.stderr)
        return 1
    if response.HasField("query_string"):
        print(response.query_string)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    return arguments.run(PROGRAM, _run, argv)
