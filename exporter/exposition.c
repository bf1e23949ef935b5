/* exposition.c - see exposition.h: from the order of the series to a body. A chunk of rows is formatted and, where it is wished, compressed by
 * whichever of the two threads is free. */
#include "exporter/exposition.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "exporter/deflate.h"
#include "exporter/exposition_body.h"
#include "exporter/exposition_order.h"

enum {
    AHEAD = 12 /* rows whose memory is fetched before they are looked at */,
    PLAIN_LINES = 8,         /* not worth compressing */
    CHUNK_BYTES = 256 * 1024 /* what the lines of a chunk mostly take: room that need not grow */
};

struct worker {
    struct exposition *exposition;
    struct segment_counts counts;
    struct buffer text; /* of a chunk that is to be compressed */
    struct deflate *deflate;
};

struct job { /* one body; workers take its chunks */
    struct segment *segment;
    struct exposition_style style;
    struct exposition_body *body;
    struct deflate_sum *sums; /* of each chunk's text; NULL: nothing is compressed */
    uint64_t deadline_ns;
    atomic_size_t next;
    atomic_int result;
};

struct exposition {
    struct exposition_order order;
    struct exposition_body *latest;
    struct deflate_sum *sums;
    struct job job;
    struct worker workers[2];
    pthread_t helper;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool started, alone;     /* the helper; there is none */
    bool wanted, busy, stop; /* under lock */
};

/* --- a chunk --- */

struct chunk_call {
    struct worker *worker;
    const struct exposition_chunk *chunk;
    struct buffer *out;
};

static struct text text_of_about(const struct exposition_order *order, uint32_t number, bool help) {
    if (number == EXPOSITION_NONE)
        return TEXT_EMPTY;
    return help ? order->abouts[number]->help : order->abouts[number]->unit;
}

static void append_head(const struct exposition *exposition, const struct exposition_run *run, struct buffer *out) {
    const struct exposition_order *order = &exposition->order;
    const struct exposition_about *about = order->abouts[order->rows[run->first].about];
    exposition_append_family(out, exposition->job.style.format, about->kind, about->family,
                             text_of_about(order, run->help, true), text_of_about(order, run->unit, false));
}

/* A row's lines. Its labels are judged where they were copied to: 0, or -EBADMSG. */
static int append_row(const struct chunk_call *call, const struct exposition_row *row,
                      const struct segment_look *look) {
    struct worker *worker = call->worker;
    struct exposition *exposition = worker->exposition;
    struct job *job = &exposition->job;
    const struct exposition_about *about = exposition->order.abouts[row->about];
    const bool exemplars = job->style.format == EXPOSITION_OPENMETRICS;
    size_t labels = SIZE_MAX;
    int result;
    if (metric_kind_is_histogram(about->kind)) {
        result = segment_look_counts(job->segment, look, exemplars, &worker->counts);
        if (result == 0)
            exposition_append_histogram_lines(call->out, job->style, about, look->labels, &worker->counts,
                                              look->created_ns, &labels);
    } else {
        struct metric_exemplar *exemplar =
            exemplars && about->kind == METRIC_COUNTER ? &worker->counts.exemplars[0] : NULL;
        double value;
        result = segment_look_value(job->segment, look, &value, exemplar);
        if (result == 0)
            exposition_append_number_lines(call->out, job->style, about, look->labels, value, exemplar,
                                           look->created_ns, &labels);
    }
    if (result == 0 && labels != SIZE_MAX && !call->out->failed) {
        struct text copy = { look->labels.length ? call->out->data + labels : "", look->labels.length };
        if (exposition_order_hash(&exposition->order, copy) != row->hash)
            return -EBADMSG;
    }
    return result;
}

/* The rows of one family from `at` on, to the end of it or of the chunk; *ret is that end. */
static int append_run(const struct chunk_call *call, const struct exposition_run *run, uint32_t at, uint32_t end) {
    const struct exposition *exposition = call->worker->exposition;
    const struct exposition_row *rows = exposition->order.rows;
    struct segment *segment = exposition->job.segment;
    bool headed = run->split && at > run->first, shown = false;
    if (run->split && !run->shown)
        return 0;
    if (run->split && at == run->first) {
        append_head(exposition, run, call->out);
        headed = true;
    }
    for (; at < end; at++) {
        struct segment_look look;
        if (at + AHEAD < exposition->order.row_count)
            segment_look_ahead(segment, (uint64_t)rows[at + AHEAD].place * 8);
        int result = segment_look(segment, (uint64_t)rows[at].place * 8, &look);
        if (result < 0)
            return result;
        shown = shown && rows[at].again;
        if (look.hidden || shown)
            continue;
        if (!headed)
            append_head(exposition, run, call->out);
        headed = shown = true;
        if ((result = append_row(call, &rows[at], &look)) < 0)
            return result;
    }
    return 0;
}

