/* fault.h - named points at which a test build dies or fails, so that every line of the commit protocol's table can be
 * tried. Compiled to nothing unless TASKFORGE_FAULTS is defined (the test's own copy of the program).
 *
 * TASKFORGE_FAULT="NAME:FIRST:COUNT:WHAT": from the FIRST time NAME is passed, COUNT times, do WHAT: "kill" (SIGKILL to
 * itself) or an errno's number. Several are parted by commas. */
#ifndef TASKFORGE_COLLECTOR_FAULT_H
#define TASKFORGE_COLLECTOR_FAULT_H

#ifdef TASKFORGE_FAULTS
int fault_hit(const char *name); /* 0, or the negative errno asked for */
#else
static inline int fault_hit(const char *name) {
    (void)name;
    return 0;
}
#endif

#endif
