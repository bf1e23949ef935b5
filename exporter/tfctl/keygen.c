/* keygen.c - tfctl keygen: a pair of keys for collector.encrypt. */
#include <stdio.h>

#include "common/privacy/seal_keys.h"
#include "exporter/tfctl/command.h"

static const struct option options[] = { COMMON_OPTIONS, { 0 } };

static int run(struct session *session, int argc, char **argv) {
    struct error error = { "" };
    uint8_t public_key[SEAL_KEY_BYTES];
    char id[SEAL_KEY_ID_SIZE], path[PATHS_MAX];
    int option, status = GO_ON;
    while (status == GO_ON && (option = getopt_long(argc, argv, ":", options, NULL)) != -1)
        status = session_option(session, option, argv);
    if (status != GO_ON)
        return status;
    if (argc - optind != 1)
        return usage_error(session, "expected one FILE, found %d words", argc - optind);
    if ((size_t)snprintf(path, sizeof(path), "%s.pub", argv[optind]) >= sizeof(path))
        return usage_error(session, "FILE: the path is too long");
    if (seal_keys_write(argv[optind], &error) < 0 || seal_key_read(SEAL_KEY_PUBLIC, path, public_key, &error) < 0)
        return fault(session, &error);
    seal_key_id(public_key, id);
    printf("%s: the secret key, for those who may read; keep it off the hosts that write\n"
           "%s: the public key %s, for collector.encrypt.public_key_file\n",
           argv[optind], path, id);
    return EXIT_FINE;
}

const struct command command_keygen = {
    .name = "keygen",
    .run = run,
    .help =
        "usage: tfctl keygen FILE\n"
        "Make a pair of keys for collector.encrypt: FILE has the secret key, which opens what is sealed (tfctl query\n"
        "--key FILE), FILE.pub the public one, which only seals. Neither may exist already.\n",
};
