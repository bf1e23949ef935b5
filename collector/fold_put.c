/* fold_put.c - see fold.h: what of a batch's totals goes into the state, and in which form (series_state.h).
 *
 * Where many values of a page changed, the page is put. Of the others the batch has what changed, together under one key. When these are many
 * (the log), the pages they belong to are put, some with each batch, and then the log up to there is removed: so a commit
 * costs what has changed, and a start reads little more than the pages. */
#include <errno.h>
#include <stdlib.h>

#include "collector/fold_private.h"
#include "collector/limits.h"
#include "common/base/check.h"
#include "common/store/state_keys.h"

enum {
    WHOLE = SERIES_OF_VALUE_PAGE / 4, /* so many changed values are put as a page */
    SWEEP_PAGES = 256,                /* put with one batch because the log has become long */
    LOG_KEYS_MAX = 1024,              /* then it is long */
    LOG_BYTES_MIN = 64 * 1024,        /* likewise, and in any case with the size of all values */
    LOG_BYTES_SERIES = 16,
};

/* --- room --- */

static bool make_page_room(struct fold_pages *pages, size_t count) {
    if (count <= pages->count)
        return true;
    size_t capacity = pages->count ? pages->count : 16;
    while (capacity < count)
        capacity *= 2;
    struct fold_page *grown = reallocarray(pages->items, capacity, sizeof(*grown));
    if (!grown)
        return false;
    memset(grown + pages->count, 0, (capacity - pages->count) * sizeof(*grown));
    pages->items = grown;
    uint32_t *chosen = reallocarray(pages->chosen, capacity, sizeof(*chosen));
    if (!chosen)
        return false;
    pages->chosen = chosen;
    pages->count = capacity;
    return true;
}

