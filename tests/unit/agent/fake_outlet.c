#include "fake_outlet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "common/model/pack.h"

enum { WAIT_S = 10 };

static char *copy(struct text text) {
    char *result = strndup(text.data ? text.data : "", text.length);
    assert_non_null(result);
    return result;
}

/* The new value in place of the old, as the store does it. */
static int take_position(void *context, const struct input_position *position) {
    struct fake_outlet *fake = context;
    struct positions before = fake->positions;
    if (fake->room == 0)
        return -EAGAIN;
    assert_true(position->input.length > 0 && position->key.length <= 200 && position->value.length <= 600);
    fake->positions = POSITIONS_EMPTY;
    for (size_t i = 0; i < before.count; i++)
        if (!text_equal(before.items[i].key, position->key))
            assert_int_equal(positions_add(&fake->positions, before.items[i].key, before.items[i].value), 0);
    if (position->value.length > 0)
        assert_int_equal(positions_add(&fake->positions, position->key, position->value), 0);
    positions_finish(&before);
    return 0;
}

static int take_entry(void *context, const struct record_entry *record) {
    struct fake_outlet *fake = context;
    struct entry entry = record->entry;
    struct buffer json = BUFFER_EMPTY;
    if (fake->room == 0)
        return -EAGAIN;
    assert_true(fake->count < FAKE_MESSAGES_MAX);
    assert_int_equal(entry_validate(&entry, NULL), 0);
    if (record->has_position)
        assert_int_equal(take_position(context, &record->position), 0);
    if (entry.metadata.length > 0)
        pack_append_json(&json, entry.metadata);
    fake->messages[fake->count] = copy(entry.message);
    fake->services[fake->count] = copy(entry.service);
    fake->metadata[fake->count] = copy(buffer_text(&json));
    fake->levels[fake->count++] = entry.level;
    fake->room--;
    buffer_finish(&json);
    return 0;
}

static void take_loss(void *context, enum level level, uint64_t count) {
    (void)level;
    ((struct fake_outlet *)context)->lost += count;
}

void fake_outlet_init(struct fake_outlet *fake) {
    *fake = (struct fake_outlet) {
        .outlet = { .write = take_entry, .write_position = take_position, .count_loss = take_loss, .context = fake },
        .room = SIZE_MAX
    };
}

void fake_outlet_finish(struct fake_outlet *fake) {
    for (size_t i = 0; i < fake->count; i++) {
        free(fake->messages[i]);
        free(fake->services[i]);
        free(fake->metadata[i]);
    }
    positions_finish(&fake->positions);
    fake->count = 0;
}

void fake_outlet_wait(struct fake_outlet *fake, struct loop *loop, size_t count) {
    uint64_t end_ns = clock_monotonic_ns() + WAIT_S * CLOCK_SECOND;
    while (fake->count < count) {
        if (clock_monotonic_ns() > end_ns)
            fail_msg("%zu entries came, not %zu; the last: %s", fake->count, count,
                     fake->count ? fake->messages[fake->count - 1] : "none");
        loop_run_once(loop, CLOCK_SECOND / 10);
    }
}

void fake_outlet_expect(const struct fake_outlet *fake, size_t count, const char *const *messages) {
    for (size_t i = 0; i < count && i < fake->count; i++)
        assert_string_equal(fake->messages[i], messages[i]);
    assert_int_equal(fake->count, count);
}
