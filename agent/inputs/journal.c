/* journal.c - the systemd journal; the only user of libsystemd's journal calls.
 *
 * At its first start it begins with the current boot. Its position is the cursor of the last entry that is in the ring
 * and when that was; where the entry is gone (vacuumed) it goes on with the first one that came later. */
#include "agent/inputs/journal.h"

#include "agent/inputs/deliver.h"
#include "agent/inputs/inputs.h"
#include "agent/inputs/parse_journal.h"
#include "common/base/diag.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-id128.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

enum {
    FIELD_BYTES_MAX = INPUT_LINE_MAX,
    FIELDS_MAX = 1024, /* of one entry; more are passed over */
    ENTRIES_PER_ROUND = 200,
    POLL_MS = 1000,    /* in case that a change was not told */
    REOPEN_MS = 10000, /* while there is no journal, or none that we may read */
    VALUE_MAX = 600,
    NANOSECONDS_PER_MICROSECOND = 1000,
};

struct journal_input {
    struct input input;
    sd_journal *journal; /* NULL: not opened yet */
    const char *directory;
    struct loop_fd *source;
    struct loop_timer *timer;
    struct parse_scratch scratch;
    char *cursor; /* of the last entry in the ring; NULL: none */
    uint64_t realtime_us;
    bool pending; /* the entry we stand at is not in the ring yet */
    bool said;
};

static struct journal_input *journal_of(struct input *input) {
    return (struct journal_input *)input;
}

void journal_set_directory(struct input *input, const char *directory) {
    journal_of(input)->directory = directory;
}

/* --- position: "REALTIME CURSOR" --- */

static void remember(struct journal_input *self, struct text value) {
    char bytes[VALUE_MAX + 1], *end;
    if (value.length == 0 || value.length > VALUE_MAX)
        return;
    memcpy(bytes, value.data, value.length);
    bytes[value.length] = '\0';
    unsigned long long realtime = strtoull(bytes, &end, 10);
    if (*end != ' ' || end[1] == '\0')
        return;
    self->cursor = strdup(end + 1);
    self->realtime_us = realtime;
}

static struct text position_value(const char *cursor, uint64_t realtime_us, char out[VALUE_MAX]) {
    int length = snprintf(out, VALUE_MAX, "%llu %s", (unsigned long long)realtime_us, cursor);
    return (struct text) { out, length < VALUE_MAX ? (size_t)length : 0 };
}

/* --- opening and finding the place --- */

/* Where the current boot begins. Its first entry is looked for by a match: a seek by monotonic time would begin at the
 * head of every file in which this boot does not occur. */
static int seek_boot(struct journal_input *self) {
    sd_id128_t boot;
    char match[sizeof("_BOOT_ID=") + SD_ID128_STRING_MAX] = "_BOOT_ID=", *cursor = NULL;
    int result = sd_id128_get_boot(&boot);
    if (result < 0)
        return result;
    sd_id128_to_string(boot, match + strlen(match));
    result = sd_journal_add_match(self->journal, match, 0);
    if (result >= 0)
        result = sd_journal_seek_head(self->journal);
    if (result >= 0)
        result = sd_journal_next(self->journal);
    if (result > 0)
        result = sd_journal_get_cursor(self->journal, &cursor);
    sd_journal_flush_matches(self->journal);
    if (result >= 0)
        result = cursor ? sd_journal_seek_cursor(self->journal, cursor)
                        : sd_journal_seek_realtime_usec(self->journal, (clock_real_ns() - clock_monotonic_ns()) /
                                                                           NANOSECONDS_PER_MICROSECOND);
    free(cursor);
    return result;
}

/* Stand before the next entry to be read. */
static int seek(struct journal_input *self) {
    if (!self->cursor)
        return seek_boot(self);
    int result = sd_journal_seek_cursor(self->journal, self->cursor);
    if (result >= 0)
        result = sd_journal_next(self->journal);
    if (result > 0 && sd_journal_test_cursor(self->journal, self->cursor) > 0)
        return 0;
    return sd_journal_seek_realtime_usec(self->journal, self->realtime_us + 1);
}

