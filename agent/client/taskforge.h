/* taskforge.h - the client library of TaskForge Monitoring: log entries and metrics from any C or C++ program.
 *
 *     #include <taskforge.h>
 *
 *     int main(void) {
 *         tf_default_open("mailer", NULL);
 *         TF_INFO("send", "sent %d mails to %s in %.1f ms", 3, "a@example.org", 12.5);
 *         return 0;
 *     }
 *
 *     cc mailer.c $(pkg-config --cflags --libs taskforge)
 *
 * WHAT IT IS
 *
 * A call writes one record into a file in shared memory (RUNTIME_DIR/rings/UID, one for each user), from where the
 * collector takes it into the store. A record that was written stays, whatever happens to the program: after SIGKILL
 * in the next instruction it still reaches the store. No collector needs to run: the program starts, runs and stops
 * the same, and what it wrote is taken in when a collector comes, as far as there was room.
 *
 * An entry has a level, a service (the program), a module (a part of it), an operation (what it was doing), a message,
 * and, where wanted, trace, span and correlation ids, user and organization ids, metadata (a JSON object) and, for
 * errors, details (any JSON value). Limits: service, module and operation 1 to 100 characters each; message 1 to
 * 10,000 characters; trace, span and correlation id at most 128 bytes; metadata and error details 64 KiB each. Text is
 * UTF-8.
 *
 * The macros TF_TRACE .. TF_CRITICAL store only the arguments of the format; the collector puts the text together. So
 * they are the fastest way, and all entries of one statement can be found by their template.
 *
 * WHAT IT COSTS
 *
 * In nanoseconds on a processor of 2.6 GHz, with nothing to be said against it:
 *
 *     a level that is not wanted                                    1
 *     tf_counter_add                                                2
 *     tf_histogram_observe                                          6
 *     TF_INFO and so on                                            17   a hundred bytes, trace and span id
 *     tf_log; tf_entry_write with seven strings                28; 37
 *     tf_metric_count, by name, two labels                    25; 35   a series that this thread updated a moment ago: one
 *                                                                      updated often (its cell); else, as a record
 *     TF_EVENT with one field; a span from start to end           120
 *     tf_log_with_metadata, tf_logf, an entry with all it may have   150 and more
 *
 * The quick way writes straight into the thread's lane and reads the processor's time stamp counter in place of the clock. It is left,
 * for some 100 ns more, by: formats with a precision for a string ("%.3s") or a star, and more than 1.8 KB of arguments; a context
 * with a correlation, user or organization id, or with ids that are no W3C ones; strings of tf_entry that are no ASCII; site_rate,
 * repeat_ns, and levels that are sampled or held by the flight recorder; a thread that goes from one client to another, at each change; a
 * processor whose counter does not tick evenly. Trace and span ids travel as bytes: tf_context_from_traceparent is faster than text
 * in each entry. A statement's first call, and a thread's first with a client, take some microseconds.
 *
 * OVERLOAD
 *
 * No call waits unless the client was opened with TF_POLICY_WAIT. What finds no room is dropped, and counted by level
 * and reason: in tf_losses, and in shared memory, from where the collector writes it into the log as an entry. As a
 * thread's lane (512 KiB) fills up, trace and debug are refused at a half, info at three quarters, warn at seven
 * eighths: the rest is for error and critical. With TF_POLICY_WAIT a call that finds no room tries again until its
 * deadline and is then dropped and counted. Waiting is for room only: where no ring can be attached at all (no runtime
 * directory, no permission, no space) calls return at once, and attaching is tried again each second at most.
 *
 * Each call that passes the level check and is valid either returns 0 and is in the ring, or returns -EAGAIN and is
 * counted exactly once. What is left out because that was chosen (a statement's limits in struct tf_options; collector.sampling) returns
 * 0 and is counted exactly once, too.
 *
 * TIME
 *
 * An entry's time is CLOCK_REALTIME's, within some 20 us, and grows within a thread as long as that does; a step of that clock is seen
 * within a tenth of a second.
 *
 * THREADS, FORK, SIGNALS
 *
 * Every function may be called from any thread at any time, but tf_close: no other thread may be inside a call with
 * that client, or begin one, when it runs. A thread's first record with a client sets up what it needs (memory, a lane of
 * the ring); after that a log call takes no lock, makes no system call and allocates nothing, but once after something has changed: a
 * statement that is new, another configuration, a ring that was set aside. tf_prepare does the first step ahead of time. Entries of one
 * thread keep their order.
 *
 * After fork(2) both sides go on: the child gets a slot and lanes of its own at its first record, its loss counts begin at zero, and its
 * thread keeps its context. A span belongs to the process that started it. A child that ends by _exit(2) without tf_close is told as gone
 * without goodbye, as one that was killed. _Fork, vfork and clone called directly are not seen: do not log in such a child before execve.
 *
 * A signal handler may call the macros, tf_log, tf_wants, tf_entry_write and the updates of metrics, by handle or by name. Where the signal
 * came in the middle of a call of this library, the handler's call is nested: it never waits, goes through a lane that all processes
 * share, and keeps at most 128 bytes of each string argument and 500 bytes of metadata (of TF_EVENT the fields that fit); what its
 * refusal was is not told by tf_last_error. Elsewhere it is a call as any. Contexts and spans are not for handlers: what the thread's entries
 * carry does not change there, and a span is refused (-ENOMEM) in a nested call. The client must be open, the default one too; on a
 * thread that has not logged yet call tf_prepare before; formats that cannot be deferred (below) are put together with vsnprintf(3), which
 * the C library does not promise for handlers. A handler returns: one that jumps out of a call of this library leaves its thread in it, where
 * all its later calls are nested. fork inside a handler is not supported.
 *
 * An application that closes all its descriptors (as daemons do) need not spare the library's: what was mapped stays.
 *
 * ERRORS
 *
 * Functions return 0 or a negative errno; tf_last_error() gives the sentence for the last failure on this thread:
 *   -EINVAL   refused: the call broke a rule; the sentence says which field and why. Nothing is written or counted.
 *   -EAGAIN   valid, but there was no room, or no ring: dropped and counted
 *   -ENOMEM   no memory for the client or the thread (a log call counts the entry as lost then: -EAGAIN)
 * Where an argument is a client, NULL means the default client.
 */
