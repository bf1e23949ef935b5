/* pattern.h - regular expressions and substring search over bytes of logs. The one owner of pcre2.h.
 *
 * Expressions are PCRE2's (which reads RE2's and POSIX ERE's common forms alike), UTF-8, "." without newlines, "$" only at the very
 * end. What RE2 promises by its algorithm is kept here by limits: an expression that would backtrack without end gets
 * -E2BIG and a sentence, never a hang; \C, and verbs such as (*UTF), are refused. Most expressions hold a literal that must occur
 * (pattern_literal): scans look for that first, at the speed of memory.
 * A library of its own: only who links it links PCRE2. A pattern belongs to one thread. Source: pcre2api(3), 10.42.
 */
#ifndef TASKFORGE_COMMON_BASE_PATTERN_H
#define TASKFORGE_COMMON_BASE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/base/text.h"

enum { PATTERN_LENGTH_MAX = 4096, PATTERN_LITERAL_MAX = 256 };

struct pattern;

/* Compile. `anchored`: it has to match the whole text (LogQL's matchers), and "." takes newlines. -EINVAL with
 * "at character 7 of \"...\": missing closing parenthesis", -ENOMEM. */
int pattern_compile(struct text source, bool anchored, struct pattern **ret, struct error *error);
void pattern_destroy(struct pattern *pattern); /* NULL is fine */
/* The same expression for another thread: the compiled code is the original's, which must outlive it. -ENOMEM. */
int pattern_share(const struct pattern *original, struct pattern **ret, struct error *error);

/* 1 match, 0 none; -E2BIG when the limits were reached (the sentence says so). Any bytes may stand in text. */
int pattern_match(struct pattern *pattern, struct text text, struct error *error);

/* For who must not be held up by what others write, whatever the expression: at most `steps` of them from each place where a match
 * may begin (above), and only places from `from` on and below `limit`. 1 and the range of the first match, 0 none, -E2BIG. */
void pattern_limit_steps(struct pattern *pattern, uint32_t steps);
int pattern_search(struct pattern *pattern, struct text text, size_t from, size_t limit, size_t *ret_begin,
                   size_t *ret_end);

/* False where a look at length, literal and bytes shows that there is no match; cheap. */
bool pattern_may_match(const struct pattern *pattern, struct text text);
size_t pattern_least(const struct pattern *pattern); /* no match is shorter, in bytes */

/* A run of bytes that every match holds, empty when none is known; borrowed from the pattern. */
struct text pattern_literal(const struct pattern *pattern);
/* The pattern is nothing but that literal, unanchored: finding the literal is the match. */
bool pattern_is_literal(const struct pattern *pattern);

/* --- pure --- */

/* Find such a run in an expression's source: the longest of those that stand outside groups, classes and alternatives.
 * Conservative: whatever it does not know makes it find nothing. Returns its length in out; *ret_whole: nothing else is there. */
size_t pattern_required_literal(struct text source, char out[PATTERN_LITERAL_MAX], bool *ret_whole);

/* How many characters of one kind every match begins with, one behind the other: 16 of "\b\d{16}\b"; 0 where that is not plain to see. */
size_t pattern_required_run(struct text source);

/* The first place of needle in haystack, or NULL; an empty needle is found at once. */
const char *pattern_find(struct text haystack, struct text needle);

#endif
