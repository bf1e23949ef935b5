/* Who went without goodbye is told once, behind all that it wrote, and with the signal where somebody tells of it. */
#include "tests/unit/shm/ring_fixture.h"

#include <signal.h>

#include "collector/drain.h"
#include "collector/losses.h"
#include "collector/reap.h"
#include "collector/slots.h"
#include "common/base/diag.h"
#include "common/model/pack.h"
#include "common/process/daemon.h"

struct setup {
    const struct ring_fixture *fixture;
    struct ring own; /* the test's, as a producer that lives on */
    struct slot_claim claim;
    struct state_map state;
    struct rings rings;
    struct drain drain;
    struct batch batch;
    struct buffer json;
};

static void begin_collector(struct setup *s) {
    struct error error = { "" };
    assert_int_equal(daemon_runtime_dirs(s->fixture->runtime_dir, &error), 0);
    assert_int_equal(rings_init(&s->rings, s->fixture->runtime_dir, &s->state, &error), 0);
    assert_int_equal(drain_init(&s->drain, &s->rings, NULL, &error), 0);
    assert_true(rings_scan(&s->rings));
    for (uint32_t i = 0; i < s->rings.items[0]->slots_used; i++)
        rings_slot_refresh(&s->rings, s->rings.items[0], i);
    reap_scan(&s->rings);
    s->rings.starting = false;
}

static void end_collector(struct setup *s) {
    batch_finish(&s->batch);
    drain_finish(&s->drain);
    rings_finish(&s->rings);
    memset(&s->batch, 0, sizeof(s->batch));
}

static void open_all(struct setup *s, void **state) {
    memset(s, 0, sizeof(*s));
    s->fixture = *state;
    fixture_attach(s->fixture, &s->own);
    assert_int_equal(ring_slot_claim(&s->own, TEXT_LITERAL("teller"), 0, &s->claim), 0);
    begin_collector(s);
}

static void close_all(struct setup *s) {
    clock_set_for_test(0);
    buffer_finish(&s->json);
    end_collector(s);
    state_map_finish(&s->state);
    ring_finish(&s->own);
}

/* --- a process that ends --- */

enum how { KILLED = 1, WITH_GOODBYE = 2, CLOSED = 4, SPANS = 8, STAYS = 16, SHARES = 32 };

static void write_entry(struct ring *ring, const struct slot_claim *claim, bool shares, const struct entry *entry) {
    struct record_entry record = { .entry = *entry };
    struct record hello = { .kind = RECORD_PROCESS_HELLO,
                            .process_hello = { .service = TEXT_LITERAL("mailer"), .pid = claim->slot->pid } };
    struct lane_writer writer;
    uint32_t lane, size, hello_size = 0;
    uint64_t position, now = clock_real_ns();
    char room[512];
    memcpy(hello.process_hello.producer_id, claim->slot->producer_id, 16);
    if (shares) {
        assert_int_equal(ring_overflow_take(ring, claim, &writer, &lane), 0);
        hello_size = (uint32_t)record_encode(&hello, room, sizeof(room));
    } else {
        assert_int_equal(ring_lane_claim(ring, claim, false, &writer, &lane), 0);
    }
    assert_int_equal(record_entry_size(&record, &size), 0);
    char *span = lane_claim(&writer, hello_size + size, entry->level, &position);
    assert_non_null(span);
    hello.position = position;
    hello.time_ns = now;
    if (shares)
        assert_int_equal(record_encode(&hello, span, hello_size), hello_size);
    record_entry_encode(&record, position + hello_size, now, span + hello_size, size);
    lane_commit(&writer, hello_size + size);
    if (shares)
        ring_overflow_give(ring, lane);
    else
        ring_lane_release(ring, claim, lane);
}

static void open_span(struct slot_span *span, uint64_t age_ns, char id, const char *operation) {
    memset(span->trace_id, id, sizeof(span->trace_id));
    memset(span->span_id, id, sizeof(span->span_id));
    span->operation_length = (uint8_t)strlen(operation);
    memcpy(span->operation, operation, span->operation_length);
    atomic_store(&span->state, (clock_real_ns() - age_ns) & ~UINT64_C(1));
}

