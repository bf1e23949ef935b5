/* limits.h - every limit of the collector that is no setting, in one place, with what happens at it. */
#ifndef TASKFORGE_COLLECTOR_LIMITS_H
#define TASKFORGE_COLLECTOR_LIMITS_H

#include "common/base/clock.h"
#include "common/shm/segment.h"

enum {
    RINGS_MAX = 64,      /* open at once; a further one is said once and waits */
    RINGS_OF_A_USER = 8, /* likewise: the present one, and those it took the place of, which are read to their end */

    /* Bytes copied from lanes and not yet committed. A ring takes no more once HAND_BYTES_MAX are in hand and a flush is
     * due; one ring's share is parted among its lanes that hold something, never below what one record can need. */
    HAND_BYTES_MAX = 32 * 1024 * 1024,
    HAND_RING_BYTES = 16 * 1024 * 1024,
    HAND_LANE_BYTES_MAX = 1024 * 1024,
    HAND_LANE_BYTES_MIN = 128 * 1024,
    FRAME_BUFFER_KEPT = 64 * 1024, /* the spill's buffer that grew beyond is given back */

    BATCH_ENTRIES_MAX = 65536, /* and spans, of one commit; what is left goes into the next */
    BATCH_FLUSH_BYTES = 8 * 1024 * 1024,

    /* Metric series, where the configuration (collector.metrics) says nothing else; a user's share: shares.h. Updates of further ones go to
     * their metric's overflow series, and where there is no room for that either they are refused and counted. */
    FOLD_SERIES_DEFAULT = 100000,
    FOLD_SERIES_OF_METRIC_DEFAULT = 10000,
    FOLD_SERIES_OWN = 1000,      /* more, of the collector itself */
    FOLD_SERIES_OVERFLOW = 2000, /* more, that are overflow series */
    FOLD_SERIES_BYTES = 2048,    /* for each of the most that there may be: what series may take in all */
    FOLD_OVERFLOW_NAMES = 128,   /* metrics told by name in metric_overflow_total; further ones together */
    FOLD_STALE_SCAN = 16384,     /* series looked at in a second, at least, for those that have become stale */
    FOLD_HIDDEN_MIN = 1000,      /* hidden series in the segment before it is begun anew without them */

    LOCKS_LOOKED_AT = 256,   /* of a ring's processes that cannot be watched, in one scan; the others in the next */
    LEDGERS_LOOKED_AT = 256, /* of a ring's processes, for losses to be told, in one scan; a flush looks at all */
    FILES_KEPT = 256,        /* descriptors that are not taken for watching processes */
    CRASH_HEARD_MAX = 64,    /* signals that were told of lately; the oldest goes */

    MERGE_TAIL_MAX = 256,      /* blocks at the end of a partition that may still be merged */
    REMOVALS_MAX = 16 * 1024,  /* state prefixes to be deleted; beyond that they are left to the next start */
    QUARANTINE_FILES_MAX = 8,  /* rings set aside; the oldest goes */
    HEALTH_REPORTS_MAX = 1024, /* kept; then the oldest goes */
    HEALTH_REPORTS_USER = 256, /* of one user; likewise */
    RINGS_SAY_MAX = 20, /* lines about files that others put among the rings, within RINGS_SAY_NS; then only how many */
    POSITION_CALLS_MAX = 32,   /* control calls waiting for a commit */
    LEVEL_CALLS_MAX = 32,      /* likewise */
    LEVELS_MAX = 1000,         /* thresholds: the default's, and of services; a further one is refused */
    OUTPUT_FILES_KEPT = 10,    /* rotated output files */
    SPILL_FRAMES_A_FLUSH = 16, /* taken in before the rings are looked at again */
};

/* The flight recorder (recorder.h). */
enum {
    /* What one batch takes out of it. What it leaves follows with the next ones: which that is, is committed with this one. */
    RECORDER_ENTRIES_MAX = 65536,
    RECORDER_BYTES_MAX = 16 * 1024 * 1024,

    RECORDER_TRACES_MAX = 512, /* that wait to be looked for; an error of a further one stores what its process has */
    RECORDER_SCAN_SHARE = 10,  /* looking for them takes one part in so many of the time; until then they wait */
    RECORDER_TAKEN_MAX = 512,  /* stored out of the middle of a lane; then the oldest between them are given up */
    RECORDER_WINDOWS_MAX = 4,  /* times to be stored of one lane or trace; then also what is between two of them */
    RECORDER_FREE_SHARE = 8,   /* one in so many private lanes is free: those that were left go earlier for that */
    RECORDER_CALLS_MAX = 32,   /* control calls waiting for a commit */
};

