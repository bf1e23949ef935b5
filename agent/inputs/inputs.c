/* inputs.c - the table. */
#include "agent/inputs/inputs.h"

#include <errno.h>

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

const char *input_error_name(enum input_error error) {
    static const char *const names[INPUT_ERROR_COUNT] = {
        [INPUT_ERROR_PERMISSION] = "permission",
        [INPUT_ERROR_IO] = "io",
        [INPUT_ERROR_RESOURCES] = "resources",
        [INPUT_ERROR_OTHER] = "other",
    };
    return names[error];
}

enum input_error input_error_of(int code) {
    static const struct {
        int code;
        enum input_error error;
    } known[] = {
        { EACCES, INPUT_ERROR_PERMISSION }, { EPERM, INPUT_ERROR_PERMISSION }, { EIO, INPUT_ERROR_IO },
        { EBADMSG, INPUT_ERROR_IO },        { EUCLEAN, INPUT_ERROR_IO },       { ESTALE, INPUT_ERROR_IO },
        { ENODATA, INPUT_ERROR_IO },        { ENXIO, INPUT_ERROR_IO },         { EMFILE, INPUT_ERROR_RESOURCES },
        { ENFILE, INPUT_ERROR_RESOURCES },  { ENOMEM, INPUT_ERROR_RESOURCES },
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (known[i].code == -code)
            return known[i].error;
    return INPUT_ERROR_OTHER;
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
