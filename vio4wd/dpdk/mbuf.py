"""struct rte_mbuf as a numpy dtype: the compiler's offsets, signed where kernels compute."""

from __future__ import annotations

from typing import Final

import numpy as np

from vio4wd.dpdk._binding import lib

_FIELDS: Final = (
    ("buf_addr", "i8"),  # address of the buffer
    ("data_off", "u2"),  # where the packet begins in it
    ("refcnt", "u2"),  # 1 for a packet with one owner
    ("nb_segs", "u2"),  # mbufs in the chain (first mbuf)
    ("port", "u2"),  # where it was received
    ("ol_flags", "i8"),  # RX_*, TX_*
    ("packet_type", "u4"),  # what the hardware recognised
    ("pkt_len", "u4"),  # bytes of the whole chain (first mbuf)
    ("data_len", "u2"),  # bytes in this mbuf
    ("vlan_tci", "u2"),
    ("rss", "u4"),  # flow hash, with RX_RSS_HASH
    ("buf_len", "u2"),  # bytes of the buffer, headroom included
    ("pool", "i8"),  # address of its pool
    ("next", "i8"),  # address of the next mbuf of the chain, 0: the last
    ("tx_offload", "i8"),  # l2_len:7, l3_len:9, l4_len:8, tso_segsz:16 from the lowest bit
)

#: 128 bytes; an mbuf lies on two cache lines.
MBUF: Final = np.dtype(
    {
        "names": [name for name, _ in _FIELDS],
        "formats": [kind for _, kind in _FIELDS],
        "offsets": [getattr(lib, f"vio_mbuf_{name}") for name, _ in _FIELDS],
        "itemsize": lib.vio_mbuf_size,
    }
)

#: Bytes before the packet in a fresh mbuf.
HEADROOM: Final = int(lib.RTE_PKTMBUF_HEADROOM)

RX_VLAN: Final = int(lib.RTE_MBUF_F_RX_VLAN)
RX_VLAN_STRIPPED: Final = int(lib.RTE_MBUF_F_RX_VLAN_STRIPPED)
RX_RSS_HASH: Final = int(lib.RTE_MBUF_F_RX_RSS_HASH)
RX_IP_CKSUM_MASK: Final = int(lib.RTE_MBUF_F_RX_IP_CKSUM_MASK)
RX_IP_CKSUM_BAD: Final = int(lib.RTE_MBUF_F_RX_IP_CKSUM_BAD)
RX_IP_CKSUM_GOOD: Final = int(lib.RTE_MBUF_F_RX_IP_CKSUM_GOOD)
RX_L4_CKSUM_MASK: Final = int(lib.RTE_MBUF_F_RX_L4_CKSUM_MASK)
RX_L4_CKSUM_BAD: Final = int(lib.RTE_MBUF_F_RX_L4_CKSUM_BAD)
RX_L4_CKSUM_GOOD: Final = int(lib.RTE_MBUF_F_RX_L4_CKSUM_GOOD)
RX_LRO: Final = int(lib.RTE_MBUF_F_RX_LRO)
TX_TCP_SEG: Final = int(lib.RTE_MBUF_F_TX_TCP_SEG)
TX_UDP_SEG: Final = int(lib.RTE_MBUF_F_TX_UDP_SEG)
TX_TCP_CKSUM: Final = int(lib.RTE_MBUF_F_TX_TCP_CKSUM)
TX_UDP_CKSUM: Final = int(lib.RTE_MBUF_F_TX_UDP_CKSUM)
TX_L4_MASK: Final = int(lib.RTE_MBUF_F_TX_L4_MASK)
TX_IP_CKSUM: Final = int(lib.RTE_MBUF_F_TX_IP_CKSUM)
TX_IPV4: Final = int(lib.RTE_MBUF_F_TX_IPV4)
TX_IPV6: Final = int(lib.RTE_MBUF_F_TX_IPV6)
