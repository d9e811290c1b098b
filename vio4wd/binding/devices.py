"""Which functions are meant: `0000:01:02.3`, `01:02.3`, NETDEV (all VFs of it) or NETDEV:COUNT."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from vio4wd.binding.errors import BindingError
from vio4wd.binding.sysfs import Sysfs
from vio4wd.config.pci import parse_pci
from vio4wd.control import netdev
from vio4wd.control.netdev import NetdevError


def addresses(sysfs: Sysfs, text: str) -> tuple[str, ...]:
    """Addresses that one entry means; an address is not looked up.

    Raises:
        BindingError: there is no such network device, or it has not so many VFs.
    """
    address = parse_pci(text)
    if address is not None:
        return (str(address),)
    name, _, count = text.partition(":")
    try:
        found = netdev.resolve(name, sysfs.root)
    except NetdevError as error:
        raise BindingError(str(error)) from None
    node = (sysfs.root / "sys/class/net" / name / "device").resolve()
    if found.pci is not None and str(found.pci) == node.name:
        raise BindingError(
            f"{name} is a VF itself, whose name will be gone once it is bound: give its address {found.pci}"
        )
    if found.pci is not None:  # a representor stands for one VF
        return (str(found.pci),)
    vfs = sysfs.function(node.name).vfs if parse_pci(node.name) else ()
    wanted = int(count) if count else max(len(vfs), 1)
    if wanted > len(vfs):
        raise BindingError(
            f"{name} has {len(vfs) or 'no'} VFs"
            + (f", not {count}" if count else "")
            + (f": echo {wanted} > {node}/sriov_numvfs" if (node / "sriov_numvfs").exists() else "")
        )
    return vfs[:wanted]


def carry_out(
    sysfs: Sysfs, texts: Iterable[str], action: Callable[[Sysfs, str], bool]
) -> tuple[list[str], list[str]]:
    """Bind or unbind all functions that several entries mean; what fails does not keep the rest from it.

    Args:
        action: `vfio.bind` or `vfio.unbind`.

    Returns:
        The addresses that it changed, and a line for each entry or address that was refused.
    """
    changed, refused = [], []
    for text in texts:
        try:
            found = addresses(sysfs, text)
        except BindingError as error:
            refused.append(str(error))
            continue
        for address in found:
            try:
                if action(sysfs, address):
                    changed.append(address)
            except BindingError as error:
                refused.append(str(error))
    return changed, refused
