/* rules_file.h - the rules files (CONTRACT section 7) to a struct rules.
 *
 * Read as the configuration is: all faults of all files are found in one go, each with file, line and column; unknown keys are
 * refused with the one that was meant; what is not built yet is refused by name. Channels of one file may be used by the
 * rules of another.
 */
#ifndef TASKFORGE_ALERTER_RULES_FILE_H
#define TASKFORGE_ALERTER_RULES_FILE_H

#include "alerter/rule.h"
#include "common/process/config.h"

/* 0 and *ret (the caller's, rules_destroy), empty when there are no files; or, *ret untouched, at least one line in
 * *faults: -EINVAL, another negative errno where a file cannot be read, -ENOMEM. */
int rules_load(const struct config_strings *files, struct rules **ret, struct config_faults *faults);

/* The same from memory, one file, for tests and fuzzing. */
int rules_load_text(const char *name, const char *data, size_t length, struct rules **ret,
                    struct config_faults *faults);

#endif
