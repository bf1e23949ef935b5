/* tail.c - the tail input: files that globs name, read as they grow, exactly once from file to store. */
#include "agent/inputs/inputs.h"
#include "agent/inputs/tail_priv.h"
#include "common/base/diag.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

enum { BUFFER_ROOM = 256, OPEN_SHARE = 4 /* of the descriptors the process may have */ };

static struct tail *tail_of(struct input *input) {
    return (struct tail *)input;
}

static size_t open_max(void) {
    struct rlimit limit;
    size_t most = TAIL_OPEN_MAX;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / OPEN_SHARE < most)
        most = limit.rlim_cur / OPEN_SHARE;
    return most < TAIL_OPEN_MIN ? TAIL_OPEN_MIN : most;
}

void tail_schedule(struct tail *tail) {
    uint64_t now_ns = clock_monotonic_ns();
    uint64_t after_ns = tail->next_scan_ns > now_ns ? tail->next_scan_ns - now_ns : 0;
    if (tail->holding)
        after_ns = INPUT_RETRY_NS;
    else if (tail->ready_first || tail->marker_pending)
        after_ns = 0;
    else if (tail->waiting_count > 0 && after_ns > TAIL_TICK_MS * CLOCK_MILLISECOND)
        after_ns = TAIL_TICK_MS * CLOCK_MILLISECOND;
    loop_set_timer(tail->timer, after_ns);
}

static void set_waiting(struct tail_file *file, bool waiting) {
    file->tail->waiting_count += (size_t)waiting - (size_t)file->waiting;
    file->waiting = waiting;
}

/* One file's turn. False when there is nothing to do or no room. */
static bool run_turn(struct tail *tail) {
    struct tail_file *file = tail_set_next_ready(tail);
    if (!file)
        return false;
    set_waiting(file, false);
    switch (tail_read_turn(file)) {
    case TAIL_TURN_MORE:
        tail_set_ready(file);
        break;
    case TAIL_TURN_HELD:
        tail_set_ready(file);
        tail->holding = true;
        return false;
    case TAIL_TURN_WAIT:
        set_waiting(file, true);
        break;
    case TAIL_TURN_IDLE:
    case TAIL_TURN_GONE:
        break;
    }
    return true;
}

/* That the first start has been, once the position of each file it found is in the ring. */
static void write_marker(struct tail *tail) {
    const struct outlet *outlet = tail->input.context->outlet;
    char value[TAIL_KEY_SIZE];
    TAIL_FOR_EACH(tail, file)
    if (file->announce) {
        tail_set_ready(file);
        return;
    }
    struct input_position position = { text_of(tail->input.config->name), TEXT_LITERAL(TAIL_MARKER_KEY),
                                       tail_marker_value(tail->input.config, tail->since_ns, value) };
    if (outlet->write_position(outlet->context, &position) == -EAGAIN)
        tail->holding = true;
    else
        tail->marker_pending = false;
}

static void on_timer(struct loop_timer *timer, void *context) {
    (void)timer;
    struct tail *tail = context;
    uint64_t now_ns = clock_monotonic_ns();
    tail->holding = false;
    if (now_ns >= tail->next_scan_ns)
        tail_scan(tail);
    if (tail->waiting_count > 0)
        TAIL_FOR_EACH(tail, file)
    if (file->waiting)
        tail_set_ready(file);
    for (int turns = 0; turns < TAIL_TURNS && run_turn(tail); turns++)
        ;
    if (tail->marker_pending && !tail->holding)
        write_marker(tail);
    tail_schedule(tail);
}

static void destroy(struct input *input) {
    struct tail *tail = tail_of(input);
    tail_watch_close(tail);
    loop_remove_timer(tail->timer);
    tail_set_clear(tail);
    parse_scratch_finish(&tail->scratch);
    free(tail->buffer);
    free(tail);
}

static int create(const struct config_input *config, const struct input_context *context, struct input **ret,
                  struct error *error) {
    struct tail *tail = calloc(1, sizeof(*tail));
    if (!tail)
        return error_set(error, -ENOMEM, "input %s: out of memory", config->name);
    input_init(&tail->input, &input_tail, config, context);
    tail->watch_fd = -1;
    tail->open_max = open_max();
    tail->buffer = malloc(INPUT_LINE_MAX + BUFFER_ROOM);
    int result = tail->buffer ? loop_add_timer(context->loop, on_timer, tail, &tail->timer) : -ENOMEM;
    if (result != 0) {
        destroy(&tail->input);
        return error_set(error, result, "input %s: out of memory", config->name);
    }
    *ret = &tail->input;
    return 0;
}

/* A file that an earlier run knew, to be found again by the first scan. */
static int remember(struct tail *tail, const struct position *known) {
    struct tail_position position;
    dev_t device;
    ino_t inode;
    char label[TAIL_VALUE_SIZE];
    if (tail_position_parse_key(known->key, &device, &inode) != 0 ||
        tail_position_parse(known->value, &position) != 0 || tail_set_find(tail, device, inode))
        return 0; /* not a file's, or not ours: without effect */
    memcpy(label, position.label.data, position.label.length);
    label[position.label.length] = '\0';
    struct tail_file *file = tail_set_add(tail, device, inode, label[0] ? label : NULL, label);
    if (!file)
        return -ENOMEM;
    file->offset = file->scanned = file->size = position.offset;
    file->fingerprint = position.fingerprint;
    file->fingerprint_length = position.fingerprint_length;
    file->mtime_ns = position.mtime_s * CLOCK_SECOND;
    file->remembered = true;
    return 0;
}

static int start(struct input *input, const struct positions *known, struct error *error) {
    struct tail *tail = tail_of(input);
    for (size_t i = 0; i < known->count; i++)
        if (remember(tail, &known->items[i]) != 0)
            return error_set(error, -ENOMEM, "input %s: out of memory", input->config->name);
    struct text marker = positions_find(known, TEXT_LITERAL(TAIL_MARKER_KEY));
    tail->first_scan = true;
    tail->first_start = tail_marker_parse(input->config, marker, &tail->since_ns) != 0;
    tail->marker_pending = tail->first_start;
    if (tail->first_start)
        tail->since_ns = clock_real_ns() / CLOCK_SECOND * CLOCK_SECOND;
    tail_watch_open(tail);
    tail_scan(tail);
    tail_schedule(tail);
    return 0;
}

/* Nothing is ever in hand: what is not in the ring is in the files. */
static bool finish(struct input *input) {
    loop_rest_timer(tail_of(input)->timer);
    tail_watch_close(tail_of(input));
    return true;
}

static void positions(const struct input *input, struct positions *out) {
    const struct tail *tail = (const struct tail *)input;
    char key[TAIL_KEY_SIZE], value[TAIL_VALUE_SIZE];
    TAIL_FOR_EACH(tail, file)
    if (!file->forget && (file->offset > 0 || file->announce))
        positions_add(out, tail_position_key(file->device, file->inode, key),
                      tail_position_value(file, file->offset, value));
    if (!tail->marker_pending)
        positions_add(out, TEXT_LITERAL(TAIL_MARKER_KEY), tail_marker_value(input->config, tail->since_ns, value));
}

const struct input_type input_tail = {
    .type = CONFIG_INPUT_TAIL,
    .name = "tail",
    .has_positions = true,
    .create = create,
    .start = start,
    .finish = finish,
    .positions = positions,
    .destroy = destroy,
};
