/* Devices that the kernel wants back.
 *
 * Before the kernel takes a device from under vfio-pci (virtual functions are disabled, the card is pulled)
 * it asks the process that has it open, and waits. DPDK passes the question on from its interrupt thread;
 * here it becomes a flag, which is looked at now and then by who can detach the device in order.
 */
#ifndef VIO4WD_REMOVAL_H
#define VIO4WD_REMOVAL_H

#include <stdio.h>

#include <rte_dev.h>

#include "compat.h"

static struct removal_watch {
	char device[64];
	int wanted;
} removal_watches[RTE_MAX_ETHPORTS];

static void removal_asked(const char *device, enum rte_dev_event_type event, void *watch)
{
	(void)device;
	if (event == RTE_DEV_EVENT_REMOVE)
		__atomic_store_n(&((struct removal_watch *)watch)->wanted, 1, __ATOMIC_RELEASE);
}

/* Watch over the device of a port. 0 or a negative errno. */
static int vio_removal_watch(uint16_t port, const char *device)
{
	struct removal_watch *watch = &removal_watches[port];

	snprintf(watch->device, sizeof(watch->device), "%s", device);
	watch->wanted = 0;
	return rte_dev_event_callback_register(watch->device, removal_asked, watch);
}

static void vio_removal_unwatch(uint16_t port)
{
	struct removal_watch *watch = &removal_watches[port];

	rte_dev_event_callback_unregister(watch->device, removal_asked, watch);
}

static int vio_removal_wanted(uint16_t port)
{
	return __atomic_load_n(&removal_watches[port].wanted, __ATOMIC_ACQUIRE);
}

#endif
