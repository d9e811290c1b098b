/* Memory as devices on vfio-pci reach it.
 *
 * When a first device joins VFIO's container, EAL (IOVA as VA) maps each contiguous range of its memory as
 * one, later on page by page. The kernel undoes a mapping as a whole or not at all. So a page of such a range
 * that EAL gives back stays mapped, pinned; and when EAL takes memory at the same address again it finds it
 * "already mapped", and devices go on with the old page, which nobody else sees any more.
 * Therefore the ranges are mapped once more, page by page, before that first device moves any data.
 */
#ifndef VIO4WD_DMA_H
#define VIO4WD_DMA_H

#include <errno.h>
#include <sys/ioctl.h>

#include <linux/vfio.h>

#include <rte_eal.h>
#include <rte_memory.h>
#include <rte_vfio.h>

static int dma_map_pages(const struct rte_memseg_list *list, const struct rte_memseg *first, size_t length,
			 void *container)
{
	const int fd = *(const int *)container;
	struct vfio_iommu_type1_dma_unmap whole = {
		.argsz = sizeof(whole), .iova = first->addr_64, .size = length,
	};

	if (list->external)
		return 0;
	if (ioctl(fd, VFIO_IOMMU_UNMAP_DMA, &whole) < 0)
		return -1;
	for (size_t offset = 0; offset < length; offset += list->page_sz) {
		struct vfio_iommu_type1_dma_map page = {
			.argsz = sizeof(page),
			.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
			.vaddr = first->addr_64 + offset,
			.iova = first->addr_64 + offset,
			.size = list->page_sz,
		};

		if (ioctl(fd, VFIO_IOMMU_MAP_DMA, &page) < 0)
			return -1;
	}
	return 0;
}

/* While no device on vfio-pci is started. 0 or a negative errno. */
static int vio_dma_map_pages(void)
{
	int container = rte_vfio_get_container_fd();

	if (rte_eal_iova_mode() != RTE_IOVA_VA || rte_vfio_noiommu_is_enabled() == 1)
		return 0; /* EAL has mapped pages, or there is nothing to map */
	return rte_memseg_contig_walk(dma_map_pages, &container) < 0 ? -errno : 0;
}

#endif
