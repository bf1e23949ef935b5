/* import_lines.h - lines of JSON (CONTRACT section 3) into a partition that is being built. */
#ifndef TASKFORGE_EXPORTER_TFCTL_IMPORT_LINES_H
#define TASKFORGE_EXPORTER_TFCTL_IMPORT_LINES_H

#include "common/store/partition_build.h"
#include "exporter/tfctl/command.h"

struct import_lines {
    uint64_t entries, refused; /* lines that are no entry: told of with their numbers, at first */
    struct uuid id;            /* of all lines together: the same lines, the same id */
};

/* Read fd to its end. 0, or a negative errno with a sentence. `name` is what it is called. */
int import_lines(struct session *session, int fd, const char *name, struct partition_build *build,
                 struct import_lines *ret, struct error *error);

#endif
