/* segment.c - see segment.h: the readers' side. The file may be anything and change at any time: what is read is copied once,
 * checked, then used, all of it under the guard. Walks end because each piece is larger than nothing, chains because each link leads
 * to a lower position. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/shm/segment_private.h"

enum { ATTEMPTS_AT_ONCE = 50, ATTEMPTS_YIELDING = 50, ATTEMPTS = 600 /* the others wait a millisecond each */ };
#define SIZE_MAX_READ (UINT64_C(4) << 30)

static uint64_t load(const _Atomic uint64_t *from) {
    return atomic_load_explicit(from, memory_order_acquire);
}

/* --- opening --- */

static bool scheme_is_good(const char text[SEGMENT_SCHEME_TEXT], bool may_be_empty) {
    size_t length = strnlen(text, SEGMENT_SCHEME_TEXT);
    return length < SEGMENT_SCHEME_TEXT &&
           (length == 0 ? may_be_empty : metric_family_check((struct text) { text, length }) == 0);
}

int segment_read_header(void *argument) {
    struct segment *segment = argument;
    struct segment_header header;
    memcpy(&header, segment->map.base, offsetof(struct segment_header, replaced));
    if (header.magic != SEGMENT_MAGIC)
        return -EBADMSG;
    if (header.version > SEGMENT_VERSION)
        return -EPROTO;
    if (header.version != SEGMENT_VERSION || header.header_size != SEGMENT_HEADER_SIZE ||
        header.file_size != segment->map.size || !scheme_is_good(header.namespace_, false) ||
        !scheme_is_good(header.gauge_suffix, true))
        return -EBADMSG;
    memcpy(segment->info.namespace_, header.namespace_, SEGMENT_SCHEME_TEXT);
    memcpy(segment->info.gauge_suffix, header.gauge_suffix, SEGMENT_SCHEME_TEXT);
    memcpy(segment->info.id, header.id, sizeof(header.id));
    segment->info.created_ns = header.created_ns;
    return 0;
}

int segment_open_file(const char *path, uint64_t *ret_size, struct error *error) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return error_set(error, -ENOENT,
                         "there is no metric segment %s: the collector, which makes it, has not run here", path);
    if (fd < 0 && errno == EACCES)
        return error_set(error, -EACCES, "may not read the metric segment %s: join the group taskforge", path);
    if (fd < 0)
        return error_set(error, -errno, "cannot open the metric segment %s: %s", path, strerror(errno));
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode) || status.st_size < SEGMENT_HEADER_SIZE ||
        (uint64_t)status.st_size > SIZE_MAX_READ) {
        close(fd);
        return error_set(error, -EBADMSG, "%s is not a metric segment, or was cut: the collector makes a new one",
                         path);
    }
    *ret_size = (uint64_t)status.st_size;
    return fd;
}

int segment_run(const struct segment *segment, int (*function)(void *argument), void *argument) {
    return segment->is_copy ? function(argument) : map_guarded(function, argument);
}

int segment_header_fault(const char *path, int result, struct error *error) {
    if (result == -EPROTO)
        return error_set(error, result, "the metric segment %s is of a newer version than this program can read", path);
    return error_set(error, -EBADMSG, "the metric segment %s is damaged: the collector makes a new one", path);
}

/* Open what is there now into *segment, which holds a path alone. */
static int map_named(struct segment *segment, struct error *error) {
    uint64_t size = 0;
    int fd = segment_open_file(segment->path, &size, error);
    if (fd < 0)
        return fd;
    int result = map_file(fd, size, false, &segment->map, error);
    if (result < 0)
        return error_prefix(error, result, "%s", segment->path);
    result = segment_run(segment, segment_read_header, segment);
    if (result == 0)
        return 0;
    map_finish(&segment->map);
    return segment_header_fault(segment->path, result, error);
}

int segment_open(const char *runtime_dir, struct segment **ret, struct error *error) {
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment || asprintf(&segment->path, "%s/" SEGMENT_NAME, runtime_dir) < 0) {
        free(segment);
        return error_set(error, -ENOMEM, "out of memory");
    }
    segment->map = MAP_EMPTY;
    int result = map_named(segment, error);
    if (result < 0) {
        segment_close(segment);
        return result;
    }
    *ret = segment;
    return 0;
}

void segment_close(struct segment *segment) {
    if (!segment)
        return;
    map_finish(&segment->map);
    free(segment->path);
    free(segment);
}

int segment_refresh(struct segment *segment, struct error *error) {
    struct stat named;
    if (lstat(segment->path, &named) == 0 && named.st_dev == segment->map.device && named.st_ino == segment->map.inode)
        return 0;
    struct segment fresh = { .path = segment->path, .map = MAP_EMPTY };
    int result = map_named(&fresh, error);
    if (result < 0)
        return result;
    map_finish(&segment->map);
    *segment = fresh;
    return 1;
}

/* --- header --- */