#ifndef TASKFORGE_H
#define TASKFORGE_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TF_VERSION_MAJOR 0
#define TF_VERSION_MINOR 1

#if defined(__GNUC__)
#define TF_API __attribute__((__visibility__("default")))
#define TF_PRINTF_(at, first) __attribute__((__format__(__printf__, at, first)))
#else
#error "taskforge.h needs a compiler that speaks GNU C (gcc or clang)"
#endif

/* Levels, lowest first. */
enum tf_level {
    TF_LEVEL_TRACE = 0,
    TF_LEVEL_DEBUG = 1,
    TF_LEVEL_INFO = 2,
    TF_LEVEL_WARN = 3,
    TF_LEVEL_ERROR = 4,
    TF_LEVEL_CRITICAL = 5
};
enum { TF_LEVELS = 6 };

/* A client: a service's way into the ring. Opaque; all of it is thread-safe. */
typedef struct tf_client tf_client;

/* ------------------------------------------------------------------------------------------------------------------
 * Opening and closing
 * ------------------------------------------------------------------------------------------------------------------ */

enum tf_policy {
    TF_POLICY_DROP = 0, /* no room: drop, count, go on (the default) */
    TF_POLICY_WAIT = 1  /* no room: try again until wait_ns have passed, then drop and count */
};

/* Settings of a client. Begin with TF_OPTIONS_INIT, so that fields of later versions get their defaults. */
struct tf_options {
    size_t size;             /* sizeof(struct tf_options): set by TF_OPTIONS_INIT */
    const char *runtime_dir; /* NULL: $TASKFORGE_RUNTIME_DIR, else the system's or the user's own; copied */
    const char *module;      /* module of calls that give none; NULL: "main"; copied */
    int min_level;           /* enum tf_level: entries below it are not written, whatever tfctl level says */
    int policy;              /* enum tf_policy */
    uint64_t wait_ns;        /* TF_POLICY_WAIT: nanoseconds a call waits at most */
    /* Limits of one statement (of the macros), at any level; all threads and clients share its account: */
    uint32_t site_rate;  /* entries a second that it may write; 0: any number */
    uint32_t site_burst; /* how many of them at once; 0: site_rate */
    uint64_t repeat_ns;  /* with the same arguments it is written once in that many nanoseconds; 0: each time */
};
/* clang-format off */
#define TF_OPTIONS_INIT { sizeof(struct tf_options), 0, 0, TF_LEVEL_TRACE, TF_POLICY_DROP, 0, 0, 0, 0 }
/* clang-format on */

/* Open a client for `service`, and attach to the ring if that is possible now (if not, that is no failure: entries are
 * counted as lost until it is; tf_last_error then says what stood in the way, and is "" otherwise). options NULL: the
 * defaults. A process may open several. *ret is the caller's, to be freed with tf_close; untouched on failure.
 * -EINVAL (service, an option), -ENOMEM. */
TF_API int tf_open(const char *service, const struct tf_options *options, tf_client **ret);

/* Free the client. What it wrote stays in the ring. NULL is fine, and so is never calling it: a process that ends needs no
 * cleaning up. See THREADS. */
TF_API void tf_close(tf_client *client);

/* Open the default client, which serves the macros and every call with a NULL client. Without this call it is opened at
 * the first use, with the program's name as service. -EBUSY when it is open already, else as tf_open. */
TF_API int tf_default_open(const char *service, const struct tf_options *options);

/* The default client, opened if need be. Never to be closed. NULL: no memory. */
TF_API tf_client *tf_default(void);

/* Make this thread ready for this client (see THREADS): its memory, its lane. 0, -EAGAIN (no ring or no lane now),
 * -ENOMEM. */
TF_API int tf_prepare(tf_client *client);

/* Wait until the collector has taken everything that this process wrote with this client up to now into the store.
 * deadline_ns: nanoseconds from now. 0, or -ETIMEDOUT (so always where no collector runs and something was written). */
TF_API int tf_flush(tf_client *client, uint64_t deadline_ns);

/* What was lost in this process through this client since it was opened (in a child: since fork). Spans and updates of metrics by name
 * count as entries of level info. */
struct tf_loss_counts {
    uint64_t lane_full[TF_LEVELS];  /* the thread's lane had no room for that level */
    uint64_t lanes_busy[TF_LEVELS]; /* no lane for the thread, and the shared ones busy or full */
    uint64_t no_ring[TF_LEVELS];    /* no ring to write to */
    uint64_t quota[TF_LEVELS];      /* this process had its share of the lanes that all share */
    /* not lost but left out, as it was chosen: */
    uint64_t rate_limited[TF_LEVELS]; /* options.site_rate */
    uint64_t repeated[TF_LEVELS];     /* options.repeat_ns */
    uint64_t sampled[TF_LEVELS];      /* collector.sampling */
    uint64_t total;                   /* of all of them */
};

/* Copies the counts into *ret, whose size the caller gives (sizeof *ret). 0, or -EINVAL for a size that is not known. */
TF_API int tf_losses(tf_client *client, struct tf_loss_counts *ret, size_t size);

/* Ask for what the flight recorder holds of this process to be stored (collector.flight_recorder: entries of levels that stay in memory until
 * the process or their trace logs an error): what it wrote with this client in the last `keep`. The collector sees to it within about a
 * quarter of a second; each entry is stored once, however often it is asked for. Does nothing where there is no flight recorder. Takes a lock:
 * not for signal handlers. 0, -EAGAIN (no ring now), -ENOMEM. */
TF_API int tf_recorder_store(tf_client *client);

/* The sentence about the last failure of a tf_ call on this thread: "message must be 1 to 10000 characters, is 0". It
 * stands until the next failure (a call that succeeds leaves it, tf_open apart); "" when nothing has failed yet. Calls
 * nested in a signal handler leave it alone. Never NULL; valid until the thread's next tf_ call. */
