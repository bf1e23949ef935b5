/* parse_mounts.c - the mounts that hold data, and what is told of each. */
#include "agent/host/scan.h"
#include "common/base/check.h"

/* The kernel's own, and what shows another's space: node_exporter's list. */
static const char *const excluded_types[] = {
    "autofs",   "binfmt_misc", "bpf",        "cgroup",     "cgroup2",   "configfs", "debugfs", "devpts",
    "devtmpfs", "fusectl",     "hugetlbfs",  "iso9660",    "mqueue",    "nsfs",     "overlay", "proc",
    "procfs",   "pstore",      "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs",   "tracefs",
};

/* node_exporter's: ^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/) */
static bool is_excluded_path(struct text path) {
    static const struct text whole[] = { TEXT_INITIALIZER("/dev"), TEXT_INITIALIZER("/proc"),
                                         TEXT_INITIALIZER("/sys") };
    static const struct text inside[] = { TEXT_INITIALIZER("/run/credentials/"), TEXT_INITIALIZER("/var/lib/docker/"),
                                          TEXT_INITIALIZER("/var/lib/containers/storage/") };
    for (size_t i = 0; i < COUNT_OF(whole); i++)
        if (text_starts_with(path, whole[i]) && (path.length == whole[i].length || path.data[whole[i].length] == '/'))
            return true;
    for (size_t i = 0; i < COUNT_OF(inside); i++)
        if (text_starts_with(path, inside[i]) && path.length > inside[i].length)
            return true;
    return false;
}

static bool is_excluded_type(struct text type) {
    for (size_t i = 0; i < COUNT_OF(excluded_types); i++)
        if (text_is(type, excluded_types[i]))
            return true;
    return false;
}

static bool is_octal(const char *digits) {
    return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' && digits[1] <= '7' && digits[2] >= '0' &&
           digits[2] <= '7';
}

/* "/mnt/my\040disk": the kernel writes space, tab, newline and backslash in octal. false: too long. */
static bool unescape(struct text word, char out[HOST_PATH_MAX], struct text *ret) {
    size_t length = 0;
    for (size_t i = 0; i < word.length; i++) {
        if (length == HOST_PATH_MAX)
            return false;
        const char *digits = word.data + i + 1;
        if (word.data[i] == '\\' && word.length - i > 3 && is_octal(digits)) {
            out[length++] = (char)((digits[0] - '0') * 64 + (digits[1] - '0') * 8 + (digits[2] - '0'));
            i += 3;
        } else {
            out[length++] = word.data[i];
        }
    }
    *ret = (struct text) { out, length };
    return true;
}

/* Whether "rw,relatime" has "ro" among its options. */
static bool is_read_only(struct text options) {
    while (options.length > 0) {
        const char *comma = memchr(options.data, ',', options.length);
        size_t length = comma ? (size_t)(comma - options.data) : options.length;
        if (text_is((struct text) { options.data, length }, "ro"))
            return true;
        length += comma ? 1 : 0;
        options = (struct text) { options.data + length, options.length - length };
    }
    return false;
}

int parse_host_mounts(struct text file, host_mount_sink *sink, void *context) {
    char device[HOST_PATH_MAX], path[HOST_PATH_MAX], type[HOST_PATH_MAX];
    struct text line, words[4];
    int result = 0;
    while (result == 0 && scan_line(&file, &line)) {
        struct host_mount mount;
        size_t count = 0;
        while (count < COUNT_OF(words) && scan_word(&line, &words[count]))
            count++;
        if (count < COUNT_OF(words) || !unescape(words[0], device, &mount.device) ||
            !unescape(words[1], path, &mount.path) || !unescape(words[2], type, &mount.type) ||
            memchr(mount.path.data, '\0', mount.path.length) || is_excluded_path(mount.path) ||
            is_excluded_type(mount.type))
            continue;
        mount.read_only = is_read_only(words[3]);
        result = sink(context, &mount);
    }
    return result;
}

int host_file_system(const struct host_mount *mount, const struct statvfs *space, host_sink *sink, void *context) {
    const double unit = space ? (double)space->f_frsize : 0;
    const struct {
        enum host_family family;
        double value;
    } rows[] = {
        { HOST_FILESYSTEM_DEVICE_ERROR, space ? 0 : 1 },
        { HOST_FILESYSTEM_READONLY, mount->read_only },
        { HOST_FILESYSTEM_SIZE, space ? (double)space->f_blocks * unit : 0 },
        { HOST_FILESYSTEM_FREE, space ? (double)space->f_bfree * unit : 0 },
        { HOST_FILESYSTEM_AVAIL, space ? (double)space->f_bavail * unit : 0 },
        { HOST_FILESYSTEM_FILES, space ? (double)space->f_files : 0 },
        { HOST_FILESYSTEM_FILES_FREE, space ? (double)space->f_ffree : 0 },
    };
    const size_t count = space ? COUNT_OF(rows) : 2; /* of one that gives no answer nothing else is known */
    int result = 0;
    for (size_t i = 0; i < count && result == 0; i++) {
        struct host_sample sample = {
            .family = rows[i].family,
            .value = rows[i].value,
            .labels = { { TEXT_LITERAL("device"), mount->device },
                        { TEXT_LITERAL("fstype"), mount->type },
                        { TEXT_LITERAL("mountpoint"), mount->path } },
            .label_count = 3,
        };
        result = sink(context, &sample);
    }
    return result;
}
