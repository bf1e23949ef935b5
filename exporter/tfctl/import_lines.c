#include "exporter/tfctl/import_lines.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/hash.h"

enum { LINE_MAX_BYTES = 1024 * 1024, READ_BYTES = 256 * 1024, TOLD_MAX = 20 };

struct lines {
    struct session *session;
    const char *name;
    struct partition_build *build;
    struct import_lines *ret;
    struct buffer room; /* what an entry borrows */
    uint64_t number;
    uint64_t latest_ns; /* flush times ascend */
    uint64_t hashes[2];
    bool skipping; /* a line that is too long */
    struct error *error;
};

static void refuse(struct lines *lines, const char *why) {
    lines->ret->refused++;
    if (lines->ret->refused <= TOLD_MAX)
        session_note(lines->session, "%s: line %llu: %s", lines->name, (unsigned long long)lines->number, why);
    if (lines->ret->refused == TOLD_MAX)
        session_note(lines->session, "%s: further lines that are no entry are only counted", lines->name);
}

static int take_line(struct lines *lines, struct text line) {
    struct entry entry;
    struct error why = { "" };
    lines->number++;
    for (size_t i = 0; i < 2; i++)
        lines->hashes[i] = hash_bytes_seeded(line.data, line.length, lines->hashes[i] + i);
    if (text_trim(line).length == 0)
        return 0;
    int result = entry_from_json(line, &lines->room, &entry, &why);
    if (result == -ENOMEM)
        return error_set(lines->error, result, "out of memory");
    if (result < 0) {
        refuse(lines, why.text);
        return 0;
    }
    lines->latest_ns = entry.timestamp_ns > lines->latest_ns ? entry.timestamp_ns : lines->latest_ns;
    lines->ret->entries++;
    return partition_build_add(lines->build, &entry, lines->latest_ns, lines->error);
}

/* The whole lines of what was read; the rest stays in *bytes. */
static int take_lines(struct lines *lines, struct buffer *bytes, bool end) {
    size_t done = 0;
    int result = 0;
    while (result == 0 && done < bytes->length) {
        const char *begin = bytes->data + done, *line_end = memchr(begin, '\n', bytes->length - done);
        if (!line_end && !end)
            break;
        size_t length = line_end ? (size_t)(line_end - begin) : bytes->length - done;
        if (lines->skipping) {
            lines->number++;
            refuse(lines, "it is longer than 1 MiB");
        } else {
            result = take_line(lines, (struct text) { begin, length });
        }
        lines->skipping = false;
        done += length + (line_end != NULL);
    }
    buffer_consume(bytes, done);
    if (bytes->length > LINE_MAX_BYTES) {
        lines->skipping = true;
        buffer_clear(bytes);
    }
    return result;
}

int import_lines(struct session *session, int fd, const char *name, struct partition_build *build,
                 struct import_lines *ret, struct error *error) {
    _cleanup_buffer_ struct buffer bytes = BUFFER_EMPTY;
    struct lines lines = { .session = session, .name = name, .build = build, .ret = ret, .error = error };
    int result = 0;
    *ret = (struct import_lines) { 0 };
    for (bool end = false; result == 0 && !end;) {
        if (!buffer_reserve(&bytes, READ_BYTES)) {
            result = error_set(error, -ENOMEM, "out of memory");
            break;
        }
        ssize_t got = read(fd, bytes.data + bytes.length, READ_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = error_set(error, -errno, "%s: cannot read it: %s", name, strerror(errno));
        end = got <= 0;
        bytes.length += got > 0 ? (size_t)got : 0;
        if (result == 0)
            result = take_lines(&lines, &bytes, end);
    }
    memcpy(ret->id.bytes, lines.hashes, sizeof(lines.hashes));
    buffer_finish(&lines.room);
    return result;
}
