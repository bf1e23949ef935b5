/* feed.c - see feed.h. */
#include "common/query/feed.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"

struct part { /* a block of a candidate: usually all of it */
    struct block *block;
    uint64_t first_sequence;
    uint32_t from_row, to_row;
    void *result;
    int status;
    struct error error;
};

struct job {
    struct feed *feed;
    const struct candidate *candidate;
    struct part *parts;
    size_t count, capacity;
    int status; /* of reading */
    struct error error;
};

struct feed {
    struct feed_plan plan;
    size_t next;       /* candidate to be read */
    struct crew *crew; /* NULL: not yet, or never */
    bool alone;
    struct feed_worker workers[FEED_WORKERS_MAX];
    unsigned worker_count;
    struct job jobs[CREW_ROOM_MAX];
    size_t next_job;
};

static void part_finish(const struct feed *feed, struct part *part) {
    block_destroy(part->block);
    if (part->result)
        feed->plan.discard(part->result);
}

static void job_finish(struct job *job) {
    for (size_t i = 0; i < job->count; i++)
        part_finish(job->feed, &job->parts[i]);
    free(job->parts);
    *job = (struct job) { 0 };
}

/* --- workers --- */

static int add_worker(struct feed *feed, struct error *error) {
    struct feed_worker *worker = &feed->workers[feed->worker_count];
    worker->number = feed->worker_count;
    int status = filter_share(feed->plan.filter, &worker->filter, error);
    feed->worker_count += status == 0;
    return status;
}

static void work_on_part(struct job *job, struct feed_worker *worker, struct part *part) {
    const struct feed_plan *plan = &job->feed->plan;
    struct block *block = part->block;
    part->block = NULL;
    part->status = plan->work(plan->argument, worker, job->candidate, block, part->first_sequence, part->from_row,
                              part->to_row, &part->result, &part->error);
}

static void work_on(void *argument, unsigned thread, void *given) {
    struct feed *feed = argument;
    struct job *job = given;
    for (size_t i = 0; i < job->count; i++)
        work_on_part(job, &feed->workers[thread + 1], &job->parts[i]);
}

/* Threads are a help, not a need. */
static void call_crew(struct feed *feed) {
    unsigned threads = crew_processors(), wanted = 0;
    feed->alone = true; /* unless it comes to something */
    if (threads < 2 || feed->plan.count - feed->next < FEED_ENOUGH)
        return;
    while (wanted < threads && add_worker(feed, NULL) == 0)
        wanted++;
    if (wanted > 0 && crew_create(wanted, work_on, feed, &feed->crew) == 0)
        feed->alone = false;
}

/* --- reading --- */

static int keep_part(void *argument, struct block *block, uint64_t first_sequence, uint32_t from_row, uint32_t to_row) {
    struct job *job = argument;
    if (job->count == job->capacity) {
        size_t capacity = job->capacity ? job->capacity * 2 : 1;
        struct part *grown = realloc(job->parts, capacity * sizeof(*grown));
        if (!grown) {
            block_destroy(block);
            return error_set(&job->error, -ENOMEM, "out of memory while searching");
        }
        job->parts = grown;
        job->capacity = capacity;
    }
    job->parts[job->count++] =
        (struct part) { .block = block, .first_sequence = first_sequence, .from_row = from_row, .to_row = to_row };
    return 0;
}

static void read_job(struct feed *feed, struct job *job) {
    *job = (struct job) { .feed = feed, .candidate = &feed->plan.candidates[feed->next++] };
    job->status = candidate_open(feed->plan.reader, job->candidate, keep_part, job, &job->error);
}

static void read_ahead(struct feed *feed) {
    while (feed->next < feed->plan.count && crew_waiting(feed->crew) < crew_room(feed->crew)) {
        struct job *job = &feed->jobs[feed->next_job++ % CREW_ROOM_MAX];
        read_job(feed, job);
        crew_give(feed->crew, job);
    }
}

/* --- giving out --- */

static int pass_over(const struct feed *feed, int status, const struct error *why, struct error *error) {
    if (status >= 0)
        return 0;
    if (status != -EBADMSG || !feed->plan.damaged)
        return error_set(error, status, "%s", why->text);
    feed->plan.damaged(feed->plan.damaged_argument, why->text);
    return 0;
}

static int take(const struct feed_plan *plan, void *result, struct error *error) {
    int status = plan->take(plan->argument, result);
    return status < 0 ? error_set(error, status, "out of memory while searching") : 0;
}

static int give_out(struct job *job, struct error *error) {
    const struct feed_plan *plan = &job->feed->plan;
    int status = 0;
    for (size_t i = 0; i < job->count && status == 0; i++) {
        struct part *part = &job->parts[i];
        void *result = part->result;
        part->result = NULL;
        status = pass_over(job->feed, part->status, &part->error, error);
        if (result && status == 0)
            status = take(plan, result, error);
        else if (result)
            plan->discard(result);
    }
    if (status == 0)
        status = pass_over(job->feed, job->status, &job->error, error);
    job_finish(job);
    return status < 0 ? status : 1;
}

static int next_alone(struct feed *feed, struct error *error) {
    struct job job;
    read_job(feed, &job);
    for (size_t i = 0; i < job.count; i++)
        work_on_part(&job, &feed->workers[0], &job.parts[i]);
    return give_out(&job, error);
}

int feed_next(struct feed *feed, struct error *error) {
    if (!feed->crew && !feed->alone && feed->next >= (feed->plan.ahead ? 0 : FEED_ALONE))
        call_crew(feed);
    if (!feed->crew)
        return feed->next < feed->plan.count ? next_alone(feed, error) : 0;
    read_ahead(feed);
    return crew_waiting(feed->crew) > 0 ? give_out(crew_take(feed->crew), error) : 0;
}

int feed_open(const struct feed_plan *plan, struct feed **ret, struct error *error) {
    struct feed *feed = calloc(1, sizeof(*feed));
    if (!feed)
        return error_set(error, -ENOMEM, "out of memory for a query");
    feed->plan = *plan;
    feed->alone = plan->alone;
    int status = add_worker(feed, error);
    if (status < 0) {
        free(feed);
        return status;
    }
    *ret = feed;
    return 0;
}

void feed_close(struct feed *feed) {
    if (!feed)
        return;
    crew_destroy(feed->crew);
    for (size_t i = 0; i < CREW_ROOM_MAX; i++)
        if (feed->jobs[i].feed)
            job_finish(&feed->jobs[i]);
    for (unsigned i = 0; i < feed->worker_count; i++) {
        filter_share_finish(&feed->workers[i].filter);
        row_set_finish(&feed->workers[i].rows);
    }
    free(feed);
}
