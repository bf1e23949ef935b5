#include "exporter/scrape.h"

#include <errno.h>

#include "agent/client/taskforge.h"
#include "exporter/exporter.h"
#include "exporter/gzip.h"
#include "exporter/self.h"

#define TIMEOUT_MAX_NS (3600 * CLOCK_SECOND)
#define MARGIN_MAX_NS (500 * CLOCK_MILLISECOND)

int scrape_init(struct scrape *scrape, const char *runtime_dir, bool created) {
    *scrape = (struct scrape) { .runtime_dir = runtime_dir, .created = created };
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

/* When to give up, so that the answer is there in time; nobody waits longer than that for a scrape, whatever he says. */
static uint64_t deadline_of(const struct http_request *request) {
    uint64_t timeout = request->scrape_timeout_ns, margin = timeout / 10;
    if (!request->scrape_timeout_given || timeout == 0 || timeout > TIMEOUT_MAX_NS)
        return 0;
    return request->arrived_ns + timeout - (margin < MARGIN_MAX_NS ? margin : MARGIN_MAX_NS);
}

static void release(void *body) {
    exposition_body_release(body);
}

void scrape_answer(struct scrape *scrape, const struct http_request *request, struct http_answer *answer) {
    const struct exposition_wish wish = {
        .format = exposition_negotiate(request->accept),
        .gzip = gzip_accepted(request->accept_encoding),
        .created = scrape->created,
        .arrived_ns = request->arrived_ns,
        .deadline_ns = deadline_of(request),
    };
    struct error error = { "" };
    struct exposition_body *body = NULL;
    int result = look_at_segment(scrape, &error);
    if (result >= 0)
        result = exposition_read(scrape->exposition, scrape->segment, &wish, &body, &error);
    if (result < 0) {
        http_fail(answer, 503, "%s", error.text);
        return;
    }
    answer->content_type = exposition_content_type(wish.format);
    answer->pieces =
        (struct http_pieces) { .gzipped = exposition_body_is_gzip(body), .release = release, .owner = body };
    answer->pieces.list = exposition_body_pieces(body, &answer->pieces.count, &answer->pieces.length);
}

void scrape_metrics(const struct http_request *request, struct http_answer *answer, void *context) {
    uint64_t started = tf_timer_start();
    scrape_answer(exporter_scrape(context), request, answer);
    self_scraped(exporter_self(context), started, answer->body.length);
}