static void live_and_end(const struct ring_fixture *fixture, enum how how, int ready) {
    struct ring ring;
    struct slot_claim claim;
    fixture_attach(fixture, &ring);
    if (ring_slot_claim(&ring, TEXT_LITERAL("mailer"), 0, &claim) != 0)
        _exit(1);
    struct entry entry = { .timestamp_ns = 1, .level = LEVEL_INFO, .message = TEXT_LITERAL("last words") };
    write_entry(&ring, &claim, how & SHARES, &entry);
    if (how & SPANS) {
        open_span(&claim.slot->spans[3], 5 * CLOCK_SECOND, 0x11, "older");
        open_span(&claim.slot->spans[1], 2 * CLOCK_SECOND, 0x22, "newer\xff");
    }
    if (how & WITH_GOODBYE)
        ring_slot_say_goodbye(&claim);
    if (how & CLOSED)
        ring_slot_release(&ring, &claim, false);
    if (write(ready, "x", 1) != 1 || how & STAYS)
        pause();
    if (how & KILLED)
        kill(getpid(), SIGKILL);
    _exit(0);
}

/* Its pid; it has written its last words, and ended unless it stays. */
static pid_t process(const struct setup *s, enum how how) {
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fixture_fork();
    if (child == 0)
        live_and_end(s->fixture, how, ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    if (!(how & STAYS))
        assert_int_equal(waitpid(child, NULL, 0), child);
    return child;
}

/* --- the collector --- */

static void gather(struct setup *s, bool whole) {
    struct drain_state seen;
    drain_round(&s->drain, &seen);
    batch_clear(&s->batch);
    assert_true(drain_gather(&s->drain, whole, clock_real_ns(), &s->batch));
}

static void settle(struct setup *s) {
    assert_int_equal(batch_apply(&s->batch, &s->state), 0);
    drain_settle(&s->drain);
    reap_finish(&s->rings);
}

static void flush(struct setup *s) {
    gather(s, false);
    settle(s);
}

/* A scan, and a flush for what its process wrote. */
static void notice(struct setup *s) {
    reap_scan(&s->rings);
    reap_finish(&s->rings);
    gather(s, false);
    assert_int_equal(s->batch.entry_count, 1);
    assert_true(text_is(s->batch.entries[0].message, "last words"));
    settle(s);
}

static void wait_for_no_news(void) {
    clock_set_for_test(clock_monotonic_ns() + CRASH_WAIT_NS);
}

/* The last of that many entries of the next batch. */
static const struct entry *told_behind(struct setup *s, size_t others) {
    gather(s, false);
    assert_int_equal(s->batch.entry_count, others + 1);
    const struct entry *entry = &s->batch.entries[others];
    assert_true(text_is(entry->module, "crash"));
    assert_true(text_is(entry->operation, "gone"));
    buffer_clear(&s->json);
    pack_append_json(&s->json, entry->metadata);
    buffer_append_char(&s->json, '\0');
    return entry;
}

static const struct entry *told(struct setup *s) {
    return told_behind(s, 0);
}

static void expect_nothing(struct setup *s) {
    gather(s, false);
    assert_int_equal(s->batch.entry_count, 0);
    settle(s);
}

static bool text_has(struct text text, const char *part) {
    return memmem(text.data, text.length, part, strlen(part)) != NULL;
}

/* The clock stands still from here on, so that no time passes unasked. */
static void stop_clock(void) {
    clock_set_for_test(clock_real_ns());
}

static unsigned slots_taken(const struct setup *s) {
    unsigned taken = 0;
    for (uint32_t i = 0; i < ring_slots_used(&s->own); i++)
        taken += (atomic_load(&ring_slot_at(&s->own, i)->state) & 0xff) != SLOT_FREE;
    return taken;
}

static int any_key(void *argument, struct text key, struct text value) {
    (void)argument, (void)key, (void)value;
    return 1;
}

/* --- told or not --- */

static void who_is_killed_is_told_behind_its_last_words(void **state) {
    struct setup s;
    char begin[64];
    open_all(&s, state);
    pid_t pid = process(&s, KILLED);
    stop_clock();
    notice(&s);
    assert_int_equal(slots_taken(&s), 2);
    expect_nothing(&s);
    assert_false(crash_is_due(&s.rings, &s.drain.crash)); /* a signal is waited for */
    wait_for_no_news();
    assert_true(crash_is_due(&s.rings, &s.drain.crash));
    const struct entry *entry = told(&s);
    snprintf(begin, sizeof(begin), "mailer (pid %d) went without goodbye after ", (int)pid);
    assert_true(text_starts_with(entry->message, text_of(begin)));
    assert_true(text_is(entry->service, "mailer"));
    assert_int_equal(entry->level, LEVEL_WARN);
    assert_int_equal(entry->pid, pid);
    assert_int_equal(entry->trace_id.length, 0);
    assert_non_null(strstr(s.json.data, "\"uptime_seconds\":"));
    assert_non_null(strstr(s.json.data, "\"lanes\":1"));
    assert_null(strstr(s.json.data, "signal"));
    assert_null(strstr(s.json.data, "in_flight"));
    settle(&s);
    assert_int_equal(slots_taken(&s), 1);
    gather(&s, false); /* the key goes */
    assert_int_equal(s.batch.entry_count, 0);
    settle(&s);
    assert_int_equal(s.rings.removal_count, 0);
    assert_int_equal(state_map_walk(&s.state, TEXT_LITERAL(STATE_GONE), any_key, NULL), 0);
    expect_nothing(&s);
    close_all(&s);
}

static void who_said_goodbye_or_closed_is_not_told(void **state) {
    (void)state;
    static const enum how ends[] = { WITH_GOODBYE, WITH_GOODBYE | KILLED, CLOSED, CLOSED | KILLED };
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct setup s;
        void *fixture;
        fixture_setup(&fixture);
        open_all(&s, &fixture);
        process(&s, ends[i]);
        stop_clock();
        notice(&s);
        assert_int_equal(slots_taken(&s), 1); /* nothing was waited for */
        wait_for_no_news();
        expect_nothing(&s);
        close_all(&s);
        fixture_teardown(&fixture);
    }
}

