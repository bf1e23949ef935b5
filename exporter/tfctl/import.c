/* import.c - tfctl import: a file of export, a copied partition or lines of JSON, built as a partition beside the store's, which the collector
 * then takes in (collector/curator_adopt.c): nobody else writes the store. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/store/partition_copy.h"
#include "exporter/tfctl/import_lines.h"
#include "exporter/tfctl/import_place.h"

static const struct option options[] = { COMMON_OPTIONS, { 0 } };

struct import {
    struct session *session;
    const char *file; /* "-": standard input */
    struct import_place place;
    struct import_lines lines;
    struct uuid id;
};

static int parse(struct import *import, int argc, char **argv) {
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":", options, NULL)) != -1)
        status = session_option(import->session, option, argv);
    if (status != GO_ON)
        return status;
    if (argc - optind != 1)
        return usage_error(import->session, "expected one FILE, found %d words", argc - optind);
    import->file = argv[optind];
    return GO_ON;
}

/* Whether it begins as LMDB's files do, or is text. */
static int is_partition(const char *path, struct error *error) {
    static const unsigned char magic[] = { 0xDE, 0xC0, 0xEF, 0xBE };
    unsigned char head[20] = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return error_set(error, -errno, "%s: cannot open it: %s", path, strerror(errno));
    ssize_t got = pread(fd, head, sizeof(head), 0);
    close(fd);
    return got == (ssize_t)sizeof(head) && memcmp(head + 16, magic, sizeof(magic)) == 0;
}

static int read_id(struct partition *partition, struct uuid *ret, struct error *error) {
    struct partition_txn *txn;
    struct partition_meta meta;
    int result = partition_begin(partition, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_meta_get(txn, &meta, error);
    partition_abort(txn);
    *ret = meta.id;
    return result;
}

static int import_partition(struct import *import, struct error *error) {
    struct partition *from;
    struct partition_copied copied;
    int result = partition_open(import->file, PARTITION_READ, 0, &from, error);
    if (result < 0)
        return result;
    result = read_id(from, &import->id, error);
    if (result == 0)
        result = import_place_check(&import->place, &import->id, error);
    const struct partition_copy_job job = { .from = from, .path = import->place.building, .entries_only = true };
    if (result == 0)
        result = partition_copy(&job, &copied, error);
    partition_close(from);
    if (result == 0)
        import->lines.entries = copied.kept;
    return result;
}

static int import_text(struct import *import, struct error *error) {
    struct partition_build *build;
    const struct partition_build_options building = { .meta = { .created_ns = clock_real_ns(), .first_sequence = 1 },
                                                      .origin = &PARTITION_ORIGIN_EMPTY };
    bool from_input = strcmp(import->file, "-") == 0;
    int fd = from_input ? STDIN_FILENO : open(import->file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return error_set(error, -errno, "%s: cannot open it: %s", import->file, strerror(errno));
    int result = partition_build_begin(import->place.building, &building, &build, error);
    if (result == 0) {
        result = import_lines(import->session, fd, from_input ? "standard input" : import->file, build, &import->lines,
                              error);
        import->id = import->lines.id;
        if (result == 0)
            result = import_place_check(&import->place, &import->id, error);
        if (result == 0 && import->lines.entries > 0) {
            partition_build_set_id(build, &import->id);
            result = partition_build_end(build, error);
        } else {
            partition_build_give_up(build);
        }
    }
    if (!from_input)
        close(fd);
    return result;
}

static int run_import(struct import *import) {
    struct session *session = import->session;
    struct error error = { "" };
    char path[PARTITION_PATH_MAX];
    int result = import_place_open(&import->place, session->data_dir, &error);
    if (result == 0)
        result = strcmp(import->file, "-") == 0 ? 0 : is_partition(import->file, &error);
    if (result >= 0)
        result = result == 1 ? import_partition(import, &error) : import_text(import, &error);
    if (result == -EEXIST) {
        session_note(session, "%s: %s", import->file, error.text);
        return EXIT_FAULT;
    }
    if (result == 0 && import->lines.entries > 0)
        result = import_place_leave(&import->place, &import->id, path, &error);
    if (result < 0)
        return fault(session, &error);
    if (import->lines.refused > 0)
        session_note(session, "%s: %llu lines are no entry", import->file, (unsigned long long)import->lines.refused);
    if (import->lines.entries > 0)
        printf("%llu entries: the collector takes them in from %s, at its next start if it does not run\n",
               (unsigned long long)import->lines.entries, path);
    return import->lines.refused > 0 ? EXIT_FAULT : EXIT_FINE;
}

static int run(struct session *session, int argc, char **argv) {
    struct import import = { .session = session };
    int status = parse(&import, argc, argv);
    if (status == GO_ON)
        status = session_resolve(session);
    return status == GO_ON ? run_import(&import) : status;
}

const struct command command_import = {
    .name = "import",
    .run = run,
    .help =
        "usage: tfctl import FILE\n"
        "Bring entries into the store: a file of tfctl export, a closed partition, or lines of JSON as tfctl query -o\n"
        "json prints them; \"-\": lines of standard input. Entries keep their ids and times; they stand behind all "
        "that is stored,\n"
        "and tail and the collector's output pass over them. The same file, or the same lines, are refused the\n"
        "second time, as long as they are in the store. Lines that are no entry are told of and left out: exit status "
        "1.\n\n"
        "      --data-dir DIR        --config FILE\n",
};
