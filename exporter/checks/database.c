/* database.c - see checks.h: whether the store can be read now. */
#include "exporter/checks/checks.h"

void check_database(const struct checks *checks, struct check_result *ret) {
    struct error error = { "" };
    uint64_t end = 0;
    if (!checks->reader) {
        check_say(ret, CHECK_UNHEALTHY, "the store cannot be opened: %s", checks->trouble);
        return;
    }
    if (store_reader_end(checks->reader, &end, &error) < 0)
        check_say(ret, CHECK_UNHEALTHY, "the store cannot be read: %s", error.text);
    else if (checks->trouble[0])
        check_say(ret, CHECK_DEGRADED, "a part of the store is damaged: %s", checks->trouble);
    else
        check_say(ret, CHECK_HEALTHY, "the store can be read up to sequence %llu", (unsigned long long)end);
}