TF_API const char *tf_last_error(void);

/* "trace" .. "critical"; NULL for a number that is no level. */
TF_API const char *tf_level_name(int level);

/* Any of the six names and the usual others ("warning" "err" "crit" "fatal" ...), in any case: 0 and *ret, or -EINVAL. */
TF_API int tf_level_parse(const char *name, int *ret);

/* ------------------------------------------------------------------------------------------------------------------
 * Logging with a format
 * ------------------------------------------------------------------------------------------------------------------
 *
 *     TF_INFO(operation, format, ...)                 the default client; likewise TF_TRACE TF_DEBUG TF_WARN TF_ERROR TF_CRITICAL
 *     TF_LOG(level, operation, format, ...)           the default client, any level
 *     TF_LOG_TO(client, level, operation, format, ...)
 *
 * operation and format must be string literals; the format is printf's and checked by the compiler. The module is
 * TF_MODULE: define it as a literal before including this header, once for each source file, else the client's is taken. The
 * arguments are evaluated only when the level is wanted. Strings are copied during the call. "%s" with NULL is "(null)".
 *
 * A message that comes out empty, too long or as bad UTF-8 is not refused but repaired by the collector (cut in the
 * middle, so that its end stays), and marked so in its metadata.
 *
 * Formats with %n, %m, %ls, long double, positional arguments ("1$") or more than 16 arguments work as well, as do more than
 * 256 statements in a process; those are put together in the calling thread, which costs some 150 ns more.
 */
#ifndef TF_MODULE
#define TF_MODULE NULL
#endif

#define TF_TRACE(operation, ...) TF_LOG(TF_LEVEL_TRACE, operation, __VA_ARGS__)
#define TF_DEBUG(operation, ...) TF_LOG(TF_LEVEL_DEBUG, operation, __VA_ARGS__)
#define TF_INFO(operation, ...) TF_LOG(TF_LEVEL_INFO, operation, __VA_ARGS__)
#define TF_WARN(operation, ...) TF_LOG(TF_LEVEL_WARN, operation, __VA_ARGS__)
#define TF_ERROR(operation, ...) TF_LOG(TF_LEVEL_ERROR, operation, __VA_ARGS__)
#define TF_CRITICAL(operation, ...) TF_LOG(TF_LEVEL_CRITICAL, operation, __VA_ARGS__)

#define TF_LOG(level, operation, ...)                                                                                  \
    do {                                                                                                               \
        static struct tf_site_ tf_site_here_ = TF_SITE_INIT_("" operation, TF_FIRST_(__VA_ARGS__, 0), 0);              \
        const int tf_level_here_ = (level);                                                                            \
        if (tf_head_wants_(&tf_default_head_, tf_level_here_))                                                         \
            (void)tf_site_log_(NULL, &tf_site_here_, tf_level_here_, __VA_ARGS__);                                     \
    } while (0)

#define TF_LOG_TO(client, level, operation, ...)                                                                       \
    do {                                                                                                               \
        static struct tf_site_ tf_site_here_ = TF_SITE_INIT_("" operation, TF_FIRST_(__VA_ARGS__, 0), 0);              \
        const int tf_level_here_ = (level);                                                                            \
        tf_client *const tf_client_here_ = (client);                                                                   \
        if (tf_wants(tf_client_here_, tf_level_here_))                                                                 \
            (void)tf_site_log_(tf_client_here_, &tf_site_here_, tf_level_here_, __VA_ARGS__);                          \
    } while (0)

/* With the ids of a struct tf_context (below) in place of the thread's: for event loops. client NULL: the default one. */
#define TF_LOG_IN(client, context, level, operation, ...)                                                              \
    do {                                                                                                               \
        static struct tf_site_ tf_site_here_ = TF_SITE_INIT_("" operation, TF_FIRST_(__VA_ARGS__, 0), 0);              \
        const int tf_level_here_ = (level);                                                                            \
        tf_client *const tf_client_here_ = (client);                                                                   \
        if (tf_wants(tf_client_here_, tf_level_here_))                                                                 \
            (void)tf_site_log_in_(tf_client_here_, (context), &tf_site_here_, tf_level_here_, __VA_ARGS__);            \
    } while (0)

/* A message as it stands (a literal, no format) with typed fields, which become its metadata without being formatted:
 *
 *     TF_EVENT(TF_LEVEL_INFO, "deliver", "mail delivered", tf_str("to", to), tf_int("attempt", 2));
 *
 * Fields are made by tf_str .. tf_json; at least one, at most 32. Those that break a rule (a key or string that is no UTF-8, JSON that is none,
 * what is beyond 32 fields or 64 KiB) are left out, and the metadata says so: "repaired":["metadata"]. */
#define TF_EVENT(level, operation, message, ...)                                                                       \
    do {                                                                                                               \
        static struct tf_site_ tf_site_here_ = TF_SITE_INIT_("" operation, message, TF_SITE_LITERAL_);                 \
        const int tf_level_here_ = (level);                                                                            \
        if (tf_head_wants_(&tf_default_head_, tf_level_here_)) {                                                       \
            const struct tf_field tf_fields_here_[] = { __VA_ARGS__ };                                                 \
            (void)tf_site_event_(NULL, NULL, &tf_site_here_, tf_level_here_, tf_fields_here_,                          \
                                 sizeof(tf_fields_here_) / sizeof(tf_fields_here_[0]));                                \
        }                                                                                                              \
    } while (0)

/* The same to a client, and with a context where that is not NULL. */
#define TF_EVENT_IN(client, context, level, operation, message, ...)                                                   \
    do {                                                                                                               \
        static struct tf_site_ tf_site_here_ = TF_SITE_INIT_("" operation, message, TF_SITE_LITERAL_);                 \
        const int tf_level_here_ = (level);                                                                            \
        tf_client *const tf_client_here_ = (client);                                                                   \
        if (tf_wants(tf_client_here_, tf_level_here_)) {                                                               \
            const struct tf_field tf_fields_here_[] = { __VA_ARGS__ };                                                 \
            (void)tf_site_event_(tf_client_here_, (context), &tf_site_here_, tf_level_here_, tf_fields_here_,          \
                                 sizeof(tf_fields_here_) / sizeof(tf_fields_here_[0]));                                \
        }                                                                                                              \
    } while (0)

