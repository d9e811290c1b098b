"""What the pump's kernel works with; apart from it, for the master makes them without numba."""

import numpy as np

#: One port.
LANE = np.dtype(
    [
        ("port", "i8"),  # DPDK port number
        ("rx_ring", "i8"),  # ring of packets from the port
        ("tx_ring", "i8"),  # ring of packets to the port
        ("packets", "i8"),  # address of records.BURST mbuf pointers: those the driver did not take yet
        ("first", "i8"),  # the first of them
        ("end", "i8"),  # and the one behind the last
        ("rx_packets", "i8"),
        ("tx_packets", "i8"),
        ("refused", "i8"),  # packets that the driver can never send (offloads it does not know)
    ]
)

#: What the pump's kernel works with.
PUMP = np.dtype(
    [
        ("rx", "i8"),  # RX_BURST
        ("tx", "i8"),  # TX_BURST
        ("prepare", "i8"),  # TX_PREPARE
        ("dequeue", "i8"),  # RING_DEQUEUE
        ("enqueue", "i8"),  # RING_ENQUEUE
        ("room", "i8"),  # RING_ROOM
        ("free", "i8"),  # FREE_BULK
        ("sleep", "i8"),  # SLEEP_US
        ("scratch", "i8"),  # address of records.BURST mbuf pointers
        ("doorbell", "i8"),  # raised by who wants the kernel to return
        ("lanes", "i8"),  # address of an array of lane addresses
        ("n_lanes", "i8"),
        ("sleep_us", "i8"),  # longest sleep when nothing moves
    ]
)
