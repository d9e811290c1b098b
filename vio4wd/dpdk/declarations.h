/* What Python may call: the declarations that cffi reads (it knows no preprocessor). */

/* log.h */
int vio_log_open(void);
void vio_log_mark(void);
void vio_log_quiet(int quiet);
void vio_log_since_mark(char *text, size_t size);

/* EAL */
int rte_eal_init(int argc, char **argv);
void vio_free_services(void);
int rte_eal_cleanup(void);
const char *rte_version(void);
const char *rte_strerror(int error);
int vio_errno(void);
uint64_t rte_get_tsc_hz(void);
int rte_vfio_is_enabled(const char *module);

/* Devices and ports */
struct vio_port_info {
	char device[64];
	char bus[32];
	char driver[64];
	int socket;
	uint32_t if_index;
	uint32_t min_mtu;
	uint32_t max_mtu;
	uint32_t max_rx_pktlen;
	uint32_t max_rx_queues;
	uint32_t max_tx_queues;
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	uint64_t rss_functions;
};

struct vio_port_request {
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t rx_descriptors;
	uint16_t tx_descriptors;
	uint32_t mtu;
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	uint64_t rss_functions;
	int socket;
	struct rte_mempool *pool;
};

struct rte_eth_stats {
	uint64_t ipackets;
	uint64_t opackets;
	uint64_t ibytes;
	uint64_t obytes;
	uint64_t imissed;
	uint64_t ierrors;
	uint64_t oerrors;
	uint64_t rx_nombuf;
	...;
};

struct rte_ether_addr {
	uint8_t addr_bytes[6];
	...;
};

#define RTE_MAX_ETHPORTS ...

int rte_dev_probe(const char *devargs);
int vio_device_probe(const char *devargs, int is_vdev);
int vio_ports_of_device(const char *name, uint16_t *ports, int max);
int vio_ports_used(void);
int vio_device_remove(uint16_t port, int close_first);
int vio_port_get_info(uint16_t port, struct vio_port_info *info);
int vio_port_configure(uint16_t port, struct vio_port_request *request, const char **step);
int vio_port_link(uint16_t port, uint32_t *speed);
int vio_burst_origin(uint16_t port, int transmit, char *library, size_t size, uint64_t *offset);
int rte_eth_dev_is_valid_port(uint16_t port);
int rte_eth_dev_is_removed(uint16_t port);
int rte_eth_dev_start(uint16_t port);
int rte_eth_dev_stop(uint16_t port);
int rte_eth_dev_get_mtu(uint16_t port, uint16_t *mtu);
int rte_eth_macaddr_get(uint16_t port, struct rte_ether_addr *address);
int rte_eth_dev_default_mac_addr_set(uint16_t port, struct rte_ether_addr *address);
int rte_eth_promiscuous_enable(uint16_t port);
int rte_eth_allmulticast_enable(uint16_t port);
int rte_eth_stats_get(uint16_t port, struct rte_eth_stats *stats);

/* dma.h */
int vio_dma_map_pages(void);

/* removal.h */
int vio_removal_watch(uint16_t port, const char *device);
void vio_removal_unwatch(uint16_t port);
int vio_removal_wanted(uint16_t port);

/* Bonds */
int rte_eth_bond_create(const char *name, uint8_t mode, uint8_t socket);
int rte_eth_bond_member_add(uint16_t bond, uint16_t member);
int rte_eth_bond_member_remove(uint16_t bond, uint16_t member);
int rte_eth_bond_active_members_get(uint16_t bond, uint16_t members[], uint16_t max);

