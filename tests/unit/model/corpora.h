/* corpora.h - test material that other people wrote, where it is present (TASKFORGE_CORPORA, or beside the project). */
#ifndef TASKFORGE_TESTS_UNIT_MODEL_CORPORA_H
#define TASKFORGE_TESTS_UNIT_MODEL_CORPORA_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/text.h"

#ifndef CORPORA_FALLBACK /* given by meson: ../shared/data beside the source folder */
#define CORPORA_FALLBACK "../shared/data"
#endif

static inline const char *corpora_folder(void) {
    const char *folder = getenv("TASKFORGE_CORPORA");
    return folder && folder[0] ? folder : CORPORA_FALLBACK;
}

/* The whole of one file, appended; false when it is not there. */
static inline bool corpora_read(const char *name, struct buffer *out) {
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", corpora_folder(), name);
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    char room[4096];
    size_t got;
    while ((got = fread(room, 1, sizeof(room), file)) > 0)
        buffer_append(out, room, got);
    fclose(file);
    return !out->failed;
}

#endif
