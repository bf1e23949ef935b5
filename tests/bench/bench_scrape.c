/* bench_scrape - a segment of realistic series and who scrapes it.
 *
 *   bench_scrape RUNTIME_DIR LINES      makes the segment, prints "ready BYTES SERIES BYTES_A_SERIES", then does what it reads, a line each:
 *     fetch PORT text|openmetrics plain|gzip TURNS    values change, then one GET /metrics: "BEST MEDIAN BODY" (ns, ns, bytes) of all turns
 *     peek PORT PATH plain|gzip TURNS                 the same of another server, whose values stay
 *     raw BYTES TURNS                                 the same of a process that sends so many bytes it has ready: what the sockets take
 *     body FILE                                       what /metrics would be (text), written by the exporter's own code
 *     inside TURNS                                    the same without HTTP: "PLAIN GZIP" (ns)
 *   bench_scrape numbers                              ns for each sort of double as text, ours and "%.17g" of the C library
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/base/decimal.h"
#include "common/model/metric.h"
#include "common/shm/map.h"
#include "common/shm/segment_private.h"
#include "exporter/exposition.h"

enum { TIMER_LINES = 19, TIMER_OF = 10 /* of so many lines one is a timer's */, TURNS_MAX = 1000, BODY_MAX = 64 << 20 };

static const struct metric_scheme scheme = { "taskforge", "_gauge" };
static struct segment_writer *writer;
static uint64_t seed = 42;
static char *room; /* BODY_MAX bytes */

static uint64_t next_random(void) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    return seed >> 33;
}

/* --- the series --- */

static const struct family {
    enum metric_kind kind;
    const char *name, *help;
} families[] = {
    { METRIC_COUNTER, "queue_jobs_processed", "Jobs that workers have taken from the queue and finished." },
    { METRIC_COUNTER, "queue_jobs_failed", "Jobs that ended with an error, retries not counted." },
    { METRIC_COUNTER, "http_request_bytes", "Bytes of the bodies of requests." },
    { METRIC_GAUGE, "queue_depth_waiting_jobs", "Jobs that wait in the queue." },
    { METRIC_GAUGE, "worker_memory_resident_bytes", "Resident memory of the workers." },
    { METRIC_COUNTER, "worker_cpu_seconds", "Processor time that the workers have taken." },
    { METRIC_GAUGE, "queue_oldest_job_age_seconds", "How long the oldest job has waited." },
    { METRIC_GAUGE, "worker_load_ratio", "The share of the time in which workers were busy." },
};

static void add_series(enum metric_kind kind, const char *name, const char *help, unsigned number) {
    static const char *const states[] = { "waiting", "running", "delayed", "paused" };
    char queue[32], tenant[32], labels[METRIC_LABELS_BYTES], family[METRIC_FAMILY_BYTES];
    const struct metric_label list[] = {
        { TEXT_LITERAL("queue"), { queue, (size_t)snprintf(queue, sizeof(queue), "mail-%03u", number / 4 % 200) } },
        { TEXT_LITERAL("state"), text_of(states[number % 4]) },
        { TEXT_LITERAL("tenant"),
          { tenant, (size_t)snprintf(tenant, sizeof(tenant), "organization-%04u", number / 800) } },
    };
    struct metric_definition definition = { .kind = kind, .name = text_of(name), .help = text_of(help) };
    uint64_t series;
    check(metric_labels_pack(list, 3, labels, &definition.labels, NULL) == 0);
    size_t length = metric_family(&scheme, kind, definition.naming, definition.name, family);
    check(segment_add(writer, &definition, (struct text) { family, length }, clock_real_ns(), &series) == 0);
}

static uint64_t timers, numbers; /* timers come first */

static void make_series(unsigned lines) {
    timers = lines / TIMER_OF / TIMER_LINES;
    numbers = lines - timers * TIMER_LINES;
    for (unsigned i = 0; i < timers; i++)
        add_series(METRIC_TIMER, "job_run", "How long a job took.", i);
    for (unsigned i = 0; i < numbers; i++) {
        const struct family *family = &families[i % COUNT_OF(families)];
        add_series(family->kind, family->name, family->help, i / COUNT_OF(families));
    }
}

static double new_value(uint64_t number) {
    switch (number % COUNT_OF(families)) {
    case 5:
        return (double)(next_random() % 100000000) / 1000; /* three digits behind the point */
    case 6:
        return (double)(next_random() % 1000000) / 1000000;
    case 7:
        return (double)next_random() / 2147483648.0 * 0.7; /* as many digits as there are */
    default:
        return (double)(next_random() % (UINT64_C(10) << next_random() % 24));
    }
}

