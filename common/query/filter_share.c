/* filter_share.c - a filter for another thread: texts and compiled expressions are the first one's, scratch memory is its own. */
#include <errno.h>
#include <stdlib.h>

#include "common/query/filter.h"

static int share_pattern(struct pattern **pattern, struct error *error) {
    const struct pattern *original = *pattern;
    *pattern = NULL;
    return original ? pattern_share(original, pattern, error) : 0;
}

static int share_matchers(const struct filter *filter, struct filter *copy, struct error *error) {
    int status = 0;
    for (uint32_t i = 0; i < filter->matcher_count && status == 0; i++) {
        copy->matchers[i] = filter->matchers[i];
        copy->matcher_count = i + 1;
        status = share_pattern(&copy->matchers[i].pattern, error);
    }
    return status;
}

static int share_line(const struct filter_line *line, struct filter_line *copy, struct error *error) {
    int status = 0;
    *copy = *line;
    copy->alternative_count = 0;
    copy->alternatives = calloc(line->alternative_count + 1, sizeof(*copy->alternatives));
    if (!copy->alternatives)
        return error_set(error, -ENOMEM, "out of memory for a filter");
    for (uint32_t i = 0; i < line->alternative_count && status == 0; i++) {
        copy->alternatives[i] = line->alternatives[i];
        copy->alternative_count = i + 1;
        status = share_pattern(&copy->alternatives[i].pattern, error);
    }
    return status;
}

int filter_share(const struct filter *filter, struct filter *ret, struct error *error) {
    struct filter copy = *filter;
    int status = 0;
    copy.matcher_count = copy.line_count = 0;
    copy.matchers = calloc(filter->matcher_count + 1, sizeof(*copy.matchers));
    copy.lines = calloc(filter->line_count + 1, sizeof(*copy.lines));
    if (!copy.matchers || !copy.lines)
        status = error_set(error, -ENOMEM, "out of memory for a filter");
    if (status == 0)
        status = share_matchers(filter, &copy, error);
    for (uint32_t i = 0; i < filter->line_count && status == 0; i++) {
        status = share_line(&filter->lines[i], &copy.lines[i], error);
        copy.line_count = i + 1;
    }
    if (status < 0) {
        filter_share_finish(&copy);
        return status;
    }
    *ret = copy;
    return 0;
}

void filter_share_finish(struct filter *share) {
    for (uint32_t i = 0; i < share->matcher_count; i++)
        pattern_destroy(share->matchers[i].pattern);
    for (uint32_t i = 0; i < share->line_count; i++) {
        for (uint32_t j = 0; j < share->lines[i].alternative_count; j++)
            pattern_destroy(share->lines[i].alternatives[j].pattern);
        free(share->lines[i].alternatives);
    }
    free(share->matchers);
    free(share->lines);
    filter_init(share);
}
