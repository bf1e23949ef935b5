/* stdin.c - lines of the agent's own standard input. Held back while the ring is full; its end is the input's end. */
#include "agent/inputs/deliver.h"
#include "agent/inputs/inputs.h"
#include "agent/inputs/line_buffer.h"
#include "agent/inputs/parse_line.h"
#include "common/base/diag.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { STDIN_ROUND_LINES = 2000 }; /* lines before the loop's other sources have their turn */

struct stdin_input {
    struct input input;
    struct loop_fd *source; /* NULL: a regular file, which epoll does not take: read from the timer */
    struct loop_timer *timer;
    struct line_buffer lines;
    struct parse_scratch scratch;
    bool at_end;
    bool started;
};

static struct stdin_input *stdin_of(struct input *input) {
    return (struct stdin_input *)input;
}

/* `now_ns` is about now: only for times that do not say their year. An entry without a time gets the one at which it is written. */
static int take_line(struct stdin_input *self, struct text line, bool cut, uint64_t now_ns) {
    const struct config_input *config = self->input.config;
    struct parsed parsed;
    size_t bytes = line.length + !cut; /* with the newline */
    while (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    if (text_trim(line).length == 0) {
        self->input.counters.lines++;
        self->input.counters.bytes += bytes;
        self->input.counters.empty++;
        return 0;
    }
    parse_line(config->format, line, now_ns, &self->scratch, &parsed);
    struct deliver_names names = { text_of(config->service), TEXT_LITERAL("stdin"), TEXT_LITERAL("stdin"),
                                   TEXT_LITERAL("stdin") };
    deliver_fill(&parsed, &names, 0);
    parsed.seen_ns = now_ns;
    parsed.repaired |= cut ? ENTRY_REPAIR_CUT : 0;
    int result = deliver(&self->input, &parsed, &self->scratch, NULL);
    if (result == 0) {
        self->input.counters.lines++;
        self->input.counters.bytes += bytes;
        self->input.counters.cut += cut;
    }
    return result;
}

/* Write the lines at hand: 1 when no whole line is left, 0 when there are more, -EAGAIN: no room. */
static int take_lines(struct stdin_input *self) {
    struct text line;
    bool cut;
    size_t next;
    uint64_t now_ns = clock_real_ns();
    for (int count = 0; count < STDIN_ROUND_LINES; count++) {
        if (!line_buffer_next(&self->lines, self->at_end, &line, &cut, &next))
            return 1;
        int result = take_line(self, line, cut, now_ns);
        if (result != 0)
            return result;
        line_buffer_take(&self->lines, next);
    }
    return 0;
}

/* false: nothing can be read now. */
static bool read_some(struct stdin_input *self) {
    ssize_t got = read(STDIN_FILENO, line_buffer_room(&self->lines), LINE_BUFFER_READ);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got < 0) {
        input_count_error(&self->input, -errno);
        diag_warn("input %s: cannot read stdin: %s", self->input.config->name, strerror(errno));
    }
    if (got <= 0) {
        self->at_end = true;
        loop_remove_fd(self->source);
        self->source = NULL;
    } else {
        line_buffer_added(&self->lines, (size_t)got);
    }
    return true;
}

/* Lines first, then more bytes. The source rests while lines wait, so that the pipe fills and its writer waits. */
static void go_on(struct stdin_input *self) {
    int result = take_lines(self);
    if (result == 1 && self->at_end) {
        input_end(&self->input);
        return;
    }
    if (self->source)
        loop_change_fd(self->source, result == 1 ? EPOLLIN : 0);
    if (result == -EAGAIN)
        loop_set_timer(self->timer, INPUT_RETRY_NS);
    else if (result == 0 || !self->source)
        loop_set_timer(self->timer, 0);
}

static void on_readable(struct loop_fd *source, int fd, uint32_t events, void *context) {
    (void)source;
    (void)fd;
    (void)events;
    struct stdin_input *self = context;
    struct text line;
    bool cut;
    size_t next;
    if (line_buffer_next(&self->lines, self->at_end, &line, &cut, &next))
        return; /* a hang-up, told although we asked for nothing: the lines come first */
    if (!self->at_end && read_some(self))
        go_on(self);
}

static void on_timer(struct loop_timer *timer, void *context) {
    (void)timer;
    struct stdin_input *self = context;
    struct text line;
    bool cut;
    size_t next;
    bool waiting = line_buffer_next(&self->lines, self->at_end, &line, &cut, &next);
    if (!waiting && !self->at_end && !self->source)
        read_some(self);
    go_on(self);
}

/* Lines that were read and found no room until the end: nobody can read them again, so they are counted as lost. */
static void count_rest(struct stdin_input *self) {
    const struct outlet *outlet = self->input.context->outlet;
    struct text line;
    uint64_t lost = 0;
    size_t next;
    bool cut;
    while (line_buffer_next(&self->lines, true, &line, &cut, &next)) {
        lost += text_trim(line).length > 0;
        line_buffer_take(&self->lines, next);
    }
    if (lost == 0)
        return;
    outlet->count_loss(outlet->context, LEVEL_INFO, lost);
    diag_warn("input %s: %llu lines found no room in the ring and are counted as lost", self->input.config->name,
              (unsigned long long)lost);
}

static void destroy(struct input *input) {
    struct stdin_input *self = stdin_of(input);
    if (self->started)
        count_rest(self);
    loop_remove_fd(self->source);
    loop_remove_timer(self->timer);
    line_buffer_finish(&self->lines);
    parse_scratch_finish(&self->scratch);
    free(self);
}

static int create(const struct config_input *config, const struct input_context *context, struct input **ret,
                  struct error *error) {
    struct stdin_input *self = calloc(1, sizeof(*self));
    if (!self)
        return error_set(error, -ENOMEM, "input %s: out of memory", config->name);
    input_init(&self->input, &input_stdin, config, context);
    int result = line_buffer_init(&self->lines);
    if (result == 0)
        result = loop_add_timer(context->loop, on_timer, self, &self->timer);
    if (result != 0) {
        destroy(&self->input);
        return error_set(error, result, "input %s: %s", config->name, strerror(-result));
    }
    *ret = &self->input;
    return 0;
}

static int start(struct input *input, const struct positions *known, struct error *error) {
    (void)known;
    struct stdin_input *self = stdin_of(input);
    self->started = true;
    int result = loop_add_fd(input->context->loop, STDIN_FILENO, EPOLLIN, on_readable, self, &self->source);
    if (result == -EPERM) { /* a regular file */
        loop_set_timer(self->timer, 0);
        return 0;
    }
    return result == 0 ? 0 : error_set(error, result, "input %s: stdin: %s", input->config->name, strerror(-result));
}

static bool finish(struct input *input) {
    struct stdin_input *self = stdin_of(input);
    loop_remove_fd(self->source);
    self->source = NULL;
    loop_rest_timer(self->timer);
    self->at_end = true; /* what was read in part is a line: nobody will read the rest */
    int result;
    do {
        result = take_lines(self);
    } while (result == 0);
    return result == 1;
}

const struct input_type input_stdin = {
    .type = CONFIG_INPUT_STDIN,
    .name = "stdin",
    .create = create,
    .start = start,
    .finish = finish,
    .destroy = destroy,
};
