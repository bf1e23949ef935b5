#include "collector/crash.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "collector/drain.h"
#include "common/base/check.h"
#include "common/base/process_stat.h"
#include "common/model/pack.h"

enum { IN_FLIGHT_BYTES = 280, METADATA_BYTES = 512 + SLOT_SPANS_MAX * IN_FLIGHT_BYTES, AGE_SIZE = 64 };

/* --- notice --- */

void crash_notice(struct rings *rings, struct collector_ring *ring, uint32_t index) {
    struct slot *slot = &ring->slots[index];
    struct slot_end *end = &slot->end;
    struct slot_info info;
    struct state_key key;
    struct text value;
    /* Read behind the death: a goodbye said in its last moment is there. */
    if (ring_reader_slot(&ring->ring, index, &info) < 0 || info.generation != slot->info.generation || info.goodbye)
        return;
    state_key_gone(&key, info.producer_id);
    end->gone = true;
    end->told = state_map_get(rings->state, state_key_text(&key), &value);
    end->late = slot->was_there;
    if (!process_age_ns(info.start_time, &end->age_ns))
        end->age_ns = info.claimed_ns < end->noticed_real_ns ? end->noticed_real_ns - info.claimed_ns : 0;
}

/* --- hear: each reader fills pid and signal --- */

static struct text find_text(struct text map, const char *key) {
    struct pack_value value;
    bool there = pack_find(map, text_of(key), &value) && value.type == PACK_TEXT;
    return there ? value.text : TEXT_EMPTY;
}

/* A number, also one that is text. */
static uint64_t find_number(struct text map, const char *key) {
    struct pack_value value;
    char digits[24];
    if (!pack_find(map, text_of(key), &value))
        return 0;
    if (value.type == PACK_UINT)
        return value.natural;
    if (value.type != PACK_TEXT || value.text.length == 0 || value.text.length >= sizeof(digits))
        return 0;
    memcpy(digits, value.text.data, value.text.length);
    digits[value.text.length] = '\0';
    return strtoull(digits, NULL, 10);
}

/* tfrun's entry of its command's end, and that of any program that tells of its children in this way. */
static bool read_exit(const struct entry *entry, struct crash_news *news) {
    struct pack_value core;
    if (!text_is(entry->operation, "exit") || entry->level < LEVEL_ERROR)
        return false;
    news->pid = (uint32_t)find_number(entry->metadata, "pid");
    news->signal = (int)find_number(entry->metadata, "signal");
    news->core_known = pack_find(entry->metadata, TEXT_LITERAL("core"), &core) && core.type == PACK_BOOL;
    news->core = news->core_known && core.boolean;
    return true;
}

/* systemd-coredump's record in the journal (systemd's sd-messages.h: SD_MESSAGE_COREDUMP). */
static bool read_coredump(const struct entry *entry, struct crash_news *news) {
    if (!text_is(find_text(entry->metadata, "message_id"), "fc2e22bc6ee647b6b90729ab34a250b1"))
        return false;
    news->pid = (uint32_t)find_number(entry->metadata, "coredump_pid");
    news->signal = (int)find_number(entry->metadata, "coredump_signal");
    news->core_known = news->core = true;
    return true;
}

/* The kernel's lines, with the pid before or behind these words. Before them "[pid" stands behind a name of 15 bytes at most, which are
 * fewer than words and brackets: no name can look like them. A pid is that of the thread: only of the main one is it the process's.
 * Source: arch/x86/mm/fault.c, arch/x86/kernel/traps.c, mm/oom_kill.c of Linux. */
static const struct {
    struct text words;
    int signal;
    bool behind;
} kernel_lines[] = {
    { TEXT_INITIALIZER("]: segfault at "), SIGSEGV, false },
    { TEXT_INITIALIZER("] general protection fault ip:"), SIGSEGV, false },
    { TEXT_INITIALIZER("] trap divide error ip:"), SIGFPE, false },
    { TEXT_INITIALIZER("] trap invalid opcode ip:"), SIGILL, false },
    { TEXT_INITIALIZER("ut of memory: Killed process "), SIGKILL, true },
};

