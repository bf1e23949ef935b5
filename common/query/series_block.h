/* series_block.h - blocks of samples, as the store reads them, into the steps of a series (series_window.h).
 *
 * Of histograms only those are put together that a step needs: its last one, and those at which something fell. */
#ifndef TASKFORGE_COMMON_QUERY_SERIES_BLOCK_H
#define TASKFORGE_COMMON_QUERY_SERIES_BLOCK_H

#include "common/query/series_window.h"
#include "common/store/samples.h"

/* The windows have the same series and are of the same time; of `whole` (may be NULL) the steps begin and end where some of `window` do. -ENOMEM. */
int series_block_take(struct series_window *window, struct series_window *whole, const struct samples_block *block);

#endif