/* How far the file is used, or 0 when it says nonsense. */
static uint64_t used_of(const struct segment *segment) {
    uint64_t used = load(&segment_header_of(&segment->map)->used);
    return used >= SEGMENT_HEADER_SIZE && used <= segment->map.size && used % 8 == 0 ? used : 0;
}

struct info_call {
    const struct segment *segment;
    struct segment_info info;
};

static int read_info(void *argument) {
    struct info_call *call = argument;
    const struct segment_header *header = segment_header_of(&call->segment->map);
    call->info.changes = load(&header->changes); /* first: what is read afterwards has all of them */
    call->info.used = used_of(call->segment);
    call->info.series_count = load(&header->series_count);
    call->info.heartbeat_ns = load(&header->heartbeat_ns);
    call->info.last_commit_ns = load(&header->last_commit_ns);
    call->info.replaced = load(&header->replaced) != 0;
    return call->info.used == 0 || call->info.series_count > call->info.used / sizeof(struct segment_series) ? -EBADMSG
                                                                                                             : 0;
}

int segment_info_get(struct segment *segment, struct segment_info *ret) {
    struct info_call call = { segment, segment->info };
    int result = segment_run(segment, read_info, &call);
    if (result == 0)
        *ret = call.info;
    return result;
}

/* --- values --- */

struct sample_call {
    struct segment *segment;
    uint64_t position; /* of the series; segment_next: what it should be behind */
    struct segment_sample *sample;
};

static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* The octaves of a chain. A newer one lies behind all older ones, so positions fall and the chain ends. */
static int copy_octaves(const struct sample_call *call, uint64_t position) {
    struct histogram *histogram = &call->sample->histogram;
    uint64_t limit = used_of(call->segment); /* after the link was loaded, see segment_layout.h */
    while (position != 0) {
        if (position % 8 != 0 || position <= call->position || position >= limit ||
            limit - position < sizeof(struct segment_octave))
            return -EBADMSG;
        const struct segment_octave *octave = (const struct segment_octave *)(call->segment->map.base + position);
        if (octave->piece.type != SEGMENT_PIECE_OCTAVE)
            return -EBADMSG;
        uint64_t number = load(&octave->number);
        if (number >= HISTOGRAM_OCTAVES || histogram->octaves[number])
            return -EBADMSG;
        histogram->octaves[number] = malloc(HISTOGRAM_BUCKETS * sizeof(uint64_t));
        if (!histogram->octaves[number])
            return -ENOMEM;
        memset(histogram->octaves[number], 0, HISTOGRAM_BUCKETS * sizeof(uint64_t));
        for (int b = 0; b < HISTOGRAM_BUCKETS; b++)
            histogram->octaves[number][b] = load(&octave->counts[b]);
        limit = position;
        position = load(&octave->next);
    }
    return 0;
}

static int copy_values(const struct sample_call *call, const struct segment_series *series) {
    struct segment_sample *sample = call->sample;
    double value = double_of(load(&series->words[SEGMENT_WORD_VALUE]));
    sample->updated_ns = load(&series->words[SEGMENT_WORD_UPDATED]);
    if (!metric_kind_is_histogram(sample->definition.kind)) {
        sample->value = value;
        return 0;
    }
    histogram_finish(&sample->histogram);
    sample->histogram.sum = value;
    sample->histogram.zero = load(&series->words[SEGMENT_WORD_ZERO]);
    return copy_octaves(call, load(&series->words[SEGMENT_WORD_OCTAVE]));
}

/* Before another attempt: false when there is no use in it. The writer may merely have lost its processor; but one that was killed or
 * stopped within an update leaves the sequence odd for good, and is waited for once. */
static bool wait_for_writer(struct segment *segment, int attempt) {
    const _Atomic uint64_t *changes = &segment_header_of(&segment->map)->changes;
    if (segment->is_copy)
        return false;
    if (attempt < ATTEMPTS_AT_ONCE)
        return true;
    if (attempt < ATTEMPTS_AT_ONCE + ATTEMPTS_YIELDING) {
        sched_yield();
        return true;
    }
    if (segment->stuck && segment->stuck_changes == load(changes))
        return false;
    segment->stuck = attempt >= ATTEMPTS;
    segment->stuck_changes = load(changes);
    nanosleep(&(struct timespec) { .tv_nsec = CLOCK_MILLISECOND }, NULL);
    return !segment->stuck;
}

/* Under the sequence lock; of a writer that died within an update, what stands there: each word is whole and none smaller than
 * it was. */
static int read_values(const struct sample_call *call, const struct segment_series *series) {
    for (int attempt = 1;; attempt++) {
        uint64_t before = load(&series->words[SEGMENT_WORD_SEQUENCE]);
        int result = copy_values(call, series);
        uint64_t after = load(&series->words[SEGMENT_WORD_SEQUENCE]);
        if ((before == after && before % 2 == 0) || result == -ENOMEM || !wait_for_writer(call->segment, attempt))
            return result;
    }
}