/* Whether the system's journal is there and closed to us: then the person should know which group opens it. */
static bool is_forbidden(void) {
    static const char *const folders[] = { "/var/log/journal", "/run/log/journal" };
    sd_id128_t machine;
    char path[128], id[SD_ID128_STRING_MAX];
    if (sd_id128_get_machine(&machine) < 0)
        return false;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s/system.journal", folders[i], sd_id128_to_string(machine, id));
        if (access(path, R_OK) != 0 && errno == EACCES)
            return true;
    }
    return false;
}

static void close_journal(struct journal_input *self) {
    loop_remove_fd(self->source);
    self->source = NULL;
    sd_journal_close(self->journal);
    self->journal = NULL;
    self->pending = false;
}

static void on_change(struct loop_fd *source, int fd, uint32_t events, void *context);

static int open_journal(struct journal_input *self) {
    int result = self->directory ? sd_journal_open_directory(&self->journal, self->directory, 0)
                                 : sd_journal_open(&self->journal, SD_JOURNAL_LOCAL_ONLY);
    if (result < 0) {
        self->journal = NULL;
        return result;
    }
    sd_journal_set_data_threshold(self->journal, FIELD_BYTES_MAX);
    int fd = sd_journal_get_fd(self->journal);
    result = fd < 0 ? fd : seek(self);
    if (result >= 0)
        result = loop_add_fd(self->input.context->loop, fd, (uint32_t)sd_journal_get_events(self->journal), on_change,
                             self, &self->source);
    if (result < 0)
        close_journal(self);
    return result < 0 ? result : 0;
}

static void say(struct journal_input *self, const char *what) {
    if (!self->said)
        diag_warn("input %s: %s", self->input.config->name, what);
    self->said = true;
}

/* --- entries --- */

/* The fields of the entry we stand at. What libsystemd gives is valid until its next call, so it is copied. */
static int read_entry(struct journal_input *self, struct journal_entry *ret) {
    struct buffer *kept = &self->scratch.text;
    size_t places[JOURNAL_FIELD_COUNT];
    const void *data;
    size_t length;
    *ret = (struct journal_entry) { 0 };
    int result = sd_journal_get_realtime_usec(self->journal, &ret->realtime_us);
    if (result < 0)
        return result;
    buffer_clear(kept);
    sd_journal_restart_data(self->journal);
    for (int i = 0; i < FIELDS_MAX; i++) {
        struct journal_entry one = { 0 };
        result = sd_journal_enumerate_available_data(self->journal, &data, &length);
        if (result <= 0)
            break;
        parse_journal_field(&one, (struct text) { data, length });
        for (size_t field = 0; field < JOURNAL_FIELD_COUNT; field++) {
            if (one.fields[field].length == 0 || ret->fields[field].length > 0)
                continue;
            places[field] = kept->length;
            ret->fields[field].length = one.fields[field].length;
            buffer_append_text(kept, one.fields[field]);
        }
    }
    if (kept->failed)
        return -ENOMEM;
    for (size_t field = 0; field < JOURNAL_FIELD_COUNT; field++)
        if (ret->fields[field].length > 0)
            ret->fields[field].data = kept->data + places[field];
    return result;
}

/* 0: written, or passed over; -EAGAIN: no room; another negative errno: the entry cannot be read. */
static int take_entry(struct journal_input *self) {
    const struct config_input *config = self->input.config;
    struct journal_entry fields;
    struct parsed parsed;
    char *cursor = NULL, value[VALUE_MAX];
    int result = read_entry(self, &fields);
    if (result >= 0)
        result = sd_journal_get_cursor(self->journal, &cursor);
    if (result < 0)
        return result == -EAGAIN ? -EIO : result;
    result = 0;
    if (parse_journal_is_own(&fields)) {
        self->input.counters.own++;
    } else {
        struct deliver_names names = { TEXT_EMPTY, TEXT_LITERAL("journal"), TEXT_LITERAL("journal"),
                                       TEXT_LITERAL("journal") };
        struct input_position position = { text_of(config->name), TEXT_LITERAL("cursor"),
                                           position_value(cursor, fields.realtime_us, value) };
        parse_journal(&fields, &self->scratch, &parsed);
        deliver_fill(&parsed, &names, clock_real_ns());
        result = deliver(&self->input, &parsed, &self->scratch, &position);
    }
    if (result != 0) {
        free(cursor);
        return result;
    }
    self->input.counters.lines++;
    free(self->cursor);
    self->cursor = cursor;
    self->realtime_us = fields.realtime_us;
    return 0;
}

