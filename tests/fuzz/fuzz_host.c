/* Any bytes as a /proc file, the first one says which: samples that may be sent, or none. */
#include "agent/host/update.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct host_update_room room;

static int take_sample(void *context, const struct host_sample *sample) {
    struct record_metric_update update;
    struct error error;
    (void)context;
    host_update_make(sample, &room, &update);
    check(update.value >= 0 && metric_labels_check(update.labels) == 0);
    check(metric_name_check(update.name, &error) == 0 && text_utf8_valid(update.help));
    return 0;
}

static int take_mount(void *context, const struct host_mount *mount) {
    const struct statvfs space = { .f_frsize = 1024, .f_blocks = 3 };
    check(memchr(mount->path.data, '\0', mount->path.length) == NULL);
    check(mount->path.length <= HOST_PATH_MAX && mount->device.length <= HOST_PATH_MAX);
    return host_file_system(mount, mount->read_only ? NULL : &space, take_sample, context);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct host_cpus cpus = { 0 };
    if (size == 0)
        return 0;
    struct text file = { (const char *)data + 1, size - 1 };
    switch (data[0] - 'a') {
    case 0:
        parse_host_stat(file, &cpus, take_sample, NULL);
        parse_host_stat(file, &cpus, take_sample, NULL);
        host_cpus_finish(&cpus);
        break;
    case 1:
        parse_host_load(file, take_sample, NULL);
        break;
    case 2:
        parse_host_memory(file, take_sample, NULL);
        break;
    case 3:
        parse_host_vmstat(file, take_sample, NULL);
        break;
    case 4:
        parse_host_disks(file, take_sample, NULL);
        break;
    case 5:
        parse_host_network(file, take_sample, NULL);
        break;
    case 6:
        parse_host_files(file, take_sample, NULL);
        parse_host_number(file, HOST_ENTROPY_AVAILABLE, take_sample, NULL);
        break;
    case 7:
        parse_host_pressure(file, HOST_PRESSURE_IO_WAITING, HOST_PRESSURE_IO_STALLED, take_sample, NULL);
        break;
    default:
        parse_host_mounts(file, take_mount, NULL);
        break;
    }
    return 0;
}