/* The same as a function: module and operation need not be literals, and the result is told. The text is put together
 * in the calling thread. module NULL: the client's. 0, -EINVAL, -EAGAIN. */
TF_API int tf_logf(tf_client *client, int level, const char *module, const char *operation, const char *format, ...)
    TF_PRINTF_(5, 6);
TF_API int tf_vlogf(tf_client *client, int level, const char *module, const char *operation, const char *format,
                    va_list arguments) TF_PRINTF_(5, 0);

/* ------------------------------------------------------------------------------------------------------------------
 * Logging text as it is
 * ------------------------------------------------------------------------------------------------------------------
 *
 * Here the message is taken as it stands (no '%' is looked at), and an entry that breaks a rule is refused with -EINVAL.
 * module NULL: the client's. An entry below the wanted level is passed over unseen: 0. All strings are borrowed for the call only.
 */
TF_API int tf_log(tf_client *client, int level, const char *module, const char *operation, const char *message);

/* One pair of an entry's metadata. Make it with tf_str .. tf_json; key and string are borrowed. */
struct tf_field {
    const char *key;
    int kind; /* the library's */
    union {
        const char *string;
        int64_t integer;
        double number;
        int boolean;
    } value;
};
enum { TF_FIELD_STRING_ = 1, TF_FIELD_INTEGER_, TF_FIELD_NUMBER_, TF_FIELD_BOOLEAN_, TF_FIELD_JSON_ };

static inline struct tf_field tf_str(const char *key, const char *value) { /* NULL: null */
    struct tf_field field;
    field.key = key;
    field.kind = TF_FIELD_STRING_;
    field.value.string = value;
    return field;
}
static inline struct tf_field tf_int(const char *key, int64_t value) {
    struct tf_field field;
    field.key = key;
    field.kind = TF_FIELD_INTEGER_;
    field.value.integer = value;
    return field;
}
static inline struct tf_field tf_double(const char *key, double value) { /* NaN and infinities come out as null */
    struct tf_field field;
    field.key = key;
    field.kind = TF_FIELD_NUMBER_;
    field.value.number = value;
    return field;
}
static inline struct tf_field tf_bool(const char *key, int value) {
    struct tf_field field;
    field.key = key;
    field.kind = TF_FIELD_BOOLEAN_;
    field.value.boolean = value;
    return field;
}
static inline struct tf_field tf_json(const char *key, const char *json) { /* any JSON value, as text */
    struct tf_field field;
    field.key = key;
    field.kind = TF_FIELD_JSON_;
    field.value.string = json;
    return field;
}

/* Log with metadata: `count` fields. Of equal keys the last holds.
 *
 *     struct tf_field fields[] = { tf_str("queue", "mail"), tf_int("attempt", 2) };
 *     tf_log_with_metadata(client, TF_LEVEL_WARN, "queue", "retry", "will try again", fields, 2);
 */
TF_API int tf_log_with_metadata(tf_client *client, int level, const char *module, const char *operation,
                                const char *message, const struct tf_field *fields, size_t count);

/* Log at level error with details: any JSON value, as text ("{\"code\":42,\"stack\":[...]}"). */
TF_API int tf_log_error_with_details(tf_client *client, const char *module, const char *operation, const char *message,
                                     const char *details_json);

/* ------------------------------------------------------------------------------------------------------------------
 * An entry with every field
 * ------------------------------------------------------------------------------------------------------------------
 *
 *     struct tf_entry entry;
 *     tf_entry_init(&entry, TF_LEVEL_ERROR, "billing", "charge", "card refused");
 *     entry.trace_id = trace;
 *     entry.user_id = "6f1c0f0e-5c0e-4b8e-9f0a-0d5e3a7c1b11";
 *     tf_entry_add(&entry, tf_int("amount", 1250));
 *     entry.error_details = "{\"code\":\"insufficient_funds\"}";
 *     tf_entry_write(client, &entry);
 *
 * Everything is borrowed until tf_entry_write returns; an entry may be written again. Not thread-safe by itself.
 */
enum { TF_ENTRY_FIELDS = 32 };

struct tf_entry {
    size_t size;           /* sizeof(struct tf_entry): set by tf_entry_init */
    int level;             /* enum tf_level */
    const char *service;   /* NULL: the client's */
    const char *module;    /* NULL: the client's */
    const char *operation; /* needed */
    const char *message;   /* needed */
    size_t message_length; /* bytes, where message does not end with NUL; TF_TO_NUL: it does */
    uint64_t timestamp_ns; /* nanoseconds since 1970 UTC; 0: now */
    const char *trace_id;  /* NULL: the thread's context (below), if set; likewise the next two */
    const char *span_id;   /* */
    const char *correlation_id;
    const char *user_id;         /* a UUID as text, or NULL */
    const char *organization_id; /* a UUID as text, or NULL */
    const char *metadata;        /* a JSON object as text, or NULL; the fields are added to it and win over its keys */
    const char *error_details;   /* any JSON value as text, or NULL; levels error and critical only */
    size_t field_count;          /* may pass TF_ENTRY_FIELDS: then tf_entry_write refuses */
    struct tf_field fields[TF_ENTRY_FIELDS];
};
#define TF_TO_NUL ((size_t)-1)

/* Empty but for these; module NULL: the client's. */
static inline void tf_entry_init(struct tf_entry *entry, int level, const char *module, const char *operation,
                                 const char *message) {
    size_t head = offsetof(struct tf_entry, fields);
    __builtin_memset(entry, 0, head);
    entry->size = sizeof(*entry);
    entry->level = level;
    entry->module = module;
    entry->operation = operation;
    entry->message = message;
    entry->message_length = TF_TO_NUL;
}

