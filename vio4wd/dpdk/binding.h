/* Everything the extension module is compiled from. */
#ifndef VIO4WD_BINDING_H
#define VIO4WD_BINDING_H

#include <stddef.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_service_component.h>
#include <rte_vfio.h>

#include "compat.h"

#include "bursts.h"
#include "dma.h"
#include "guard.h"
#include "log.h"
#include "members.h"
#include "ports.h"
#include "removal.h"

static int vio_errno(void)
{
	return rte_errno;
}

/* EAL makes tables of services for each process, some 150 KiB in the heap that all share, and only the process
 * itself gives them back, when it ends in order: of those that are killed they stay. Nothing here is a service,
 * so that a secondary gives them back at once. */
static void vio_free_services(void)
{
	if (rte_eal_process_type() == RTE_PROC_SECONDARY)
		rte_service_finalize();
}

/* Offsets of the fields of struct rte_mbuf, as the compiler laid them out. */
#define MBUF_OFFSET(field) static const size_t vio_mbuf_##field = offsetof(struct rte_mbuf, field)
MBUF_OFFSET(buf_addr);
MBUF_OFFSET(data_off);
MBUF_OFFSET(refcnt);
MBUF_OFFSET(nb_segs);
MBUF_OFFSET(port);
MBUF_OFFSET(ol_flags);
MBUF_OFFSET(packet_type);
MBUF_OFFSET(pkt_len);
MBUF_OFFSET(data_len);
MBUF_OFFSET(vlan_tci);
MBUF_OFFSET(buf_len);
MBUF_OFFSET(pool);
MBUF_OFFSET(next);
MBUF_OFFSET(tx_offload);
static const size_t vio_mbuf_rss = offsetof(struct rte_mbuf, hash.rss);
static const size_t vio_mbuf_size = sizeof(struct rte_mbuf);

static unsigned int vio_pool_size(const struct rte_mempool *pool)
{
	return pool->size;
}

/* Give back what the calling thread's lcore keeps to itself. */
static void vio_pool_flush(struct rte_mempool *pool)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(pool, rte_lcore_id());

	if (cache != NULL)
		rte_mempool_cache_flush(cache, pool);
}

/* An aborted operation of a dead process on a ring leaves head and tail apart. Entries that were being
 * put in are dropped (they may never have been written), entries that were being taken out count as
 * taken (they may have been sent): nothing is delivered twice. Nobody else may use the ring meanwhile. */
static void vio_ring_repair(struct rte_ring *ring)
{
	ring->prod.head = ring->prod.tail;
	ring->cons.tail = ring->cons.head;
}

#endif
