/* diag.h - a program's own lines on stderr: one line each, "taskforge-agent: what happened".
 *
 * Only programs call this (main and the folders of the daemons), never common/ below floor 4 and never the
 * client library. Where stderr is the journal (JOURNAL_STREAM), lines carry <3>, <4>, <6>. Control characters
 * in arguments come out as '?'. Thread-safe: one write(2) for each line. */
#ifndef TASKFORGE_COMMON_BASE_DIAG_H
#define TASKFORGE_COMMON_BASE_DIAG_H

void diag_open(const char *program); /* the name before each line; borrowed for good */

void diag_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void diag_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void diag_info(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
