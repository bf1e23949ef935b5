/* tail_read.c - one file's turn: is it still the file we know, and the lines that have come.
 *
 * Nothing of a line is kept between turns: an unfinished line is read again from its first byte when more has come, and
 * `scanned` says up to where no newline was. So thousands of files cost no memory for their unfinished lines, and a line
 * of any length is two reads of its ends. */
#include "agent/inputs/parse_line.h"
#include "agent/inputs/tail_priv.h"
#include "common/base/check.h"
#include "common/base/diag.h"
#include "common/base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CUT_MARK_MAX = 64, BINARY_SHARE = 4 /* a quarter of the first bytes are NUL */ };

/* --- opening --- */

void tail_read_close(struct tail_file *file) {
    if (file->fd < 0)
        return;
    close(file->fd);
    file->fd = -1;
    file->tail->input.counters.open_files = --file->tail->open_count;
}

/* Close the file whose turn was longest ago: never one that is unlinked, since nothing else keeps what is in it. */
static void make_room(struct tail *tail) {
    while (tail->open_count >= tail->open_max) {
        struct tail_file *oldest = NULL;
        TAIL_FOR_EACH(tail, file)
        if (file->fd >= 0 && !file->unlinked && (!oldest || file->used_ns < oldest->used_ns))
            oldest = file;
        if (!oldest)
            return;
        tail_read_close(oldest);
    }
}

int tail_read_open(struct tail_file *file) {
    struct tail *tail = file->tail;
    struct stat status;
    if (file->fd >= 0)
        return 0;
    if (!file->path)
        return -ENOENT;
    make_room(tail);
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* never waits on what became a FIFO */
    if (fd < 0) {
        int code = errno;
        if (code != ENOENT)
            input_count_error(&tail->input, -code);
        if (code != ENOENT && !file->said) {
            diag_warn("input %s cannot read %s: %s; it is tried again%s", tail->input.config->name, file->path,
                      strerror(code), code == EACCES ? " (grant the agent's user read access)" : "");
            file->said = true;
        }
        return -code;
    }
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_dev != file->device ||
        status.st_ino != file->inode) {
        close(fd);
        return -ESTALE; /* renamed since the scan */
    }
    file->fd = fd;
    file->said = false;
    tail->input.counters.open_files = ++tail->open_count;
    return 0;
}

/* --- is it the same file --- */

static int fingerprint(int fd, uint32_t length, uint64_t *ret) {
    char bytes[TAIL_FINGERPRINT_MAX];
    ssize_t got = pread(fd, bytes, length, 0);
    if (got < 0)
        return -errno;
    if ((size_t)got < length)
        return -ENODATA;
    *ret = hash_bytes(bytes, length);
    return 0;
}

int tail_read_matches(int fd, uint64_t expected, uint32_t length) {
    uint64_t found = 0;
    if (length == 0)
        return 1;
    int result = fingerprint(fd, length, &found);
    if (result == -ENODATA)
        return 0;
    return result != 0 ? result : found == expected;
}

/* The fingerprint over as much as will have been read when everything below `offset` is; false: the file shrank. */
static bool update_fingerprint(struct tail_file *file, uint64_t offset) {
    uint32_t length = offset < TAIL_FINGERPRINT_MAX ? (uint32_t)offset : TAIL_FINGERPRINT_MAX;
    if (length <= file->fingerprint_length)
        return true;
    if (fingerprint(file->fd, length, &file->fingerprint) != 0)
        return false;
    file->fingerprint_length = length;
    return true;
}

static void begin_anew(struct tail_file *file) {
    file->offset = file->scanned = 0;
    file->fingerprint_length = 0;
    file->finished = file->binary = file->announce = false;
}

