"""vio4wd-bind: give VFs to vfio-pci for the daemon, or back to the kernel."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from vio4wd.binding import vfio
from vio4wd.binding.devices import carry_out
from vio4wd.binding.sysfs import PciFunction, Sysfs
from vio4wd.cli import arguments
from vio4wd.config import values
from vio4wd.config.version import VersionAction

PROGRAM: Final = "vio4wd-bind"

_EPILOG: Final = """\
The daemon binds the devices of --bind-vfio-pci (VIRTIOFWD_BIND_VFIO_PCI) by itself when it starts.

examples:
  %(prog)s list
  %(prog)s bind 0000:05:08.1 05:08.2
  %(prog)s bind eth0
  %(prog)s bind eth0:4
  %(prog)s unbind eth0

exit status: 0 done, 1 a device was refused (the reason is on stderr), 2 wrong usage
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser; completion and man page are made from it too."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Binds virtual functions of network cards to vfio-pci, so that virtio-forwarder can use "
        "them, and gives them back.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=VersionAction)
    parser.add_argument(
        "op",
        choices=("bind", "unbind", "list"),
        metavar="operation",
        help="bind: to vfio-pci; unbind: back to the kernel's own driver; list: show network functions",
    )
    parser.add_argument(
        "device",
        nargs="*",
        type=arguments.value(values.binding_list),
        help="0000:01:02.3 or 01:02.3: this VF; NETDEV: all VFs of a network device; NETDEV:COUNT: its first "
        "COUNT VFs",
    )
    parser.add_argument(
        "--force", action="store_true", help="bind a VF even if its network device is in use, which ends that"
    )
    return parser


def table(functions: Iterable[PciFunction], sysfs: Sysfs) -> list[str]:
    """A line for each function, below a line of titles."""
    known = {function.address: function for function in functions}
    rows: list[tuple[str, ...]] = [("ADDRESS", "DRIVER", "GROUP", "NETDEV", "WHAT")]
    for function in known.values():
        names = ",".join(name + (" (up)" if up else "") for name, up in function.netdevs)
        row = (function.address, function.driver, function.group, names, _what(function, known, sysfs))
        rows.append(tuple(cell or "-" for cell in row))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]


def _what(function: PciFunction, known: dict[str, PciFunction], sysfs: Sysfs) -> str:
    kind = ""
    if function.most_vfs:
        kind = f"physical function with {len(function.vfs)} of {function.most_vfs} VFs"
    elif function.physical in known:
        number = known[function.physical].vfs.index(function.address)
        netdevs = known[function.physical].netdevs
        kind = f"VF {number} of {netdevs[0][0] if netdevs else function.physical}"
    users = sysfs.users(function) if function.driver == vfio.DRIVER else []
    return ", ".join(part for part in (kind, *(f"used by {user}" for user in users)) if part)


def main(argv: Sequence[str] | None = None, sysfs: Sysfs | None = None) -> int:
    """Entry point; returns the exit status."""
    return arguments.run(PROGRAM, functools.partial(_run, sysfs or Sysfs()), argv)


def _run(sysfs: Sysfs, argv: Sequence[str] | None) -> int:
    parser = build_parser()
    options = parser.parse_intermixed_args(argv)
    if options.op == "list":
        if options.device:
            parser.error("list takes no devices")
        print("\n".join(table(sysfs.functions(), sysfs)))
        return 0
    devices = [device for found in options.device for device in found]
    if not devices:
        parser.error(f"{options.op} needs a device")
    action = functools.partial(vfio.bind, force=options.force) if options.op == "bind" else vfio.unbind
    changed, refused = carry_out(sysfs, devices, action)
    for address in changed:
        print(f"{address}: bound to {sysfs.function(address).driver or 'no driver'}")
    for line in refused:
        print(f"{PROGRAM}: {line}", file=sys.stderr)
    return 1 if refused else 0
