#include "common/privacy/redact_patterns.h"

#include <errno.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/model/redact.h"
#include "common/privacy/pack_edit.h"

#define ENTRY_BUDGET_NS (3 * CLOCK_MILLISECOND)

enum {
    STEPS_MAX = 20000,    /* from one place; a sound expression needs some hundred */
    SLICE_WORK = 1 << 20, /* places times bytes behind them between two looks at the clock: about a millisecond */
    SLICE_MIN = 16,
    NUMBER_SIZE = 32,
};

int redact_pattern_check(struct text source, struct error *error) {
    struct redact_patterns patterns = REDACT_PATTERNS_EMPTY;
    int result = redact_patterns_add(&patterns, source, error);
    redact_patterns_finish(&patterns);
    return result;
}

int redact_patterns_add(struct redact_patterns *patterns, struct text source, struct error *error) {
    struct pattern *pattern;
    if (patterns->count == REDACT_PATTERNS_MAX)
        return error_set(error, -ENOSPC, "there may be at most %d expressions", REDACT_PATTERNS_MAX);
    int result = pattern_compile(source, false, &pattern, error);
    if (result < 0)
        return result;
    if (pattern_match(pattern, TEXT_EMPTY, NULL) != 0) {
        pattern_destroy(pattern);
        return error_set(error, -EINVAL,
                         "regular expression \"%.*s\": matches the empty text, which stands everywhere; ask for a "
                         "character at least",
                         TEXT_FORMAT(source));
    }
    pattern_limit_steps(pattern, STEPS_MAX);
    if (patterns->count == 0 || pattern_least(pattern) < patterns->least)
        patterns->least = pattern_least(pattern);
    patterns->items[patterns->count++] = pattern;
    return 0;
}

void redact_patterns_finish(struct redact_patterns *patterns) {
    for (size_t i = 0; i < patterns->count; i++)
        pattern_destroy(patterns->items[i]);
    buffer_finish(&patterns->message);
    buffer_finish(&patterns->metadata);
    buffer_finish(&patterns->error_details);
    buffer_finish(&patterns->value);
    buffer_finish(&patterns->other);
    *patterns = REDACT_PATTERNS_EMPTY;
}

/* --- one text --- */

static uint64_t processor_ns(void) {
    struct timespec now = { 0 };
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * CLOCK_SECOND + (uint64_t)now.tv_nsec;
}

/* By the clock that is cheap to read; once that has run out, by processor time: who had to wait for the processor is not over it. */
static bool is_over_budget(struct redact_patterns *patterns) {
    uint64_t now = clock_monotonic_ns();
    if (patterns->deadline_ns == 0) {
        patterns->deadline_ns = now + ENTRY_BUDGET_NS;
        patterns->processor_deadline_ns = 0;
    }
    if (now <= patterns->deadline_ns)
        return false;
    now = processor_ns();
    if (patterns->processor_deadline_ns == 0)
        patterns->processor_deadline_ns = now + ENTRY_BUDGET_NS;
    return now > patterns->processor_deadline_ns;
}

/* The next match, a slice of places at a time: 1, 0, -E2BIG. */
static int find_next(struct redact_patterns *patterns, struct pattern *pattern, struct text text, size_t from,
                     size_t *ret_begin, size_t *ret_end) {
    size_t slice = SLICE_WORK / (text.length + 1);
    if (slice < SLICE_MIN)
        slice = SLICE_MIN;
    for (; from < text.length; from += slice) {
        size_t limit = text.length - from < slice ? text.length : from + slice;
        if (is_over_budget(patterns))
            return -E2BIG;
        int found = pattern_search(pattern, text, from, limit, ret_begin, ret_end);
        if (found != 0)
            return found;
    }
    return 0;
}

/* `text` without the matches of one expression, appended to `out`: how many there were, or -E2BIG. */
static int take_out(struct redact_patterns *patterns, struct pattern *pattern, struct text text, struct buffer *out) {
    size_t from = 0, kept = 0, begin = 0, end = 0;
    int count = 0, found;
    while ((found = find_next(patterns, pattern, text, from, &begin, &end)) == 1) {
        from = end > begin ? end : end + 1;
        if (end == begin || begin < kept)
            continue; /* nothing to take out, as of a lookahead */
        buffer_append(out, text.data + kept, begin - kept);
        buffer_append_string(out, REDACT_MARK);
        kept = end;
        count++;
    }
    if (found < 0)
        return found;
    if (count > 0)
        buffer_append(out, text.data + kept, text.length - kept);
    return count;
}

static bool may_match(const struct redact_patterns *patterns, struct text text) {
    for (size_t i = 0; i < patterns->count; i++)
        if (pattern_may_match(patterns->items[i], text))
            return true;
    return false;
}

/* 1 and *text anew, in `value`; 0 nothing was found. */
static int redact(struct redact_patterns *patterns, struct text *text) {
    bool changed = false;
    for (size_t i = 0; i < patterns->count; i++) {
        if (!pattern_may_match(patterns->items[i], *text))
            continue;
        buffer_clear(&patterns->other);
        int count = take_out(patterns, patterns->items[i], *text, &patterns->other);
        if (count < 0) {
            patterns->too_costly++;
            patterns->redacted++;
            *text = TEXT_LITERAL(REDACT_MARK);
            return 1;
        }
        if (count == 0)
            continue;
        struct buffer made = patterns->other;
        patterns->other = patterns->value;
        patterns->value = made;
        *text = buffer_text(&patterns->value);
        changed = true;
    }
    patterns->redacted += changed;
    return changed;
}

