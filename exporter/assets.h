/* assets.h - the dashboard's files, which live in the binary. The table is written at build time by embed.py from the files
 * that exporter/dashboard/meson.build names. Constant; any thread. */
#ifndef TASKFORGE_EXPORTER_ASSETS_H
#define TASKFORGE_EXPORTER_ASSETS_H

#include <stddef.h>

struct asset {
    const char *name;         /* "index.html" */
    const char *content_type; /* by its ending */
    const char *etag;         /* of its content: 32 hexadecimal digits of SHA-256 */
    const unsigned char *data;
    size_t length;
};

extern const struct asset assets[];
extern const size_t asset_count;

#endif
