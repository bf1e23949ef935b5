/* fault_names.h - the names of the points of common/shm/fault.h, and how many were passed (fault.c). */
#ifndef TASKFORGE_TESTS_TORTURE_FAULT_NAMES_H
#define TASKFORGE_TESTS_TORTURE_FAULT_NAMES_H

#include "common/shm/fault.h"

static const char *const fault_names[FAULT_COUNT] = {
#define FAULT_POINT_NAME(name, text) #name,
    FAULT_POINTS(FAULT_POINT_NAME)
#undef FAULT_POINT_NAME
};

unsigned long fault_passed(void);

#endif