static int append_chunk(void *argument) {
    const struct chunk_call *call = argument;
    const struct exposition_order *order = &call->worker->exposition->order;
    const struct exposition_chunk *chunk = call->chunk;
    uint32_t run = chunk->run;
    for (uint32_t at = chunk->first; at < chunk->end; run++) {
        uint32_t end = order->runs[run].end < chunk->end ? order->runs[run].end : chunk->end;
        int result = append_run(call, &order->runs[run], at, end);
        if (result < 0)
            return result;
        at = end;
    }
    return 0;
}

/* --- workers --- */

static int make_piece(struct worker *worker, size_t number) {
    struct exposition *exposition = worker->exposition;
    struct job *job = &exposition->job;
    struct buffer *piece = &job->body->pieces[number];
    struct chunk_call call = { worker, &exposition->order.chunks[number], job->sums ? &worker->text : piece };
    buffer_clear(&worker->text);
    if (call.out->capacity == 0 && exposition->order.chunk_count > 1)
        buffer_reserve(call.out, CHUNK_BYTES);
    int result = segment_scan_guard(job->segment, append_chunk, &call);
    if (result == 0 && number + 1 == exposition->order.chunk_count)
        exposition_append_end(call.out, job->style.format);
    if (result == 0 && call.out->failed)
        result = -ENOMEM;
    if (result == 0 && job->sums)
        result = deflate_append(worker->deflate, buffer_text(&worker->text), piece, &job->sums[number]);
    if (result == 0 && job->deadline_ns != 0 && clock_monotonic_ns() > job->deadline_ns)
        result = -ETIMEDOUT;
    return result;
}

static void work(struct worker *worker) {
    struct job *job = &worker->exposition->job;
    size_t number;
    while (atomic_load(&job->result) == 0 &&
           (number = atomic_fetch_add(&job->next, 1)) < worker->exposition->order.chunk_count) {
        int result = make_piece(worker, number);
        if (result < 0)
            atomic_store(&job->result, result);
    }
}

static void *help(void *argument) {
    struct exposition *exposition = argument;
    pthread_mutex_lock(&exposition->lock);
    while (!exposition->stop) {
        if (!exposition->wanted) {
            pthread_cond_wait(&exposition->wake, &exposition->lock);
            continue;
        }
        exposition->wanted = false;
        exposition->busy = true;
        pthread_mutex_unlock(&exposition->lock);
        work(&exposition->workers[1]);
        pthread_mutex_lock(&exposition->lock);
        exposition->busy = false;
        pthread_cond_broadcast(&exposition->wake);
    }
    pthread_mutex_unlock(&exposition->lock);
    return NULL;
}

/* Both threads, where there is work for two. */
static void work_together(struct exposition *exposition) {
    if (!exposition->started && !exposition->alone && exposition->order.chunk_count > 1) {
        exposition->started = pthread_create(&exposition->helper, NULL, help, exposition) == 0;
        exposition->alone = !exposition->started;
    }
    bool together = exposition->started && exposition->order.chunk_count > 1;
    if (together) {
        pthread_mutex_lock(&exposition->lock);
        exposition->wanted = true;
        pthread_cond_broadcast(&exposition->wake);
        pthread_mutex_unlock(&exposition->lock);
    }
    work(&exposition->workers[0]);
    if (!together)
        return;
    pthread_mutex_lock(&exposition->lock);
    exposition->wanted = false; /* too late for it to begin */
    while (exposition->busy)
        pthread_cond_wait(&exposition->wake, &exposition->lock);
    pthread_mutex_unlock(&exposition->lock);
}

/* --- a body --- */

/* Whether any of the series is shown, of families that several chunks hold: so their heads stand in the first, and no line without a head. */
static int decide_runs(void *argument) {
    struct exposition *exposition = argument;
    struct exposition_order *order = &exposition->order;
    for (size_t i = 0; i < order->run_count; i++) {
        struct exposition_run *run = &order->runs[i];
        run->shown = false;
        for (uint32_t at = run->first; run->split && !run->shown && at < run->end; at++)
            run->shown = !segment_look_hidden(exposition->job.segment, (uint64_t)order->rows[at].place * 8);
    }
    return 0;
}

static int prepare(struct exposition *exposition, bool compressed) {
    const size_t count = exposition->order.chunk_count;
    for (int i = 0; compressed && i < 2; i++)
        if (!exposition->workers[i].deflate && !(exposition->workers[i].deflate = deflate_create()))
            return -ENOMEM;
    /* one piece more in front and behind a compressed one, and one where there is no chunk */
    struct exposition_body *body = exposition_body_make(exposition->latest, count + 2);
    exposition->latest = body;
    if (!body)
        return -ENOMEM;
    if (!compressed)
        return 0;
    struct deflate_sum *sums = reallocarray(exposition->sums, count + 1, sizeof(*sums));
    if (!sums)
        return -ENOMEM;
    exposition->sums = exposition->job.sums = sums;
    return 0;
}