/* Add one pair of metadata: tf_entry_add(&entry, tf_str("queue", name)). Too many are refused by tf_entry_write. */
static inline void tf_entry_add(struct tf_entry *entry, struct tf_field field) {
    if (entry->field_count < TF_ENTRY_FIELDS)
        entry->fields[entry->field_count] = field;
    entry->field_count++;
}

/* Write it: 0, -EINVAL, -EAGAIN; 0 also, and before anything else is looked at, when its level is not wanted. */
TF_API int tf_entry_write(tf_client *client, const struct tf_entry *entry);

/* Whether it would be accepted (-EINVAL and the sentence otherwise), without writing it and whatever its level. */
TF_API int tf_entry_check(tf_client *client, const struct tf_entry *entry);

/* ------------------------------------------------------------------------------------------------------------------
 * Context: whose doing it is
 * ------------------------------------------------------------------------------------------------------------------
 *
 * Each thread has a current context: the ids that its entries carry unless they bring their own, for all clients and all ways to
 * log. It is set by tf_context_set (text) or tf_context_use (a struct), and by tf_span_start as long as the span lasts. An event
 * loop, where a thread serves many at a time, keeps a struct for each and passes it along (TF_LOG_IN, tf_span_start_in).
 *
 * Trace and span ids as W3C Trace Context has them (16 and 8 bytes, 32 and 16 hex digits as text) travel as bytes; others may be
 * given to tf_context_set and to struct tf_entry as text of at most 128 bytes. A new thread, and a program begun by execve, begin without one.
 */
enum { TF_HAS_TRACE = 1, TF_HAS_SPAN = 2, TF_HAS_USER = 4, TF_HAS_ORGANIZATION = 8 };
enum { TF_TRACE_SAMPLED = 1 };
enum { TF_TRACEPARENT_SIZE = 56 };

struct tf_context { /* zeros: empty */
    uint8_t trace_id[16];
    uint8_t span_id[8];
    uint8_t has;         /* TF_HAS_ bits: which of the ids are there */
    uint8_t trace_flags; /* W3C's: TF_TRACE_SAMPLED */
    uint8_t correlation_length;
    uint8_t reserved[5];
    uint8_t user_id[16];
    uint8_t organization_id[16];
    char correlation_id[128]; /* not ended by NUL */
};

/* Read a traceparent header ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") by W3C's rules: versions to come are read as far
 * as this one is known, ff is none, ids of zeros are none, digits are lower case. Trace, span and flags of *context are set, the rest
 * stays. 0; -EINVAL: *context is untouched, begin a trace of your own. */
TF_API int tf_context_from_traceparent(struct tf_context *context, const char *traceparent);

/* The header to send on, of version 00, NUL-terminated. -EINVAL: *context has no trace and span. */
TF_API int tf_context_to_traceparent(const struct tf_context *context, char out[TF_TRACEPARENT_SIZE]);

/* Begin a new trace: random trace and span ids, sampled. -ENOMEM. */
TF_API int tf_context_new_trace(struct tf_context *context);

/* User and organization by UUIDs as text, correlation by any text of at most 128 bytes; NULL or "": none. -EINVAL. */
TF_API int tf_context_set_user(struct tf_context *context, const char *user_id, const char *organization_id);
TF_API int tf_context_set_correlation(struct tf_context *context, const char *correlation_id);

/* Make it the calling thread's current one (copied; NULL: none), or copy that out (without trace and span ids that were set as text and
 * are none of W3C's). -EINVAL (it makes no sense), -ENOMEM. */
TF_API int tf_context_use(const struct tf_context *context);
TF_API int tf_context_get(struct tf_context *ret);

/* The same by text: 32 and 16 hex digits, or any other text of at most 128 bytes of UTF-8; NULL or "": none. User and organization are
 * none then. -EINVAL (nothing is changed), -ENOMEM. */
TF_API int tf_context_set(const char *trace_id, const char *span_id, const char *correlation_id);
TF_API void tf_context_clear(void);

/* ------------------------------------------------------------------------------------------------------------------
 * Spans
 * ------------------------------------------------------------------------------------------------------------------
 *
 *     struct tf_span span;
 *     tf_span_start(NULL, "deliver", &span);
 *     ...                                              entries of this thread carry its trace and span ids
 *     tf_span_end(&span, failed);
 *
 * A span is one record, written when it ends. Until then it stands in shared memory, where others see what the process has in
 * flight (tfctl traces --active, and the entry that tells of a crash), as far as there is room for it: 48 spans of a process. Its client is
 * not closed, and its struct not copied, before it ends.
 */
struct tf_span {               /* the caller's memory; begin it by tf_span_start or tf_span_start_in alone */
    struct tf_context context; /* for passing on: tf_context_to_traceparent(&span.context, ...) */
    uint8_t parent_id[8];
    uint8_t outer_id[8]; /* the rest is the library's */
    uint8_t outer_trace[16];
    uint64_t start_ns;
    const char *operation;
    tf_client *client;
    uint64_t session;
    uint32_t state;
    uint16_t place;
    uint8_t outer_has, outer_flags;
};

/* Start a span under the thread's current one (without one: of a new trace) and make it the current one until it ends. operation:
 * 1 to 100 characters, borrowed until the end. End it on the same thread, the inner before the outer. The struct is always
 * ready for tf_span_end, whatever this returns: 0, -EINVAL (operation), -ENOMEM. */
TF_API int tf_span_start(tf_client *client, const char *operation, struct tf_span *span);

/* The same under `parent` (NULL or without a trace: of a new trace), leaving the thread's current context alone. Any thread may end it. */
TF_API int tf_span_start_in(tf_client *client, const char *operation, const struct tf_context *parent,
                            struct tf_span *span);

/* It ends now, well or not. 0; -EINVAL: no such span, or it has ended already; -EAGAIN: no room, counted as lost at level info. */
TF_API int tf_span_end(struct tf_span *span, int failed);