static uint32_t pid_before(const char *begin, const char *at) {
    const char *digits = at;
    while (digits > begin && digits[-1] >= '0' && digits[-1] <= '9')
        digits--;
    return digits > begin && digits[-1] == '[' ? (uint32_t)strtoul(digits, NULL, 10) : 0;
}

static bool read_kernel(const struct entry *entry, struct crash_news *news) {
    char line[256];
    if (!text_is(find_text(entry->metadata, "transport"), "kernel"))
        return false;
    snprintf(line, sizeof(line), "%.*s", TEXT_FORMAT(entry->message));
    for (size_t i = 0; i < COUNT_OF(kernel_lines); i++) {
        const char *at = strstr(line, kernel_lines[i].words.data);
        if (!at)
            continue;
        news->pid = kernel_lines[i].behind ? (uint32_t)strtoul(at + kernel_lines[i].words.length, NULL, 10)
                                           : pid_before(line, at);
        news->signal = kernel_lines[i].signal;
        return true;
    }
    return false;
}

bool crash_is_news(const struct entry *entry) {
    return entry->metadata.length > 0 && (text_is(entry->operation, "exit") || text_is(entry->operation, "journal"));
}

void crash_hear(struct crash *crash, const struct collector_ring *ring, const struct slot *teller,
                const struct entry *entry) {
    static bool (*const readers[])(const struct entry *entry, struct crash_news *news) = { read_exit, read_coredump,
                                                                                           read_kernel };
    struct crash_news news = { .uid = ring->uid, .heard_ns = clock_monotonic_ns(), .heard_real_ns = clock_real_ns() };
    if (!teller || !pack_is_map(entry->metadata))
        return;
    news.pid_namespace = teller->info.pid_namespace;
    bool is_news = false;
    for (size_t i = 0; i < COUNT_OF(readers) && !is_news; i++)
        is_news = readers[i](entry, &news);
    if (is_news && news.pid > 0 && news.pid_namespace != 0 && news.signal > 0 && news.signal < NSIG)
        crash->heard[crash->next++ % CRASH_HEARD_MAX] = news;
}

/* Who may tell of a process of that user: the user, root, and whose the agent is, which reads the journal. The agent's lock is in a folder
 * where only the daemons may put something. */
static bool is_believed(const struct rings *rings, uid_t teller, uid_t uid) {
    char path[PATHS_MAX + 16];
    struct stat lock;
    if (teller == uid || teller == 0)
        return true;
    snprintf(path, sizeof(path), "%s/agent.lock", rings->runtime_dir);
    return lstat(path, &lock) == 0 && lock.st_uid == teller;
}

/* What was told of that process; the one that knows of a core goes before. */
static const struct crash_news *news_of(const struct rings *rings, const struct crash *crash,
                                        const struct collector_ring *ring, const struct slot *slot, uint64_t now) {
    const struct crash_news *found = NULL;
    for (size_t i = 0; i < CRASH_HEARD_MAX; i++) {
        const struct crash_news *news = &crash->heard[i];
        if (news->pid == slot->info.pid && news->heard_ns > 0 && now - news->heard_ns <= CRASH_HEARD_NS &&
            news->pid_namespace == slot->info.pid_namespace && news->heard_real_ns >= slot->info.claimed_ns &&
            (!found || news->core_known) && is_believed(rings, news->uid, ring->uid))
            found = news;
    }
    return found;
}

/* --- gather --- */

static void format_age(uint64_t ns, char out[AGE_SIZE]) {
    unsigned long long seconds = ns / CLOCK_SECOND, minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (minutes == 0)
        snprintf(out, AGE_SIZE, "%.1fs", (double)(ns / (CLOCK_SECOND / 10)) / 10);
    else if (hours == 0)
        snprintf(out, AGE_SIZE, "%llum %llus", minutes, seconds % 60);
    else if (days == 0)
        snprintf(out, AGE_SIZE, "%lluh %llum %llus", hours, minutes % 60, seconds % 60);
    else
        snprintf(out, AGE_SIZE, "%llud %lluh %llum %llus", days, hours % 24, minutes % 60, seconds % 60);
}

