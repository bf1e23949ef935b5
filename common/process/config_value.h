/* config_value.h - how values are written in a configuration: sizes, percentages, addresses. Pure; durations are
 * clock_parse_duration's. */
#ifndef TASKFORGE_COMMON_PROCESS_CONFIG_VALUE_H
#define TASKFORGE_COMMON_PROCESS_CONFIG_VALUE_H

#include "common/base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

/* Decimal digits alone. -EINVAL; -ERANGE above 64 bits. */
int config_parse_count(struct text text, uint64_t *ret);

/* "64KiB", "1GiB", "512B"; also MiB, TiB and the decimal kB (KB), MB, GB, TB; a unit is needed. Bytes. -EINVAL, -ERANGE. */
int config_parse_size(struct text text, uint64_t *ret);

/* "15%": whole numbers from 0 to 100. */
int config_parse_percent(struct text text, unsigned *ret);

/* "0.1": a number from 0 to 1 as JSON writes it. */
int config_parse_share(struct text text, double *ret);

enum config_address_kind { CONFIG_ADDRESS_UDP, CONFIG_ADDRESS_TCP, CONFIG_ADDRESS_UNIX, CONFIG_ADDRESS_UNIXGRAM };

struct config_address {
    enum config_address_kind kind;
    struct text place; /* the path (absolute), or HOST:PORT as written; borrowed from the text */
};

/* "udp://HOST:PORT", "tcp://HOST:PORT", "unix:///PATH", "unixgram:///PATH", and the short "udp:HOST:PORT", "unix:/PATH". */
int config_parse_address(struct text text, struct config_address *ret);

/* A numeric address to listen on: "127.0.0.1:9740", "0.0.0.0:9740", "[::1]:9740". Port 0 is for tests: the kernel chooses. */
struct config_endpoint {
    struct sockaddr_storage address;
    socklen_t length;
    bool loopback; /* reachable from this host alone */
};
int config_parse_endpoint(struct text text, struct config_endpoint *ret); /* -EINVAL */

/* Durations and sizes as people write them, for sentences: "100ms", "30d", "64MiB"; the largest unit that comes out even. */
enum { CONFIG_VALUE_SIZE = 32 };
const char *config_format_duration(uint64_t ns, char out[CONFIG_VALUE_SIZE]);
const char *config_format_size(uint64_t bytes, char out[CONFIG_VALUE_SIZE]);

#endif