/* The same with why it failed (NULL: it did not; at most 1024 bytes of UTF-8) and metadata. */
TF_API int tf_span_end_with(struct tf_span *span, const char *why_failed, const struct tf_field *fields, size_t count);

/* One span that has not ended, of any process of this user (of one that was killed, until a collector has told so). Everything is valid
 * during the call only. */
struct tf_open_span {
    size_t size;                     /* sizeof(struct tf_open_span) of the library: later versions append fields */
    char trace_id[33];               /* hex digits */
    char span_id[17], parent_id[17]; /* parent "": none */
    const char *service;
    const char *operation; /* at most 56 bytes of it */
    uint32_t pid, thread;
    uint64_t start_ns; /* nanoseconds since 1970 UTC */
};
typedef int tf_open_span_function(const struct tf_open_span *span, void *argument);

/* Call function(span, argument) for each span that is open now, those of one trace (32 hex digits) or all (NULL); it may call any function
 * of this library. What has ended is in the store: tfctl trace. 0, what function returned when that was not 0, -EINVAL, -EAGAIN (no
 * ring), -ENOMEM. */
TF_API int tf_open_spans(tf_client *client, const char *trace_id, tf_open_span_function *function, void *argument);

/* ------------------------------------------------------------------------------------------------------------------
 * Metrics
 * ------------------------------------------------------------------------------------------------------------------
 *
 * Four kinds. On /metrics, for namespace taskforge:
 *
 *     counter    a total that only grows       x or x_total    taskforge_x_total
 *     gauge      a value that goes up and down x               taskforge_x_gauge
 *     histogram  how values are spread         x               taskforge_x with _bucket, _sum and _count
 *     timer      a histogram of seconds        x or x_seconds  taskforge_x_seconds likewise
 *
 * A series is a name and its labels. Names are letters, digits, '_' and ':', at most 200 bytes; at most 32 labels, each value
 * UTF-8 of at most 1024 bytes, all of a series within 4 KiB: an update with more or longer ones goes to the metric's series
 * {overflow="true"}, as those do that find no room for a series of their own, and an entry says so. A label with an empty value is as
 * none. Labels of one name are given once, in any order; "le", "quantile" and names that begin with "__" are refused.
 *
 * One name has one kind: a second kind, and a name that would take another metric's names on /metrics, is refused with -EEXIST. The library
 * judges what this process uses; between processes the collector judges, and says so in the log.
 *
 * There are two ways to update. By handle (tf_metric_register once, then tf_counter_add and so on): the value stands in
 * shared memory, an update is one atomic operation there, and nothing is ever dropped: with a full ring, without a collector,
 * without any ring (it is counted in the process until there is one) and after SIGKILL the totals are right. By name (tf_metric_count and so on): each update is
 * a record in the ring, as an entry is; what finds no room is counted in tf_losses at level info, and the call says -EAGAIN.
 * A counter, histogram or timer that a thread updates by name a thousand times within ten seconds gets a cell by itself, as if by handle,
 * while half of the process's room for them is free: from then on its updates are added up there, and none is dropped. (n of a
 * counter that is no whole number stays by name, and so do gauges; one update a second that has a trace id goes by name to carry it.)
 * It suits labels that are not known beforehand, and programs that update a few times and end. Both may be mixed for one
 * series of counters, histograms or timers: they add up.
 *
 * Across processes counters, histograms and timers add up. Of a gauge that several processes have, the value that was set last holds, also
 * when its process has ended; or, by handle, the sum, the least or the greatest of what the living processes have set (combine). The value
 * of a process leaves those soon after it has ended or was killed, and when the last has ended the series leaves /metrics until one sets it
 * again. A gauge's name has one rule, in all processes: another one, and an update by name of a gauge that is not TF_COMBINE_LAST, is
 * refused as another kind is.
 *
 * NaN and infinities: a gauge may be set to any of them, a histogram takes both infinities, but no NaN; a counter neither. A sum with
 * NaN in it is NaN; the least and the greatest pass over NaN unless there is nothing else.
 */
enum tf_metric_kind { TF_COUNTER = 1, TF_GAUGE = 2, TF_HISTOGRAM = 3, TF_TIMER = 4 };

/* What the values that several processes give one gauge come to. */
enum tf_metric_combine {
    TF_COMBINE_LAST = 0, /* what was set last, by whomever; also when that process has ended */
    TF_COMBINE_SUM = 1,  /* of the processes that live; those that never set it do not count */
    TF_COMBINE_MIN = 2,
    TF_COMBINE_MAX = 3
};

/* A series by handle. Belongs to its client and lives as long; thread-safe. */
typedef struct tf_metric tf_metric;

struct tf_label {
    const char *name;
    const char *value;
};

/* What a series is. Begin with TF_METRIC_INIT; everything is borrowed for the call only.
 *
 *     static const struct tf_label labels[] = { { "queue", "mail" } };
 *     struct tf_metric_definition definition = TF_METRIC_INIT(TF_COUNTER, "jobs_done");
 *     definition.labels = labels;
 *     definition.label_count = 1;
 *     definition.help = "jobs that came to an end";
 *     tf_metric *done;
 *     tf_metric_register(NULL, &definition, &done);
 *     ...
 *     tf_counter_add(done, 1);
 */
struct tf_metric_definition {
    size_t size;      /* sizeof(struct tf_metric_definition): set by TF_METRIC_INIT */
    int kind;         /* enum tf_metric_kind */
    const char *name; /* needed */
    const struct tf_label *labels;
    size_t label_count;
    const char *unit; /* letters, digits and '_', at most 63 bytes; NULL: none, or the name says it */
    const char *help; /* a sentence for people, at most 1024 bytes of UTF-8; NULL: none */
    const double *
        bounds; /* histograms and timers: ascending upper bounds of the _bucket lines, at most 64; NULL: the usual ones.
                             What is stored is finer than any bounds: quantiles are off by 0.6 % at most */
    size_t bound_count;
    int combine; /* gauges: enum tf_metric_combine, of several processes. Programs built without it mean TF_COMBINE_LAST */
    unsigned sample; /* histograms and timers: only one observation in so many, chosen at random, is written, and counts as so
                        many; 0, 1: all are; at most 1,000,000. See below */
};
/* clang-format off */
#define TF_METRIC_INIT(kind, name) { sizeof(struct tf_metric_definition), kind, name, 0, 0, 0, 0, 0, 0, TF_COMBINE_LAST, 0 }
/* clang-format on */