#define FOLD_BYTES_MIN (UINT64_C(16) << 20)        /* of series, however few there may be */
#define FOLD_BYTES_MAX (SEGMENT_SIZE / 4 * 3)      /* ... however many */
#define FOLD_BYTES_OWN (UINT64_C(8) << 20)         /* more, of the collector itself */
#define FOLD_BYTES_OVERFLOW (UINT64_C(16) << 20)   /* more, of overflow series */
#define SPANS_ANSWER_BYTES (UINT64_C(4) << 20)     /* open spans told at once; more are left out */
#define SPILL_BYTES_MAX (UINT64_C(1) << 30)        /* then the lanes hold and the producers drop and count */
#define SPILL_FRAME_MAX (UINT64_C(256) << 20)      /* one frame */
#define OUTPUT_ROTATE_BYTES (UINT64_C(100) << 20)  /* of the output file */
#define PARTITION_BYTES_MAX (UINT64_C(1) << 30)    /* then a new one is begun */
#define PARTITION_BYTES_MIN (UINT64_C(2) << 20)    /* a small retention.max_size makes partitions no smaller */
#define PARTITION_BYTES_NEW (UINT64_C(2) << 20)    /* what a new one begins with, and more for its state */
#define PARTITION_MAP_SLACK (UINT64_C(2) << 30)    /* address space for what one commit may add beyond that */
#define RETENTION_SIZE_DEFAULT (UINT64_C(4) << 30) /* or a tenth of the disk, if that is less */
#define RESERVE_BYTES (UINT64_C(8) << 20)          /* kept for the last commits on a full disk */
#define SEQUENCE_JUMP (UINT64_C(1) << 32)          /* past a damaged authority, whose last sequence is unknown */

#define LOSS_CHOSEN_NS (10 * CLOCK_SECOND) /* losses that were chosen are told no more often */
#define DEDUP_ERRORS_NS CLOCK_SECOND       /* repeats of an error are told after this, alerts count them */
#define CRASH_WAIT_NS (2 * CLOCK_SECOND)   /* for somebody to tell which signal ended a process */
#define CRASH_HEARD_NS (10 * CLOCK_SECOND) /* so old may such news be */

#define POLL_ACTIVE_NS (1 * CLOCK_MILLISECOND)
#define POLL_IDLE_NS (20 * CLOCK_MILLISECOND)
#define SLOT_SCAN_NS (200 * CLOCK_MILLISECOND)
#define DEATH_SCAN_NS (10 * CLOCK_MILLISECOND) /* the same when a process is known to have ended */
#define CELLS_NS CLOCK_SECOND                  /* cells that grew are committed at least so often */
#define SELF_NS (10 * CLOCK_SECOND)            /* our own metrics alone make a commit no more often */
#define MAINTENANCE_NS CLOCK_SECOND
#define HISTORY_EXPIRE_NS (60 * CLOCK_SECOND) /* between two looks for samples that are too old */
#define FOLD_FORGET_NS                                                                                                 \
    (30 * 86400 * CLOCK_SECOND)              /* stale series are kept so long, or shorter where there are too many */
#define FOLD_TELL_NS (10 * CLOCK_SECOND)     /* within it, no more than FOLD_TELLINGS_MAX metrics are told of */
#define CURATOR_NS CLOCK_SECOND              /* between two looks of the curator, where nobody wakes it */
#define ADOPT_RETRY_NS (60 * CLOCK_SECOND)   /* before an import that failed is tried again */
#define REWRITE_LOOK_NS (2 * CLOCK_SECOND)   /* between two looks for what may be written anew */
#define REWRITE_GAP_NS (3600 * CLOCK_SECOND) /* for few entries a partition is written anew no more often */
#define READER_CHECK_NS (30 * CLOCK_SECOND)
#define URGENT_GAP_NS                                                                                                  \
    (20 * CLOCK_MILLISECOND) /* from one commit to the next that is made for errors: at most 50 a second */
#define STORE_RETRY_NS CLOCK_SECOND
#define OUTPUT_CURSOR_NS (10 * CLOCK_SECOND) /* a cursor that moved is committed at least so often */
#define OUTPUT_DRAIN_NS CLOCK_SECOND         /* at the end */
#define STOP_NS (10 * CLOCK_SECOND)          /* finishing what is in hand */
#define FUTURE_NS CLOCK_SECOND               /* a record's time further ahead than this is not waited for */
#define RING_IDLE_NS (600 * CLOCK_SECOND)    /* a ring without a process is removed after this */
#define RING_LEAVING_NS (2 * CLOCK_SECOND)   /* an unlinked ring is watched at least so long */
#define RINGS_SAY_NS (10 * CLOCK_SECOND)
#define STALE_FILE_NS (60 * CLOCK_SECOND) /* temporary files of a creator that was killed */
#define COMMIT_WAIT_NS (9 * CLOCK_SECOND) /* before an asker is told that the store cannot be written */
#define LEVEL_FOR_MIN_NS CLOCK_SECOND     /* how long a level may be set for */
#define LEVEL_FOR_MAX_NS (366 * 86400 * CLOCK_SECOND)

#endif
