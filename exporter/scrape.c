#include "exporter/scrape.h"

#include <errno.h>

#include "agent/client/taskforge.h"
#include "exporter/exporter.h"
#include "exporter/self.h"

int scrape_init(struct scrape *scrape, const char *runtime_dir) {
    *scrape = (struct scrape) { .runtime_dir = runtime_dir };
    return exposition_create(&scrape->exposition);
}

void scrape_finish(struct scrape *scrape) {
    segment_close(scrape->segment);
    exposition_destroy(scrape->exposition);
    *scrape = (struct scrape) { 0 };
}

static int look_at_segment(struct scrape *scrape, struct error *error) {
    if (!scrape->segment)
        return segment_open(scrape->runtime_dir, &scrape->segment, error);
    return segment_refresh(scrape->segment, error);
}

void scrape_answer(struct scrape *scrape, const struct http_request *request, struct http_answer *answer) {
    enum exposition_format format = exposition_negotiate(request->accept);
    struct error error = { "" };
    struct text text = TEXT_EMPTY;
    int result = look_at_segment(scrape, &error);
    if (result >= 0)
        result = exposition_read(scrape->exposition, scrape->segment, format, &text, &error);
    if (result < 0) {
        http_fail(answer, 503, "%s", error.text);
        return;
    }
    answer->content_type = exposition_content_type(format);
    answer->compress = true;
    buffer_append_text(&answer->body, text);
}

void scrape_metrics(const struct http_request *request, struct http_answer *answer, void *context) {
    uint64_t started = tf_timer_start();
    scrape_answer(exporter_scrape(context), request, answer);
    self_scraped(exporter_self(context), started, answer->body.length);
}