/* Sampling is for what is observed millions of times a second: an observation that is not taken costs half as much, and
 * contends with no other thread's. On average count, sum and quantiles come out as without it; by chance the count of n observations is
 * off by sqrt((sample - 1) / n) of itself (one in 10 of a million: 0.3 %). What it counts is no exact number, so do not sample
 * where one is needed, nor what is observed less than some thousand times in the time that is looked at. */

/* Get the handle of a series; *ret is valid until tf_close of its client, in a child after fork too, where it counts from zero.
 * The same series gives the same handle, and then unit, help and bounds of the first time hold (between processes the first of each that is
 * not empty). A client has at most 4096
 * handles. The slot of a process in shared memory has room for at most 512 series, some 50 of them histograms; those beyond
 * go by name, added up where records find no room, so that nothing is dropped either (but a gauge with a rule cannot go by name: -ENOSPC). A registered series is on /metrics with 0 from then on (a gauge
 * from its first update). -EINVAL, -EEXIST, -ENOSPC (too many handles), -ENOMEM; *ret is untouched then. */
TF_API int tf_metric_register(tf_client *client, const struct tf_metric_definition *definition, tf_metric **ret);

/* Updates by handle: 0, or -EINVAL (another kind, NULL, a value that the kind does not take). They take no lock, make no system
 * call and allocate nothing once the thread has updated a metric of that client (and while there is a ring). A signal handler may call them where it may log (THREADS, FORK,
 * SIGNALS). n is 0 or more; seconds are 0 or more. */
static inline int tf_counter_add(tf_metric *metric, int64_t n);
TF_API int tf_gauge_set(tf_metric *metric, double value);
TF_API int tf_gauge_add(tf_metric *metric, double n); /* to this process's own value, which begins at 0 */
TF_API int tf_histogram_observe(tf_metric *metric, double value);
TF_API int tf_timer_observe(tf_metric *metric, double seconds);

/* What a timer's clock says now, for tf_timer_stop, which observes the time since. Nanoseconds, monotonic. */
TF_API uint64_t tf_timer_start(void);
TF_API int tf_timer_stop(tf_metric *metric, uint64_t started);

/* Updates by name: 0, -EINVAL, -EEXIST, -EAGAIN (no room or no ring: counted as lost). n of a counter may be a fraction.
 * With a trace id in the thread's context, counters, histograms and timers carry it as an exemplar. */
TF_API int tf_metric_count(tf_client *client, const char *name, double n, const struct tf_label *labels,
                           size_t label_count); /* a counter grows by n */
TF_API int tf_metric_set(tf_client *client, const char *name, double value, const struct tf_label *labels,
                         size_t label_count); /* a gauge is value */
TF_API int tf_metric_add(tf_client *client, const char *name, double n, const struct tf_label *labels,
                         size_t label_count); /* a gauge changes by n, whoever set it before */
TF_API int tf_metric_observe(tf_client *client, const char *name, double value, const struct tf_label *labels,
                             size_t label_count); /* a histogram */
TF_API int tf_metric_time(tf_client *client, const char *name, double seconds, const struct tf_label *labels,
                          size_t label_count); /* a timer */

/* Say what a name that is updated by name is: unit, help and bounds, for all series of it, also for those that are there already. To be
 * called once, best before the first update; labels and combine are not given. What is known of a name already, from whomever, holds: only
 * what was not is completed. 0, -EINVAL, -EEXIST, -EAGAIN (no room or no ring: counted as lost), -ENOMEM. */
TF_API int tf_metric_describe(tf_client *client, const struct tf_metric_definition *definition);

/* The value of a series. */
struct tf_metric_value {
    int kind;            /* enum tf_metric_kind; 0: a number of which nobody said what it is */
    double value;        /* counters: the total; gauges: the value */
    uint64_t count;      /* histograms, timers: observations */
    double sum;          /* of them */
    uint64_t updated_ns; /* when it changed last, as the collector saw it: nanoseconds since 1970 UTC; 0: not known */
};

/* What this process counted by this handle (in a child: since fork): with its own increments in it at once, and none of other
 * processes or by name. size: sizeof *ret. 0, -EINVAL. Takes a lock. */
TF_API int tf_metric_get_own(tf_metric *metric, struct tf_metric_value *ret, size_t size);

/* The value of a series over all processes, as the collector has it: what was counted less than its flush interval ago is not
 * in it, and all of it stands still while no collector runs. name is the app's own or that on /metrics; labels are all of the
 * series' (NULL, 0: none). size: sizeof *ret. 0; -EINVAL; -ENOENT where there is no such series, or no collector has been here;
 * -EACCES (join the group taskforge); -EBADMSG, -EPROTO (damaged, newer); -EAGAIN; -ENOMEM. Copies all the collector has: not for
 * often. */
TF_API int tf_metric_get(tf_client *client, const char *name, const struct tf_label *labels, size_t label_count,
                         struct tf_metric_value *ret, size_t size);

/* One series of tf_metric_each. Everything is valid during the call only. */
struct tf_metric_sample {
    size_t size;                   /* sizeof(struct tf_metric_sample) of the library: later versions append fields */
    const char *name;              /* as the application, or whoever it comes from, calls it */
    const char *family;            /* its name on /metrics, without _total of a counter */
    const struct tf_label *labels; /* sorted by name */
    size_t label_count;
    const char *unit; /* "": none */
    const char *help; /* "": none was given */
    struct tf_metric_value value;
};

/* Anything but 0 ends tf_metric_each. */
typedef int tf_metric_function(const struct tf_metric_sample *sample, void *argument);

