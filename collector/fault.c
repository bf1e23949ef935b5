#include "collector/fault.h"

#ifdef TASKFORGE_FAULTS
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAULTS_MAX = 8 };

/* One specification; *passed counts how often its name was passed. */
static int hit(const char *spec, const char *name, unsigned long *passed) {
    size_t length = strlen(name);
    if (strncmp(spec, name, length) != 0 || spec[length] != ':')
        return 0;
    char *end;
    unsigned long first = strtoul(spec + length + 1, &end, 10);
    unsigned long count = *end == ':' ? strtoul(end + 1, &end, 10) : 1;
    const char *what = *end == ':' ? end + 1 : "kill";
    ++*passed;
    if (*passed < first || *passed >= first + count)
        return 0;
    if (strncmp(what, "kill", 4) == 0) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return -atoi(what);
}

int fault_hit(const char *name) {
    static unsigned long passed[FAULTS_MAX]; /* each point is passed by one thread only */
    const char *spec = getenv("TASKFORGE_FAULT");
    int result = 0;
    for (int i = 0; spec && i < FAULTS_MAX && result == 0; i++) {
        result = hit(spec, name, &passed[i]);
        spec = strchr(spec, ',');
        spec = spec ? spec + 1 : NULL;
    }
    return result;
}
#else
typedef int fault_is_off; /* ISO C wants something in every file */
#endif