/* --- series --- */

/* The piece at a position below `used`, its size checked; *ret is a copy. */
static int read_piece(const struct segment *segment, uint64_t position, uint64_t used, struct segment_piece *ret) {
    if (position % 8 != 0 || position < SEGMENT_HEADER_SIZE || position >= used || used - position < sizeof(*ret))
        return -EBADMSG;
    memcpy(ret, segment->map.base + position, sizeof(*ret));
    size_t least = ret->type == SEGMENT_PIECE_SERIES ? sizeof(struct segment_series) : sizeof(struct segment_octave);
    if ((ret->type != SEGMENT_PIECE_SERIES && ret->type != SEGMENT_PIECE_OCTAVE) || ret->size % 8 != 0 ||
        ret->size < least || ret->size > used - position)
        return -EBADMSG;
    return 0;
}

static int copy_texts(struct segment_sample *sample, const struct segment_fixed *fixed, const char *from) {
    struct text texts[SEGMENT_TEXTS];
    size_t length = 0;
    for (int i = 0; i < SEGMENT_TEXTS; i++)
        length += fixed->lengths[i];
    buffer_clear(&sample->bytes);
    if (!buffer_reserve(&sample->bytes, length + 1))
        return -ENOMEM;
    buffer_append(&sample->bytes, from, length);
    from = sample->bytes.data;
    for (int i = 0; i < SEGMENT_TEXTS; i++) {
        texts[i] = (struct text) { from, fixed->lengths[i] };
        from += fixed->lengths[i];
    }
    sample->family = texts[SEGMENT_TEXT_FAMILY];
    sample->definition = (struct metric_definition) {
        .kind = fixed->kind,
        .naming = fixed->naming,
        .name = texts[SEGMENT_TEXT_NAME],
        .labels = texts[SEGMENT_TEXT_LABELS],
        .unit = texts[SEGMENT_TEXT_UNIT],
        .help = texts[SEGMENT_TEXT_HELP],
        .bounds = texts[SEGMENT_TEXT_BOUNDS],
    };
    return 0;
}

static int read_series(struct sample_call *call, const struct segment_piece *piece) {
    const struct segment_series *series = (const struct segment_series *)(call->segment->map.base + call->position);
    struct segment_sample *sample = call->sample;
    struct segment_fixed fixed;
    memcpy(&fixed, &series->fixed, sizeof(fixed));
    if (segment_series_size(fixed.lengths) != piece->size)
        return -EBADMSG;
    int result = copy_texts(sample, &fixed, series->texts);
    if (result < 0)
        return result;
    sample->position = call->position;
    sample->created_ns = fixed.created_ns;
    sample->hidden = load(&series->words[SEGMENT_WORD_HIDDEN]) != 0;
    return read_values(call, series);
}

static int read_at(void *argument) {
    struct sample_call *call = argument;
    struct segment_piece piece;
    int result = read_piece(call->segment, call->position, used_of(call->segment), &piece);
    if (result == 0 && piece.type != SEGMENT_PIECE_SERIES)
        result = -EBADMSG;
    return result < 0 ? result : read_series(call, &piece);
}

static int read_behind(void *argument) {
    struct sample_call *call = argument;
    uint64_t used = used_of(call->segment);
    struct segment_piece piece;
    int result = used == 0 ? -EBADMSG : 0;
    if (call->position == 0)
        call->position = SEGMENT_HEADER_SIZE;
    else if (result == 0 && (result = read_piece(call->segment, call->position, used, &piece)) == 0)
        call->position += piece.size;
    while (result == 0 && call->position < used) {
        result = read_piece(call->segment, call->position, used, &piece);
        if (result == 0 && piece.type == SEGMENT_PIECE_SERIES) {
            result = read_series(call, &piece);
            return result < 0 ? result : 1;
        }
        call->position += piece.size;
    }
    return result;
}

/* What was copied, judged outside the guard: nothing here touches the file. */
static int judge(const struct segment_sample *sample) {
    return metric_definition_check(&sample->definition, NULL) < 0 || metric_family_check(sample->family) < 0 ? -EBADMSG
                                                                                                             : 0;
}

int segment_next(struct segment *segment, uint64_t after, struct segment_sample *sample) {
    struct sample_call call = { segment, after, sample };
    int result = segment_run(segment, read_behind, &call);
    return result == 1 && judge(sample) < 0 ? -EBADMSG : result;
}

int segment_read(struct segment *segment, uint64_t position, struct segment_sample *sample) {
    struct sample_call call = { segment, position, sample };
    int result = segment_run(segment, read_at, &call);
    return result == 0 ? judge(sample) : result;
}

void segment_sample_finish(struct segment_sample *sample) {
    histogram_finish(&sample->histogram);
    buffer_finish(&sample->bytes);
    *sample = SEGMENT_SAMPLE_EMPTY;
}
