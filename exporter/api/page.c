#include "exporter/api/page.h"

#include "exporter/assets.h"

#include <stdio.h>

/* Scripts and styles from here alone, and none inside the page. */
static const char page_policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                                  "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
                                  "frame-ancestors 'none'";

static void serve(struct text name, struct http_answer *answer) {
    for (size_t i = 0; i < asset_count; i++) {
        if (!text_is(name, assets[i].name))
            continue;
        answer->content_type = assets[i].content_type;
        answer->cache_control = "no-cache"; /* kept, and asked about each time */
        answer->content_security_policy = page_policy;
        snprintf(answer->etag, sizeof(answer->etag), "%s", assets[i].etag);
        answer->compress = true;
        answer->borrowed_body = (struct text) { (const char *)assets[i].data, assets[i].length };
        return;
    }
    http_fail(answer, 404, "the page has no such file");
}

void page_index(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)request, (void)context;
    serve(TEXT_LITERAL("index.html"), answer);
}

void page_static(const struct http_request *request, struct http_answer *answer, void *context) {
    (void)context;
    serve(request->rest, answer);
}
