/* parse_journal.c - journal fields to an entry, by a table. */
#include "agent/inputs/parse_journal.h"

#include "agent/inputs/parse_syslog.h"
#include "common/base/check.h"

enum { NUMBER_DIGITS_MAX = 19 };

static const struct {
    const char *key, *metadata;
} journal_fields[JOURNAL_FIELD_COUNT] = {
#define JOURNAL_ROW(name, key, metadata) [JOURNAL_##name] = { key, metadata },
    JOURNAL_FIELDS(JOURNAL_ROW)
#undef JOURNAL_ROW
};

void parse_journal_field(struct journal_entry *entry, struct text data) {
    const char *equals = data.length ? memchr(data.data, '=', data.length) : NULL;
    if (!equals)
        return;
    struct text name = { data.data, (size_t)(equals - data.data) };
    for (size_t i = 0; i < JOURNAL_FIELD_COUNT; i++) {
        if (!text_is(name, journal_fields[i].key))
            continue;
        if (entry->fields[i].length == 0)
            entry->fields[i] = (struct text) { equals + 1, data.length - name.length - 1 };
        return;
    }
}

static bool number_of(struct text text, uint64_t *ret) {
    uint64_t value = 0;
    if (text.length == 0 || text.length > NUMBER_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.data[i] - '0');
    }
    *ret = value;
    return true;
}

static struct text base_name(struct text path) {
    const char *slash = path.length ? memrchr(path.data, '/', path.length) : NULL;
    if (!slash)
        return path;
    return (struct text) { slash + 1, path.length - (size_t)(slash + 1 - path.data) };
}

static bool is_own_unit(struct text unit) {
    return text_starts_with(unit, TEXT_LITERAL("taskforge-")) || text_starts_with(unit, TEXT_LITERAL("taskforge@")) ||
           text_is(unit, "taskforge.service");
}

bool parse_journal_is_own(const struct journal_entry *entry) {
    const struct text program = TEXT_LITERAL("taskforge-");
    return is_own_unit(entry->fields[JOURNAL_UNIT]) || is_own_unit(entry->fields[JOURNAL_USER_UNIT]) ||
           text_starts_with(entry->fields[JOURNAL_IDENTIFIER], program) ||
           text_starts_with(entry->fields[JOURNAL_COMM], program) ||
           text_starts_with(base_name(entry->fields[JOURNAL_EXE]), program);
}

static bool ends_with(struct text name, struct text ending) {
    return name.length > ending.length &&
           memcmp(name.data + name.length - ending.length, ending.data, ending.length) == 0;
}

/* A scope ("session-3.scope", "init.scope") says who is logged in, not which program speaks. */
static struct text service_of(const struct journal_entry *entry) {
    static const enum journal_field order[] = { JOURNAL_USER_UNIT, JOURNAL_UNIT, JOURNAL_IDENTIFIER, JOURNAL_COMM };
    const struct text service = TEXT_LITERAL(".service"), scope = TEXT_LITERAL(".scope");
    for (size_t i = 0; i < COUNT_OF(order); i++) {
        struct text name = entry->fields[order[i]];
        if (name.length == 0 || ends_with(name, scope))
            continue;
        if (ends_with(name, service))
            name.length -= service.length;
        return name;
    }
    return entry->fields[JOURNAL_TRANSPORT]; /* "kernel", "driver", "audit" */
}

static void build_metadata(const struct journal_entry *entry, struct parse_scratch *scratch, struct parsed *ret) {
    struct metadata_builder builder;
    uint64_t facility;
    metadata_begin(&builder, &scratch->metadata);
    for (size_t i = 0; i < JOURNAL_FIELD_COUNT; i++)
        if (journal_fields[i].metadata)
            metadata_add_text(&builder, text_of(journal_fields[i].metadata), entry->fields[i]);
    if (entry->fields[JOURNAL_PID].length == 0)
        metadata_add_text(&builder, TEXT_LITERAL("procid"), entry->fields[JOURNAL_SYSLOG_PID]);
    if (number_of(entry->fields[JOURNAL_FACILITY], &facility) && facility <= UINT32_MAX)
        metadata_add_text(&builder, TEXT_LITERAL("facility"), text_of(parse_syslog_facility((unsigned)facility)));
    ret->entry.metadata = metadata_end(&builder);
}

void parse_journal(const struct journal_entry *entry, struct parse_scratch *scratch, struct parsed *ret) {
    uint64_t number, microseconds = entry->realtime_us;
    parsed_begin(ret);
    if (number_of(entry->fields[JOURNAL_SOURCE_REALTIME], &number) && number != 0)
        microseconds = number;
    if (microseconds < UINT64_MAX / 1000 / 2)
        ret->entry.timestamp_ns = microseconds * 1000;
    if (entry->fields[JOURNAL_PRIORITY].length > 0 &&
        (!number_of(entry->fields[JOURNAL_PRIORITY], &number) || number > UINT32_MAX ||
         level_of_syslog((unsigned)number, &ret->entry.level) != 0))
        ret->repaired |= ENTRY_REPAIR_LEVEL;
    ret->entry.service = service_of(entry);
    ret->entry.module =
        entry->fields[JOURNAL_IDENTIFIER].length > 0 ? entry->fields[JOURNAL_IDENTIFIER] : entry->fields[JOURNAL_COMM];
    ret->entry.operation = TEXT_LITERAL("journal");
    ret->entry.message = entry->fields[JOURNAL_MESSAGE];
    build_metadata(entry, scratch, ret);
}