static int log_append(struct fold_pages *pages, uint64_t number, size_t bytes) {
    if (pages->log_count == pages->log_capacity) {
        size_t capacity = pages->log_capacity ? pages->log_capacity * 2 : 64;
        struct fold_log_key *grown = reallocarray(pages->log, capacity, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        pages->log = grown;
        pages->log_capacity = capacity;
    }
    pages->log[pages->log_count++] = (struct fold_log_key) { number, bytes };
    pages->log_bytes += bytes;
    return 0;
}

/* --- loading --- */

static int on_change(void *context, uint64_t number, size_t bytes) {
    return log_append(&((struct fold *)context)->pages, number, bytes);
}

static int on_changed(void *context, uint32_t page, uint64_t number) {
    struct fold_pages *pages = &((struct fold *)context)->pages;
    if (!make_page_room(pages, (size_t)page + 1))
        return -ENOMEM;
    if (pages->items[page].logged == 0)
        pages->items[page].logged = number;
    return 0;
}

int fold_load(struct fold *fold, size_t *ret_bad) {
    struct series_loaded loaded = { .context = fold, .change = on_change, .changed = on_changed };
    int result = series_load(&fold->table, fold->state, &loaded);
    fold->pages.number = loaded.number;
    fold->put_all = fold->old_state = loaded.old;
    *ret_bad = loaded.bad;
    return result;
}

void fold_pages_finish(struct fold_pages *pages) {
    free(pages->items);
    free(pages->chosen);
    free(pages->definitions);
    free(pages->log);
    *pages = (struct fold_pages) { 0 };
}

/* --- definitions --- */

static void choose_definitions(struct fold *fold, uint32_t id, struct batch *batch) {
    struct fold_pages *pages = &fold->pages;
    uint32_t page = id / SERIES_OF_DEFINITION_PAGE;
    if (pages->definition_count > 0 && pages->definitions[pages->definition_count - 1] == page)
        return;
    if (pages->definition_count == pages->definition_capacity) {
        size_t capacity = pages->definition_capacity ? pages->definition_capacity * 2 : 64;
        uint32_t *grown = reallocarray(pages->definitions, capacity, sizeof(*grown));
        if (!grown) {
            batch->failed = true;
            return;
        }
        pages->definitions = grown;
        pages->definition_capacity = capacity;
    }
    pages->definitions[pages->definition_count++] = page;
}

static int compare_pages(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void put_scratch(struct fold *fold, const struct state_key *key, struct batch *batch) {
    batch_put(batch, state_key_text(key), buffer_text(&fold->scratch));
    batch->failed |= fold->scratch.failed;
    fold->scratch.failed = false;
    buffer_clear(&fold->scratch);
}

static void put_definitions(struct fold *fold, struct batch *batch) {
    struct fold_pages *pages = &fold->pages;
    struct state_key key;
    if (pages->definition_count > 1)
        qsort(pages->definitions, pages->definition_count, sizeof(uint32_t), compare_pages);
    buffer_clear(&fold->scratch);
    for (size_t i = 0; i < pages->definition_count && !batch->failed; i++) {
        if (i > 0 && pages->definitions[i] == pages->definitions[i - 1])
            continue;
        series_page_key(&key, STATE_METRICS, pages->definitions[i]);
        series_encode_definitions(&fold->table, pages->definitions[i], &fold->scratch);
        if (fold->scratch.length > 0)
            put_scratch(fold, &key, batch);
        else
            batch_remove(batch, state_key_text(&key));
    }
    pages->definition_count = 0;
}

/* --- values --- */

static void choose(struct fold_pages *pages, uint32_t number) {
    struct fold_page *page = &pages->items[number];
    if (!page->chosen)
        pages->chosen[pages->chosen_count++] = number;
    page->chosen = true;
}

static void put_histogram(struct fold *fold, const struct series *series, struct batch *batch) {
    struct state_key key;
    buffer_clear(&fold->scratch);
    series_encode_value(&series->coming, series->definition.kind, &fold->scratch);
    series_key(&key, STATE_VALUE, series->id);
    put_scratch(fold, &key, batch);
}

/* How many values of each page were touched; histograms are put, and what is new is defined. */
static void count_touched(struct fold *fold, struct batch *batch) {
    struct fold_pages *pages = &fold->pages;
    for (size_t i = 0; i < fold->touched_count && !batch->failed; i++) {
        struct series *series = fold->touched[i];
        fold_fetch_ahead(fold, i);
        if (!series->defined || fold->put_all) {
            series->defining = true;
            choose_definitions(fold, series->id, batch);
        }
        if (series->safe.histogram) {
            put_histogram(fold, series, batch);
            continue;
        }
        uint32_t page = series->id / SERIES_OF_VALUE_PAGE;
        pages->items[page].touched++;
        choose(pages, page);
    }
}

static bool is_whole(const struct fold *fold, const struct fold_page *page) {
    return page->touched >= WHOLE || page->swept || fold->put_all;
}

/* Pages that the log up to `sweep_until` has values of, some of them. */
static void choose_swept(struct fold *fold) {
    struct fold_pages *pages = &fold->pages;
    size_t chosen = 0;
    pages->cursor_next = pages->cursor;
    if (pages->sweep_until == 0)
        return;
    for (; pages->cursor_next < pages->count && chosen < SWEEP_PAGES; pages->cursor_next++) {
        struct fold_page *page = &pages->items[pages->cursor_next];
        if (page->logged == 0 || page->logged > pages->sweep_until)
            continue;
        page->swept = true;
        chosen++;
        choose(pages, (uint32_t)pages->cursor_next);
    }
}

static void put_pages(struct fold *fold, struct batch *batch) {
    struct fold_pages *pages = &fold->pages;
    struct state_key key;
    buffer_clear(&fold->scratch);
    for (size_t i = 0; i < pages->chosen_count && !batch->failed; i++) {
        if (!is_whole(fold, &pages->items[pages->chosen[i]]))
            continue;
        series_page_key(&key, STATE_VALUES, pages->chosen[i]);
        series_encode_values(&fold->table, pages->chosen[i], pages->number, &fold->scratch);
        put_scratch(fold, &key, batch);
    }
}

static void put_changes(struct fold *fold, struct batch *batch) {
    struct fold_pages *pages = &fold->pages;
    size_t whole = 0;
    for (size_t i = 0; i < pages->chosen_count; i++)
        whole += is_whole(fold, &pages->items[pages->chosen[i]]);
    if (whole == pages->chosen_count)
        return;
    struct state_key key;
    buffer_clear(&fold->scratch);
    for (size_t i = 0; i < fold->touched_count; i++) {
        const struct series *series = fold->touched[i];
        if (!series->safe.histogram && !is_whole(fold, &pages->items[series->id / SERIES_OF_VALUE_PAGE]))
            series_encode_change(series, &fold->scratch);
    }
    size_t bytes = fold->scratch.length;
    if (bytes == 0)
        return;
    if (log_append(pages, pages->number, bytes) < 0)
        batch->failed = true;
    else
        pages->logging = true;
    series_changes_key(&key, pages->number);
    put_scratch(fold, &key, batch);
}

/* --- what goes --- */

static bool is_swept(const struct fold_pages *pages) {
    return pages->sweep_until != 0 && pages->cursor >= pages->count;
}

/* What the pages have by now. */
static void remove_log(struct fold_pages *pages, struct batch *batch) {
    struct state_key key;
    pages->removing = 0;
    while (is_swept(pages) && pages->removing < pages->log_count &&
           pages->log[pages->removing].number <= pages->sweep_until) {
        series_changes_key(&key, pages->log[pages->removing++].number);
        batch_remove(batch, state_key_text(&key));
    }
}

static void remove_series(struct fold *fold, struct batch *batch) {
    struct state_key key;
    for (size_t i = 0; i < fold->removed_count; i++) {
        choose_definitions(fold, fold->removed[i], batch);
        series_key(&key, STATE_VALUE, fold->removed[i]);
        if (state_map_get(fold->state, state_key_text(&key), &(struct text) { 0 }))
            batch_remove(batch, state_key_text(&key));
    }
    fold->removing_count = fold->removed_count;
}

static int remove_old_key(void *argument, struct text key, struct text value) {
    (void)value;
    batch_remove(argument, key);
    return 0;
}

/* What stands there as it was before there were pages. */
static void remove_old(struct fold *fold, struct batch *batch) {
    struct state_key key;
    state_map_walk(fold->state, TEXT_LITERAL(STATE_METRIC), remove_old_key, batch);
    SERIES_FOR_EACH(&fold->table, series) {
        series_key(&key, STATE_VALUE, series->id);
        if (!metric_kind_is_histogram(series->definition.kind))
            batch_remove(batch, state_key_text(&key));
    }
}

/* --- the batch's end --- */

static void touch_all(struct fold *fold, struct batch *batch) {
    SERIES_FOR_EACH(&fold->table, series)
    if (!batch->failed)
        fold_touch(fold, series, batch);
}

void fold_put(struct fold *fold, struct batch *batch) {
    struct fold_pages *pages = &fold->pages;
    if (fold->put_all)
        touch_all(fold, batch);
    descriptions_put(fold, batch);
    if (fold->touched_count == 0 && fold->removed_count == 0)
        return;
    if (!make_page_room(pages, fold->table.next_id / SERIES_OF_VALUE_PAGE + 1)) {
        batch->failed = true;
        return;
    }
    pages->number++;
    count_touched(fold, batch);
    choose_swept(fold);
    put_pages(fold, batch);
    put_changes(fold, batch);
    remove_log(pages, batch);
    remove_series(fold, batch);
    put_definitions(fold, batch);
    if (fold->old_state)
        remove_old(fold, batch);
}

static void end_chosen(struct fold *fold, bool safe) {
    struct fold_pages *pages = &fold->pages;
    for (size_t i = 0; i < pages->chosen_count; i++) {
        struct fold_page *page = &pages->items[pages->chosen[i]];
        if (safe && is_whole(fold, page))
            page->logged = 0;
        else if (safe && page->logged == 0)
            page->logged = pages->number;
        page->touched = 0;
        page->chosen = page->swept = false;
    }
    pages->chosen_count = 0;
}

void fold_pages_discard(struct fold *fold) {
    struct fold_pages *pages = &fold->pages;
    end_chosen(fold, false);
    if (pages->logging)
        pages->log_bytes -= pages->log[--pages->log_count].bytes;
    pages->logging = false;
    pages->removing = 0;
    pages->cursor_next = pages->cursor;
    fold->removing_count = 0;
}

static void begin_sweep(struct fold *fold) {
    struct fold_pages *pages = &fold->pages;
    size_t most = fold->table.count * LOG_BYTES_SERIES;
    if (pages->log_bytes <= (most > LOG_BYTES_MIN ? most : LOG_BYTES_MIN) && pages->log_count <= LOG_KEYS_MAX)
        return;
    pages->sweep_until = pages->number;
    pages->cursor = 0;
}

void fold_pages_settle(struct fold *fold) {
    struct fold_pages *pages = &fold->pages;
    end_chosen(fold, true);
    pages->logging = false;
    if (pages->removing > 0) {
        for (size_t i = 0; i < pages->removing; i++)
            pages->log_bytes -= pages->log[i].bytes;
        memmove(pages->log, pages->log + pages->removing, (pages->log_count - pages->removing) * sizeof(*pages->log));
        pages->log_count -= pages->removing;
        pages->removing = 0;
        pages->sweep_until = 0;
    }
    if (pages->sweep_until == 0)
        begin_sweep(fold);
    else
        pages->cursor = pages->cursor_next;
    pages->cursor_next = pages->cursor;
    fold->old_state = false;
    for (size_t i = 0; i < fold->removing_count; i++)
        series_free_id(&fold->table, fold->removed[i]);
    if (fold->removing_count > 0)
        memmove(fold->removed, fold->removed + fold->removing_count,
                (fold->removed_count - fold->removing_count) * sizeof(*fold->removed));
    fold->removed_count -= fold->removing_count;
    fold->removing_count = 0;
}
