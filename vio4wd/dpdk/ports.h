/* Devices and their ports: what needs DPDK's structures, in a form that needs none of them. */
#ifndef VIO4WD_PORTS_H
#define VIO4WD_PORTS_H

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bus_vdev.h>
#include <rte_devargs.h>

#include "compat.h"

/* Every port there is; DPDK's own macros leave out ports that another port owns. */
#define FOREACH_PORT(port) \
	for (port = 0; port < RTE_MAX_ETHPORTS; port++) \
		if (rte_eth_dev_is_valid_port(port))

struct vio_port_info {
	char device[64]; /* name on its bus */
	char bus[32];
	char driver[64];
	int socket; /* NUMA node, -1: none */
	uint32_t if_index; /* network interface of the kernel behind it, 0: none */
	uint32_t min_mtu;
	uint32_t max_mtu; /* the driver's word, UINT16_MAX where it does not say */
	uint32_t max_rx_pktlen;
	uint32_t max_rx_queues;
	uint32_t max_tx_queues;
	uint64_t rx_offloads; /* capabilities: RTE_ETH_RX_OFFLOAD_* */
	uint64_t tx_offloads; /* capabilities: RTE_ETH_TX_OFFLOAD_* */
	uint64_t rss_functions; /* RTE_ETH_RSS_* */
};

struct vio_port_request {
	uint16_t rx_queues;
	uint16_t tx_queues;
	uint16_t rx_descriptors; /* brought into the driver's limits, the result is written here */
	uint16_t tx_descriptors;
	uint32_t mtu;
	uint64_t rx_offloads;
	uint64_t tx_offloads;
	uint64_t rss_functions; /* 0: no hash */
	int socket;
	struct rte_mempool *pool;
};

/* 0 or a negative errno. */
static int vio_port_get_info(uint16_t port, struct vio_port_info *info)
{
	struct rte_eth_dev_info dev;
	int status = rte_eth_dev_info_get(port, &dev);

	memset(info, 0, sizeof(*info));
	if (status < 0)
		return status;
	if (dev.device != NULL) {
		snprintf(info->device, sizeof(info->device), "%s", compat_device_name(dev.device));
		snprintf(info->bus, sizeof(info->bus), "%s", compat_bus_name(dev.device));
	}
	snprintf(info->driver, sizeof(info->driver), "%s", dev.driver_name ? dev.driver_name : "");
	info->socket = rte_eth_dev_socket_id(port);
	info->if_index = dev.if_index;
	info->min_mtu = dev.min_mtu;
	info->max_mtu = dev.max_mtu;
	info->max_rx_pktlen = dev.max_rx_pktlen;
	info->max_rx_queues = dev.max_rx_queues;
	info->max_tx_queues = dev.max_tx_queues;
	info->rx_offloads = dev.rx_offload_capa;
	info->tx_offloads = dev.tx_offload_capa;
	info->rss_functions = dev.flow_type_rss_offloads;
	return 0;
}

/* The ports of the device with this name into ports, at most max; their number. */
static int vio_ports_of_device(const char *name, uint16_t *ports, int max)
{
	int found = 0;
	uint16_t port;

	FOREACH_PORT(port) {
		struct rte_eth_dev_info dev;

		if (found == max)
			break;
		if (rte_eth_dev_info_get(port, &dev) == 0 && dev.device != NULL &&
		    strcmp(compat_device_name(dev.device), name) == 0)
			ports[found++] = port;
	}
	return found;
}

static int vio_ports_used(void)
{
	int used = 0;
	uint16_t port;

	FOREACH_PORT(port)
		used++;
	return used;
}

/* Probe a device in this process alone: rte_dev_probe would have the secondaries probe it at once, before it
 * has queues, and they would keep the state of that moment. 0 or a negative errno. */
static int vio_device_probe(const char *devargs, int is_vdev)
{
	struct rte_devargs *listed = calloc(1, sizeof(*listed));
	int status;

	if (listed == NULL)
		return -ENOMEM;
	status = rte_devargs_parse(listed, devargs);
	if (status < 0) {
		rte_devargs_reset(listed);
		free(listed);
		return status;
	}
	if (is_vdev) {
		status = rte_vdev_init(listed->name, listed->args);
		rte_devargs_reset(listed);
		free(listed);
		return status > 0 ? -ENODEV : status;
	}
	/* Its arguments on the list are what lets a bus with an allow-list see the device. */
	status = rte_devargs_insert(&listed);
	if (status == 0)
		status = rte_bus_scan();
	return status < 0 ? status : rte_bus_probe();
}

