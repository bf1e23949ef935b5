/* scan.h - what the parsers of /proc files share: lines, words, numbers. Each takes from the front of a text. */
#ifndef TASKFORGE_AGENT_HOST_SCAN_H
#define TASKFORGE_AGENT_HOST_SCAN_H

#include <stdbool.h>

#include "agent/host/parse_host.h"

/* The next line, without its end; false when nothing is left. */
bool scan_line(struct text *rest, struct text *ret);

/* The next word between white space; false when there is none. */
bool scan_word(struct text *rest, struct text *ret);

/* A word that is a whole number of at most 64 bits; false, *ret untouched, when it is anything else or there is none. */
bool scan_number(struct text *rest, uint64_t *ret);

/* A word such as "2.81": at most nine digits on either side of the point. */
bool scan_decimal(struct text *rest, double *ret);

/* A sample without labels, or with one. */
int scan_give(enum host_family family, double value, host_sink *sink, void *context);
int scan_give_labeled(enum host_family family, double value, const char *label, struct text text, host_sink *sink,
                      void *context);

#endif