/* Where it is not what it was it was truncated or, unless it was open, may be another file: begin at its first byte. */
static int check_identity(struct tail_file *file, bool was_open) {
    struct stat status;
    if (fstat(file->fd, &status) != 0)
        return -errno;
    int matches = (uint64_t)status.st_size < file->offset
                      ? 0
                      : tail_read_matches(file->fd, file->fingerprint, file->fingerprint_length);
    if (matches < 0)
        return matches;
    if (matches == 0) {
        file->truncated = file->verified;
        if (was_open) {
            begin_anew(file);
        } else {
            tail_set_renew(file);
            tail_scan_soon(file->tail, TAIL_SCAN_SOON_MS);
        }
    }
    tail_saw(file, &status);
    file->verified = true;
    if (file->scanned > file->size || file->scanned < file->offset)
        file->scanned = file->offset;
    return 0;
}

int tail_read_verify(struct tail_file *file) {
    bool was_open = file->fd >= 0;
    int result = tail_read_open(file);
    if (result != 0)
        return result;
    result = check_identity(file, was_open);
    if (result != 0)
        input_count_error(&file->tail->input, result);
    return result;
}

/* Compressed, a program, a database, or a quarter of NULs at its front: no lines are to be expected. */
static bool looks_binary(const char *bytes, size_t length, bool with_nul) {
    static const struct text magics[] = {
        TEXT_INITIALIZER("\x1f\x8b"),
        TEXT_INITIALIZER("\xfd"
                         "7zXZ"),
        TEXT_INITIALIZER("\x28\xb5\x2f\xfd"),
        TEXT_INITIALIZER("BZh"),
        TEXT_INITIALIZER("PK\x03\x04"),
        TEXT_INITIALIZER("\x7f"
                         "ELF"),
        TEXT_INITIALIZER("LPKSHHRH"),
        TEXT_INITIALIZER("SQLite format 3"),
    };
    struct text front = { bytes, length };
    for (size_t i = 0; i < COUNT_OF(magics); i++)
        if (text_starts_with(front, magics[i]))
            return true;
    size_t nuls = 0;
    for (size_t i = 0; i < length; i++)
        nuls += bytes[i] == '\0';
    return with_nul && nuls > 0 && nuls * BINARY_SHARE >= length;
}

static bool is_binary(struct tail_file *file) {
    char bytes[TAIL_FINGERPRINT_MAX];
    if (file->binary || file->offset > 0)
        return file->binary;
    ssize_t got = pread(file->fd, bytes, sizeof(bytes), 0);
    file->binary = got > 0 && looks_binary(bytes, (size_t)got, !file->truncated);
    if (file->binary)
        diag_info("input %s passes over %s: it is not text", file->tail->input.config->name, file->label);
    return file->binary;
}

/* --- lines --- */

static struct text base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return text_of(slash ? slash + 1 : path);
}

/* "app.log" -> "app"; also "app.log.1" and "app.log-20261123" */
static struct text without_ending(struct text name) {
    size_t end = name.length;
    while (end > 0 && name.data[end - 1] >= '0' && name.data[end - 1] <= '9')
        end--;
    if (end < name.length && end > 1 && (name.data[end - 1] == '.' || name.data[end - 1] == '-'))
        name.length = end - 1;
    const char *dot = memrchr(name.data, '.', name.length);
    if (dot && dot != name.data)
        name.length = (size_t)(dot - name.data);
    return name;
}

/* The line [file->offset, next), its bytes without newline in `line`. 0: it is in the ring, or was to be passed over,
 * and the file stands at `next`; -EAGAIN: no room; -ESTALE: the file shrank meanwhile. */