/* Remove the device of a port, here and in the secondaries: they let go of it first, then its driver closes
 * the port. The bonding driver alone does not close a stopped port when it is removed: close_first.
 * 0 or a negative errno. */
static int vio_device_remove(uint16_t port, int close_first)
{
	struct rte_eth_dev_info dev;
	char name[RTE_DEV_NAME_MAX_LEN];
	int is_vdev;
	int status = rte_eth_dev_info_get(port, &dev);

	if (status < 0)
		return status;
	if (dev.device == NULL)
		return -ENODEV;
	snprintf(name, sizeof(name), "%s", compat_device_name(dev.device));
	is_vdev = strcmp(compat_bus_name(dev.device), "vdev") == 0;
	if (close_first) {
		status = rte_eth_dev_close(port);
		if (status < 0)
			return status;
	}
	status = rte_dev_remove(dev.device);
	/* A secondary that could not probe it cannot remove it either, and DPDK then refuses altogether. */
	return status < 0 && is_vdev ? rte_vdev_uninit(name) : status;
}

/* Configure a stopped port and its queues. 0 or a negative errno; then step names what failed. */
static int vio_port_configure(uint16_t port, struct vio_port_request *request, const char **step)
{
	struct rte_eth_dev_info dev;
	struct rte_eth_conf conf;
	struct rte_eth_rxconf rx;
	struct rte_eth_txconf tx;
	int socket = request->socket;
	int status;

	*step = "asking what it can do";
	status = rte_eth_dev_info_get(port, &dev);
	if (status < 0)
		return status;
	memset(&conf, 0, sizeof(conf));
	conf.rxmode.mtu = request->mtu;
	conf.rxmode.offloads = request->rx_offloads;
	conf.rxmode.mq_mode = request->rss_functions ? RTE_ETH_MQ_RX_RSS : RTE_ETH_MQ_RX_NONE;
	conf.rx_adv_conf.rss_conf.rss_hf = request->rss_functions;
	conf.txmode.offloads = request->tx_offloads;
	*step = "configuring the device";
	status = rte_eth_dev_configure(port, request->rx_queues, request->tx_queues, &conf);
	if (status < 0)
		return status;
	*step = "choosing the number of descriptors";
	status = rte_eth_dev_adjust_nb_rx_tx_desc(port, &request->rx_descriptors, &request->tx_descriptors);
	if (status < 0)
		return status;
	/* Configuring may have changed the defaults. */
	status = rte_eth_dev_info_get(port, &dev);
	if (status < 0)
		return status;
	rx = dev.default_rxconf;
	rx.offloads = request->rx_offloads;
	tx = dev.default_txconf;
	tx.offloads = request->tx_offloads;
	*step = "setting up a receive queue";
	for (uint16_t queue = 0; queue < request->rx_queues; queue++) {
		status = rte_eth_rx_queue_setup(port, queue, request->rx_descriptors, (unsigned int)socket, &rx,
						request->pool);
		if (status < 0)
			return status;
	}
	*step = "setting up a transmit queue";
	for (uint16_t queue = 0; queue < request->tx_queues; queue++) {
		status = rte_eth_tx_queue_setup(port, queue, request->tx_descriptors, (unsigned int)socket, &tx);
		if (status < 0)
			return status;
	}
	*step = "";
	return 0;
}

/* 1: link up, 0: down, or a negative errno. */
static int vio_port_link(uint16_t port, uint32_t *speed)
{
	struct rte_eth_link link;
	int status;

	memset(&link, 0, sizeof(link));
	status = rte_eth_link_get_nowait(port, &link);
	*speed = link.link_speed;
	return status < 0 ? status : link.link_status == RTE_ETH_LINK_UP;
}

/* Where the function that receives (or sends) on a port comes from: base name of its library and offset
 * in it, comparable between processes. 0, or -1 when there is no such function. */
static int vio_burst_origin(uint16_t port, int transmit, char *library, size_t size, uint64_t *offset)
{
	void *function = NULL;
	Dl_info origin;
	const char *base;

	if (port < RTE_MAX_ETHPORTS)
		function = transmit ? (void *)rte_eth_fp_ops[port].tx_pkt_burst
				    : (void *)rte_eth_fp_ops[port].rx_pkt_burst;
	if (function == NULL || dladdr(function, &origin) == 0)
		return -1;
	base = strrchr(origin.dli_fname, '/');
	snprintf(library, size, "%s", base ? base + 1 : origin.dli_fname);
	*offset = (uint64_t)((uintptr_t)function - (uintptr_t)origin.dli_fbase);
	return 0;
}

#endif
