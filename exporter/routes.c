#include "exporter/routes.h"

#include "common/base/check.h"
#include "exporter/api/page.h"
#include "exporter/api/probes.h"

const struct http_route routes[] = {
    { "/", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_INLINE, page_index },
    { "/static/", HTTP_GET, HTTP_READ, HTTP_READ, HTTP_INLINE, page_static },
    { "/livez", HTTP_GET, HTTP_OPEN, HTTP_OPEN, HTTP_INLINE, probes_livez },
    { "/readyz", HTTP_GET, HTTP_OPEN, HTTP_OPEN, HTTP_INLINE, probes_readyz },
};
const size_t route_count = COUNT_OF(routes);