static int take_line(struct tail_file *file, struct text line, uint64_t next, unsigned repaired) {
    struct tail *tail = file->tail;
    const struct config_input *config = tail->input.config;
    char key[TAIL_KEY_SIZE], value[TAIL_VALUE_SIZE];
    struct parsed parsed;
    int result = 0;
    while (line.length > 0 && line.data[line.length - 1] == '\r')
        line.length--;
    for (; line.length > 0 && line.data[0] == '\0'; line.data++, line.length--)
        repaired |= ENTRY_REPAIR_UTF8; /* the hole that a truncation left below a writer's own offset */
    if (!update_fingerprint(file, next))
        return -ESTALE;
    bool blank = text_trim(line).length == 0;
    if (!blank) {
        uint64_t now_ns = clock_real_ns();
        parse_line(config->format, line, now_ns, &tail->scratch, &parsed);
        bool own = deliver_is_own(&parsed);
        struct text name = base_name(file->label);
        struct deliver_names names = { text_of(config->service), without_ending(name), name, TEXT_LITERAL("tail") };
        struct input_position position = { text_of(config->name), tail_position_key(file->device, file->inode, key),
                                           tail_position_value(file, next, value) };
        parsed.repaired |= repaired;
        deliver_fill(&parsed, &names, now_ns);
        deliver_add_metadata(&parsed, &tail->scratch, TEXT_LITERAL("file"), text_of(file->label));
        if (!own)
            result = deliver(&tail->input, &parsed, &tail->scratch, &position);
        else
            tail->input.counters.own++;
    }
    if (result != 0)
        return result;
    tail->input.counters.lines++;
    tail->input.counters.bytes += next - file->offset;
    tail->input.counters.empty += blank;
    tail->input.counters.cut += (repaired & ENTRY_REPAIR_CUT) != 0;
    file->offset = file->scanned = next;
    return 0;
}

/* A line that is not whole in the chunk at hand: read it, or its two ends. */
static int take_long_line(struct tail_file *file, uint64_t end, uint64_t next) {
    const uint64_t half = INPUT_LINE_MAX / 2;
    uint64_t length = end - file->offset;
    char *buffer = file->tail->buffer;
    if (length <= INPUT_LINE_MAX) {
        ssize_t got = pread(file->fd, buffer, length, (off_t)file->offset);
        if (got != (ssize_t)length)
            return got < 0 ? -errno : -ESTALE;
        return take_line(file, (struct text) { buffer, length }, next, 0);
    }
    int mark = snprintf(buffer + half, CUT_MARK_MAX, " ... [%llu bytes cut] ... ",
                        (unsigned long long)(length - INPUT_LINE_MAX));
    check(mark > 0 && mark < CUT_MARK_MAX);
    ssize_t head = pread(file->fd, buffer, half, (off_t)file->offset);
    ssize_t tail = pread(file->fd, buffer + half + mark, half, (off_t)(end - half));
    if (head != (ssize_t)half || tail != (ssize_t)half)
        return head < 0 || tail < 0 ? -errno : -ESTALE;
    return take_line(file, (struct text) { buffer, 2 * half + (size_t)mark }, next, ENTRY_REPAIR_CUT);
}

/* All whole lines of a chunk that begins at file->offset. */
static int take_chunk(struct tail_file *file, const char *bytes, size_t length) {
    const char *at = bytes, *end = bytes + length, *newline;
    while (at < end && (newline = memchr(at, '\n', (size_t)(end - at)))) {
        struct text line = { at, (size_t)(newline - at) };
        int result = take_line(file, line, file->offset + line.length + 1, 0);
        if (result != 0)
            return result;
        at = newline + 1;
    }
    file->scanned = file->offset + (uint64_t)(end - at);
    return 0;
}

/* Read on from `scanned`: bytes read, 0 at the end, or a negative errno. */
static ssize_t read_on(struct tail_file *file) {
    char bytes[TAIL_CHUNK];
    ssize_t got = pread(file->fd, bytes, sizeof(bytes), (off_t)file->scanned);
    if (got <= 0)
        return got < 0 ? -errno : 0;
    int result = 0;
    if (file->scanned == file->offset) {
        result = take_chunk(file, bytes, (size_t)got);
    } else {
        const char *newline = memchr(bytes, '\n', (size_t)got);
        uint64_t end = file->scanned + (uint64_t)(newline ? newline - bytes : got);
        if (newline)
            result = take_long_line(file, end, end + 1);
        else
            file->scanned = end;
    }
    return result != 0 ? result : got;
}

/* --- the turn --- */

