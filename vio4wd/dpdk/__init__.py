"""DPDK: a compiled binding (`build`, the headers beside it) and a thin typed layer over it.

`eal` comes first in a process. `device` brings ports, `ethdev` configures and starts them, `mempool` and
`ring` are memory that all processes of an instance share, `functions` has the addresses that kernels
call, `mbuf` the layout of a packet, `guard` survives guest memory that vanishes. Failures are `DpdkError`
with one line that carries the reason from DPDK's log.

Nothing here but `mbuf` imports numpy: a worker initialises EAL before anything large is loaded.
"""