static void format_message(const struct slot *slot, const struct crash_news *news, char *out, size_t size) {
    char age[AGE_SIZE], how[64] = "went without goodbye";
    format_age(slot->end.age_ns, age);
    if (news) {
        const char *name = sigabbrev_np(news->signal);
        snprintf(how, sizeof(how), "was killed by %s%s (%d)%s", name ? "SIG" : "signal", name ? name : "", news->signal,
                 news->core ? ", core dumped," : "");
    }
    snprintf(out, size, "%.*s (pid %u) %s %s %s%s", TEXT_FORMAT(slot->info.service), slot->info.pid, how,
             slot->end.late ? "while no collector ran, at most" : "after", age,
             slot->end.late ? " after its start" : "");
}

static void pack_pair(struct pack_writer *writer, const char *key, struct text value) {
    pack_text(writer, text_of(key));
    pack_text(writer, value);
}

static void pack_hex(struct pack_writer *writer, const char *key, const uint8_t *bytes, size_t count) {
    char hex[2 * 16];
    text_hex(bytes, count, hex);
    pack_pair(writer, key, (struct text) { hex, 2 * count });
}

static double seconds_of(uint64_t ns) { /* to the millisecond */
    return (double)(ns / CLOCK_MILLISECOND) / 1000;
}

static void pack_span(struct pack_writer *writer, const struct open_span *span, uint64_t noticed_ns) {
    _cleanup_buffer_ struct buffer operation = BUFFER_EMPTY;
    text_utf8_repair((struct text) { span->operation, span->operation_length }, &operation);
    pack_map(writer, 4);
    pack_pair(writer, "operation", buffer_text(&operation));
    pack_hex(writer, "trace_id", span->trace_id, sizeof(span->trace_id));
    pack_hex(writer, "span_id", span->span_id, sizeof(span->span_id));
    pack_text(writer, TEXT_LITERAL("age_seconds"));
    pack_double(writer, noticed_ns > span->start_ns ? seconds_of(noticed_ns - span->start_ns) : 0);
}

static void pack_metadata(struct pack_writer *writer, const struct slot *slot, const struct crash_news *news,
                          const struct open_span *spans, uint32_t span_count) {
    bool core = news && news->core_known;
    pack_map(writer, 4 + (news ? 1 : 0) + (core ? 1 : 0) + (span_count > 0 ? 1 : 0));
    pack_text(writer, TEXT_LITERAL("pid"));
    pack_uint(writer, slot->info.pid);
    pack_hex(writer, "producer_id", slot->info.producer_id, sizeof(slot->info.producer_id));
    pack_text(writer, TEXT_LITERAL("uptime_seconds"));
    pack_double(writer, seconds_of(slot->end.age_ns));
    pack_text(writer, TEXT_LITERAL("lanes"));
    pack_uint(writer, slot->end.lanes);
    if (news) {
        pack_text(writer, TEXT_LITERAL("signal"));
        pack_int(writer, news->signal);
    }
    if (core) {
        pack_text(writer, TEXT_LITERAL("core"));
        pack_bool(writer, news->core);
    }
    if (span_count == 0)
        return;
    pack_text(writer, TEXT_LITERAL("in_flight"));
    pack_array(writer, span_count);
    for (uint32_t i = 0; i < span_count; i++)
        pack_span(writer, &spans[i], slot->end.noticed_real_ns);
}

static int compare_spans(const void *left, const void *right) { /* the newest first */
    const struct open_span *a = left, *b = right;
    return (a->start_ns < b->start_ns) - (a->start_ns > b->start_ns);
}

