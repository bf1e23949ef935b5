/* verify.c - tfctl verify: check everything in the store. */
#include <stdio.h>

#include "exporter/tfctl/command.h"
#include "exporter/tfctl/format.h"

static const struct option options[] = { COMMON_OPTIONS, { 0 } };

static void report(void *argument, const char *line) {
    struct buffer out = BUFFER_EMPTY;
    (void)argument;
    format_printable(&out, text_of(line));
    if (!out.failed)
        printf("%.*s\n", TEXT_FORMAT(buffer_text(&out)));
    buffer_finish(&out);
}

static int run(struct session *session, int argc, char **argv) {
    struct error error = { "" };
    uint64_t entries = 0;
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":", options, NULL)) != -1)
        status = session_option(session, option, argv);
    if (status == GO_ON && optind < argc)
        status = usage_error(session, "expected options only, found \"%s\"", argv[optind]);
    if (status == GO_ON)
        status = session_resolve(session);
    if (status != GO_ON)
        return status;
    int faults = store_verify(session->data_dir, report, session, &entries, &error);
    if (faults < 0)
        return fault(session, &error);
    if (faults > 0)
        printf("%d %s among %llu entries in %s\n", faults, faults == 1 ? "fault" : "faults",
               (unsigned long long)entries, session->data_dir);
    else
        printf("%llu entries in %s: no fault\n", (unsigned long long)entries, session->data_dir);
    return faults > 0 ? EXIT_FAULT : EXIT_FINE;
}

const struct command command_verify = {
    .name = "verify",
    .run = run,
    .help =
        "usage: tfctl verify [--data-dir DIR]\n"
        "Check every page, checksum, sequence and index of the store. A line for each fault; exit status 1 when there\n"
        "is one. DIR is a data folder, a folder of copied partitions, or one partition file.\n\n"
        "      --data-dir DIR        --config FILE\n",
};
