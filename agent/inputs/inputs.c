/* inputs.c - the table. */
#include "agent/inputs/inputs.h"

#include "common/base/check.h"

static const struct input_type *const input_types[] = {
    &input_tail,
    &input_syslog,
    &input_stdin,
#ifdef TASKFORGE_JOURNAL
    &input_journal,
#endif
};

const struct input_type *inputs_find(enum config_input_type type) {
    for (size_t i = 0; i < COUNT_OF(input_types); i++)
        if (input_types[i]->type == type)
            return input_types[i];
    return NULL;
}

const char *input_invalid_reason_name(enum input_invalid_reason reason) {
    static const char *const names[INPUT_INVALID_REASON_COUNT] = {
        [INPUT_INVALID_EMPTY] = "empty",
        [INPUT_INVALID_DAMAGED] = "damaged",
    };
    return names[reason];
}

void input_init(struct input *input, const struct input_type *type, const struct config_input *config,
                const struct input_context *context) {
    *input = (struct input) { .type = type, .config = config, .context = context };
}

void input_end(struct input *input) {
    input->ended = true;
    if (input->context->ended)
        input->context->ended(input->context->ended_context);
}
