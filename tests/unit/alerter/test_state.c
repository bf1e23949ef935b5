/* Time lines: one letter a second says what was found, one below it what the alert was then.
 *
 *   found    . holds not   # holds   - missing data   a acknowledged by hand   r resolved by hand
 *   is       . nothing     p pending   a active   k acknowledged   r resolved
 *   notified . nothing     A active    K acknowledged   R resolved
 */
#include "alerter/state.h"

#include "common/base/check.h"
#include "common/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define BEGIN (UINT64_C(1795457704) * CLOCK_SECOND)

struct line {
    const char *name;
    unsigned for_s, keep_s, cooldown_s, repeat_s;
    enum rule_no_data no_data;
    const char *found, *is, *notified;
};

static const struct line lines[] = {
    { .name = "it fires and ends", .found = ".##..", .is = ".aar.", .notified = ".A.R." },
    { .name = "for: it must hold that long", .for_s = 3, .found = "#.####.", .is = "p.pppar", .notified = ".....AR" },
    { .name = "for: a pending one that ends says nothing",
      .for_s = 5,
      .found = "###.",
      .is = "ppp.",
      .notified = "...." },
    { .name = "keep_firing_for: it ends late",
      .keep_s = 2,
      .found = "#..#...",
      .is = "aaaaaar",
      .notified = "A.....R" },
    { .name = "cooldown: the second time is held and told when it is over",
      .cooldown_s = 6,
      .found = "#.######.",
      .is = "araaaaaar",
      .notified = "AR....A.R" },
    { .name = "cooldown: what has ended when it is over is not told, nor its end",
      .cooldown_s = 6,
      .found = "#.#.....",
      .is = "arar....",
      .notified = "AR......" },
    { .name = "cooldown: the end is never held back",
      .cooldown_s = 60,
      .found = "##.",
      .is = "aar",
      .notified = "A.R" },
    { .name = "flapping is told once in a cooldown",
      .cooldown_s = 8,
      .found = "#.#.#.#.#.#",
      .is = "arararararar",
      .notified = "AR......AR." },
    { .name = "it is not repeated", .found = "######", .is = "aaaaaa", .notified = "A....." },
    { .name = "repeat_interval: it is", .repeat_s = 2, .found = "######", .is = "aaaaaa", .notified = "A.A.A." },
    { .name = "repeat_interval: never more often than the cooldown",
      .repeat_s = 2,
      .cooldown_s = 4,
      .found = "######",
      .is = "aaaaaa",
      .notified = "A...A." },
    { .name = "acknowledged: told, not repeated, its end is told",
      .repeat_s = 1,
      .found = "#a###.",
      .is = "akkkkr",
      .notified = "AK...R" },
    { .name = "acknowledged while held: nothing is told of it",
      .cooldown_s = 9,
      .found = "#.#a######.",
      .is = "arakkkkkkkr",
      .notified = "AR........." },
    { .name = "resolved by hand: it begins anew while it holds, held by the cooldown",
      .cooldown_s = 5,
      .found = "##r###.",
      .is = "aaraaar",
      .notified = "A.R..AR" },
    { .name = "missing data resolves nothing", .found = "#-----.", .is = "aaaaaar", .notified = "A.....R" },
    { .name = "missing data: pending stays, and does not become active",
      .for_s = 2,
      .found = "#---#",
      .is = "ppppa",
      .notified = "....A" },
    { .name = "no_data ok: it ends", .no_data = RULE_OK, .found = "#-", .is = "ar", .notified = "AR" },
    { .name = "no_data alert: it goes on, and pending becomes active",
      .for_s = 2,
      .no_data = RULE_ALERT,
      .found = "#---.",
      .is = "ppaar",
      .notified = "..A.R" },
};

struct life {
    struct rule rule;
    struct alert alert, before;
    uint64_t repeat_ns;
    bool open;
};

/* A step: what the alert is, and what is notified. */
static void step(struct life *life, char found, uint64_t now_ns, char *is, char *notified) {
    struct state_change change = { 0 };
    struct error error = { "" };
    bool began = false;
    if (found == 'a')
        assert_int_equal(
            state_acknowledge(&life->alert, TEXT_LITERAL("uid:1"), TEXT_LITERAL("seen"), now_ns, &change, &error), 0);
    else if (found == 'r')
        assert_int_equal(state_resolve(&life->alert, now_ns, &change, &error), 0);
    else if (life->open)
        change = state_step(&life->alert, &life->rule,
                            found == '#'   ? VERDICT_FIRING
                            : found == '-' ? VERDICT_NO_DATA
                                           : VERDICT_OK,
                            life->repeat_ns, now_ns);
    else if (found == '#') {
        alert_finish(&life->before);
        life->before = life->alert;
        life->alert = (struct alert) { 0 };
        change = state_begin(&life->alert, &life->rule, &life->before, life->repeat_ns, now_ns);
        began = life->open = true;
    }
    static const char letters[] = {
        [ALERT_PENDING] = 'p', [ALERT_ACTIVE] = 'a', [ALERT_ACKNOWLEDGED] = 'k', [ALERT_RESOLVED] = 'r'
    };
    bool was_open = life->open;
    *is = !was_open || change.dropped ? '.' : letters[life->alert.status];
    *notified = !change.notify ? '.' : letters[life->alert.status] - 'a' + 'A';
    if (change.dropped) {
        alert_finish(&life->alert);
        life->open = false;
    }
    if (life->open && !alert_is_open(&life->alert))
        life->open = false;
    assert_true(!change.notify || (change.store && life->alert.last_notified_ns == now_ns));
    assert_true(!began || change.store);
    assert_true(!change.moved || change.store);
}