/* Call function(sample, argument) for each series of all processes, as tf_metric_get sees them; it may call any function of
 * this library. 0, what function returned when that was not 0, or as tf_metric_get (-ENOENT: no collector has been here). */
TF_API int tf_metric_each(tf_client *client, tf_metric_function *function, void *argument);

/* Queue, worker and job statistics: how many there are in each state, as gauges queue_count, worker_count and job_count with a label
 * `state`. Of several processes the one that told last holds. 0, -EEXIST, -ENOMEM; nothing is dropped. */
TF_API int tf_queue_stats(tf_client *client, uint64_t total, uint64_t active, uint64_t paused);
TF_API int tf_worker_stats(tf_client *client, uint64_t total, uint64_t online, uint64_t offline, uint64_t draining);
TF_API int tf_job_stats(tf_client *client, uint64_t total, uint64_t pending, uint64_t processing, uint64_t succeeded,
                        uint64_t failed);

/* A request that the application has served: counts it in requests (on /metrics taskforge_requests_total{service,operation,status}, status "ok"
 * or "error") and observes its duration in the timer request_duration (taskforge_request_duration_seconds{service,operation}), both by
 * name, and so two records. service NULL: the client's. 0; -EINVAL, -EEXIST; -EAGAIN (no room for one of them, or no ring: counted
 * as lost). */
TF_API int tf_request(tf_client *client, const char *service, const char *operation, uint64_t duration_ns, int failed);

/* ------------------------------------------------------------------------------------------------------------------
 * Health
 * ------------------------------------------------------------------------------------------------------------------ */

enum tf_health_state { TF_HEALTH_HEALTHY = 0, TF_HEALTH_DEGRADED = 1, TF_HEALTH_UNHEALTHY = 2 };

/* Say how a part of the application is: a check named SERVICE/NAME of the exporter's /api/v1/health and of tfctl health, and so part of the
 * health of all (/healthz is 503 while one is unhealthy). To be said anew before ttl_ns (0: 60 s; at most 30 days) have passed: without a
 * newer one the check is unhealthy from then on, and forgotten after ten times that or an hour, whichever is longer. name: 1 to 100 bytes of UTF-8;
 * details: one sentence for people, at most 8192 bytes, NULL: none. 0, -EINVAL, -EAGAIN (no room or no ring: counted as lost at level error). */
TF_API int tf_health_report(tf_client *client, const char *name, int state, const char *details, uint64_t ttl_ns);

/* ------------------------------------------------------------------------------------------------------------------
 * Is a level wanted?
 * ------------------------------------------------------------------------------------------------------------------ */

/* What a level check reads; the library's. `control` points into shared memory: the collector sets the threshold there
 * (tfctl level), and running programs follow at once. */
struct tf_head_ {
    const uint32_t *control;
};
TF_API extern struct tf_head_ tf_default_head_;

static inline int tf_head_wants_(const struct tf_head_ *head, int level) {
    const uint32_t *control = __atomic_load_n(&head->control, __ATOMIC_RELAXED);
    return (uint32_t)level >= (__atomic_load_n(control, __ATOMIC_RELAXED) & 0xff);
}

/* What an update by handle reads; the library's. The cell is NULL where there is more to do than to add to it. */
struct tf_metric_head_ {
    uint64_t *counter;       /* in shared memory */
    const uint32_t *control; /* as above: has the ring to be left? Valid while there is a cell */
};
TF_API int tf_counter_add_(tf_metric *metric, int64_t n);

static inline int tf_counter_add(tf_metric *metric, int64_t n) {
    const struct tf_metric_head_ *head = (const struct tf_metric_head_ *)(const void *)metric;
    uint64_t *cell = head ? __atomic_load_n(&head->counter, __ATOMIC_ACQUIRE) : (uint64_t *)0;
    if (__builtin_expect(cell && n >= 0, 1)) {
        const uint32_t *control = __atomic_load_n(&head->control, __ATOMIC_RELAXED);
        if (__builtin_expect(!(__atomic_load_n(control, __ATOMIC_RELAXED) & 0x100), 1)) {
            __atomic_fetch_add(cell, (uint64_t)n, __ATOMIC_RELAXED);
            return 0;
        }
    }
    return tf_counter_add_(metric, n);
}

/* Whether an entry of this level would be written now. A few loads; for guarding what is costly to put together. */
static inline int tf_wants(const tf_client *client, int level) {
    return tf_head_wants_(client ? (const struct tf_head_ *)(const void *)client : &tf_default_head_, level);
}

/* ------------------------------------------------------------------------------------------------------------------
 * What the macros use; not for direct use
 * ------------------------------------------------------------------------------------------------------------------ */

/* One statement that logs. Lives as long as the program (or its shared object). */
struct tf_site_ {
    uint32_t size;  /* sizeof(struct tf_site_) of the program's header */
    uint32_t flags; /* TF_SITE_LITERAL_ */
    const char *module;
    const char *operation;
    const char *format;
    uint64_t known[2]; /* session << 16 | its number there */
    uint32_t state;
    char types[20];
    uint64_t tokens, repeat[3]; /* limits: the library's */
};
enum { TF_SITE_LITERAL_ = 1 };
/* clang-format off */
#define TF_SITE_INIT_(operation, format, flags) \
    { sizeof(struct tf_site_), flags, TF_MODULE, operation, "" format, { 0, 0 }, 0, { 0 }, 0, { 0, 0, 0 } }
/* clang-format on */
#define TF_FIRST_(first, ...) first

TF_API int tf_site_log_(tf_client *client, struct tf_site_ *site, int level, const char *format, ...) TF_PRINTF_(4, 5);
TF_API int tf_site_log_in_(tf_client *client, const struct tf_context *context, struct tf_site_ *site, int level,
                           const char *format, ...) TF_PRINTF_(5, 6);
TF_API int tf_site_event_(tf_client *client, const struct tf_context *context, struct tf_site_ *site, int level,
                          const struct tf_field *fields, size_t count);

#ifdef __cplusplus
}
#endif

#endif
