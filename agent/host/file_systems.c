/* file_systems.c - the list of mounts, the job that looks at them, and those that hang. */
#include "agent/host/file_systems.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/diag.h"

struct place {
    char *device, *path, *type; /* owned */
    bool read_only, answered;
    struct statvfs space;
};

struct hung {
    char *path; /* owned */
    struct space_job *job;
};

struct file_systems {
    struct loop *loop;
    struct loop_timer *timer; /* the deadline of the job; without a job: the look is over */
    struct loop_fd *source;   /* the job's end */
    space_job_stat *stat;
    uint64_t deadline_ns;
    void (*ready)(void *context);
    void *context;
    bool looking;
    struct place places[FILE_SYSTEMS_MAX];
    size_t count;
    struct space_job *job;
    size_t asked[FILE_SYSTEMS_MAX], asked_count; /* the places that the job looks at, in its order */
    struct hung hung[FILE_SYSTEMS_HUNG_MAX];
    size_t hung_count;
};

/* --- the list --- */

static void clear_places(struct file_systems *self) {
    for (size_t i = 0; i < self->count; i++) {
        free(self->places[i].device);
        free(self->places[i].path);
        free(self->places[i].type);
    }
    self->count = 0;
}

static bool is_same(const struct place *place, const struct host_mount *mount) {
    return text_is(mount->path, place->path) && text_is(mount->device, place->device) &&
           text_is(mount->type, place->type);
}

/* A mount that hides an equal one is told once. */
static int add_place(void *context, const struct host_mount *mount) {
    struct file_systems *self = context;
    for (size_t i = 0; i < self->count; i++)
        if (is_same(&self->places[i], mount))
            return 0;
    if (self->count == FILE_SYSTEMS_MAX)
        return 1;
    struct place *place = &self->places[self->count++];
    *place = (struct place) {
        .device = strndup(mount->device.data, mount->device.length),
        .path = strndup(mount->path.data, mount->path.length),
        .type = strndup(mount->type.data, mount->type.length),
        .read_only = mount->read_only,
    };
    return place->device && place->path && place->type ? 0 : -ENOMEM;
}

/* --- those that hang --- */

static bool is_hung(const struct file_systems *self, const char *path) {
    for (size_t i = 0; i < self->hung_count; i++)
        if (strcmp(self->hung[i].path, path) == 0)
            return true;
    return false;
}

static void forget_hung(struct file_systems *self, size_t at) {
    space_job_release(self->hung[at].job);
    free(self->hung[at].path);
    self->hung[at] = self->hung[--self->hung_count];
}

static void forget_those_that_answered(struct file_systems *self) {
    for (size_t i = self->hung_count; i-- > 0;) {
        if (!space_job_ended(self->hung[i].job))
            continue;
        diag_info("host metrics: the file system at %s answers again", self->hung[i].path);
        forget_hung(self, i);
    }
}

/* --- the job --- */

static void on_ended(struct loop_fd *source, int fd, uint32_t events, void *context);

static void end_job(struct file_systems *self) {
    loop_remove_fd(self->source);
    self->source = NULL;
    self->job = NULL;
}

/* Look at the places from `first` on, but for those that hang. Where no thread can be had, they count as failed. */
static void start_job(struct file_systems *self, size_t first) {
    const char *paths[FILE_SYSTEMS_MAX];
    int result = 0;
    self->asked_count = 0;
    for (size_t i = first; i < self->count && self->hung_count < FILE_SYSTEMS_HUNG_MAX; i++) {
        if (is_hung(self, self->places[i].path))
            continue;
        paths[self->asked_count] = self->places[i].path;
        self->asked[self->asked_count++] = i;
    }
    if (self->asked_count > 0)
        result = space_job_start(paths, self->asked_count, self->stat, &self->job);
    if (self->job && result == 0)
        result = loop_add_fd(self->loop, space_job_fd(self->job), EPOLLIN, on_ended, self, &self->source);
    if (result != 0) {
        space_job_release(self->job);
        self->job = NULL;
    }
    loop_set_timer(self->timer, self->job ? self->deadline_ns : 0);
}

static void take_results(struct file_systems *self, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct place *place = &self->places[self->asked[i]];
        place->answered = space_job_result(self->job, i, &place->space);
    }
}

static void end_look(struct file_systems *self) {
    loop_rest_timer(self->timer);
    self->looking = false;
    self->ready(self->context);
}

static void on_ended(struct loop_fd *source, int fd, uint32_t events, void *context) {
    (void)source;
    (void)fd;
    (void)events;
    struct file_systems *self = context;
    struct space_job *job = self->job;
    take_results(self, self->asked_count);
    end_job(self);
    space_job_release(job);
    end_look(self);
}

static void add_hung(struct file_systems *self, const char *path, struct space_job *job) {
    char *copy = strdup(path);
    diag_warn("host metrics: the file system at %s gives no answer; it counts as failed (node_filesystem_device_error) "
              "until it does",
              path);
    if (copy)
        self->hung[self->hung_count++] = (struct hung) { copy, job };
    else
        space_job_release(job); /* the next look will ask it again */
}

/* The one in hand hangs: leave it to its thread, go on behind it. */
static void on_deadline(struct loop_timer *timer, void *context) {
    (void)timer;
    struct file_systems *self = context;
    struct space_job *job = self->job;
    bool hangs;
    if (!job) {
        end_look(self);
        return;
    }
    size_t reached = space_job_stop(job, &hangs);
    size_t next = reached < self->asked_count ? self->asked[reached] : self->count;
    take_results(self, reached);
    end_job(self);
    if (hangs)
        add_hung(self, self->places[next++].path, job);
    else /* it ended at the last moment */
        space_job_release(job);
    start_job(self, next);
}

/* --- the whole --- */

void file_systems_look(struct file_systems *self, struct text mounts) {
    if (self->looking)
        return;
    self->looking = true;
    clear_places(self);
    if (parse_host_mounts(mounts, add_place, self) == -ENOMEM)
        clear_places(self);
    forget_those_that_answered(self);
    start_job(self, 0);
}

int file_systems_give(const struct file_systems *self, host_sink *sink, void *context) {
    int result = 0;
    for (size_t i = 0; i < self->count && result == 0; i++) {
        const struct place *place = &self->places[i];
        struct host_mount mount = { text_of(place->device), text_of(place->path), text_of(place->type),
                                    place->read_only };
        result = host_file_system(&mount, place->answered ? &place->space : NULL, sink, context);
    }
    return result;
}

size_t file_systems_hung(const struct file_systems *self) {
    return self->hung_count;
}

int file_systems_create(struct loop *loop, space_job_stat *stat, uint64_t deadline_ns, void (*ready)(void *context),
                        void *context, struct file_systems **ret) {
    struct file_systems *self = calloc(1, sizeof(*self));
    if (!self)
        return -ENOMEM;
    self->loop = loop;
    self->stat = stat;
    self->deadline_ns = deadline_ns;
    self->ready = ready;
    self->context = context;
    int result = loop_add_timer(loop, on_deadline, self, &self->timer);
    if (result != 0)
        file_systems_destroy(self);
    else
        *ret = self;
    return result;
}

void file_systems_destroy(struct file_systems *self) {
    if (!self)
        return;
    struct space_job *job = self->job;
    end_job(self);
    space_job_release(job);
    loop_remove_timer(self->timer);
    clear_places(self);
    while (self->hung_count > 0)
        forget_hung(self, self->hung_count - 1);
    free(self);
}
