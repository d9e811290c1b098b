/* The one place that knows the differences between DPDK releases (21.11 to 24.11).
 *
 * The rest of the binding uses the names of the latest release; what an older one lacks is given here.
 */
#ifndef VIO4WD_COMPAT_H
#define VIO4WD_COMPAT_H

#include <rte_version.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_eth_bond.h>
#include <rte_ethdev.h>

#if RTE_VERSION < RTE_VERSION_NUM(21, 11, 0, 0)
#error "DPDK 21.11 or later is needed"
#endif

/* 22.11 made struct rte_device opaque and gave it accessors. */
#if RTE_VERSION >= RTE_VERSION_NUM(22, 11, 0, 0)
static inline const char *compat_device_name(const struct rte_device *device)
{
	return rte_dev_name(device);
}

static inline const char *compat_bus_name(const struct rte_device *device)
{
	return rte_bus_name(rte_dev_bus(device));
}
#else
static inline const char *compat_device_name(const struct rte_device *device)
{
	return device->name;
}

static inline const char *compat_bus_name(const struct rte_device *device)
{
	return device->bus->name;
}
#endif

/* 23.11 renamed the ports of a bond. */
#if RTE_VERSION < RTE_VERSION_NUM(23, 11, 0, 0)
#define rte_eth_bond_member_add rte_eth_bond_slave_add
#define rte_eth_bond_member_remove rte_eth_bond_slave_remove
#define rte_eth_bond_active_members_get rte_eth_bond_active_slaves_get
#endif

#endif
