/* alert_store.c - see alert_store.h. A table is a first letter of the key in the state of one partition. */
#include "alerter/alert_store.h"

#include "common/base/check.h"
#include "common/base/clock.h"
#include "common/process/daemon.h"
#include "common/store/partition.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FORMAT_VERSION = 1, FOLDER_MODE = 0750 };

static const struct text version_key = TEXT_INITIALIZER("version");
static const char letters[] = { [ALERT_STORE_ALERTS] = 'a', [ALERT_STORE_OUTBOX] = 'o', [ALERT_STORE_HISTORY] = 'h' };

struct alert_store {
    struct partition *partition;
};

struct alert_store_txn {
    struct partition_txn *txn;
};

/* --- opening --- */

static int write_version(struct alert_store *store, struct error *error) {
    const char version = FORMAT_VERSION;
    struct alert_store_txn *txn = NULL;
    int result = alert_store_begin(store, true, &txn, error);
    if (result < 0)
        return result;
    result = partition_state_put(txn->txn, version_key, (struct text) { &version, 1 }, error);
    if (result == 0)
        return alert_store_commit(txn, error);
    alert_store_abort(txn);
    return result;
}

static int count_value(void *argument, struct text key, struct text value) {
    (void)key, (void)value; /* the walk has looked at its checksum */
    ++*(uint64_t *)argument;
    return 0;
}

/* Read everything once: damage is found while nothing depends on it yet. One that was just made holds nothing. */
static int check_content(struct alert_store *store, struct error *error) {
    const char *path = partition_path(store->partition);
    struct alert_store_txn *txn = NULL;
    struct text version;
    uint64_t count = 0;
    int result = alert_store_begin(store, false, &txn, error);
    if (result < 0)
        return result;
    result = partition_state_get(txn->txn, version_key, &version, error);
    bool there = result > 0;
    if (there && version.length == 1 && version.data[0] > FORMAT_VERSION)
        result = error_set(error, -EPROTO, "%s: written by a newer TaskForge (format %d; this program knows %d)", path,
                           version.data[0], FORMAT_VERSION);
    else if (there && (version.length != 1 || version.data[0] != FORMAT_VERSION))
        result = error_set(error, -EBADMSG, "%s: it does not say which format it has", path);
    if (result >= 0)
        result = partition_state_walk(txn->txn, TEXT_EMPTY, count_value, &count, error);
    alert_store_abort(txn);
    if (result == 0 && !there)
        result = count == 0 ? write_version(store, error)
                            : error_set(error, -EBADMSG, "%s: it does not say which format it has", path);
    return result;
}

static int open_existing(const char *path, struct alert_store *store, struct error *error) {
    int result = partition_open(path, PARTITION_WRITE, ALERT_STORE_SIZE_MAX, &store->partition, error);
    if (result < 0)
        return result;
    partition_reader_check(store->partition);
    result = check_content(store, error);
    if (result < 0) {
        partition_close(store->partition);
        store->partition = NULL;
    }
    return result;
}

static int create(const char *path, struct alert_store *store, struct error *error) {
    const struct partition_meta meta = { .version = PARTITION_VERSION, .ready = 1, .created_ns = clock_real_ns() };
    int result = partition_create(path, &meta, ALERT_STORE_SIZE_MAX, &store->partition, error);
    return result < 0 ? result : write_version(store, error);
}

static int set_aside(const char *path, struct error *ret_set_aside, struct error *error) {
    char aside[PARTITION_PATH_MAX + 48], lock[PARTITION_PATH_MAX + 8];
    snprintf(aside, sizeof(aside), "%s.damaged-%llu", path, (unsigned long long)clock_real_ns());
    snprintf(lock, sizeof(lock), "%s-lock", path);
    if (rename(path, aside) < 0)
        return error_prefix(error, -errno, "cannot set it aside (%s)", strerror(errno));
    unlink(lock);
    error_set(ret_set_aside, 0, "%s; set aside as %s: active alerts are found and notified anew", error->text, aside);
    return 0;
}

