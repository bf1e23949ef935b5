#include "tests/lib/realistic.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/check.h"
#include "common/model/pack.h"

/* What stands for an argument in a statement: %d a number, %D a large one, %x 8 hex digits, %u a UUID, %a an address, %m a duration in ms, %n a name in
 * quotes, %o an object's number with its kind before it, %p a path. */
struct statement {
    const char *operation;
    enum level level;
    unsigned weight;
    const char *text;
};

static const struct statement statements[] = {
    { "handle", LEVEL_INFO, 220, "request %x from %a answered with 200 in %m ms, %D bytes sent to the client" },
    { "handle", LEVEL_INFO, 60, "request %x from %a answered with 404 in %m ms: no route for %p" },
    { "run", LEVEL_INFO, 150, "job %o taken by worker %d of queue %n, attempt %d of 5, waited %m ms" },
    { "run", LEVEL_INFO, 140, "job %o done in %m ms, result of %D bytes kept for 24 hours" },
    { "query", LEVEL_DEBUG, 130, "select from %n where id = %D took %m ms, %d rows, plan taken from the cache" },
    { "query", LEVEL_DEBUG, 60, "connection %d of the pool handed out after %m ms, %d are free and %d wait" },
    { "cache", LEVEL_DEBUG, 90, "cache hit for key user:%D:profile, age %d seconds, %d bytes" },
    { "cache", LEVEL_DEBUG, 30, "cache miss for key org:%D:limits, asked the store, %m ms" },
    { "schedule", LEVEL_INFO, 35, "next run of schedule %n at 2026-11-24T%d:00:00Z, %d jobs are due before that" },
    { "session", LEVEL_INFO, 30, "session %u opened for user %D by password and second factor from %a" },
    { "session", LEVEL_INFO, 25, "session %u closed after %d seconds, %d requests were made in it" },
    { "sync", LEVEL_INFO, 25, "replica %d is %d records behind the leader, batch of %d applied in %m ms" },
    { "deliver", LEVEL_WARN, 18, "delivery %o to %a failed with status 503, tried again in %d seconds" },
    { "query", LEVEL_WARN, 16, "slow query: update of %n took %m ms, the limit is 500 ms, %d rows changed" },
    { "limit", LEVEL_WARN, 12, "organisation %D is at %d percent of its limit of 10000 jobs an hour" },
    { "handle", LEVEL_ERROR, 12, "request %x failed: timeout after 30000 ms while waiting for upstream %a" },
    { "run", LEVEL_ERROR, 12, "job %o failed on attempt %d: connection refused by %a, it goes to the dead letters" },
    { "deliver", LEVEL_ERROR, 5, "message %u could not be sent: the server said 550 mailbox %n unavailable" },
    { "store", LEVEL_CRITICAL, 2, "cannot write %p: no space left on device, %D bytes needed" },
};
enum { STATEMENTS = sizeof(statements) / sizeof(statements[0]), WEIGHTS = 1072 };

static const char *const services[REALISTIC_SERVICES] = {
    "gateway", "queue",  "worker",   "billing", "mail",   "search", "auth",   "storage", "scheduler", "notify",
    "audit",   "report", "importer", "webhook", "export", "quota",  "tenant", "media",   "geo",       "archive",
};
static const char *const modules[] = { "http", "core", "db", "cache", "jobs" };
static const char *const names[] = { "mail",   "orders",  "invoices", "thumbnails", "users",    "exports",
                                     "alerts", "reports", "imports",  "webhooks",   "payments", "archive" };
static const char *const kinds[] = { "thumbnail", "invoice", "reminder", "export", "cleanup", "webhook" };

const char *realistic_service(unsigned number) {
    return services[number % REALISTIC_SERVICES];
}