static void who_lives_or_is_stopped_is_not_told(void **state) {
    struct setup s;
    open_all(&s, state);
    pid_t pid = process(&s, STAYS);
    kill(pid, SIGSTOP);
    notice(&s);
    assert_true(s.rings.items[0]->slots[1].watch.fd >= 0);
    assert_false(slots_note_deaths(&s.rings));
    wait_for_no_news();
    expect_nothing(&s);
    clock_set_for_test(0);
    kill(pid, SIGKILL);
    while (!slots_note_deaths(&s.rings)) /* also while nobody has waited for it: a zombie is dead */
        usleep(1000);
    reap_scan(&s.rings);
    reap_finish(&s.rings);
    wait_for_no_news();
    told(&s);
    waitpid(pid, NULL, 0);
    close_all(&s);
}

static void what_it_wrote_into_shared_lanes_is_stored_before(void **state) {
    struct setup s;
    open_all(&s, state);
    process(&s, KILLED | SHARES);
    reap_scan(&s.rings);
    reap_finish(&s.rings);
    stop_clock();
    wait_for_no_news();
    gather(&s, false);
    assert_int_equal(s.batch.entry_count, 1);
    assert_true(text_is(s.batch.entries[0].message, "last words"));
    settle(&s);
    told(&s);
    close_all(&s);
}

static void spans_that_were_open_are_in_flight(void **state) {
    struct setup s;
    open_all(&s, state);
    process(&s, KILLED | SPANS);
    notice(&s);
    wait_for_no_news();
    const struct entry *entry = told(&s);
    assert_true(text_is(entry->trace_id, "22222222222222222222222222222222"));
    assert_true(text_is(entry->span_id, "2222222222222222"));
    const char *newer = strstr(s.json.data, "{\"operation\":\"newer\xef\xbf\xbd\",\"trace_id\":\"2222");
    const char *older = strstr(s.json.data, "{\"operation\":\"older\",\"trace_id\":\"1111");
    assert_true(newer && older && newer < older);
    assert_true(strstr(newer, "\"age_seconds\":2") && strstr(older, "\"age_seconds\":5"));
    close_all(&s);
}

