"""Test tools: guests (a Linux VM, DPDK's testpmd, a mock driver), network namespaces, a daemon of one's own.

They are part of the package so that tests, the demo and the measuring suite share them. Everything they
start or create belongs to an object with `close`, which is also called when a `with` block ends.
"""