/* Vigna's splitmix64. */
static uint64_t draw(struct realistic *realistic) {
    uint64_t z = realistic->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static unsigned below(struct realistic *realistic, unsigned limit) {
    return (unsigned)((draw(realistic) >> 32) * limit >> 32);
}

/* Few large, many small: the less of three. */
static unsigned skewed(struct realistic *realistic, unsigned limit) {
    unsigned a = below(realistic, limit), b = below(realistic, limit), c = below(realistic, limit);
    a = a < b ? a : b;
    return a < c ? a : c;
}

/* --- text into the room --- */

static void put(struct realistic *realistic, const char *bytes, size_t length) {
    check(realistic->used + length <= REALISTIC_ROOM);
    memcpy(realistic->room + realistic->used, bytes, length);
    realistic->used += length;
}

static void put_number(struct realistic *realistic, uint64_t number) {
    char digits[20];
    unsigned at = sizeof(digits);
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    put(realistic, digits + at, sizeof(digits) - at);
}

static void hex(struct realistic *realistic, char *out, unsigned digits) {
    static const char table[] = "0123456789abcdef";
    uint64_t bits = 0;
    for (unsigned i = 0; i < digits; i++, bits >>= 4) {
        if (i % 16 == 0)
            bits = draw(realistic);
        out[i] = table[bits & 15];
    }
}

/* An id's digits: random, or a number that counts up. */
static void id_hex(struct realistic *realistic, char *out, unsigned digits) {
    if (!realistic->plain_ids) {
        hex(realistic, out, digits);
        return;
    }
    memset(out, '0', digits);
    uint64_t number = ++realistic->plain;
    for (unsigned at = digits; number; number /= 10)
        out[--at] = (char)('0' + number % 10);
}

static void put_uuid(struct realistic *realistic) {
    char text[36];
    hex(realistic, text, 36);
    text[8] = text[13] = text[18] = text[23] = '-';
    text[14] = '4';
    put(realistic, text, 36);
}

static void put_word(struct realistic *realistic, const char *word) {
    put(realistic, word, strlen(word));
}

static void put_address(struct realistic *realistic) {
    put_word(realistic, "10.");
    put_number(realistic, below(realistic, 4));
    put_word(realistic, ".");
    put_number(realistic, below(realistic, 16));
    put_word(realistic, ".");
    put_number(realistic, below(realistic, 250));
}

static void put_argument(struct realistic *realistic, char what) {
    char eight[8];
    switch (what) {
    case 'd':
        put_number(realistic, skewed(realistic, 60));
        break;
    case 'D':
        put_number(realistic, skewed(realistic, 90000));
        break;
    case 'm':
        put_number(realistic, skewed(realistic, 900));
        put_word(realistic, ".");
        put_number(realistic, below(realistic, 10));
        break;
    case 'x':
        hex(realistic, eight, 8);
        put(realistic, eight, 8);
        break;
    case 'u':
        put_uuid(realistic);
        break;
    case 'a':
        put_address(realistic);
        break;
    case 'n':
        put_word(realistic, "\"");
        put_word(realistic, names[below(realistic, 12)]);
        put_word(realistic, "\"");
        break;
    case 'o':
        put_word(realistic, kinds[below(realistic, 6)]);
        put_word(realistic, "-");
        put_number(realistic, below(realistic, 1000000));
        break;
    default:
        put_word(realistic, "/api/v1/");
        put_word(realistic, names[below(realistic, 12)]);
        put_word(realistic, "/");
        put_number(realistic, below(realistic, 5000));
    }
}

static struct text message(struct realistic *realistic, const char *format, unsigned service) {
    size_t begin = realistic->used;
    if (service % 3 == 1) { /* services say the same things each in its own words */
        put_word(realistic, services[service]);
        put_word(realistic, ": ");
    } else if (service % 3 == 2) {
        put_word(realistic, "[");
        put_word(realistic, services[service]);
        put_word(realistic, "] ");
    }
    while (*format) {
        size_t plain = strcspn(format, "%");
        put(realistic, format, plain);
        format += plain;
        if (!*format)
            break;
        put_argument(realistic, format[1]);
        format += 2;
    }
    return (struct text) { realistic->room + begin, realistic->used - begin };
}

/* --- the rest of an entry --- */

static struct pack_writer writer(struct realistic *realistic) {
    return (struct pack_writer) { .data = realistic->room + realistic->used,
                                  .capacity = REALISTIC_ROOM - realistic->used };
}

static struct text written(struct realistic *realistic, const struct pack_writer *pack) {
    check(!pack->failed);
    struct text text = { realistic->room + realistic->used, pack->length };
    realistic->used += pack->length;
    return text;
}

static struct text metadata(struct realistic *realistic, unsigned which) {
    struct pack_writer pack = writer(realistic);
    if (which >= 60)
        return TEXT_EMPTY;
    pack_map(&pack, which < 25 ? 1 : which < 50 ? 2 : 3);
    pack_text(&pack, TEXT_LITERAL("queue"));
    pack_text(&pack, text_of(names[below(realistic, 12)]));
    if (which >= 25) {
        pack_text(&pack, TEXT_LITERAL("attempt"));
        pack_uint(&pack, 1 + skewed(realistic, 5));
    }
    if (which >= 50) {
        pack_text(&pack, TEXT_LITERAL("duration_ms"));
        pack_double(&pack, skewed(realistic, 9000) / 10.0);
    }
    return written(realistic, &pack);
}

static struct text error_details(struct realistic *realistic) {
    struct pack_writer pack = writer(realistic);
    pack_map(&pack, 3);
    pack_text(&pack, TEXT_LITERAL("type"));
    pack_text(&pack, below(realistic, 2) ? TEXT_LITERAL("TimeoutError") : TEXT_LITERAL("ConnectionRefused"));
    pack_text(&pack, TEXT_LITERAL("code"));
    pack_uint(&pack, 100 + below(realistic, 12));
    pack_text(&pack, TEXT_LITERAL("stack"));
    pack_text(&pack, TEXT_LITERAL("at call (client.c:118)\nat attempt (retry.c:44)\nat run (worker.c:201)"));
    return written(realistic, &pack);
}

static void draw_uuid(struct realistic *realistic, unsigned number, uint64_t salt, struct uuid *ret) {
    struct realistic other = { .random = number * UINT64_C(0x2545f4914f6cdd1d) + salt };
    uint64_t halves[2] = { draw(&other), draw(&other) };
    (void)realistic;
    memcpy(ret->bytes, halves, 16);
    ret->bytes[6] = (uint8_t)((ret->bytes[6] & 0x0f) | 0x40);
    ret->bytes[8] = (uint8_t)((ret->bytes[8] & 0x3f) | 0x80);
}

static unsigned pick_service(struct realistic *realistic) {
    return skewed(realistic, REALISTIC_SERVICES);
}

/* A request goes from service to service: it keeps its trace, and has a span in each. */
static void join_trace(struct realistic *realistic, struct entry *entry, unsigned *service) {
    struct realistic_trace *trace = &realistic->traces[below(realistic, REALISTIC_TRACES)];
    if (trace->left == 0) {
        unsigned user = skewed(realistic, 5000);
        id_hex(realistic, trace->trace, 32);
        id_hex(realistic, trace->correlation, 36);
        trace->correlation[8] = trace->correlation[13] = trace->correlation[18] = trace->correlation[23] = '-';
        draw_uuid(realistic, user, 1, &trace->user);
        draw_uuid(realistic, user % 200, 2, &trace->organization);
        trace->known = below(realistic, 2);
        trace->correlated = below(realistic, 5) == 0;
        trace->left = 2 + below(realistic, 8);
        trace->service = REALISTIC_SERVICES;
    }
    if (trace->service == REALISTIC_SERVICES || below(realistic, 3) == 0) {
        trace->service = pick_service(realistic);
        id_hex(realistic, trace->span, 16);
    }
    trace->left--;
    *service = trace->service;
    entry->trace_id = (struct text) { trace->trace, 32 };
    entry->span_id = (struct text) { trace->span, 16 };
    if (trace->known) { /* not all applications know who asks */
        entry->user_id = trace->user;
        entry->organization_id = trace->organization;
    }
    if (trace->correlated)
        entry->correlation_id = (struct text) { trace->correlation, 36 };
}

static const struct statement *pick_statement(struct realistic *realistic) {
    unsigned at = below(realistic, WEIGHTS), i = 0;
    while (at >= statements[i].weight)
        at -= statements[i++].weight;
    return &statements[i];
}

void realistic_init(struct realistic *realistic, uint64_t count, uint64_t seed) {
    unsigned weights = 0;
    for (unsigned i = 0; i < STATEMENTS; i++)
        weights += statements[i].weight;
    check(weights == WEIGHTS);
    *realistic = (struct realistic) { .random = seed, .count = count ? count : 1 };
    realistic->time_ns = REALISTIC_END_NS - REALISTIC_SPAN_NS;
    for (unsigned i = 0; i < 16; i++)
        realistic->ring_id[i] = (uint8_t)draw(realistic);
    for (unsigned i = 0; i < REALISTIC_SERVICES * 4; i++)
        realistic->positions[i] = (UINT64_C(1) << 20) + draw(realistic) % 65536 * 8;
}

void realistic_next(struct realistic *realistic, struct entry *ret) {
    unsigned service;
    uint64_t step = REALISTIC_SPAN_NS / realistic->count;
    realistic->made++;
    realistic->time_ns += step ? draw(realistic) % (2 * step) : 0;
    realistic->used = 0;
    *ret = (struct entry) { .host = TEXT_LITERAL("taskforge-1.example.net") };
    if (below(realistic, 10) < 3)
        join_trace(realistic, ret, &service);
    else
        service = pick_service(realistic);
    const struct statement *statement = pick_statement(realistic);
    unsigned process = service * 4 + below(realistic, 2 + service % 3);
    ret->level = statement->level;
    ret->service = text_of(services[service]);
    ret->module = text_of(modules[(service + (unsigned)(statement - statements)) % 5]);
    ret->operation = text_of(statement->operation);
    ret->message = message(realistic, statement->text, service);
    ret->metadata = metadata(realistic, below(realistic, 100));
    if (statement->level >= LEVEL_ERROR && below(realistic, 2))
        ret->error_details = error_details(realistic);
    ret->pid = 1000 + process * 37;
    ret->timestamp_ns = realistic->time_ns - draw(realistic) % 2000; /* threads are a little apart */
    realistic->positions[process] += 128 + ret->message.length / 8 * 8;
    uuid_derive(ret->timestamp_ns, realistic->ring_id, process, realistic->positions[process], &ret->id);
}
