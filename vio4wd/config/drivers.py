"""Kernel drivers of network cards, by how they leave a card to DPDK.

Source: the chapter "Linux Drivers" of DPDK's guide, and those of the poll-mode drivers.
"""

from __future__ import annotations

from typing import Final

#: Leave the whole device to a process.
USERSPACE: Final = ("vfio-pci", "uio_pci_generic", "igb_uio")
#: Keep the device and serve the kernel and a process at once (mlx4, mlx5, mana): the driver of such a card in
#: DPDK works through the kernel's and finds nothing once the card was taken from it.
SHARING: Final = ("mlx4_core", "mlx5_core", "mana")
#: PCI vendors all of whose network cards have such a driver: NVIDIA (Mellanox).
SHARING_VENDORS: Final = (0x15B3,)
