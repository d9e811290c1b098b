/* What a kernel calls, all with one signature so that one intrinsic calls them all:
 *
 *     uint64_t f(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
 *
 * pkts is the address of an array of n mbuf pointers. DPDK's burst functions are inline and cannot be
 * called by address; these wrappers are compiled once, with the compiler's full knowledge of them.
 */
#ifndef VIO4WD_BURSTS_H
#define VIO4WD_BURSTS_H

#include <stdint.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>

/* Packets received from queue b of port a into pkts, at most n. */
static uint64_t vio_rx_burst(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	return rte_eth_rx_burst((uint16_t)a, (uint16_t)b, (struct rte_mbuf **)(uintptr_t)pkts, (uint16_t)n);
}

/* Packets of pkts given to queue b of port a; the caller keeps those behind them. */
static uint64_t vio_tx_burst(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	return rte_eth_tx_burst((uint16_t)a, (uint16_t)b, (struct rte_mbuf **)(uintptr_t)pkts, (uint16_t)n);
}

/* Packets of pkts, from the first on, that queue b of port a can send with the offloads they ask for;
 * pseudo-header checksums are brought into the form that the hardware wants. */
static uint64_t vio_tx_prepare(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	return rte_eth_tx_prepare((uint16_t)a, (uint16_t)b, (struct rte_mbuf **)(uintptr_t)pkts, (uint16_t)n);
}

/* Entries taken from ring a, at most n. One consumer only. */
static uint64_t vio_ring_dequeue(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	(void)b;
	return rte_ring_sc_dequeue_burst((struct rte_ring *)(uintptr_t)a, (void **)(uintptr_t)pkts, (unsigned int)n,
					 NULL);
}

/* Entries of pkts put into ring a, at most n. One producer only. */
static uint64_t vio_ring_enqueue(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	(void)b;
	return rte_ring_sp_enqueue_burst((struct rte_ring *)(uintptr_t)a, (void *const *)(uintptr_t)pkts,
					 (unsigned int)n, NULL);
}

/* Room in ring a. */
static uint64_t vio_ring_room(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	(void)b;
	(void)pkts;
	(void)n;
	return rte_ring_free_count((struct rte_ring *)(uintptr_t)a);
}

/* n mbufs of pool a, or 0 and none. They are raw: the caller writes every field that it or a driver reads
 * (refcnt 1, nb_segs 1 and next NULL hold for mbufs in a pool). */
static uint64_t vio_alloc_bulk(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	(void)b;
	return rte_mempool_get_bulk((struct rte_mempool *)(uintptr_t)a, (void **)(uintptr_t)pkts, (unsigned int)n)
		       ? 0
		       : n;
}

/* Give n packets, chains included, back to the pools they came from. */
static uint64_t vio_free_bulk(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	(void)a;
	(void)b;
	rte_pktmbuf_free_bulk((struct rte_mbuf **)(uintptr_t)pkts, (unsigned int)n);
	return n;
}

/* Sleep for a microseconds. */
static uint64_t vio_sleep_us(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	(void)b;
	(void)pkts;
	(void)n;
	rte_delay_us_sleep((unsigned int)a);
	return 0;
}

#endif