static void append_ends(struct exposition *exposition) {
    struct job *job = &exposition->job;
    const size_t count = exposition->order.chunk_count;
    struct buffer *first = &job->body->pieces[count + 1], *last = &job->body->pieces[count];
    if (count == 0)
        exposition_append_end(last, job->style.format);
    if (!job->sums)
        return;
    /* the head goes in front: pieces are moved up by one */
    deflate_head(first);
    deflate_tail(job->sums, count, last);
    struct buffer head = *first;
    memmove(&job->body->pieces[1], &job->body->pieces[0], (count + 1) * sizeof(*job->body->pieces));
    job->body->pieces[0] = head;
}

static int make_body(struct exposition *exposition, struct segment *segment, const struct exposition_wish *wish,
                     const struct segment_info *info) {
    struct job *job = &exposition->job;
    job->segment = segment;
    job->style = (struct exposition_style) { wish->format, wish->created };
    job->deadline_ns = wish->deadline_ns;
    job->sums = NULL;
    atomic_store(&job->next, 0);
    atomic_store(&job->result, 0);
    int result = exposition_order_update(&exposition->order, segment);
    if (result == 0)
        result = prepare(exposition, wish->gzip && exposition->order.line_count >= PLAIN_LINES);
    if (result == 0)
        result = segment_scan_guard(segment, decide_runs, exposition);
    if (result < 0)
        return result;
    struct exposition_body *body = job->body = exposition->latest;
    body->wish = *wish;
    body->changes = info->changes; /* as it was before reading: what came meanwhile is formatted again */
    memcpy(body->id, info->id, sizeof(body->id));
    body->gzip = job->sums != NULL;
    work_together(exposition);
    result = atomic_load(&job->result);
    if (result == 0)
        append_ends(exposition);
    return result == 0 && !exposition_body_close(body) ? -ENOMEM : result;
}

/* --- whole --- */

static bool is_fresh(const struct exposition_body *body, const struct exposition_wish *wish,
                     const struct segment_info *info) {
    return body && body->wish.format == wish->format && body->wish.gzip == wish->gzip &&
           body->wish.created == wish->created && memcmp(body->id, info->id, sizeof(info->id)) == 0 &&
           (body->changes == info->changes || body->begun_ns >= wish->arrived_ns);
}

static int refuse(struct error *error, int result) {
    switch (result) {
    case -ENOMEM:
        return error_set(error, result, "the metric segment does not fit the memory");
    case -EPROTO:
        return error_set(error, result,
                         "the metric segment is of a version that the collector no longer writes: "
                         "restart the collector");
    case -ETIMEDOUT:
        return error_set(error, result, "the metrics could not be put together within the time that the scrape gives");
    default:
        return error_set(error, result, "the metric segment is damaged: the collector makes a new one");
    }
}

int exposition_read(struct exposition *exposition, struct segment *segment, const struct exposition_wish *wish,
                    struct exposition_body **ret, struct error *error) {
    struct segment_info info;
    uint64_t now = clock_monotonic_ns();
    int result = segment_info_get(segment, &info);
    if (result == 0 && wish->deadline_ns != 0 && now > wish->deadline_ns)
        return refuse(error, -ETIMEDOUT);
    if (result == 0 && !is_fresh(exposition->latest, wish, &info)) {
        result = make_body(exposition, segment, wish, &info);
        if (result == 0)
            exposition->latest->begun_ns = now;
    }
    if (result < 0) {
        exposition_body_release(exposition->latest); /* what is half made is none */
        exposition->latest = NULL;
        if (result != -ETIMEDOUT)
            exposition_order_forget(&exposition->order);
        return refuse(error, result);
    }
    exposition_body_share(exposition->latest);
    *ret = exposition->latest;
    return 0;
}

int exposition_create(struct exposition **ret) {
    struct exposition *exposition = calloc(1, sizeof(*exposition));
    if (!exposition)
        return -ENOMEM;
    exposition->workers[0].exposition = exposition->workers[1].exposition = exposition;
    exposition->alone = sysconf(_SC_NPROCESSORS_ONLN) < 2;
    pthread_mutex_init(&exposition->lock, NULL);
    pthread_cond_init(&exposition->wake, NULL);
    *ret = exposition;
    return 0;
}

void exposition_destroy(struct exposition *exposition) {
    if (!exposition)
        return;
    if (exposition->started) {
        pthread_mutex_lock(&exposition->lock);
        exposition->stop = true;
        pthread_cond_broadcast(&exposition->wake);
        pthread_mutex_unlock(&exposition->lock);
        pthread_join(exposition->helper, NULL);
    }
    exposition_order_forget(&exposition->order);
    exposition_body_release(exposition->latest);
    for (int i = 0; i < 2; i++) {
        buffer_finish(&exposition->workers[i].text);
        deflate_destroy(exposition->workers[i].deflate);
    }
    free(exposition->sums);
    pthread_mutex_destroy(&exposition->lock);
    pthread_cond_destroy(&exposition->wake);
    free(exposition);
}