static bool out_of_memory(struct redact_patterns *patterns) {
    bool failed = patterns->value.failed || patterns->other.failed || patterns->message.failed ||
                  patterns->metadata.failed || patterns->error_details.failed;
    patterns->value.failed = patterns->other.failed = patterns->message.failed = false;
    patterns->metadata.failed = patterns->error_details.failed = false;
    return failed;
}

/* --- packed values --- */

/* A whole number as it is shown; the empty text for what is none. By hand, since every number of every entry comes here. */
static struct text text_of_number(const struct pack_value *value, char room[NUMBER_SIZE]) {
    char *end = room + NUMBER_SIZE, *at = end;
    bool negative = value->type == PACK_INT || (value->type == PACK_DOUBLE && value->number < 0);
    uint64_t number = value->natural;
    if (value->type == PACK_INT)
        number = (uint64_t)0 - (uint64_t)value->integer;
    if (value->type == PACK_DOUBLE) {
        double positive = negative ? -value->number : value->number;
        if (!(positive < 0x1p63) || (double)(uint64_t)positive != positive)
            return TEXT_EMPTY;
        number = (uint64_t)positive;
    }
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    if (negative)
        *--at = '-';
    return (struct text) { at, (size_t)(end - at) };
}

/* The first look asks whether anything is to be replaced. Only a whole judgement can tell; what it made is not kept. */
static bool edit(void *context, struct text key, const struct pack_value *value, struct pack_writer *out) {
    struct redact_patterns *patterns = context;
    char number[NUMBER_SIZE];
    struct text text;
    (void)key;
    if (value->type == PACK_TEXT || value->type == PACK_BINARY || value->type == PACK_EXT)
        text = value->text;
    else if (value->type == PACK_INT || value->type == PACK_DOUBLE || value->type == PACK_UINT)
        text = text_of_number(value, number);
    else
        return false;
    if (!may_match(patterns, text))
        return false;
    uint64_t redacted = patterns->redacted, too_costly = patterns->too_costly;
    if (!redact(patterns, &text))
        return false;
    if (out) {
        pack_text(out, value->type == PACK_TEXT ? text : TEXT_LITERAL(REDACT_MARK));
    } else { /* counted when it is written */
        patterns->redacted = redacted;
        patterns->too_costly = too_costly;
    }
    return true;
}

/* Whether the bytes may hold a number with as many digits as a match needs: by the heads of those that do (msgpack's spec), which
 * may also stand in a text. */
static bool may_hold_number(const struct redact_patterns *patterns, struct text packed) {
    static const char heads[] = { (char)0xcf, (char)0xd3, (char)0xcb, (char)0xca, (char)0xce, (char)0xd2 };
    enum { DIGITS_OF_64 = 20, DIGITS_OF_32 = 11, DIGITS_OF_16 = 6, HEADS_OF_64 = 4 };
    if (patterns->least > DIGITS_OF_64)
        return false;
    if (patterns->least <= DIGITS_OF_16)
        return true;
    for (size_t i = 0; i < (patterns->least > DIGITS_OF_32 ? HEADS_OF_64 : sizeof(heads)); i++)
        if (memchr(packed.data, heads[i], packed.length))
            return true;
    return false;
}

static int redact_packed_into(struct redact_patterns *patterns, struct text *packed, struct buffer *out) {
    if (packed->length == 0 || (!may_match(patterns, *packed) && !may_hold_number(patterns, *packed)))
        return 0; /* a text inside it is a part of its bytes */
    uint64_t redacted = patterns->redacted, too_costly = patterns->too_costly;
    int result = pack_edit(*packed, edit, patterns, out);
    if (result == 0)
        return 0;
    if (result == -E2BIG) { /* it would have grown beyond all bounds */
        patterns->redacted = redacted + 1;
        patterns->too_costly = too_costly + 1;
        *packed = TEXT_LITERAL("\xaa" REDACT_MARK);
        return 1;
    }
    if (result < 0 || out_of_memory(patterns))
        return -ENOMEM;
    *packed = buffer_text(out);
    return 1;
}

int redact_patterns_packed(struct redact_patterns *patterns, struct text *packed) {
    patterns->deadline_ns = 0;
    return redact_packed_into(patterns, packed, &patterns->metadata);
}

/* --- entries --- */

int redact_patterns_text(struct redact_patterns *patterns, struct text *text) {
    patterns->deadline_ns = 0;
    if (!redact(patterns, text))
        return 0;
    buffer_clear(&patterns->message); /* `value` is for what comes next */
    buffer_append_text(&patterns->message, *text);
    *text = buffer_text(&patterns->message);
    return out_of_memory(patterns) ? -ENOMEM : 1;
}

int redact_patterns_entry(struct redact_patterns *patterns, struct entry *entry) {
    int parts = 0, result;
    if (patterns->count == 0)
        return 0;
    result = redact_patterns_text(patterns, &entry->message);
    if (result > 0)
        parts |= ENTRY_PART_MESSAGE;
    entry->templated &= !(parts & ENTRY_PART_MESSAGE); /* its arguments stand elsewhere now */
    if (result >= 0)
        result = redact_packed_into(patterns, &entry->metadata, &patterns->metadata);
    if (result > 0)
        parts |= ENTRY_PART_METADATA;
    if (result >= 0)
        result = redact_packed_into(patterns, &entry->error_details, &patterns->error_details);
    if (result > 0)
        parts |= ENTRY_PART_ERROR_DETAILS;
    return result < 0 ? result : parts;
}
