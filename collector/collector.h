/* collector.h - the rooms put together: when to look at the rings, when to flush, what to do when the store cannot be written.
 *
 *   poll (1 to 20 ms)     round -> flush when due
 *   flush                 spill in, if there is one -> gather -> commit (or spill) -> settle -> answer, reap, wake the output
 *   maintenance (1 s)     rings come and go, retention, the output's cursor
 *
 * One thread (the loop's). */
#ifndef TASKFORGE_COLLECTOR_COLLECTOR_H
#define TASKFORGE_COLLECTOR_COLLECTOR_H

#include "collector/batch.h"
#include "collector/curator.h"
#include "collector/drain.h"
#include "collector/history.h"
#include "collector/intake.h"
#include "collector/checker.h"
#include "collector/level_keeper.h"
#include "collector/output.h"
#include "collector/partitions.h"
#include "collector/positions.h"
#include "collector/rings.h"
#include "collector/self.h"
#include "collector/spill.h"
#include "collector/writer.h"
#include "common/process/config.h"
#include "common/process/control.h"
#include "common/process/loop.h"

struct collector_settings { /* copied out of the configuration, which may be replaced */
    uint64_t flush_interval_ns;
    uint64_t flush_entries;
    struct config_retention retention;
    struct config_history history;
    char runtime_dir[PATHS_MAX], data_dir[PATHS_MAX], spill_dir[PATHS_MAX];
    enum config_output output;
    char output_path[PATHS_MAX * 2];
};

struct collector {
    struct collector_settings settings;
    struct loop *loop;            /* borrowed */
    int lock_fd, runtime_lock_fd; /* one collector for each store, one for each set of rings */
    struct state_map state;
    struct partitions partitions;
    struct writer writer;
    struct spill spill;
    struct checker checker;
    struct rings rings;
    struct fold fold;
    struct health health;
    struct self self;
    struct intake intake;
    struct drain drain;
    struct drain_state seen; /* by the last round */
    struct batch batch;
    struct positions positions;
    struct level_keeper levels;
    struct recorder recorder;
    struct output *output;
    struct curator *curator;
    struct history *history;
    struct control *control;
    char control_path[PATHS_MAX + 32];
    struct loop_timer *poll_timer, *maintenance_timer;
    struct loop_fd *watch, *deaths;
    uint64_t poll_ns;          /* now between two looks */
    uint64_t waiting_since_ns; /* monotonic: since when something is in hand; 0: nothing */
    uint64_t trimmed_entries;  /* drain.entries at the last maintenance */
    uint64_t pending_records;  /* seen since the last flush */
    bool urgent;               /* an error is among them */
    uint64_t last_commit_ns, last_commit_begun_ns, last_round_ns, last_scan_ns, last_readers_ns, last_cursor_ns,
        last_cells_ns, last_self_ns; /* monotonic */
    uint64_t last_commit_real_ns;    /* 0: none yet */
    uint64_t history_failing_since_ns; /* monotonic; 0: it is written */
    bool reload_untold;              /* the configuration was read again, and no entry tells of it yet */
    char reload_file[PATHS_MAX];
    bool failing;            /* the store could not be written */
    uint64_t retry_ns;       /* monotonic: when it is tried again */
    bool spill_failing;      /* nor the spill */
    uint64_t spill_retry_ns; /* monotonic */
    bool partitions_open, writer_open, spill_open, rings_open, fold_open, recorder_open,
        drain_open; /* what collector_finish has to undo */
};

/* Everything but readiness. On failure nothing is left behind. */
int collector_start(struct collector *collector, const struct config *config, struct loop *loop, struct error *error);

/* SIGHUP: -EINVAL with a sentence for what cannot change while running. */
int collector_reload(struct collector *collector, const struct config *config, struct error *error);

/* SIGTERM: commit all that is in the rings now. */
void collector_drain_all(struct collector *collector);

void collector_finish(struct collector *collector);

/* status.c: the control verbs `status` (one line of JSON: how the store and the rings are) and `metric KIND NAMING NAME` (whether such a
 * metric could be); and the gauges that self.h tells. */
void collector_on_status(struct control_call *call, struct text arguments, void *context);
void collector_on_metric(struct control_call *call, struct text arguments, void *context);
void collector_look_at_itself(struct collector *collector);

/* flush.c: one round and what follows from it. `force`: now, into the spill if the store takes nothing. `whole`: nothing waits. */
void collector_poll(struct collector *collector);
void collector_flush(struct collector *collector, bool force, bool whole);

#endif
