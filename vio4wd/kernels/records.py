"""The worker's own records, which its kernels work on (the shared ones are in `shm.layout`).

Apart from the kernels' views of them, for workers make the records without numba.
"""

import numpy as np

#: Packets a burst moves at most.
BURST = 32
#: Used entries a burst makes at most: a mergeable packet of 64 KiB takes some 43 buffers of 1.5 KiB.
MAX_USED = 2048
#: Descriptors of one chain at most, however large the ring.
MAX_CHAIN = 1024
#: Frames that one large packet is cut into at most: 64 KiB in pieces of 512 bytes.
MAX_PIECES = 128

#: One direction of one relay, as its worker serves it. Addresses are of this process.
ITEM = np.dtype(
    [
        ("relay", "i8"),
        ("direction", "i8"),
        ("rx", "i8"),  # VF->VM: function that takes a burst from the VF, its two arguments:
        ("rx_a", "i8"),
        ("rx_b", "i8"),
        ("tx", "i8"),  # VM->VF: function that hands a burst to the VF (0: no VF), likewise
        ("tx_a", "i8"),
        ("tx_b", "i8"),
        ("pool", "i8"),  # mempool of the relay
        ("packed", "i8"),  # 1: packed rings
        ("mergeable", "i8"),  # 1: VIRTIO_NET_F_MRG_RXBUF
        ("event_idx", "i8"),  # 1: VIRTIO_F_EVENT_IDX
        ("header_size", "i8"),  # bytes of the virtio-net header
        ("guest_offloads", "i8"),  # 1: the guest may ask for checksums and segmentation (VIRTIO_NET_F_CSUM)
        ("guest_checks", "i8"),  # 1: it wants to know of good checksums (VIRTIO_NET_F_GUEST_CSUM)
        ("prepare", "i8"),  # VM->VF: function that makes a burst with offloads fit for `tx`, 0: none
        ("vf_checksums", "i8"),  # 1: the VF fills in checksums
        ("vf_segments", "i8"),  # 1: the VF cuts large packets
        ("queues", "i8"),  # address of an array of VRING
        ("n_queues", "i8"),
        ("next_queue", "i8"),  # VM->VF: whose turn it is
        ("regions", "i8"),  # address of an array of REGION
        ("n_regions", "i8"),
        ("region_start", "i8"),  # the region used last: guest-physical start,
        ("region_end", "i8"),  # end,
        ("region_delta", "i8"),  # and what to add for the host's address
        ("log", "i8"),  # dirty bitmap, 0: not logging
        ("log_size", "i8"),  # its bytes
        ("counters", "i8"),  # address of the shared layout.DIRECTION
        ("silent", "i8"),  # polls in a row that moved nothing
    ]
)

#: A virtqueue as mapped in this process.
VRING = np.dtype(
    [
        ("descriptors", "i8"),  # split: descriptor table; packed: descriptor ring
        ("available", "i8"),  # split: available ring; packed: driver event suppression
        ("used", "i8"),  # split: used ring; packed: device event suppression
        ("size", "i8"),
        ("ring", "i8"),  # address of the shared layout.RING
        ("call_fd", "i8"),  # eventfd, -1: none
        ("log_used", "i8"),  # guest-physical address of `used` for the dirty log, -1: none
        ("inflight", "i8"),  # address of the queue's part of the frontend's in-flight memory, 0: none
        ("index", "i8"),
        ("drain", "i8"),  # VM->VF: 1: the queue is started but disabled, its packets are dropped
        ("cursor", "i8"),  # within a burst: next available entry to look at,
        ("cursor_wrap", "i8"),  # packed: its wrap counter,
        ("cursor_end", "i8"),  # split: first entry that is not available
    ]
)

#: A range of guest memory.
REGION = np.dtype([("start", "i8"), ("end", "i8"), ("delta", "i8")])

#: What a worker's kernels share: functions and working space.
CONTEXT = np.dtype(
    [
        ("alloc", "i8"),  # ALLOC_BULK
        ("free", "i8"),  # FREE_BULK
        ("write", "i8"),  # write(2)
        ("sleep", "i8"),  # usleep(3)
        ("one", "i8"),  # address of a 64-bit 1, what is written to an eventfd
        ("scratch", "i8"),  # address of SCRATCH_SIZE bytes
        ("worker", "i8"),  # address of the shared layout.WORKER
        ("doorbell", "i8"),  # address of the doorbell
        ("order", "i8"),  # address of the array of item addresses, hot ones first
        ("n_items", "i8"),
        ("n_hot", "i8"),
        ("cold", "i8"),  # cursor over the cold items
        ("sleep_us", "i8"),  # longest sleep when nothing moves, 0: never sleep
        ("silent", "i8"),  # rounds in a row that moved nothing
        ("nap_us", "i8"),  # the last sleep, 0: none since packets moved
    ]
)

# Working space of a burst: arrays of 64-bit numbers at these offsets from CONTEXT.scratch.
PACKETS = 0  # mbufs
BUFFER = PACKETS + 8 * BURST  # host address in guest memory of each packet, 0: a chain that is walked
GUEST = BUFFER + 8 * BURST  # its guest-physical address (for the dirty log)
LENGTH = GUEST + 8 * BURST  # bytes of the packet, negative: it is not forwarded
FIRST = LENGTH + 8 * BURST  # packed: ring position of a chain's first descriptor
PICKED = FIRST + 8 * BURST  # multiqueue: the mbufs of one queue,
TARGET = PICKED + 8 * BURST  # and the queue of each mbuf
HEADER = TARGET + 8 * BURST  # a network header that goes to or comes from several buffers
SPARE = HEADER + 64  # one mbuf pointer
USED_ID = SPARE + 64  # chains to give back: head (split) or buffer id (packed),
USED_LENGTH = USED_ID + 8 * MAX_USED  # bytes written to it,
USED_COUNT = USED_LENGTH + 8 * MAX_USED  # packed: descriptors it took
SEGMENTS = USED_COUNT + 8 * MAX_USED  # buffers of the chain in hand: (guest-physical address, length)
PIECES = SEGMENTS + 16 * 2 * MAX_CHAIN  # mbufs of a packet that was cut
SCRATCH_SIZE = PIECES + 8 * MAX_PIECES
