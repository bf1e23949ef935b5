/* http_head.h - the header section of a request, checked byte by byte before libmicrohttpd or any route sees it. Pure.
 *
 * What is let through is one reading of the bytes only: lines end with CR LF, names are tokens right before their colon, no
 * NUL or other control character, no folded line, one length at most. Grammar: RFC 9112.
 */
#ifndef TASKFORGE_EXPORTER_HTTP_HEAD_H
#define TASKFORGE_EXPORTER_HTTP_HEAD_H

#include "common/base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEADER_COUNT_MAX = 100, HTTP_METHOD_MAX = 32 };

/* Why a request is refused: a status and a literal sentence. */
struct http_fault {
    unsigned status;
    const char *sentence;
};

/* All texts are borrowed from the bytes that were parsed; empty when the header was not there. */
struct http_head {
    size_t length; /* bytes of the section, its empty line included */
    struct text method;
    struct text target; /* "/path?query"; of an absolute "http://host/path" what follows the host */
    bool http_1_0;
    struct text host, authorization, origin, sec_fetch_site, scrape_timeout;
    struct text accept, accept_encoding, if_none_match, last_event_id;
    struct text content_length_text, transfer_encoding, expect;
    uint64_t content_length; /* 0 without one */
    bool chunked, expects_continue;
};

/* 1: the section is whole and good, in *ret. 0: its end has not arrived, and nothing is wrong so far. -1: refused, *fault
 * says how. A section that is not whole within HTTP_HEADERS_MAX bytes (http.h) is refused. */
int http_head_parse(struct text bytes, struct http_head *ret, struct http_fault *fault);

#endif
