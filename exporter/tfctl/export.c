/* export.c - tfctl export: the matching entries as one partition file that can be carried elsewhere, or as lines of JSON. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/query/scan.h"
#include "common/store/partition_build.h"
#include "exporter/tfctl/filter_options.h"
#include "exporter/tfctl/format.h"
#include "exporter/tfctl/output.h"

static const struct option options[] = { FILTER_OPTIONS, COMMON_OPTIONS, { 0 } };

struct export {
    struct session *session;
    const char *file;
    struct filter filter;
    struct partition_origin origin; /* where all partitions are from, if that is one place; borrows from `kept` */
    struct buffer kept;
    uint64_t entries;
};

static int parse(struct export *export, int argc, char **argv) {
    struct session *session = export->session;
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":" FILTER_LETTERS, options, NULL)) != -1)
        status = filter_option(session, &export->filter, option, argv);
    if (status != GO_ON)
        return status;
    if (optind == argc)
        return usage_error(session, "expected a FILE to write");
    export->file = argv[optind++];
    return filter_argument(session, &export->filter, argc - optind, argv + optind);
}

static bool ends_with(const char *name, const char *end) {
    size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* --- as a partition --- */

/* Whether what was found so far and this partition are of one place. */
static bool take_origin(struct export *export, const char *path, bool first) {
    struct partition *partition;
    bool same = false;
    if (partition_open(path, PARTITION_READ, 0, &partition, NULL) < 0)
        return true; /* said by whoever reads it */
    if (first) {
        struct partition_origin origin = *partition_origin(partition);
        origin.flags = 0;
        origin.rewritten_ns = 0;
        same = partition_origin_encode(&origin, &export->kept) == 0 &&
               partition_origin_decode(buffer_text(&export->kept), &export->origin) == 0;
    } else {
        same = partition_origin_same_place(partition_origin(partition), &export->origin);
    }
    partition_close(partition);
    return same;
}

static int find_origin(struct export *export, struct error *error) {
    struct partition_name *names;
    size_t count;
    int result = partition_list(export->session->data_dir, &names, &count, error);
    if (result < 0)
        return result;
    for (size_t i = 0; i < count; i++)
        if (!take_origin(export, names[i].path, i == 0)) {
            export->origin = PARTITION_ORIGIN_EMPTY; /* of several: entries name their hosts themselves */
            break;
        }
    free(names);
    return 0;
}

static int add_all(struct export *export, struct store_reader *reader, struct partition_build *build,
                   struct error *error) {
    struct scan_options all = SCAN_EVERYTHING;
    struct scan *scan;
    struct entry entry;
    uint64_t sequence, latest_ns = 0;
    all.by_arrival = true;
    all.damaged = session_damaged;
    all.damaged_argument = export->session;
    int result = scan_open(reader, &export->filter, &all, &scan, error);
    if (result < 0)
        return result;
    while ((result = scan_next(scan, &sequence, error)) > 0) {
        result = scan_entry(scan, &entry, error);
        if (result > 0) {
            latest_ns = entry.timestamp_ns > latest_ns ? entry.timestamp_ns : latest_ns;
            result = partition_build_add(build, &entry, latest_ns, error);
        }
        if (result < 0)
            break;
    }
    scan_close(scan);
    return result;
}

static int build_file(struct export *export, struct store_reader *reader, struct error *error) {
    char building[PARTITION_PATH_MAX];
    struct partition_build *build;
    struct partition_build_options building_options = { .meta = { .created_ns = clock_real_ns(), .first_sequence = 1 },
                                                        .origin = &export->origin };
    if (access(export->file, F_OK) == 0)
        return error_set(error, -EEXIST, "%s: there is such a file already", export->file);
    if (snprintf(building, sizeof(building), "%s.new", export->file) >= (int)sizeof(building) - 16)
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", export->file);
    if (random_bytes(&building_options.meta.id, sizeof(building_options.meta.id)) < 0)
        return error_set(error, -EIO, "the kernel gives no random bytes");
    (void)partition_unlink(building); /* left by a kill */
    int result = partition_build_begin(building, &building_options, &build, error);
    if (result < 0)
        return result;
    result = add_all(export, reader, build, error);
    export->entries = partition_build_entries(build);
    if (result < 0) {
        partition_build_give_up(build);
        return result;
    }
    result = partition_build_end(build, error);
    if (result == 0 && link(building, export->file) < 0)
        result = error_set(error, -errno, "%s: cannot create it: %s", export->file, strerror(errno));
    (void)partition_unlink(building);
    return result;
}

/* --- as lines --- */

static int print_lines(struct export *export, struct store_reader *reader, struct output *output, struct error *error) {
    const struct format_style style = { 0 };
    struct scan_options all = SCAN_EVERYTHING;
    struct scan *scan;
    struct entry entry;
    uint64_t sequence;
    all.by_arrival = true;
    all.damaged = session_damaged;
    all.damaged_argument = export->session;
    int result = scan_open(reader, &export->filter, &all, &scan, error);
    if (result < 0)
        return result;
    while ((result = scan_next(scan, &sequence, error)) > 0) {
        result = scan_entry(scan, &entry, error);
        if (result < 0)
            break;
        if (result == 0)
            continue;
        format_json.entry(&output->buffer, &style, &entry, true);
        export->entries++;
        if (!output_push(output))
            break;
    }
    scan_close(scan);
    return result < 0 ? result : 0;
}

static int write_lines(struct export *export, struct store_reader *reader, struct error *error) {
    struct output output;
    struct error output_error = { "" };
    output_init(&output, false);
    if (strcmp(export->file, "-") != 0) {
        output.fd = open(export->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
        if (output.fd < 0)
            return error_set(error, -errno, "%s: cannot create it: %s", export->file, strerror(errno));
        output.terminal = false;
    }
    int result = print_lines(export, reader, &output, error);
    int written = output_finish(&output, &output_error);
    return result == 0 && written < 0 ? error_set(error, written, "%s", output_error.text) : result;
}

/* --- the command --- */

static int run_export(struct export *export) {
    struct session *session = export->session;
    struct store_reader *reader;
    struct error error = { "" };
    bool lines = strcmp(export->file, "-") == 0 || ends_with(export->file, ".ndjson");
    int status = session_resolve(session);
    if (status != GO_ON)
        return status;
    if (!lines && find_origin(export, &error) < 0) /* before the reader has them open */
        return fault(session, &error);
    status = session_open_store(session, &reader);
    if (status != GO_ON)
        return status;
    int result = lines ? write_lines(export, reader, &error) : build_file(export, reader, &error);
    store_reader_close(reader);
    if (result < 0)
        return fault(session, &error);
    if (strcmp(export->file, "-") != 0)
        printf("%llu entries in %s\n", (unsigned long long)export->entries, export->file);
    return session->damaged ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct export export = { .session = session };
    filter_init(&export.filter);
    int status = parse(&export, argc, argv);
    if (status == GO_ON && ends_with(export.file, ".ndjson.zst"))
        status = usage_error(
            session, "%s: expected a name that ends in .mdb or .ndjson; to compress lines: tfctl export - | zstd",
            export.file);
    if (status == GO_ON)
        status = run_export(&export);
    filter_finish(&export.filter);
    buffer_finish(&export.kept);
    return status;
}

const struct command command_export = {
    .name = "export",
    .run = run,
    .help =
        "usage: tfctl export FILE [FILTER] [OPTIONS]\n"
        "Write the matching entries, in order of arrival, into one new file: a partition, which tfctl --data-dir FILE\n"
        "reads and tfctl import takes; or, when FILE ends in .ndjson or is \"-\", lines of JSON. Needs no running "
        "process.\n\n" FILTER_HELP "\n"
        "      --data-dir DIR        a data folder, a folder of copied partitions, or one partition file\n"
        "      --config FILE\n",
};
