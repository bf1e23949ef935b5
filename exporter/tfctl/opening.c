/* opening.c - see opening.h. */
#include "exporter/tfctl/opening.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/client/taskforge.h"
#include "common/privacy/seal_keys.h"

/* Key use is an audit entry: through the caller's own ring, so that it is stored also when the collector comes later. */
static void tell(struct session *session, const uint8_t public_key[SEAL_KEY_BYTES]) {
    const struct passwd *user = getpwuid(getuid());
    char actor[128], id[SEAL_KEY_ID_SIZE];
    struct tf_options options = TF_OPTIONS_INIT;
    tf_client *client = NULL;
    snprintf(actor, sizeof(actor), "%s", user ? user->pw_name : "");
    if (!user)
        snprintf(actor, sizeof(actor), "uid %u", (unsigned)getuid());
    seal_key_id(public_key, id);
    const struct tf_field fields[] = { tf_str("actor", actor), tf_str("target", id),
                                       tf_str("reason", session->command->name) };
    options.runtime_dir = session->runtime_dir;
    int result = session->rings_belong ? tf_open("taskforge", &options, &client) : -ENOENT;
    if (result == 0)
        result =
            tf_log_with_metadata(client, TF_LEVEL_INFO, "audit", "key_use", "a secret key was used to open entries",
                                 fields, sizeof(fields) / sizeof(fields[0]));
    tf_close(client);
    if (result < 0)
        session_note(session, "--key: the audit log could not be told of it: %s",
                     session->rings_belong ? "there is no ring to write to" : "this store has no rings here");
}

/* Without the conditions that may be about what is sealed. */
static int narrow(const struct filter *whole, struct filter *ret) {
    *ret = *whole;
    ret->lines = NULL;
    ret->line_count = ret->matcher_count = 0;
    ret->matchers = calloc(whole->matcher_count + 1, sizeof(*ret->matchers));
    if (!ret->matchers)
        return -ENOMEM;
    for (uint32_t i = 0; i < whole->matcher_count; i++)
        if (whole->matchers[i].field != FILTER_METADATA)
            ret->matchers[ret->matcher_count++] = whole->matchers[i];
    return 0;
}

int opening_begin(struct session *session, const struct filter *filter, struct opening *ret) {
    uint8_t secret[SEAL_KEY_BYTES];
    struct error error = { "" };
    *ret = (struct opening) { .whole = filter };
    int result = seal_key_read(SEAL_KEY_SECRET, session->key_path, secret, &error);
    if (result == 0)
        result = entry_opener_init(&ret->opener, secret, &error);
    seal_forget(secret, sizeof(secret));
    if (result < 0) {
        error_prefix(&error, result, "--key");
        return fault(session, &error);
    }
    if (narrow(filter, &ret->scanned) < 0) {
        entry_opener_finish(&ret->opener);
        error_set(&error, -ENOMEM, "out of memory");
        return fault(session, &error);
    }
    tell(session, ret->opener.opener.public_key);
    return GO_ON;
}

int opening_judge(struct opening *opening, struct entry *entry, struct error *error) {
    if (entry_opener_open(&opening->opener, entry) < 0)
        return error_set(error, -ENOMEM, "out of memory for a sealed entry");
    return filter_entry(opening->whole, entry, &opening->scratch, error);
}

bool opening_end(struct session *session, struct opening *opening) {
    uint64_t foreign = opening->opener.foreign, broken = opening->opener.broken;
    if (foreign > 0)
        session_note(session, "--key %s: %llu value%s sealed to another key, and stay%s sealed", session->key_path,
                     (unsigned long long)foreign, foreign == 1 ? " is" : "s are", foreign == 1 ? "s" : "");
    if (broken > 0)
        session_note(session, "--key %s: %llu value%s damaged or not as sealed, and stay%s as stored",
                     session->key_path, (unsigned long long)broken, broken == 1 ? " is" : "s are",
                     broken == 1 ? "s" : "");
    entry_opener_finish(&opening->opener);
    free(opening->scanned.matchers);
    buffer_finish(&opening->scratch);
    return foreign + broken > 0;
}
