#include "common/process/config_value.h"

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/model/json_number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

int config_parse_count(struct text text, uint64_t *ret) {
    uint64_t value = 0;

    if (text.length == 0)
        return -EINVAL;
    for (size_t i = 0; i < text.length; i++) {
        unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';

        if (digit > 9)
            return -EINVAL;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) || __builtin_add_overflow(value, digit, &value))
            return -ERANGE;
    }
    *ret = value;
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    { "TiB", UINT64_C(1) << 40 }, { "GiB", UINT64_C(1) << 30 },      { "MiB", UINT64_C(1) << 20 },
    { "KiB", UINT64_C(1) << 10 }, { "TB", UINT64_C(1000000000000) }, { "GB", UINT64_C(1000000000) },
    { "MB", UINT64_C(1000000) },  { "KB", UINT64_C(1000) },          { "B", 1 },
};

static const struct unit duration_units[] = {
    { "d", 86400 * CLOCK_SECOND },
    { "h", 3600 * CLOCK_SECOND },
    { "m", 60 * CLOCK_SECOND },
    { "s", CLOCK_SECOND },
    { "ms", CLOCK_MILLISECOND },
    { "us", 1000 },
    { "ns", 1 },
};

int config_parse_size(struct text text, uint64_t *ret) {
    size_t digits = 0;
    uint64_t count;
    int r;

    while (digits < text.length && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    r = config_parse_count((struct text) { text.data, digits }, &count);
    if (r < 0)
        return r;
    text = text_trim((struct text) { text.data + digits, text.length - digits });
    for (size_t i = 0; i < COUNT_OF(size_units); i++) {
        if (!text_equal_ignoring_case(text, text_of(size_units[i].name)))
            continue;
        if (__builtin_mul_overflow(count, size_units[i].factor, &count))
            return -ERANGE;
        *ret = count;
        return 0;
    }
    return -EINVAL;
}

int config_parse_percent(struct text text, unsigned *ret) {
    uint64_t value;
    int r;

    if (text.length < 2 || text.data[text.length - 1] != '%')
        return -EINVAL;
    r = config_parse_count((struct text) { text.data, text.length - 1 }, &value);
    if (r < 0)
        return r;
    if (value > 100)
        return -ERANGE;
    *ret = (unsigned)value;
    return 0;
}

int config_parse_share(struct text text, double *ret) {
    const char *at = text.data;
    struct json_number number;
    double value;

    if (text.length == 0 || json_scan_number(&at, text.data + text.length, &number) || at != text.data + text.length ||
        !json_number_value(&number, text, &value))
        return -EINVAL;
    if (!(value >= 0 && value <= 1))
        return -ERANGE;
    *ret = value;
    return 0;
}

int config_parse_address(struct text text, struct config_address *ret) {
    static const struct {
        const char *scheme;
        enum config_address_kind kind;
        bool path;
    } schemes[] = {
        { "udp:", CONFIG_ADDRESS_UDP, false },
        { "tcp:", CONFIG_ADDRESS_TCP, false },
        { "unix:", CONFIG_ADDRESS_UNIX, true },
        { "unixgram:", CONFIG_ADDRESS_UNIXGRAM, true },
    };

    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        struct text scheme = text_of(schemes[i].scheme), place;

        if (!text_starts_with(text, scheme))
            continue;
        place = (struct text) { text.data + scheme.length, text.length - scheme.length };
        if (text_starts_with(place, TEXT_LITERAL("//")))
            place = (struct text) { place.data + 2, place.length - 2 };
        if (place.length == 0 || (schemes[i].path && (place.data[0] != '/' || place.length < 2)) ||
            (!schemes[i].path && !memchr(place.data, ':', place.length)))
            return -EINVAL;
        *ret = (struct config_address) { schemes[i].kind, place };
        return 0;
    }
    return -EINVAL;
}

static int parse_ipv4(const char *host, uint16_t port, struct config_endpoint *ret) {
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };

    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        return -EINVAL;
    *ret = (struct config_endpoint) { .length = sizeof(address),
                                      .loopback = ntohl(address.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET };
    memcpy(&ret->address, &address, sizeof(address));
    return 0;
}

static int parse_ipv6(const char *host, uint16_t port, struct config_endpoint *ret) {
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

    if (inet_pton(AF_INET6, host, &address.sin6_addr) != 1)
        return -EINVAL;
    *ret = (struct config_endpoint) { .length = sizeof(address), .loopback = IN6_IS_ADDR_LOOPBACK(&address.sin6_addr) };
    memcpy(&ret->address, &address, sizeof(address));
    return 0;
}

int config_parse_endpoint(struct text text, struct config_endpoint *ret) {
    const char *colon = text.length ? memrchr(text.data, ':', text.length) : NULL;
    char host[INET6_ADDRSTRLEN + 2];
    uint64_t port;

    if (!colon || (size_t)(colon - text.data) >= sizeof(host))
        return -EINVAL;
    struct text number = { colon + 1, text.length - (size_t)(colon - text.data) - 1 };
    if (config_parse_count(number, &port) < 0 || port > UINT16_MAX)
        return -EINVAL;
    size_t length = (size_t)(colon - text.data);
    memcpy(host, text.data, length);
    host[length] = '\0';
    if (strcmp(host, "localhost") == 0)
        return parse_ipv4("127.0.0.1", (uint16_t)port, ret);
    if (length < 2 || host[0] != '[' || host[length - 1] != ']')
        return parse_ipv4(host, (uint16_t)port, ret);
    host[length - 1] = '\0';
    return parse_ipv6(host + 1, (uint16_t)port, ret);
}

static const char *format_even(uint64_t value, const struct unit *units, size_t count, char out[CONFIG_VALUE_SIZE]) {
    size_t i = 0;

    while (i + 1 < count && (value < units[i].factor || value % units[i].factor != 0))
        i++;
    snprintf(out, CONFIG_VALUE_SIZE, "%llu%s", (unsigned long long)(value / units[i].factor), units[i].name);
    return out;
}

const char *config_format_duration(uint64_t ns, char out[CONFIG_VALUE_SIZE]) {
    return format_even(ns, duration_units, COUNT_OF(duration_units), out);
}

const char *config_format_size(uint64_t bytes, char out[CONFIG_VALUE_SIZE]) {
    return format_even(bytes, size_units, COUNT_OF(size_units), out);
}
