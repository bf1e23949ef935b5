/* tally.c - see tally.h. */
#include "common/query/tally.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/candidates.h"
#include "common/query/match.h"

struct counting {
    const struct filter *filter;
    const struct scan_options *options;
    struct tally *tally;
    struct row_set rows;
    bool total_only;
    struct error *error;
};

void tally_finish(struct tally *tally) {
    for (size_t i = 0; i < tally->service_count; i++)
        free((char *)tally->services[i].service.data);
    free(tally->services);
    *tally = (struct tally) { 0 };
}

/* The service's row, made when it is new; found by halving, since a host may have thousands. */
static struct tally_service *service_of(struct tally *tally, struct text service) {
    size_t low = 0, high = tally->service_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = text_compare(tally->services[middle].service, service);
        if (order == 0)
            return &tally->services[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (tally->service_count == tally->service_capacity) {
        size_t capacity = tally->service_capacity ? tally->service_capacity * 2 : 16;
        struct tally_service *grown = realloc(tally->services, capacity * sizeof(*grown));
        if (!grown)
            return NULL;
        tally->services = grown;
        tally->service_capacity = capacity;
    }
    char *name = malloc(service.length + 1);
    if (!name)
        return NULL;
    if (service.length)
        memcpy(name, service.data, service.length);
    memmove(&tally->services[low + 1], &tally->services[low], (tally->service_count - low) * sizeof(*tally->services));
    tally->services[low] = (struct tally_service) { .service = { name, service.length } };
    tally->service_count++;
    return &tally->services[low];
}

static int count(struct counting *counting, struct text service, enum level level, uint64_t entries) {
    counting->tally->total += entries;
    if (counting->total_only || entries == 0)
        return 0;
    struct tally_service *row = service_of(counting->tally, service);
    if (!row)
        return error_set(counting->error, -ENOMEM, "out of memory for the counts");
    row->by_level[level] += entries;
    return 0;
}

static void stretch(struct counting *counting, uint64_t first_ns, uint64_t last_ns) {
    struct tally *tally = counting->tally;
    uint64_t since = counting->filter->since_ns, until = counting->filter->until_ns;
    first_ns = first_ns < since ? since : first_ns;
    last_ns = last_ns >= until ? until - 1 : last_ns;
    if (tally->first_ns == 0 || first_ns < tally->first_ns)
        tally->first_ns = first_ns;
    if (last_ns > tally->last_ns)
        tally->last_ns = last_ns;
}

static int count_index(void *argument, const struct index_entry *index) {
    struct counting *counting = argument;
    if (!filter_is_countable(counting->filter) || !filter_covers(counting->filter, index))
        return 0;
    for (uint32_t i = 0; i < index->count_count; i++) {
        int status = filter_service(counting->filter, index->counts[i].service, counting->error);
        for (unsigned level = 0; level < LEVEL_COUNT && status > 0; level++)
            if (counting->filter->levels & 1u << level &&
                count(counting, index->counts[i].service, level, index->counts[i].by_level[level]) < 0)
                status = -ENOMEM;
        if (status < 0)
            return status;
    }
    stretch(counting, index->min_timestamp_ns, index->max_timestamp_ns);
    return 1;
}

static int count_rows(struct counting *counting, struct block *block) {
    const struct row_set *rows = &counting->rows;
    int status = block_load(block, BLOCK_SERVICE, counting->error);
    if (status == 0)
        status = block_load(block, BLOCK_LEVEL, counting->error);
    for (uint32_t i = 0; i < rows->count && status == 0; i++)
        status = count(counting, block_text(block, BLOCK_SERVICE, rows->rows[i]), block_level(block, rows->rows[i]), 1);
    return status;
}

static int count_block(void *argument, struct block *block, uint64_t first_sequence, uint32_t from_row,
                       uint32_t to_row) {
    struct counting *counting = argument;
    (void)first_sequence;
    counting->tally->blocks_opened++;
    int status = match_block(counting->filter, block, from_row, to_row, &counting->rows, counting->error);
    if (status == 0 && counting->total_only)
        counting->tally->total += counting->rows.count;
    else if (status == 0 && counting->rows.count > 0)
        status = count_rows(counting, block);
    block_destroy(block);
    return status;
}

int tally_make(struct store_reader *reader, const struct filter *filter, const struct scan_options *options,
               bool total_only, struct tally *ret, struct error *error) {
    struct error own = { "" };
    struct tally tally = { 0 };
    struct candidates candidates = { 0 };
    struct counting counting = {
        .filter = filter, .options = options, .tally = &tally, .total_only = total_only, .error = error ? error : &own
    };
    int status = candidates_collect(reader, filter, options->from_sequence, options->to_sequence, count_index,
                                    &counting, &candidates, counting.error);
    for (size_t i = 0; i < candidates.count && status == 0; i++) {
        uint64_t before = tally.total;
        status = candidate_open(reader, &candidates.items[i], count_block, &counting, counting.error);
        if (status == -EBADMSG && options->damaged) {
            options->damaged(options->damaged_argument, counting.error->text);
            status = 0;
        }
        if (tally.total > before)
            stretch(&counting, candidates.items[i].min_timestamp_ns, candidates.items[i].max_timestamp_ns);
    }
    candidates_finish(&candidates);
    row_set_finish(&counting.rows);
    if (status < 0) {
        tally_finish(&tally);
        return status;
    }
    *ret = tally;
    return 0;
}
