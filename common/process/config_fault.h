/* config_fault.h - the list of what is wrong with a configuration file; used by the config rooms alone. */
#ifndef TASKFORGE_COMMON_PROCESS_CONFIG_FAULT_H
#define TASKFORGE_COMMON_PROCESS_CONFIG_FAULT_H

#include "common/process/config.h"

#include <stdarg.h>

/* Append "FILE:LINE:COLUMN: sentence" ("FILE: sentence" when line is 0); control characters of the data are made visible.
 * Beyond CONFIG_FAULTS_MAX, or without memory, it is counted only. */
void config_fault_add(struct config_faults *faults, const char *file, unsigned line, unsigned column,
                      const char *format, ...) __attribute__((format(printf, 5, 6)));
void config_fault_addv(struct config_faults *faults, const char *file, unsigned line, unsigned column,
                       const char *format, va_list arguments) __attribute__((format(printf, 5, 0)));

#endif
