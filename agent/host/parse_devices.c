/* parse_devices.c - /proc/diskstats and /proc/net/dev: a line for each device, a column for each family. */
#include "agent/host/scan.h"
#include "common/base/check.h"

enum {
    DISK_COLUMNS = HOST_DISK_FLUSH_TIME - HOST_DISK_READS_COMPLETED + 1,
    DISK_COLUMNS_MIN = 11, /* before discards (Linux 4.18) and flushes (5.5) */
    NETWORK_COLUMNS = HOST_NETWORK_TRANSMIT_COMPRESSED - HOST_NETWORK_RECEIVE_BYTES + 1,
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* "h", "s", "v" or "xv", then "d" and one letter: a disk, what follows it its partition. */
static bool is_lettered_disk(struct text name) {
    if (text_starts_with(name, TEXT_LITERAL("xv")))
        name = (struct text) { name.data + 1, name.length - 1 };
    return name.length == 3 && strchr("hsv", name.data[0]) && name.data[1] == 'd' && name.data[2] >= 'a' &&
           name.data[2] <= 'z';
}

static size_t digits_at(struct text name, size_t at) {
    size_t end = at;
    while (end < name.length && is_digit(name.data[end]))
        end++;
    return end - at;
}

/* "nvme0n1p" */
static bool is_nvme_partition(struct text name) {
    const size_t prefix = 4;
    if (!text_starts_with(name, TEXT_LITERAL("nvme")))
        return false;
    size_t controller = digits_at(name, prefix), n = prefix + controller;
    if (controller == 0 || n >= name.length || name.data[n] != 'n')
        return false;
    size_t space = digits_at(name, n + 1);
    return space > 0 && n + 1 + space + 1 == name.length && name.data[name.length - 1] == 'p';
}

/* What node_exporter 1.5 leaves out: ^(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$ */
static bool is_excluded(struct text device) {
    struct text base = device;
    while (base.length > 0 && is_digit(base.data[base.length - 1]))
        base.length--;
    if (base.length == device.length || base.length == 0)
        return false;
    return text_is(base, "ram") || text_is(base, "loop") || text_is(base, "fd") || is_lettered_disk(base) ||
           is_nvme_partition(base);
}

static size_t scan_columns(struct text *rest, uint64_t *columns, size_t maximum) {
    size_t count = 0;
    while (count < maximum && scan_number(rest, &columns[count]))
        count++;
    return count;
}

int parse_host_disks(struct text file, host_sink *sink, void *context) {
    const double sector = 512, milliseconds = 1000;
    struct text line, device;
    int result = 0;
    while (result == 0 && scan_line(&file, &line)) {
        uint64_t major, minor, columns[DISK_COLUMNS];
        if (!scan_number(&line, &major) || !scan_number(&line, &minor) || !scan_word(&line, &device) ||
            is_excluded(device))
            continue;
        size_t count = scan_columns(&line, columns, DISK_COLUMNS);
        if (count < DISK_COLUMNS_MIN)
            continue;
        for (size_t i = 0; i < count && result == 0; i++) {
            enum host_family family = (enum host_family)(HOST_DISK_READS_COMPLETED + i);
            double value = (double)columns[i];
            switch (family) {
            case HOST_DISK_READ_BYTES:
            case HOST_DISK_WRITTEN_BYTES:
                value *= sector;
                break;
            case HOST_DISK_READ_TIME:
            case HOST_DISK_WRITE_TIME:
            case HOST_DISK_IO_TIME:
            case HOST_DISK_IO_TIME_WEIGHTED:
            case HOST_DISK_DISCARD_TIME:
            case HOST_DISK_FLUSH_TIME:
                value /= milliseconds;
                break;
            default:
                break;
            }
            result = scan_give_labeled(family, value, "device", device, sink, context);
        }
    }
    return result;
}

/* "  eth0: 358299636 8190 ...", and of old kernels "  eth0:358299636": the last colon, since an alias has one of its own. */
int parse_host_network(struct text file, host_sink *sink, void *context) {
    struct text line, device;
    int result = 0;
    while (result == 0 && scan_line(&file, &line)) {
        uint64_t columns[NETWORK_COLUMNS];
        const char *colon = line.length > 0 ? memrchr(line.data, ':', line.length) : NULL;
        if (!colon)
            continue;
        struct text before = { line.data, (size_t)(colon - line.data) };
        struct text behind = { colon + 1, line.length - before.length - 1 };
        if (!scan_word(&before, &device) || before.length > 0 ||
            scan_columns(&behind, columns, NETWORK_COLUMNS) < NETWORK_COLUMNS)
            continue;
        for (size_t i = 0; i < NETWORK_COLUMNS && result == 0; i++)
            result = scan_give_labeled((enum host_family)(HOST_NETWORK_RECEIVE_BYTES + i), (double)columns[i], "device",
                                       device, sink, context);
    }
    return result;
}
