/* Several ports that workers poll themselves as if they were one: the part of a bond that is on the packet path.
 *
 * DPDK's bonding device moves nothing in secondary processes. For the modes without a protocol of their own
 * it takes little to do without it: a table in hugepages, in which the master says which members there are and
 * which of them are in use, and the two functions below, with the signature of those in bursts.h.
 */
#ifndef VIO4WD_MEMBERS_H
#define VIO4WD_MEMBERS_H

#include <stdint.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_memzone.h>

#include "bursts.h"

/* Members of a bond at most. */
#define VIO_MEMBERS 8
/* Packets of one call at most; the workers' bursts have 32. */
#define VIO_MEMBERS_BURST 64

/* How packets are shared out among several active members. */
enum vio_sharing {
	VIO_SHARE_IN_TURN = 0,
	VIO_SHARE_BY_ADDRESS = 1, /* one member for each pair of Ethernet addresses */
	VIO_SHARE_COPIES = 2 /* all of them get every packet */
};

/* Written by the master; each mask is one word, so that who polls sees an old or a new state, not half of one. */
struct vio_members {
	uint64_t sharing;
	uint64_t count;
	uint64_t active; /* bit n: member n is sent to */
	uint64_t heard; /* bit n: what member n receives counts; of the others it is dropped */
	uint16_t ports[VIO_MEMBERS];
	/* Written by who polls; a direction has one owner. Each is on a cache line of its own. */
	uint64_t next_heard __rte_cache_aligned; /* the member that is asked first */
	uint64_t next_sent __rte_cache_aligned; /* the turn of VIO_SHARE_IN_TURN */
};

/* A table that other processes find by its name, or NULL. */
static struct vio_members *vio_members_create(const char *name, int socket)
{
	const struct rte_memzone *zone =
		rte_memzone_reserve_aligned(name, sizeof(struct vio_members), socket, 0, RTE_CACHE_LINE_SIZE);

	if (zone == NULL)
		return NULL;
	memset(zone->addr, 0, sizeof(struct vio_members));
	return zone->addr;
}

static struct vio_members *vio_members_lookup(const char *name)
{
	const struct rte_memzone *zone = rte_memzone_lookup(name);

	return zone == NULL ? NULL : zone->addr;
}

static void vio_members_free(const char *name)
{
	rte_memzone_free(rte_memzone_lookup(name));
}

/* Packets from one member of the table at a, queue b. The members take turns, because vector drivers give
 * nothing to a caller who asks for less than a few packets. Those that are not heard are emptied. */
static uint64_t vio_members_rx(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	struct vio_members *table = (struct vio_members *)(uintptr_t)a;
	struct rte_mbuf *unheard[VIO_MEMBERS_BURST];
	uint64_t heard = __atomic_load_n(&table->heard, __ATOMIC_RELAXED);
	uint64_t count = table->count;
	uint64_t found = 0;
	uint64_t member = table->next_heard;

	for (uint64_t i = 0; i < count && found == 0; i++) {
		if (++member >= count)
			member = 0;
		if (heard & (UINT64_C(1) << member)) {
			found = vio_rx_burst(table->ports[member], b, pkts, n);
		} else {
			uint16_t dropped = rte_eth_rx_burst(table->ports[member], (uint16_t)b, unheard,
							    VIO_MEMBERS_BURST);
			rte_pktmbuf_free_bulk(unheard, dropped);
		}
	}
	table->next_heard = member;
	return found;
}

/* Send to one member; the caller keeps what is behind the packets that it took. */
static uint16_t members_send(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	uint64_t offloads = 0;

	for (uint16_t i = 0; i < n; i++)
		offloads |= pkts[i]->ol_flags;
	/* What drivers want to be prepared differs from member to member, so it is not left to the caller. */
	if (offloads != 0)
		n = rte_eth_tx_prepare(port, queue, pkts, n);
	return rte_eth_tx_burst(port, queue, pkts, n);
}

/* A number that is the same for all packets between two Ethernet addresses. */
static uint64_t members_addresses(const struct rte_mbuf *pkt)
{
	const uint16_t *words = rte_pktmbuf_mtod(pkt, const uint16_t *);
	uint16_t mixed = words[0] ^ words[1] ^ words[2] ^ words[3] ^ words[4] ^ words[5];

	return mixed ^ (mixed >> 8);
}

/* Packets for several members, each to one of them; those that were not taken come to stand at the end. */
static uint16_t members_share(struct vio_members *table, const uint16_t *ports, uint64_t count, uint16_t queue,
			      struct rte_mbuf **pkts, uint16_t n)
{
	struct rte_mbuf *shares[VIO_MEMBERS][VIO_MEMBERS_BURST];
	uint16_t sizes[VIO_MEMBERS] = {0};
	uint16_t sent = 0;
	uint16_t end = n;

	for (uint16_t i = 0; i < n; i++) {
		uint64_t chosen = (table->sharing == VIO_SHARE_IN_TURN ? table->next_sent++
									: members_addresses(pkts[i])) % count;

		shares[chosen][sizes[chosen]++] = pkts[i];
	}
	for (uint64_t member = 0; member < count; member++) {
		uint16_t size = sizes[member];
		uint16_t taken = size ? members_send(ports[member], queue, shares[member], size) : 0;

		sent += taken;
		end -= size - taken;
		memcpy(pkts + end, shares[member] + taken, (size - taken) * sizeof(pkts[0]));
	}
	return sent;
}

/* Every packet to every member; it counts as sent where one took it. Each has a reference of its own. */
static uint16_t members_copy(const uint16_t *ports, uint64_t count, uint16_t queue, struct rte_mbuf **pkts,
			     uint16_t n)
{
	uint16_t most = 0;

	for (uint64_t member = 0; member < count; member++) {
		struct rte_mbuf *copies[VIO_MEMBERS_BURST];
		uint16_t taken;

		for (uint16_t i = 0; i < n; i++)
			rte_pktmbuf_refcnt_update(pkts[i], 1);
		memcpy(copies, pkts, n * sizeof(pkts[0]));
		taken = members_send(ports[member], queue, copies, n);
		rte_pktmbuf_free_bulk(copies + taken, n - taken);
		most = RTE_MAX(most, taken);
	}
	rte_pktmbuf_free_bulk(pkts, most);
	return most;
}

/* Packets of pkts given to the active members of the table at a, queue b; the caller keeps those behind them,
 * whose order may have changed. */
static uint64_t vio_members_tx(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n)
{
	struct vio_members *table = (struct vio_members *)(uintptr_t)a;
	struct rte_mbuf **packets = (struct rte_mbuf **)(uintptr_t)pkts;
	uint64_t active = __atomic_load_n(&table->active, __ATOMIC_RELAXED);
	uint16_t ports[VIO_MEMBERS];
	uint16_t size = (uint16_t)RTE_MIN(n, (uint64_t)VIO_MEMBERS_BURST);
	uint64_t count = 0;

	for (uint64_t member = 0; member < table->count; member++)
		if (active & (UINT64_C(1) << member))
			ports[count++] = table->ports[member];
	if (count == 0)
		return 0;
	if (count == 1)
		return members_send(ports[0], (uint16_t)b, packets, size);
	if (table->sharing == VIO_SHARE_COPIES)
		return members_copy(ports, count, (uint16_t)b, packets, size);
	return members_share(table, ports, count, (uint16_t)b, packets, size);
}

#endif
