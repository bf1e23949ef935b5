/* fake_outlet.h - an outlet that keeps what it is given: messages, the services, and the last position of each key, as
 * the collector would. */
#ifndef TASKFORGE_TESTS_UNIT_AGENT_FAKE_OUTLET_H
#define TASKFORGE_TESTS_UNIT_AGENT_FAKE_OUTLET_H

#include "agent/inputs/input.h"
#include "common/base/clock.h"
#include "common/process/loop.h"

enum { FAKE_MESSAGES_MAX = 20000 };

struct fake_outlet {
    struct outlet outlet;
    char *messages[FAKE_MESSAGES_MAX];
    char *services[FAKE_MESSAGES_MAX];
    char *metadata[FAKE_MESSAGES_MAX]; /* as JSON */
    enum level levels[FAKE_MESSAGES_MAX];
    size_t count;
    size_t room; /* entries that still fit */
    uint64_t lost;
    struct positions positions;
};

void fake_outlet_init(struct fake_outlet *fake);
void fake_outlet_finish(struct fake_outlet *fake);

/* Run the loop until `count` entries have come (or more: the test compares), failing after ten seconds. */
void fake_outlet_wait(struct fake_outlet *fake, struct loop *loop, size_t count);

/* Fail unless the messages are exactly these. */
void fake_outlet_expect(const struct fake_outlet *fake, size_t count, const char *const *messages);

#endif