/* 1: there may be more; 0: none now; -EAGAIN: no room; another negative errno: the journal is to be opened anew. */
static int take_entries(struct journal_input *self) {
    for (int count = 0; count < ENTRIES_PER_ROUND; count++) {
        int result = self->pending ? 1 : sd_journal_next(self->journal);
        if (result <= 0)
            return result == -EAGAIN ? -EIO : result;
        self->pending = true;
        result = take_entry(self);
        if (result == -EAGAIN)
            return result;
        self->pending = false;
        if (result != 0) { /* a damaged entry: the next one is unharmed */
            self->input.counters.lines++;
            self->input.counters.invalid[INPUT_INVALID_DAMAGED]++;
        }
    }
    return 1;
}

static void go_on(struct journal_input *self) {
    if (!self->journal) {
        int result = open_journal(self);
        if (result < 0) {
            input_count_error(&self->input, result);
            say(self, result == -EACCES ? "may not read the journal: add the agent's user to the group systemd-journal"
                                        : "cannot open the journal; it is tried again");
            loop_set_timer(self->timer, REOPEN_MS * CLOCK_MILLISECOND);
            return;
        }
    }
    int result = take_entries(self);
    if (result == -EAGAIN) {
        loop_set_timer(self->timer, INPUT_RETRY_NS);
    } else if (result > 0) {
        loop_set_timer(self->timer, 0);
    } else if (result < 0) {
        input_count_error(&self->input, result);
        say(self, "the journal cannot be read; it is opened anew");
        close_journal(self);
        loop_set_timer(self->timer, REOPEN_MS * CLOCK_MILLISECOND);
    } else {
        loop_set_timer(self->timer, POLL_MS * CLOCK_MILLISECOND);
    }
}

static void on_change(struct loop_fd *source, int fd, uint32_t events, void *context) {
    (void)source;
    (void)fd;
    (void)events;
    struct journal_input *self = context;
    sd_journal_process(self->journal);
    go_on(self);
}

static void on_timer(struct loop_timer *timer, void *context) {
    (void)timer;
    struct journal_input *self = context;
    if (self->journal && !self->pending)
        sd_journal_process(self->journal);
    go_on(self);
}

/* --- the input --- */

static void destroy(struct input *input) {
    struct journal_input *self = journal_of(input);
    if (self->journal)
        close_journal(self);
    loop_remove_timer(self->timer);
    parse_scratch_finish(&self->scratch);
    free(self->cursor);
    free(self);
}

static int create(const struct config_input *config, const struct input_context *context, struct input **ret,
                  struct error *error) {
    struct journal_input *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "input %s: out of memory", config->name);
    input_init(&self->input, &input_journal, config, context);
    int result = loop_add_timer(context->loop, on_timer, self, &self->timer);
    if (result != 0) {
        destroy(&self->input);
        return error_set(error, result, "input %s: %s", config->name, strerror(-result));
    }
    *ret = &self->input;
    return 0;
}

static int start(struct input *input, const struct positions *known, struct error *error) {
    (void)error;
    struct journal_input *self = journal_of(input);
    remember(self, positions_find(known, TEXT_LITERAL("cursor")));
    if (!self->directory && is_forbidden())
        say(self, "may not read the system's journal: add the agent's user to the group systemd-journal");
    loop_set_timer(self->timer, 0);
    return 0;
}

/* What is not in the ring is in the journal. */
static bool finish(struct input *input) {
    struct journal_input *self = journal_of(input);
    loop_remove_fd(self->source);
    self->source = NULL;
    loop_rest_timer(self->timer);
    return true;
}

static void positions(const struct input *input, struct positions *out) {
    const struct journal_input *self = (const struct journal_input *)input;
    char value[VALUE_MAX];
    if (self->cursor)
        positions_add(out, TEXT_LITERAL("cursor"), position_value(self->cursor, self->realtime_us, value));
}

const struct input_type input_journal = {
    .type = CONFIG_INPUT_JOURNAL,
    .name = "journal",
    .has_positions = true,
    .create = create,
    .start = start,
    .finish = finish,
    .positions = positions,
    .destroy = destroy,
};
