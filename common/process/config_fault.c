#include "common/process/config_fault.h"

#include "common/base/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { SENTENCE_SIZE = 512 };

static bool append_line(struct config_faults *faults, char *line) {
    char **lines;

    if (!line || faults->count >= CONFIG_FAULTS_MAX)
        return false;
    lines = realloc(faults->lines, (faults->count + 1) * sizeof(*lines));
    if (!lines)
        return false;
    faults->lines = lines;
    faults->lines[faults->count++] = line;
    return true;
}

void config_fault_addv(struct config_faults *faults, const char *file, unsigned line, unsigned column,
                       const char *format, va_list arguments) {
    char sentence[SENTENCE_SIZE];
    struct buffer repaired = BUFFER_EMPTY, text = BUFFER_EMPTY;

    if (faults->count >= CONFIG_FAULTS_MAX) {
        faults->omitted++;
        return;
    }
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    buffer_append_string(&text, file);
    if (line > 0)
        buffer_append_format(&text, ":%u:%u", line, column);
    buffer_append_string(&text, ": ");
    text_utf8_repair(text_of(sentence), &repaired); /* the cut above may have hit the middle of a character */
    text_append_printable(&text, buffer_text(&repaired), false);
    buffer_append_char(&text, '\0');
    buffer_finish(&repaired);
    if (text.failed || !append_line(faults, text.data)) {
        buffer_finish(&text);
        faults->omitted++;
    }
}

void config_fault_add(struct config_faults *faults, const char *file, unsigned line, unsigned column,
                      const char *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    config_fault_addv(faults, file, line, column, format, arguments);
    va_end(arguments);
}

void config_faults_finish(struct config_faults *faults) {
    for (size_t i = 0; i < faults->count; i++)
        free(faults->lines[i]);
    free(faults->lines);
    *faults = CONFIG_FAULTS_EMPTY;
}
