"""The tables that master, workers and tools share: names, meanings and units of every field.

One segment holds all of them. Every block has one writing process and begins on a cache line of its
own, so that a reader never slows a writer down and two writers never share a line:

=============  ==============================  =========================================
table          shape                           written by
=============  ==============================  =========================================
header         one                             master
control        one for each worker slot        master (the doorbell)
workers        one for each worker slot        that worker
relays         one for each relay              master
queues         relay x virtqueue               master (set-up)
rings          relay x virtqueue               the worker that owns the queue's direction
directions     relay x direction x lane        the worker that owns the lane
=============  ==============================  =========================================

Fields that kernels compute with are signed 64-bit numbers (numba would turn a mix of signed and
unsigned into floating point); addresses and cycle counts fit in 63 bits.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from vio4wd.limits import MAX_LANES, MAX_QUEUES, MAX_RELAYS, MAX_WORKERS

MAGIC: Final = 0x56494F345744  # "VIO4WD"
LAYOUT_VERSION: Final = 3

# Directions of a relay, and the index of its record in `directions[relay]`.
VF_TO_VM: Final = 0
VM_TO_VF: Final = 1
DIRECTION_NAMES: Final = ("vf_to_vm", "vm_to_vf")
#: Columns of the relay table that name their owners.
SLOT_COLUMNS: Final = ("vf_to_vm_slot", "vm_to_vf_slot")

# WORKER.state
WORKER_ABSENT: Final = 0
WORKER_RUNNING: Final = 1
WORKER_STOPPED: Final = 2
WORKER_STATE_NAMES: Final = ("absent", "running", "stopped")

# RELAY.vf_state and RELAY.vm_state; the names are those of the statistics protocol.
VF_UNINIT: Final = 0
VF_ADDED: Final = 1
VF_READY: Final = 2
VF_STATE_NAMES: Final = ("DPDK_UNINIT", "DPDK_ADDED", "DPDK_READY")
VM_UNINIT: Final = 0
VM_READY: Final = 1
VM_STATE_NAMES: Final = ("VIRTIO_UNINIT", "VIRTIO_READY")

# RING.error: why a ring was stopped (0: it was not).
RING_OK: Final = 0
RING_BAD_AVAIL_INDEX: Final = 1
RING_BAD_HEAD: Final = 2
RING_BAD_ADDRESS: Final = 3
RING_CHAIN_TOO_LONG: Final = 4
RING_BAD_INDIRECT: Final = 5
RING_BAD_DIRECTION: Final = 6
RING_SHORT_CHAIN: Final = 7
RING_MEMORY_GONE: Final = 8
RING_ERROR_NAMES: Final = (
    "none",
    "available index is more than a ring ahead",
    "descriptor number outside the table",
    "address outside the guest's memory",
    "descriptor chain too long or endless",
    "malformed indirect table",
    "descriptor with the wrong direction",
    "chain shorter than the network header",
    "the guest's memory file was truncated",
)

CACHE_LINE: Final = 128  # two lines: the adjacent-line prefetcher fetches pairs


def _block(fields: list[tuple[str, str] | tuple[str, str, int]], size: int) -> np.dtype[np.void]:
    """A dtype with C alignment whose size is exactly `size` bytes, a multiple of the cache line.

    Raises:
        ValueError: the fields do not fit.
    """
    packed: np.dtype[Any] = np.dtype(fields, align=True)
    if packed.itemsize > size or size % CACHE_LINE:
        raise ValueError(f"{packed.itemsize} bytes of fields do not fit a block of {size}")
    names = packed.names or ()
    members: Any = packed.fields
    places = [members[name] for name in names]
    spec: Any = {
        "names": list(names),
        "formats": [place[0] for place in places],
        "offsets": [place[1] for place in places],
        "itemsize": size,
    }
    block: np.dtype[np.void] = np.dtype(spec)
    return block


#: Written once by the master when it creates the segment.
HEADER = _block(
    [
        ("magic", "i8"),  # MAGIC
        ("version", "i8"),  # LAYOUT_VERSION
        ("master_pid", "i8"),
        ("master_start_time", "i8"),  # of the process, clock ticks since boot (/proc/PID/stat, field 22)
        ("tsc_hz", "i8"),  # cycles a second of the time stamp counter
        ("created_ns", "i8"),  # CLOCK_REALTIME
    ],
    CACHE_LINE,
)

#: What the master tells a worker without a message. Slot n belongs to the n-th CPU of the mask.
CONTROL = _block(
    [
        ("doorbell", "i8"),  # raised by one for each message sent; the kernel returns when it changes
        ("cpu", "i8"),  # CPU number this slot's worker runs on, -1: slot unused
    ],
    CACHE_LINE,
)

#: A worker's own account. Cycles are those of the time stamp counter.
WORKER = _block(
    [
        ("pid", "i8"),
        ("start_time", "i8"),  # as HEADER.master_start_time
        ("cpu", "i8"),
        ("numa_node", "i8"),
        ("state", "i8"),  # WORKER_*
        ("heartbeat", "i8"),  # TSC at the last return to Python or the last 1024 loops
        ("loops", "i8"),  # iterations over the work items
        ("busy_cycles", "i8"),  # spent in bursts that moved packets
        ("total_cycles", "i8"),  # spent in the kernel, sleeping included
        ("idle_cycles", "i8"),  # of these, spent asleep
        ("bursts", "i8"),  # bursts that moved packets
        ("packets", "i8"),  # packets they moved
        ("sleeps", "i8"),  # times it slept because there was nothing to do
        ("longest_cycles", "i8"),  # longest single burst since the worker's start
        ("longest_relay", "i8"),  # ... which relay it was for, -1: none yet
        ("longest_direction", "i8"),  # ... and which direction
        ("longest_packets", "i8"),  # ... and how many packets it moved
        ("items", "i8"),  # lanes of directions it serves
    ],
    2 * CACHE_LINE,
)

#: A relay's set-up, as the master sees it.
RELAY = _block(
    [
        ("vf_state", "i8"),  # VF_*
        ("vm_state", "i8"),  # VM_*
        ("lanes", "i8"),  # of each direction at present, 1 at least
        ("vf_to_vm_slot", "i8", MAX_LANES),  # worker slot that owns each lane, -1: none
        ("vm_to_vf_slot", "i8", MAX_LANES),
        ("numa_node", "i8"),  # of the packet pool
        ("port_id", "i8"),  # DPDK port, -1: none
        ("vf_queues", "i8"),  # queue pairs of the VF in use, 0: no VF
        ("pumped", "i8"),  # 1: the master's pump polls the port
        ("link_up", "i8"),  # 1: the VF's link is up
        ("features", "i8"),  # virtio feature bits the guest acknowledged
        ("queue_pairs", "i8"),  # pairs the guest set up
        ("mtu", "i8"),  # bytes
        ("pool_size", "i8"),  # mbufs in the pool
        ("pool_free", "i8"),  # of these, free, counted now and then by the master
        ("guest_connections", "i8"),  # frontends that have connected since the relay's socket exists
        ("port_imissed", "i8"),  # packets the VF dropped for want of descriptors, as the driver counts
        ("port_ierrors", "i8"),  # packets the VF received broken
        ("port_oerrors", "i8"),  # packets the VF failed to send
        ("device", "S256"),  # PCI address, DPDK device string or bond name, UTF-8
        ("socket", "S112"),  # path of the vhost-user socket, UTF-8
        ("peer", "S64"),  # who is connected, e.g. "pid 4711 (qemu-system-x86)"
    ],
    6 * CACHE_LINE,
)

#: A virtqueue's set-up as negotiated; even numbers receive (VF->VM), odd ones transmit (VM->VF).
QUEUE = _block(
    [
        ("ready", "i8"),  # 1: started (kicked, with addresses) and enabled
        ("size", "i8"),  # entries
        ("packed", "i8"),  # 1: packed ring
        ("event_idx", "i8"),  # 1: VIRTIO_F_EVENT_IDX
        ("header_size", "i8"),  # bytes of the virtio-net header: 10 or 12
        ("lane", "i8"),  # of its direction that serves it
    ],
    CACHE_LINE,
)

#: A virtqueue's position. It outlives its worker: the next owner goes on here, and GET_VRING_BASE
#: answers from here.
RING = _block(
    [
        ("last_avail", "i8"),  # next available entry to take: split 0..65535, packed 0..size-1
        ("used", "i8"),  # next used entry to write, likewise
        ("avail_wrap", "i8"),  # packed: wrap counter of last_avail (0 or 1)
        ("used_wrap", "i8"),  # packed: wrap counter of used
        # Packed: what is being given back, or was last, for the next owner if this one dies on the way.
        # Bits 0-15: position behind it; 16-31: where it begins; 32-39, 40-47: wrap counters of the two.
        # 0: nothing since `used` was set.
        ("step", "i8"),
        ("signalled", "i8"),  # split: used index at the last interrupt (event index); -1: none yet
        ("error", "i8"),  # RING_*: why the ring was stopped
        ("error_detail", "i8"),  # the offending value
        ("packets", "i8"),
        ("bytes", "i8"),
        ("interrupts", "i8"),  # sent to the guest
        ("depth", "i8"),  # available entries seen by the last poll
    ],
    CACHE_LINE,
)

#: Counters of one lane of a direction. They start at 0 when a VF is attached.
DIRECTION = _block(
    [
        ("packets_in", "i8"),  # taken from the source (VF or guest)
        ("bytes_in", "i8"),
        ("packets_out", "i8"),  # handed to the destination
        ("bytes_out", "i8"),
        ("dropped_full", "i8"),  # the destination's queue had no room
        ("dropped_full_bytes", "i8"),
        ("dropped_unconnected", "i8"),  # there was no destination
        ("dropped_unconnected_bytes", "i8"),
        ("dropped_invalid", "i8"),  # malformed: no Ethernet header, too long, broken offload request
        ("dropped_invalid_bytes", "i8"),
        # Times the packet pool was empty: at the start of a burst (the guest's packets wait), or in the
        # middle of a long packet (it is dropped and counted as invalid).
        ("dropped_no_mbuf", "i8"),
        ("busy_cycles", "i8"),  # spent in bursts that moved packets
        ("polls", "i8"),  # bursts, empty ones included
        ("bursts", "i8"),  # bursts that moved packets
        # How long packets were in our hands: from the poll that found them until all of their burst was
        # handed over. One sample for a burst; entry n counts those of 2^n <= cycles < 2^(n+1).
        ("latency_samples", "i8"),
        ("latency_histogram", "i8", 32),
    ],
    3 * CACHE_LINE,
)


def _tables() -> np.dtype[np.void]:
    return np.dtype(
        [
            ("header", HEADER),
            ("control", CONTROL, MAX_WORKERS),
            ("workers", WORKER, MAX_WORKERS),
            ("relays", RELAY, MAX_RELAYS),
            ("queues", QUEUE, (MAX_RELAYS, MAX_QUEUES)),
            ("rings", RING, (MAX_RELAYS, MAX_QUEUES)),
            ("directions", DIRECTION, (MAX_RELAYS, 2, MAX_LANES)),
        ]
    )


#: The whole segment.
TABLES = _tables()

Tables = npt.NDArray[np.void]  # an array of TABLES with one element, or that element (np.void)
