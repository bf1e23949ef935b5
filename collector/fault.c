#include "collector/fault.h"

#ifdef TASKFORGE_FAULTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fault_hit(const char *name) {
    static unsigned long passed; /* only one point is armed, and it is passed by one thread */
    const char *spec = getenv("TASKFORGE_FAULT");
    size_t length = strlen(name);
    if (!spec || strncmp(spec, name, length) != 0 || spec[length] != ':')
        return 0;
    char *end;
    unsigned long first = strtoul(spec + length + 1, &end, 10);
    unsigned long count = *end == ':' ? strtoul(end + 1, &end, 10) : 1;
    const char *what = *end == ':' ? end + 1 : "kill";
    passed++;
    if (passed < first || passed >= first + count)
        return 0;
    if (strcmp(what, "kill") == 0) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return -atoi(what);
}
#else
typedef int fault_is_off; /* ISO C wants something in every file */
#endif
