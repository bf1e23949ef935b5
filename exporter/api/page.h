/* page.h - the dashboard, from the binary (assets.h). */
#ifndef TASKFORGE_EXPORTER_API_PAGE_H
#define TASKFORGE_EXPORTER_API_PAGE_H

#include "exporter/http.h"

http_route_function page_index;  /* GET / */
http_route_function page_static; /* GET /static/NAME */

#endif