static void change_values(void) {
    struct histogram histogram = HISTOGRAM_EMPTY;
    uint64_t now = clock_real_ns();
    for (uint64_t i = 0; i < timers; i++) {
        for (int n = 0; n < 50; n++)
            histogram_add(&histogram, (double)next_random() / 1e9, 1);
        check(segment_set_histogram(writer, i, &histogram, now) == 0);
    }
    for (uint64_t i = 0; i < numbers; i++)
        segment_set_value(writer, timers + i, new_value(i), now);
    histogram_finish(&histogram);
}

/* --- a client --- */

/* One GET; the length of the body, whose end is that of the connection. */
static size_t get(unsigned port, const char *path, const char *headers) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    char request[512];
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), size = 4 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    check(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    int length =
        snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", path, headers);
    check(send(fd, request, (size_t)length, 0) == length);
    size_t have = 0;
    for (ssize_t n; have < BODY_MAX && (n = recv(fd, room + have, BODY_MAX - have, 0)) > 0;)
        have += (size_t)n;
    close(fd);
    const char *body = memmem(room, have, "\r\n\r\n", 4);
    check(body && memcmp(room, "HTTP/1.1 200", 12) == 0);
    return have - (size_t)(body + 4 - room);
}

static int compare(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void measure(unsigned port, const char *path, const char *headers, unsigned turns, bool change) {
    static double times[TURNS_MAX];
    size_t body = 0;
    turns = turns < TURNS_MAX ? turns : TURNS_MAX;
    for (unsigned i = 0; i < turns + 2; i++) { /* two to warm up */
        if (change)
            change_values();
        uint64_t from = clock_monotonic_ns();
        body = get(port, path, headers);
        times[i < 2 ? 0 : i - 2] = (double)(clock_monotonic_ns() - from);
    }
    qsort(times, turns, sizeof(*times), compare);
    printf("%.0f %.0f %zu\n", times[0], times[turns / 2], body);
}

/* Answer each connection with what lies in the room already, until killed. */
static _Noreturn void send_ready(int listener, size_t length) {
    char request[512];
    int head = snprintf(room, BODY_MAX, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        check(fd >= 0 && recv(fd, request, sizeof(request), 0) > 0);
        for (size_t sent = 0; sent < (size_t)head + length;) {
            ssize_t n = send(fd, room + sent, (size_t)head + length - sent, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            sent += (size_t)n;
        }
        close(fd);
    }
}

static void measure_raw(size_t length, unsigned turns) {
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    check(length < BODY_MAX - 512 && listener >= 0 && bind(listener, (struct sockaddr *)&address, size) == 0 &&
          listen(listener, 8) == 0 && getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    fflush(stdout);
    pid_t sender = fork();
    check(sender >= 0);
    if (sender == 0)
        send_ready(listener, length);
    close(listener);
    measure(ntohs(address.sin_port), "/", "", turns, false);
    kill(sender, SIGKILL);
    waitpid(sender, NULL, 0);
}

static const char *headers_of(const char *format, const char *coding, char out[256]) {
    snprintf(out, 256, "%s%s",
             strcmp(format, "openmetrics") == 0 ? "Accept: application/openmetrics-text; version=1.0.0\r\n" : "",
             strcmp(coding, "gzip") == 0 ? "Accept-Encoding: gzip\r\n" : "");
    return out;
}

/* --- without HTTP --- */

static double inside(struct exposition *exposition, struct segment *segment, bool gzip, unsigned turns) {
    double best = INFINITY;
    for (unsigned i = 0; i < turns; i++) {
        struct exposition_body *body;
        change_values();
        uint64_t from = clock_monotonic_ns();
        check(exposition_read(exposition, segment, &(struct exposition_wish) { .gzip = gzip, .arrived_ns = UINT64_MAX },
                              &body, NULL) == 0);
        best = fmin(best, (double)(clock_monotonic_ns() - from));
        exposition_body_release(body);
    }
    return best;
}

static void look_inside(const char *runtime_dir, const char *file, unsigned turns) {
    struct exposition *exposition;
    struct segment *segment;
    check(exposition_create(&exposition) == 0 && segment_open(runtime_dir, &segment, NULL) == 0);
    if (file) {
        struct exposition_body *body;
        size_t count, length;
        FILE *out = fopen(file, "w");
        check(out && exposition_read(exposition, segment, &(struct exposition_wish) { 0 }, &body, NULL) == 0);
        const struct iovec *pieces = exposition_body_pieces(body, &count, &length);
        for (size_t i = 0; i < count; i++)
            check(fwrite(pieces[i].iov_base, 1, pieces[i].iov_len, out) == pieces[i].iov_len);
        fclose(out);
        exposition_body_release(body);
        printf("%zu\n", length);
    } else {
        printf("%.0f %.0f\n", inside(exposition, segment, false, turns), inside(exposition, segment, true, turns));
    }
    exposition_destroy(exposition);
    segment_close(segment);
}

/* --- doubles --- */

enum { DOUBLES = 4096, ROUNDS = 300 };

static double any_double(void) {
    double value;
    do {
        uint64_t bits = next_random() << 42 ^ next_random() << 21 ^ next_random();
        memcpy(&value, &bits, sizeof(value));
    } while (!isfinite(value));
    return value;
}
static double whole(void) {
    return (double)(next_random() >> next_random() % 31);
}
static double short_decimal(void) {
    return (double)(next_random() % 10000000) / 1000;
}
static double unit(void) {
    return (double)next_random() / 2147483648.0 * 0.7;
}

static size_t by_printf(double number, char out[DECIMAL_TEXT_MAX]) {
    return (size_t)snprintf(out, DECIMAL_TEXT_MAX, "%.17g", number);
}

static double time_of(size_t (*write)(double number, char *out), const double *list, int rounds) {
    double best = INFINITY;
    char out[DECIMAL_TEXT_MAX];
    size_t sum = 0;
    for (int round = 0; round < rounds; round++) {
        uint64_t from = clock_monotonic_ns();
        for (int i = 0; i < DOUBLES; i++)
            sum += write(list[i], out);
        best = fmin(best, (double)(clock_monotonic_ns() - from) / DOUBLES);
    }
    check(sum > 0);
    return best;
}

static void time_numbers(void) {
    static const struct {
        const char *name;
        double (*draw)(void);
        double most;
    } sorts[] = { { "any double", any_double, 60 },
                  { "0 to 0.7", unit, 60 },
                  { "whole", whole, 20 },
                  { "decimal", short_decimal, 20 } };
    static double list[DOUBLES];
    for (size_t i = 0; i < COUNT_OF(sorts); i++) {
        for (int n = 0; n < DOUBLES; n++)
            list[n] = sorts[i].draw();
        double ours = time_of(decimal_write, list, ROUNDS), libc = time_of(by_printf, list, ROUNDS / 10);
        printf("%-12s %6.1f ns   of %2.0f allowed: %4.2f   printf %%.17g: %6.1f ns, %.1f x\n", sorts[i].name, ours,
               sorts[i].most, ours / sorts[i].most, libc, libc / ours);
    }
}

/* --- commands --- */

static void obey(const char *runtime_dir, const char *line) {
    char what[16], format[128], coding[16], headers[256];
    unsigned port, turns;
    size_t length;
    if (sscanf(line, "fetch %u %127s %15s %u", &port, format, coding, &turns) == 4)
        measure(port, "/metrics", headers_of(format, coding, headers), turns, true);
    else if (sscanf(line, "peek %u %127s %15s %u", &port, format, coding, &turns) == 4)
        measure(port, format, headers_of("text", coding, headers), turns, false);
    else if (sscanf(line, "raw %zu %u", &length, &turns) == 2)
        measure_raw(length, turns);
    else if (sscanf(line, "body %127s", format) == 1)
        look_inside(runtime_dir, format, 0);
    else if (sscanf(line, "inside %u", &turns) == 1)
        look_inside(runtime_dir, NULL, turns);
    else
        printf("what is %.10s?\n", sscanf(line, "%15s", what) == 1 ? what : "that");
    fflush(stdout);
}

int main(int argc, char **argv) {
    char line[256];
    struct error error = { "" };
    if (argc == 2 && strcmp(argv[1], "numbers") == 0) {
        time_numbers();
        return 0;
    }
    if (argc != 3)
        return 2;
    room = malloc(BODY_MAX);
    check(room && map_guard_install(NULL) == 0);
    memset(room, 1, BODY_MAX); /* its pages are not what is measured */
    if (segment_create(argv[1], &scheme, &writer, &error) < 0) {
        fprintf(stderr, "bench_scrape: %s\n", error.text);
        return 1;
    }
    make_series((unsigned)strtoul(argv[2], NULL, 10));
    change_values();
    segment_beat(writer, clock_real_ns(), clock_real_ns());
    check(segment_publish(writer, NULL) == 0);
    uint64_t octaves = 0;
    for (uint64_t i = 0; i < timers; i++)
        octaves += writer->series[i].octave_count;
    printf("ready %llu %llu %.1f\n", (unsigned long long)writer->used, (unsigned long long)(timers + numbers),
           (double)(writer->used - octaves * sizeof(struct segment_octave)) / (double)(timers + numbers));
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin))
        obey(argv[1], line);
    segment_destroy(writer);
    free(room);
    return 0;
}
