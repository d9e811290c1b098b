/* Guest memory that vanishes under a worker.
 *
 * A frontend may truncate the file behind its guest's memory; the next access raises SIGBUS and would kill
 * the worker and with it every relay on that core. So guest mappings are registered here. A fault inside
 * one puts zero pages where the file's page was and raises the region's flag; the interrupted access then
 * succeeds, and the worker, which looks at the flag once per slice, drops that relay alone.
 *
 * The handler runs on the faulting thread at any instruction: it takes no lock and calls nothing but mmap
 * and sigaction. A slot is published by its size (written last, cleared first).
 */
#ifndef VIO4WD_GUARD_H
#define VIO4WD_GUARD_H

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define GUARD_SLOTS 8192 /* 64 relays, 2 directions, 32 regions of memory, and as many being replaced */

static struct guard_slot {
	uint64_t address;
	uint64_t size; /* 0: the slot is free */
	int64_t tripped;
} guard_slots[GUARD_SLOTS];

static struct sigaction guard_previous;
static int guard_installed;

/* Zero pages over the page of the fault; huge mappings can be replaced in their own page size only. */
static int guard_replace(uint64_t fault, const struct guard_slot *slot)
{
	static const uint64_t page_sizes[] = {4096, UINT64_C(1) << 21, UINT64_C(1) << 30};

	for (size_t i = 0; i < sizeof(page_sizes) / sizeof(page_sizes[0]); i++) {
		uint64_t begin = fault & ~(page_sizes[i] - 1);

		if (begin < slot->address || begin + page_sizes[i] > slot->address + slot->size)
			return -1;
		if (mmap((void *)(uintptr_t)begin, page_sizes[i], PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED)
			return 0;
	}
	return -1;
}

static void guard_handler(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;
	uint64_t fault = (uint64_t)(uintptr_t)info->si_addr;

	(void)context;
	if (info->si_code > 0) { /* the kernel's, not another process's */
		for (int i = 0; i < GUARD_SLOTS; i++) {
			struct guard_slot *slot = &guard_slots[i];
			uint64_t size = __atomic_load_n(&slot->size, __ATOMIC_ACQUIRE);

			if (size == 0 || fault - slot->address >= size || guard_replace(fault, slot) < 0)
				continue;
			__atomic_store_n(&slot->tripped, 1, __ATOMIC_RELEASE);
			errno = saved_errno;
			return;
		}
	}
	/* Not ours: the former handler (by default death) gets the signal. The access faults again by itself. */
	sigaction(number, &guard_previous, NULL);
	guard_installed = 0;
	if (info->si_code <= 0)
		raise(number);
	errno = saved_errno;
}

/* 0 or -1 with errno. */
static int vio_guard_install(void)
{
	struct sigaction action;

	if (guard_installed)
		return 0;
	memset(&action, 0, sizeof(action));
	action.sa_sigaction = guard_handler;
	action.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, &action, &guard_previous) < 0)
		return -1;
	guard_installed = 1;
	return 0;
}

/* The slot of a new region, -1 when all are taken. One thread at a time. */
static int vio_guard_add(uint64_t address, uint64_t size)
{
	for (int i = 0; i < GUARD_SLOTS; i++) {
		struct guard_slot *slot = &guard_slots[i];

		if (slot->size != 0)
			continue;
		slot->address = address;
		__atomic_store_n(&slot->tripped, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&slot->size, size, __ATOMIC_RELEASE);
		return i;
	}
	return -1;
}

static void vio_guard_remove(int slot)
{
	__atomic_store_n(&guard_slots[slot].size, 0, __ATOMIC_RELEASE);
}

static int vio_guard_tripped(int slot)
{
	return __atomic_load_n(&guard_slots[slot].tripped, __ATOMIC_ACQUIRE) != 0;
}

#endif
