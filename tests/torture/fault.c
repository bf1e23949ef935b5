/* fault.c - what a fault point (common/shm/fault.h) does in the copy of the library that fault_app links.
 *
 *   TASKFORGE_FAULT=POINT:COUNT:kill|stop   the COUNTth time that this process or a child of its passes POINT ("any": any point),
 *                                           whoever does it is killed, or stopped (and may be continued)
 *   TASKFORGE_FAULT_TELL=FD                 its pid goes to this descriptor before
 *   TASKFORGE_FAULT_COUNT=1                 the victim prints how many points were passed ("": it does not)
 */
#include "common/shm/fault.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/torture/fault_names.h"

enum { ANY = FAULT_COUNT, NONE };

static int wanted = NONE, tell = -1;
static unsigned long wanted_count;
static int wanted_signal;
static _Atomic unsigned long *passed; /* shared with children: of the wanted point, of all */

static void read_wish(const char *wish) {
    const char *colon = strchr(wish, ':');
    char *end;
    for (int i = 0; i < FAULT_COUNT; i++)
        if (strlen(fault_names[i]) == (size_t)(colon - wish) &&
            strncmp(fault_names[i], wish, (size_t)(colon - wish)) == 0)
            wanted = i;
    if (strncmp(wish, "any:", 4) == 0)
        wanted = ANY;
    wanted_count = strtoul(colon + 1, &end, 10);
    wanted_signal = strcmp(end, ":stop") == 0 ? SIGSTOP : SIGKILL;
}

static __attribute__((constructor)) void begin(void) {
    const char *wish = getenv("TASKFORGE_FAULT"), *descriptor = getenv("TASKFORGE_FAULT_TELL");
    passed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (passed == MAP_FAILED)
        abort();
    if (descriptor)
        tell = atoi(descriptor);
    if (wish && strchr(wish, ':'))
        read_wish(wish);
}

static void strike(void) {
    int32_t pid = getpid();
    if (tell >= 0 && write(tell, &pid, sizeof(pid)) != sizeof(pid))
        abort();
    kill(getpid(), wanted_signal);
    while (wanted_signal == SIGKILL)
        pause();
}

void fault_pass(enum fault_point point) {
    atomic_fetch_add(&passed[1], 1);
    if (wanted == NONE || (wanted != ANY && wanted != (int)point))
        return;
    if (atomic_fetch_add(&passed[0], 1) + 1 == wanted_count)
        strike();
}

unsigned long fault_passed(void) {
    return atomic_load(&passed[1]);
}
