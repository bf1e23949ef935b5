/* input.h - what every input is to the agent, and what the agent is to every input.
 *
 * An input is created from its part of the configuration, started once its positions are known (those that have any),
 * runs from the loop, and ends: finish asks for what is in hand, positions says where it stands, destroy frees it. All on
 * the loop's one thread. The table of the types is in inputs.c.
 */
#ifndef TASKFORGE_AGENT_INPUTS_INPUT_H
#define TASKFORGE_AGENT_INPUTS_INPUT_H

#include "agent/inputs/own.h"
#include "agent/inputs/positions.h"
#include "common/base/clock.h"
#include "common/base/error.h"
#include "common/model/record.h"
#include "common/process/config.h"
#include "common/process/loop.h"

struct input;

/* Where records go: the producer of agent/client, or a test's. write, write_position, write_metric: 0; -EAGAIN, no room,
 * nothing happened; -E2BIG; as producer.h says. */
struct outlet {
    int (*write)(void *context, const struct record_entry *record);
    int (*write_position)(void *context, const struct input_position *position);
    int (*write_metric)(void *context, const struct record_metric_update *update);
    void (*count_loss)(void *context, enum level level, uint64_t count);
    void *context;
};

/* Why something could be no entry at all; names (input_invalid_reason_name) stand in metrics. */
enum input_invalid_reason {
    INPUT_INVALID_EMPTY,   /* a datagram with nothing in it */
    INPUT_INVALID_DAMAGED, /* an entry of the journal that cannot be read */
    INPUT_INVALID_REASON_COUNT,
};
const char *input_invalid_reason_name(enum input_invalid_reason reason); /* "empty" "damaged" */

/* Why an input could not read; names (input_error_name) stand in metrics. */
enum input_error {
    INPUT_ERROR_PERMISSION,
    INPUT_ERROR_IO,        /* the device, or what is on it */
    INPUT_ERROR_RESOURCES, /* too many descriptors, no memory */
    INPUT_ERROR_OTHER,
    INPUT_ERROR_COUNT,
};
const char *input_error_name(enum input_error error); /* "permission" "io" "resources" "other" */
enum input_error input_error_of(int code);            /* a negative errno's */

/* What happened in one input since it was created. */
struct input_counters {
    uint64_t lines;   /* lines, datagrams, journal entries seen */
    uint64_t entries; /* written to the ring */
    uint64_t empty;   /* lines with nothing in them: passed over */
    uint64_t own;     /* our own output: passed over (law 7) */
    uint64_t invalid[INPUT_INVALID_REASON_COUNT];
    uint64_t lost; /* found no room and could not be held back */
    uint64_t bytes;     /* of lines with their ends, of datagrams */
    uint64_t newest_ns; /* the latest time of an entry that was written; 0: none */
    uint64_t lag_ns;    /* how old the last of them was when it was taken; 0: not known, or it had no time of its own */
    uint64_t cut;       /* too long to be kept whole */
    uint64_t errors[INPUT_ERROR_COUNT]; /* times that it could not read */
    uint64_t open_files;                /* now, of inputs that follow files */
    uint64_t held;      /* times that the input held back since there was no room */
    uint64_t repaired[ENTRY_REPAIR_REASON_COUNT];
};

/* What is given to every input; outlives them all. */
struct input_context {
    struct loop *loop;
    const struct outlet *outlet;
    const struct own *own;
    void (*ended)(void *context); /* an input has come to its end by itself */
    void *ended_context;
};

struct input_type {
    enum config_input_type type;
    const char *name;
    bool has_positions; /* start waits for what the collector has of this input */
    /* Make it, reading nothing yet. `config` is borrowed for as long as the input lives. */
    int (*create)(const struct config_input *config, const struct input_context *context, struct input **ret,
                  struct error *error);
    /* Begin to read; `known` is borrowed for the call. A failure is the input's end, with its sentence. */
    int (*start)(struct input *input, const struct positions *known, struct error *error);
    /* Read nothing new and write what is in hand: true when nothing is left. Called again until then. */
    bool (*finish)(struct input *input);
    /* Add where it stands; only types with positions. Never called before start. */
    void (*positions)(const struct input *input, struct positions *out);
    void (*destroy)(struct input *input);
};

/* The head of every input's own struct. */
struct input {
    const struct input_type *type;
    const struct config_input *config;
    const struct input_context *context;
    struct input_counters counters;
    bool ended; /* by itself: nothing more will come */
};

void input_init(struct input *input, const struct input_type *type, const struct config_input *config,
                const struct input_context *context);

/* It could not read, for a negative errno. */
static inline void input_count_error(struct input *input, int code) {
    input->counters.errors[input_error_of(code)]++;
}

/* An input says that it has come to its end. */
void input_end(struct input *input);

enum {
    INPUT_RETRY_MS = 5,       /* after -EAGAIN */
    INPUT_LINE_MAX = 1 << 20, /* bytes of a line that are kept: of a longer one, its two ends */
};
#define INPUT_RETRY_NS (INPUT_RETRY_MS * CLOCK_MILLISECOND)

#endif
