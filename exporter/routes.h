/* routes.h - what the exporter serves: the table of paths. A new one is a row here and a function in exporter/api. */
#ifndef TASKFORGE_EXPORTER_ROUTES_H
#define TASKFORGE_EXPORTER_ROUTES_H

#include "exporter/http.h"

extern const struct http_route routes[];
extern const size_t route_count;

bool route_is_built(const struct http_route *route); /* false: its path is refused by name */

#endif