static void tell(struct drain *drain, struct collector_ring *ring, uint32_t index, const struct crash_news *news,
                 uint64_t now_ns, struct batch *batch) {
    struct slot *slot = &ring->slots[index];
    struct open_span spans[SLOT_SPANS_MAX];
    char message[ENTRY_NAME_BYTES + 256], metadata[METADATA_BYTES];
    int count = ring_reader_spans(&ring->ring, index, spans);
    if (count < 0 || !rings_slot_is_same(ring, index))
        return; /* cut or scribbled on: it is found out soon */
    if (count > 1)
        qsort(spans, (size_t)count, sizeof(spans[0]), compare_spans);
    struct pack_writer writer = { .data = metadata, .capacity = sizeof(metadata) };
    pack_metadata(&writer, slot, news, spans, (uint32_t)count);
    check(!writer.failed);
    format_message(slot, news, message, sizeof(message));
    struct entry entry = {
        .timestamp_ns = now_ns,
        .level = news ? LEVEL_ERROR : LEVEL_WARN,
        .service = arena_copy(&batch->arena, slot->info.service),
        .module = TEXT_LITERAL("crash"),
        .operation = TEXT_LITERAL("gone"),
        .message = arena_copy(&batch->arena, text_of(message)),
        .metadata = arena_copy(&batch->arena, (struct text) { metadata, writer.length }),
        .host = text_of(drain->host),
        .pid = slot->info.pid,
    };
    if (count > 0) {
        entry.trace_id = arena_hex(&batch->arena, (struct text) { (const char *)spans[0].trace_id, 16 });
        entry.span_id = arena_hex(&batch->arena, (struct text) { (const char *)spans[0].span_id, 8 });
    }
    uuid_make(&drain->ids, now_ns, &entry.id);
    intake_entry(drain->intake, &entry, false, batch);
    struct state_key key;
    state_key_gone(&key, slot->info.producer_id);
    batch_put_u64(batch, state_key_text(&key), now_ns);
    slot->end.telling = true;
}

static bool is_waiting_no_more(const struct slot *slot, uint64_t now) {
    return now - slot->end.noticed_ns >= CRASH_WAIT_NS;
}

void crash_gather(struct drain *drain, bool whole, uint64_t now_ns, struct batch *batch) {
    uint64_t now = clock_monotonic_ns();
    for (size_t r = 0; r < drain->rings->count; r++) {
        struct collector_ring *ring = drain->rings->items[r];
        for (uint32_t i = 0; ring->phase != RING_BROKEN && i < ring->slots_used; i++) {
            struct slot *slot = &ring->slots[i];
            if (!crash_is_untold(slot) || !slot->end.drained)
                continue;
            const struct crash_news *news = news_of(drain->rings, &drain->crash, ring, slot, now);
            if (news || whole || is_waiting_no_more(slot, now))
                tell(drain, ring, i, news, now_ns, batch);
        }
    }
}

void crash_settle(struct collector_ring *ring) {
    for (uint32_t i = 0; i < ring->slots_used; i++) {
        ring->slots[i].end.told |= ring->slots[i].end.telling;
        ring->slots[i].end.telling = false;
    }
}

void crash_discard(struct collector_ring *ring) {
    for (uint32_t i = 0; i < ring->slots_used; i++)
        ring->slots[i].end.telling = false;
}

bool crash_is_due(const struct rings *rings, const struct crash *crash) {
    uint64_t now = clock_monotonic_ns();
    for (size_t r = 0; r < rings->count; r++) {
        const struct collector_ring *ring = rings->items[r];
        for (uint32_t i = 0; ring->phase != RING_BROKEN && i < ring->slots_used; i++) {
            const struct slot *slot = &ring->slots[i];
            if (crash_is_untold(slot) && slot->end.drained &&
                (is_waiting_no_more(slot, now) || news_of(rings, crash, ring, slot, now)))
                return true;
        }
    }
    return false;
}

bool crash_is_waiting(const struct rings *rings) {
    for (size_t r = 0; r < rings->count; r++)
        for (uint32_t i = 0; rings->items[r]->phase != RING_BROKEN && i < rings->items[r]->slots_used; i++)
            if (crash_is_untold(&rings->items[r]->slots[i]))
                return true;
    return false;
}