/* members.h */
#define VIO_MEMBERS ...
#define VIO_SHARE_IN_TURN ...
#define VIO_SHARE_BY_ADDRESS ...
#define VIO_SHARE_COPIES ...
struct vio_members {
	uint64_t sharing;
	uint64_t count;
	uint64_t active;
	uint64_t heard;
	uint16_t ports[8];
	...;
};
struct vio_members *vio_members_create(const char *name, int socket);
struct vio_members *vio_members_lookup(const char *name);
void vio_members_free(const char *name);
uint64_t vio_members_rx(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_members_tx(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);

/* Pools */
struct rte_mbuf;
struct rte_mempool;
struct rte_mempool *rte_pktmbuf_pool_create_by_ops(const char *name, unsigned n, unsigned cache,
						   uint16_t private_size, uint16_t data_room, int socket,
						   const char *ops_name);
struct rte_mempool *rte_mempool_lookup(const char *name);
void rte_mempool_free(struct rte_mempool *pool);
unsigned int rte_mempool_avail_count(const struct rte_mempool *pool);
unsigned int vio_pool_size(const struct rte_mempool *pool);
void vio_pool_flush(struct rte_mempool *pool);
uint16_t rte_pktmbuf_data_room_size(struct rte_mempool *pool);

/* Rings */
#define RING_F_SP_ENQ ...
#define RING_F_SC_DEQ ...
struct rte_ring;
struct rte_ring *rte_ring_create(const char *name, unsigned count, int socket, unsigned flags);
struct rte_ring *rte_ring_lookup(const char *name);
void rte_ring_free(struct rte_ring *ring);
unsigned rte_ring_count(const struct rte_ring *ring);
unsigned rte_ring_get_capacity(const struct rte_ring *ring);
void vio_ring_repair(struct rte_ring *ring);

/* bursts.h */
uint64_t vio_rx_burst(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_tx_burst(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_tx_prepare(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_ring_dequeue(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_ring_enqueue(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_ring_room(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_alloc_bulk(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_free_bulk(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);
uint64_t vio_sleep_us(uint64_t a, uint64_t b, uint64_t pkts, uint64_t n);

/* guard.h */
int vio_guard_install(void);
int vio_guard_add(uint64_t address, uint64_t size);
void vio_guard_remove(int slot);
int vio_guard_tripped(int slot);

/* struct rte_mbuf */
static const size_t vio_mbuf_buf_addr;
static const size_t vio_mbuf_data_off;
static const size_t vio_mbuf_refcnt;
static const size_t vio_mbuf_nb_segs;
static const size_t vio_mbuf_port;
static const size_t vio_mbuf_ol_flags;
static const size_t vio_mbuf_packet_type;
static const size_t vio_mbuf_pkt_len;
static const size_t vio_mbuf_data_len;
static const size_t vio_mbuf_vlan_tci;
static const size_t vio_mbuf_rss;
static const size_t vio_mbuf_buf_len;
static const size_t vio_mbuf_pool;
static const size_t vio_mbuf_next;
static const size_t vio_mbuf_tx_offload;
static const size_t vio_mbuf_size;

#define RTE_PKTMBUF_HEADROOM ...
static const unsigned long long RTE_MBUF_F_RX_VLAN;
static const unsigned long long RTE_MBUF_F_RX_RSS_HASH;
static const unsigned long long RTE_MBUF_F_RX_VLAN_STRIPPED;
static const unsigned long long RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const unsigned long long RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const unsigned long long RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const unsigned long long RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const unsigned long long RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const unsigned long long RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const unsigned long long RTE_MBUF_F_RX_LRO;
static const unsigned long long RTE_MBUF_F_TX_UDP_SEG;
static const unsigned long long RTE_MBUF_F_TX_TCP_SEG;
static const unsigned long long RTE_MBUF_F_TX_TCP_CKSUM;
static const unsigned long long RTE_MBUF_F_TX_UDP_CKSUM;
static const unsigned long long RTE_MBUF_F_TX_L4_MASK;
static const unsigned long long RTE_MBUF_F_TX_IP_CKSUM;
static const unsigned long long RTE_MBUF_F_TX_IPV4;
static const unsigned long long RTE_MBUF_F_TX_IPV6;

/* Offload capabilities */
static const unsigned long long RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const unsigned long long RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const unsigned long long RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const unsigned long long RTE_ETH_RX_OFFLOAD_SCATTER;
static const unsigned long long RTE_ETH_RX_OFFLOAD_RSS_HASH;
static const unsigned long long RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const unsigned long long RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
static const unsigned long long RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const unsigned long long RTE_ETH_TX_OFFLOAD_TCP_TSO;
static const unsigned long long RTE_ETH_TX_OFFLOAD_UDP_TSO;
static const unsigned long long RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const unsigned long long RTE_ETH_RSS_IP;
static const unsigned long long RTE_ETH_RSS_TCP;
static const unsigned long long RTE_ETH_RSS_UDP;
static const unsigned long long RTE_ETH_RSS_SCTP;