static void run(const struct line *line, uint64_t (*time_of)(size_t second)) {
    struct life life = { .repeat_ns = line->repeat_s * CLOCK_SECOND };
    char is[64] = "", notified[64] = "";
    life.rule = (struct rule) { .for_ns = line->for_s * CLOCK_SECOND,
                                .keep_firing_ns = line->keep_s * CLOCK_SECOND,
                                .cooldown_ns = line->cooldown_s * CLOCK_SECOND,
                                .no_data = line->no_data };
    size_t seconds = strlen(line->found);
    for (size_t i = 0; i < seconds; i++)
        step(&life, line->found[i], time_of(i), &is[i], &notified[i]);
    if (strncmp(is, line->is, seconds) != 0 || strncmp(notified, line->notified, seconds) != 0)
        fail_msg("%s:\n  found    %s\n  is       %s, not %s\n  notified %s, not %s", line->name, line->found, is,
                 line->is, notified, line->notified);
    alert_finish(&life.alert);
    alert_finish(&life.before);
}

static uint64_t steady(size_t second) {
    return BEGIN + second * CLOCK_SECOND;
}

static void time_lines(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        run(&lines[i], steady);
}

/* The clock goes back by a day after the third second: what was to come within seconds comes within seconds. */
static uint64_t set_back(size_t second) {
    return second < 3 ? steady(second) : steady(second) - 86400 * CLOCK_SECOND;
}

static void a_clock_that_is_set_back_holds_nothing_up_for_long(void **state) {
    (void)state;
    run(&(struct line) { .name = "for", .for_s = 3, .found = "#########", .is = "ppppppaaa", .notified = "......A.." },
        set_back);
    run(&(struct line) { .name = "cooldown",
                         .cooldown_s = 3,
                         .found = "#.##########",
                         .is = "araaaaaaaaaa",
                         .notified = "AR....A....." },
        set_back);
}

static void what_is_no_change_is_refused(void **state) {
    struct alert alert = { .status = ALERT_PENDING };
    struct state_change change;
    struct error error = { "" };
    (void)state;
    assert_true(state_acknowledge(&alert, TEXT_LITERAL("x"), TEXT_EMPTY, BEGIN, &change, &error) < 0);
    assert_string_equal(error.text, "the alert is pending; only an active one can be acknowledged");
    alert.status = ALERT_ACTIVE;
    assert_int_equal(state_acknowledge(&alert, TEXT_LITERAL("uid:7"), TEXT_LITERAL("why not"), BEGIN, &change, &error),
                     0);
    assert_string_equal(alert.acknowledged_by, "uid:7");
    assert_string_equal(alert.acknowledged_reason, "why not");
    assert_true(state_acknowledge(&alert, TEXT_LITERAL("x"), TEXT_EMPTY, BEGIN, &change, &error) < 0);
    assert_string_equal(error.text, "the alert is acknowledged already, by uid:7");
    assert_int_equal(state_resolve(&alert, BEGIN, &change, &error), 0);
    assert_int_equal(alert.resolved_at_ns, BEGIN);
    assert_true(state_resolve(&alert, BEGIN, &change, &error) < 0);
    assert_true(state_acknowledge(&alert, TEXT_LITERAL("x"), TEXT_EMPTY, BEGIN, &change, &error) < 0);
    alert_finish(&alert);
}

static void an_alert_whose_rule_is_gone_ends(void **state) {
    struct alert active = { .status = ALERT_ACTIVE, .told = true }, pending = { .status = ALERT_PENDING };
    (void)state;
    struct state_change change = state_step(&active, NULL, VERDICT_OK, 0, BEGIN);
    assert_true(change.notify && change.moved && active.status == ALERT_RESOLVED);
    change = state_step(&pending, NULL, VERDICT_OK, 0, BEGIN);
    assert_true(change.dropped && !change.notify);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_lines),
        cmocka_unit_test(a_clock_that_is_set_back_holds_nothing_up_for_long),
        cmocka_unit_test(what_is_no_change_is_refused),
        cmocka_unit_test(an_alert_whose_rule_is_gone_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
