/* config_library.h - readers of what the collector tells the client library: redaction, sampling, the flight recorder. */
#ifndef TASKFORGE_COMMON_PROCESS_CONFIG_LIBRARY_H
#define TASKFORGE_COMMON_PROCESS_CONFIG_LIBRARY_H

#include "common/process/config_read.h"

void config_read_patterns(struct config_reader *reader, const struct config_value *value,
                          void *field); /* config_strings */
void config_read_redact_keys(struct config_reader *reader, const struct config_value *value,
                             void *field); /* config_strings */
void config_read_sampling(struct config_reader *reader, const struct config_value *value,
                          void *field); /* config_sampling */
void config_read_low_levels(struct config_reader *reader, const struct config_value *value,
                            void *field); /* unsigned, bit 1 << level */

#endif
