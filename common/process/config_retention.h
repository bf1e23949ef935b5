/* config_retention.h - the maps with free keys of the configuration: what goes earlier by level and by service, and the labels of this
 * host's data. Rows of config_schema.c. */
#ifndef TASKFORGE_COMMON_PROCESS_CONFIG_RETENTION_H
#define TASKFORGE_COMMON_PROCESS_CONFIG_RETENTION_H

#include "common/process/config_read.h"

/* { debug: { max_age: 2d } } into a struct config_retention */
void config_read_retention_levels(struct config_reader *reader, const struct config_value *value, void *field);
/* { NAME: { max_age: 2d, max_size: 1GiB } } likewise */
void config_read_retention_services(struct config_reader *reader, const struct config_value *value, void *field);

/* { NAME: VALUE } into a struct config_labels */
void config_read_labels(struct config_reader *reader, const struct config_value *value, void *field);
void config_labels_finish(struct config_labels *labels);

#endif
