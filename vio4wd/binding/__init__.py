"""Giving PCI devices to vfio-pci, so that DPDK can take them, and back to the kernel's own driver.

`devices` turns what operators write into addresses, `vfio` binds one address, `sysfs` is the way to the
kernel: the `driver_override` of a device outranks the tables of all drivers, and a write to `drivers_probe`
has the kernel look for its driver again. The same two files undo it, so nothing needs to be remembered.
"""