static enum tail_turn forget(struct tail_file *file) {
    struct tail *tail = file->tail;
    char key[TAIL_KEY_SIZE];
    struct input_position position = { text_of(tail->input.config->name),
                                       tail_position_key(file->device, file->inode, key), TEXT_EMPTY };
    if (tail->input.context->outlet->write_position(tail->input.context->outlet->context, &position) == -EAGAIN)
        return TAIL_TURN_HELD;
    tail_set_remove(file);
    return TAIL_TURN_GONE;
}

static enum tail_turn announce(struct tail_file *file) {
    struct tail *tail = file->tail;
    char key[TAIL_KEY_SIZE], value[TAIL_VALUE_SIZE];
    update_fingerprint(file, file->offset);
    struct input_position position = { text_of(tail->input.config->name),
                                       tail_position_key(file->device, file->inode, key),
                                       tail_position_value(file, file->offset, value) };
    if (tail->input.context->outlet->write_position(tail->input.context->outlet->context, &position) == -EAGAIN)
        return TAIL_TURN_HELD;
    file->announce = false;
    return TAIL_TURN_IDLE;
}

/* By one that has lines to come: not by what cannot or is not to be read. */
static bool is_blocked(const struct tail_file *file) {
    const struct tail_file *after = file->after;
    while (after && (after->finished || after->said || after->binary || after->ignored))
        after = after->after;
    return after != NULL;
}

/* At its end: a rotated one is finished once it is quiet, and its last line needs no newline then. */
static enum tail_turn at_end(struct tail_file *file) {
    if (!file->rotated || (file->finished && file->size <= file->offset))
        return TAIL_TURN_IDLE;
    bool partial = file->size > file->offset;
    if (!tail_is_quiet(file, partial ? TAIL_PARTIAL_MS : TAIL_QUIET_MS))
        return TAIL_TURN_WAIT;
    if (partial) {
        int result = take_long_line(file, file->size, file->size);
        if (result == -EAGAIN)
            return TAIL_TURN_HELD;
        if (result != 0)
            return TAIL_TURN_WAIT;
    }
    file->finished = true;
    tail_set_release(file);
    return TAIL_TURN_IDLE;
}

static enum tail_turn read_lines(struct tail_file *file) {
    for (uint64_t taken = 0; taken < TAIL_TURN;) {
        ssize_t got = read_on(file);
        if (got == -EAGAIN)
            return TAIL_TURN_HELD;
        if (got == -ESTALE) {
            tail_set_ready(file); /* the next turn looks at it anew */
            return TAIL_TURN_MORE;
        }
        if (got < 0) {
            input_count_error(&file->tail->input, (int)got);
            if (!file->said)
                diag_warn("input %s cannot read %s: %s; it is tried again", file->tail->input.config->name, file->label,
                          strerror((int)-got));
            file->said = true;
            return TAIL_TURN_IDLE;
        }
        if (got == 0)
            return at_end(file);
        taken += (uint64_t)got;
        if (file->scanned > file->size)
            file->size = file->scanned;
    }
    return TAIL_TURN_MORE;
}

enum tail_turn tail_read_turn(struct tail_file *file) {
    file->used_ns = clock_monotonic_ns();
    if (file->forget)
        return forget(file);
    if (file->ignored && !file->announce)
        return TAIL_TURN_IDLE;
    int result = tail_read_verify(file);
    if (result != 0 && !file->announce) {
        if (result == -ESTALE || result == -ENOENT)
            tail_scan_soon(file->tail, TAIL_SCAN_SOON_MS);
        return TAIL_TURN_IDLE;
    }
    if (file->announce && announce(file) == TAIL_TURN_HELD)
        return TAIL_TURN_HELD;
    if (result != 0 || file->ignored) {
        tail_read_close(file);
        return TAIL_TURN_IDLE;
    }
    if (file->order == 0)
        return TAIL_TURN_IDLE; /* in line again when its place is known */
    if (is_blocked(file))
        return TAIL_TURN_WAIT;
    if (is_binary(file)) {
        tail_read_close(file);
        return TAIL_TURN_IDLE;
    }
    return read_lines(file);
}