/* Scribbled all over: still one entry, with all of its spans. */
static void spans_of_any_bytes_fit(void **state) {
    struct setup s;
    open_all(&s, state);
    pid_t pid = process(&s, STAYS);
    struct slot_span *spans = ring_slot_at(&s.own, 1)->spans;
    for (int i = 0; i < SLOT_SPANS_MAX; i++) {
        memset(&spans[i], 0xff, sizeof(spans[i]));
        atomic_store(&spans[i].state, UINT64_MAX - 1 - 2 * (uint64_t)i);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    notice(&s);
    wait_for_no_news();
    const struct entry *entry = told(&s);
    unsigned count = 0;
    for (const char *at = s.json.data; (at = strstr(at, "age_seconds")); at++)
        count++;
    assert_int_equal(count, SLOT_SPANS_MAX);
    assert_int_equal(s.batch.repaired, 0);
    assert_int_equal(entry->trace_id.length, 32);
    close_all(&s);
}

/* --- once, over kills of the collector --- */

static void a_collector_killed_before_the_commit_tells_it_at_its_next_start(void **state) {
    struct setup s;
    open_all(&s, state);
    process(&s, KILLED);
    notice(&s);
    wait_for_no_news();
    told(&s); /* not committed */
    end_collector(&s);
    begin_collector(&s);
    reap_finish(&s.rings);
    wait_for_no_news();
    const struct entry *entry = told(&s);
    assert_true(text_has(entry->message, "while no collector ran, at most "));
    settle(&s);
    expect_nothing(&s);
    close_all(&s);
}

static void a_collector_killed_behind_the_commit_does_not_tell_it_again(void **state) {
    struct setup s;
    open_all(&s, state);
    process(&s, KILLED);
    notice(&s);
    wait_for_no_news();
    told(&s);
    assert_int_equal(batch_apply(&s.batch, &s.state), 0); /* and killed before the slot is given back */
    end_collector(&s);
    begin_collector(&s);
    reap_finish(&s.rings);
    assert_int_equal(slots_taken(&s), 1);
    wait_for_no_news();
    expect_nothing(&s);
    close_all(&s);
}

static void a_batch_that_is_discarded_is_made_again(void **state) {
    struct setup s;
    open_all(&s, state);
    process(&s, KILLED);
    notice(&s);
    wait_for_no_news();
    told(&s);
    drain_discard(&s.drain);
    told(&s);
    settle(&s);
    expect_nothing(&s);
    close_all(&s);
}

static void a_collector_that_ends_waits_for_no_news(void **state) {
    struct setup s;
    open_all(&s, state);
    process(&s, KILLED);
    stop_clock();
    notice(&s);
    assert_true(crash_is_waiting(&s.rings));
    gather(&s, true);
    assert_int_equal(s.batch.entry_count, 1);
    settle(&s);
    assert_false(crash_is_waiting(&s.rings));
    close_all(&s);
}

/* --- signals --- */

static struct text pack_of(const char *json, char *room, size_t size) {
    struct pack_writer writer = { .data = room, .capacity = size };
    struct error error;
    assert_int_equal(pack_from_json(text_of(json), &writer, &error), 0);
    return (struct text) { room, writer.length };
}

static void tell_of(struct setup *s, const char *operation, enum level level, const char *message, const char *json) {
    char room[1024];
    struct entry entry = { .timestamp_ns = 1,
                           .level = level,
                           .operation = text_of(operation),
                           .message = text_of(message),
                           .metadata = pack_of(json, room, sizeof(room)) };
    write_entry(&s->own, &s->claim, false, &entry);
}

struct news {
    const char *operation, *message, *metadata; /* with %d for the pid */
    const char *expected, *core;                /* NULL: it tells nothing */
};

static void expect_news(const struct news *news) {
    struct setup s;
    void *fixture;
    char message[256], metadata[512], part[128];
    fixture_setup(&fixture);
    open_all(&s, &fixture);
    pid_t pid = process(&s, KILLED);
    stop_clock();
    notice(&s);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(message, sizeof(message), news->message, (int)pid);
    snprintf(metadata, sizeof(metadata), news->metadata, (int)pid);
#pragma GCC diagnostic pop
    tell_of(&s, news->operation, LEVEL_ERROR, message, metadata);
    if (!news->expected) {
        gather(&s, false);
        assert_int_equal(s.batch.entry_count, 1);
        settle(&s);
        assert_false(crash_is_due(&s.rings, &s.drain.crash));
        close_all(&s);
        fixture_teardown(&fixture);
        return;
    }
    const struct entry *entry = told_behind(&s, 1); /* in the batch of the news */
    snprintf(part, sizeof(part), "mailer (pid %d) was killed by %s after ", (int)pid, news->expected);
    if (!text_starts_with(entry->message, text_of(part)))
        fail_msg("\"%.*s\" does not begin with \"%s\"", TEXT_FORMAT(entry->message), part);
    assert_int_equal(entry->level, LEVEL_ERROR);
    if (news->core ? !strstr(s.json.data, news->core) : !!strstr(s.json.data, "core"))
        fail_msg("%s", s.json.data);
    close_all(&s);
    fixture_teardown(&fixture);
}

static void a_signal_that_is_told_of_is_named(void **state) {
    (void)state;
    static const struct news all[] = {
        { "exit", "text", "{\"signal\":11,\"pid\":%d,\"core\":true}", "SIGSEGV (11), core dumped,", "\"core\":true" },
        { "exit", "text", "{\"signal\":9,\"pid\":%d,\"core\":false}", "SIGKILL (9)", "\"core\":false" },
        { "exit", "text", "{\"signal\":40,\"pid\":%d}", "signal (40)", NULL },
        { "journal", "dumped",
          "{\"message_id\":\"fc2e22bc6ee647b6b90729ab34a250b1\",\"coredump_pid\":\"%d\",\"coredump_signal\":\"6\"}",
          "SIGABRT (6), core dumped,", "\"core\":true" },
        { "journal", "mailer[%d]: segfault at 0 ip 0000 sp 0000 error 4 in mailer", "{\"transport\":\"kernel\"}",
          "SIGSEGV (11)", NULL },
        { "journal", "traps: mailer[%d] trap divide error ip:5 sp:7 error:0 in mailer", "{\"transport\":\"kernel\"}",
          "SIGFPE (8)", NULL },
        { "journal", "traps: mailer[%d] general protection fault ip:5 sp:7", "{\"transport\":\"kernel\"}",
          "SIGSEGV (11)", NULL },
        { "journal", "traps: mailer[%d] trap invalid opcode ip:5 sp:7", "{\"transport\":\"kernel\"}", "SIGILL (4)",
          NULL },
        { "journal", "Memory cgroup out of memory: Killed process %d (mailer) total-vm:9kB",
          "{\"transport\":\"kernel\"}", "SIGKILL (9)", NULL },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        expect_news(&all[i]);
}

static void what_tells_of_no_signal_is_passed_over(void **state) {
    (void)state;
    static const struct news all[] = {
        { "exit", "text", "{\"signal\":11}", NULL, NULL },
        { "exit", "text", "{\"signal\":0,\"pid\":%d}", NULL, NULL },
        { "exit", "text", "{\"signal\":4711,\"pid\":%d}", NULL, NULL },
        { "exit", "text", "{\"signal\":-11,\"pid\":%d}", NULL, NULL },
        { "exit", "text", "{\"signal\":11,\"pid\":1%d}", NULL, NULL },
        { "exit", "text", "{\"signal\":11,\"pid\":[%d]}", NULL, NULL },
        { "ended", "text", "{\"signal\":11,\"pid\":%d}", NULL, NULL },
        { "journal", "mailer[%d]: segfault at 0", "{\"transport\":\"stdout\"}", NULL, NULL },
        { "journal", "mailer %d]: segfault at 0", "{\"transport\":\"kernel\"}", NULL, NULL },
        { "journal", "]: segfault at 0", "{\"transport\":\"kernel\"}", NULL, NULL },
        { "journal", "dumped", "{\"message_id\":\"fc2e\",\"coredump_pid\":\"%d\",\"coredump_signal\":\"6\"}", NULL,
          NULL },
    };
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        expect_news(&all[i]);
}

static void news_may_come_before_the_death_is_noticed(void **state) {
    struct setup s;
    char metadata[64];
    open_all(&s, state);
    pid_t pid = process(&s, KILLED);
    stop_clock();
    snprintf(metadata, sizeof(metadata), "{\"signal\":15,\"pid\":%d}", (int)pid);
    tell_of(&s, "exit", LEVEL_ERROR, "text", metadata);
    flush(&s);
    reap_scan(&s.rings);
    reap_finish(&s.rings);
    assert_true(text_has(told(&s)->message, "SIGTERM (15)"));
    close_all(&s);
}

static void old_news_are_of_another_process(void **state) {
    struct setup s;
    char metadata[64];
    open_all(&s, state);
    pid_t pid = process(&s, STAYS);
    flush(&s);
    snprintf(metadata, sizeof(metadata), "{\"signal\":15,\"pid\":%d}", (int)pid);
    tell_of(&s, "exit", LEVEL_ERROR, "text", metadata);
    flush(&s);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    clock_set_for_test(clock_monotonic_ns() + CRASH_HEARD_NS + CLOCK_SECOND);
    reap_scan(&s.rings);
    reap_finish(&s.rings);
    assert_false(crash_is_due(&s.rings, &s.drain.crash));
    close_all(&s);
}

/* Another user's word counts only where it is the agent's. */
static void another_user_is_not_believed(void **state) {
    struct setup s;
    char json[64], room[64], path[192];
    open_all(&s, state);
    pid_t pid = process(&s, KILLED);
    stop_clock();
    notice(&s);
    struct collector_ring another = *s.rings.items[0];
    another.uid = geteuid() + 1;
    snprintf(json, sizeof(json), "{\"signal\":15,\"pid\":%d}", (int)pid);
    struct entry entry = { .level = LEVEL_ERROR,
                           .operation = TEXT_LITERAL("exit"),
                           .metadata = pack_of(json, room, sizeof(room)) };
    assert_true(crash_is_news(&entry));
    crash_hear(&s.drain.crash, &another, NULL, &entry);
    assert_int_equal(s.drain.crash.next, 0); /* nobody knows who says so */
    crash_hear(&s.drain.crash, &another, &s.rings.items[0]->slots[s.claim.index], &entry);
    assert_int_equal(s.drain.crash.next, 1);
    assert_false(crash_is_due(&s.rings, &s.drain.crash));
    snprintf(path, sizeof(path), "%s/agent.lock", s.fixture->runtime_dir);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_false(crash_is_due(&s.rings, &s.drain.crash));
    if (chown(path, geteuid() + 1, (gid_t)-1) == 0)
        assert_true(crash_is_due(&s.rings, &s.drain.crash));
    close_all(&s);
}

int main(void) {
    diag_open("test");
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
        TEST(who_is_killed_is_told_behind_its_last_words),
        TEST(who_said_goodbye_or_closed_is_not_told),
        TEST(who_lives_or_is_stopped_is_not_told),
        TEST(what_it_wrote_into_shared_lanes_is_stored_before),
        TEST(spans_that_were_open_are_in_flight),
        TEST(spans_of_any_bytes_fit),
        TEST(a_collector_killed_before_the_commit_tells_it_at_its_next_start),
        TEST(a_collector_killed_behind_the_commit_does_not_tell_it_again),
        TEST(a_batch_that_is_discarded_is_made_again),
        TEST(a_collector_that_ends_waits_for_no_news),
        TEST(a_signal_that_is_told_of_is_named),
        TEST(what_tells_of_no_signal_is_passed_over),
        TEST(news_may_come_before_the_death_is_noticed),
        TEST(old_news_are_of_another_process),
        TEST(another_user_is_not_believed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
