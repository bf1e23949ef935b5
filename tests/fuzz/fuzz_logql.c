/* Any text as a filter, and as a selector of series: parsed or refused with a sentence, and what was parsed judges without harm. */
#include <stddef.h>
#include <stdint.h>

#include "common/base/check.h"
#include "common/query/label_matchers.h"
#include "common/query/logql_parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void select_series(struct text text) {
    static const char labels[] = "\x82\xa5queue\xa4mail\xa5state\xa4"
                                 "done";
    struct label_matchers matchers;
    struct error error = { "" };
    struct text name;
    int status = label_matchers_parse_selector(text, &name, &matchers, &error);
    check(status == 0 || error.text[0]);
    if (status < 0)
        return;
    label_matchers_judge(&matchers, (struct text) { labels, sizeof(labels) - 1 }, &error);
    label_matchers_finish(&matchers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char metadata[] = "\x82\xa5queue\xa4mail\xa4http\x81\xa6status\xcd\x01\xf7";
    struct entry entry = {
        .timestamp_ns = 1,
        .level = LEVEL_ERROR,
        .service = TEXT_LITERAL("queue"),
        .module = TEXT_LITERAL("worker"),
        .operation = TEXT_LITERAL("poll"),
        .message = TEXT_LITERAL("timeout after 30s, id=17\nat line 4"),
        .trace_id = TEXT_LITERAL("4bf92f3577b34da6a3ce929d0e0e4736"),
        .metadata = { metadata, sizeof(metadata) - 1 },
        .pid = 42,
    };
    struct filter filter;
    struct error error = { "" };
    struct buffer scratch = BUFFER_EMPTY;
    filter_init(&filter);
    int status = logql_parse((struct text) { (const char *)data, size }, &filter, &error);
    check(status == 0 || error.text[0]);
    if (status == 0)
        filter_entry(&filter, &entry, &scratch, &error);
    buffer_finish(&scratch);
    filter_finish(&filter);
    select_series((struct text) { (const char *)data, size });
    return 0;
}
