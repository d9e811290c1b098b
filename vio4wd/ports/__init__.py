"""VFs and what stands in for them: named, attached, polled by the right process, and taken away again.

`attach` and `bond` are the ways in. A port is *direct* when its driver works in secondary processes: the
worker polls the VF's queues itself. It is *pumped* otherwise: the master's `pump` moves bursts between
the port and two rings in hugepages, and the workers run the same loops over the rings. Which one it is
is asked of the driver (`trial`), not looked up.

What was found out about drivers of DPDK 22.11:

=============================  =========================================================================
PCI drivers, null, ring, memif direct
af_packet, tap                 pumped: they stand on an interface of the kernel
af_xdp                         pumped; it keeps the mbufs of its fill queue when it is closed, so the
                               pool is not full again after a detach
bonding                        pumped, whatever its members are
memif                          an abstract socket (its default) stays open after a detach: attaching it
                               again needs `socket-abstract=no`
af_packet                      frames longer than those of its ring are cut: for jumbo frames give
                               `framesz=9216,blocksz=36864` (blocks that hold no whole number of frames
                               carry one frame and no more)
=============================  =========================================================================
"""
