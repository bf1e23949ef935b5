/* probes.h - for who starts, stops and routes to us: whether the process serves, and whether all that it serves is there. */
#ifndef TASKFORGE_EXPORTER_API_PROBES_H
#define TASKFORGE_EXPORTER_API_PROBES_H

#include "exporter/http.h"

http_route_function probes_livez;  /* GET /livez: 200, nothing is asked */
http_route_function probes_readyz; /* GET /readyz: 200, or 503 and what is missing */

#endif