int alert_store_open(const char *data_dir, struct alert_store **ret, struct error *ret_set_aside, struct error *error) {
    char folder[PARTITION_PATH_MAX], path[PARTITION_PATH_MAX];
    ret_set_aside->text[0] = '\0';
    if (snprintf(folder, sizeof(folder), "%s/alerter", data_dir) >= (int)sizeof(folder) ||
        snprintf(path, sizeof(path), "%s/alerts.mdb", folder) >= (int)sizeof(path))
        return error_set(error, -ENAMETOOLONG, "%s: the path is too long", data_dir);
    int result = daemon_make_dir(folder, FOLDER_MODE, "the folder of alerts", error);
    if (result < 0)
        return result;
    struct alert_store *store = calloc(1, sizeof(*store));
    if (!store)
        return error_set(error, -ENOMEM, "out of memory");
    result = open_existing(path, store, error);
    if (result == -EBADMSG && set_aside(path, ret_set_aside, error) == 0)
        result = -ENOENT;
    if (result == -ENOENT)
        result = create(path, store, error);
    if (result < 0) {
        alert_store_close(store);
        return result;
    }
    *ret = store;
    return 0;
}

void alert_store_close(struct alert_store *store) {
    if (!store)
        return;
    partition_close(store->partition);
    free(store);
}

/* --- transactions --- */

int alert_store_begin(struct alert_store *store, bool write, struct alert_store_txn **ret, struct error *error) {
    struct alert_store_txn *txn = malloc(sizeof(*txn));
    if (!txn)
        return error_set(error, -ENOMEM, "out of memory");
    int result = partition_begin(store->partition, write, &txn->txn, error);
    if (result < 0) {
        free(txn);
        return result;
    }
    *ret = txn;
    return 0;
}

int alert_store_commit(struct alert_store_txn *txn, struct error *error) {
    int result = partition_commit(txn->txn, error);
    free(txn);
    return result;
}

void alert_store_abort(struct alert_store_txn *txn) {
    if (!txn)
        return;
    partition_abort(txn->txn);
    free(txn);
}

/* --- tables --- */

struct stored_key {
    char bytes[ALERT_STORE_KEY_MAX + 1];
};

static struct text key_in(enum alert_store_table table, struct text key, struct stored_key *room) {
    check(key.length > 0 && key.length <= ALERT_STORE_KEY_MAX);
    room->bytes[0] = letters[table];
    memcpy(room->bytes + 1, key.data, key.length);
    return (struct text) { room->bytes, key.length + 1 };
}

int alert_store_put(struct alert_store_txn *txn, enum alert_store_table table, struct text key, struct text value,
                    struct error *error) {
    struct stored_key room;
    return partition_state_put(txn->txn, key_in(table, key, &room), value, error);
}

int alert_store_delete(struct alert_store_txn *txn, enum alert_store_table table, struct text key,
                       struct error *error) {
    struct stored_key room;
    return partition_state_delete(txn->txn, key_in(table, key, &room), error);
}

int alert_store_get(struct alert_store_txn *txn, enum alert_store_table table, struct text key, struct text *ret,
                    struct error *error) {
    struct stored_key room;
    return partition_state_get(txn->txn, key_in(table, key, &room), ret, error);
}

struct walking {
    int (*visit)(void *argument, struct text key, struct text value);
    void *argument;
};

static int visit_without_letter(void *argument, struct text key, struct text value) {
    const struct walking *walking = argument;
    return walking->visit(walking->argument, (struct text) { key.data + 1, key.length - 1 }, value);
}

int alert_store_walk(struct alert_store_txn *txn, enum alert_store_table table,
                     int (*visit)(void *argument, struct text key, struct text value), void *argument,
                     struct error *error) {
    struct walking walking = { visit, argument };
    return partition_state_walk(txn->txn, (struct text) { &letters[table], 1 }, visit_without_letter, &walking, error);
}
