/* tail_priv.h - what the rooms of the tail input share: tail.c (the input), tail_set.c (its files, by identity, by path
 * and in line), tail_scan.c (what is there), tail_rotate.c (where a file went), tail_order.c (whose lines come first),
 * tail_family.c (the rotated files of a label), tail_read.c (lines out of one file), tail_watch.c (inotify),
 * tail_position.c (what travels with each line).
 *
 * A file is what device and inode say, and is what it was while the hash of its first bytes (fingerprint: at most 256,
 * never more than were read) holds. Its label is the path it was first seen at: its name in the entries, whatever it is
 * renamed to. Life of a file:
 *
 *   new -> read as it grows -> rotated (its path is another file's now, or nobody's) -> finished (at its end and quiet;
 *   a last line without a newline is taken) -> gone (unlinked): its position is forgotten.
 *
 * The files of a label are read one after another, each to its end (`after`), in the order in which they were written
 * (`order`). A file that appears is not read before its place is known (tail_order.c). So the files of which anything is
 * stored are the first ones of their label: after a kill, what is behind the last of them is new, and nothing else is.
 */
#ifndef TASKFORGE_AGENT_INPUTS_TAIL_PRIV_H
#define TASKFORGE_AGENT_INPUTS_TAIL_PRIV_H

#include <sys/stat.h>

#include "agent/inputs/deliver.h"
#include "agent/inputs/input.h"
#include "agent/inputs/parsed.h"
#include "common/base/clock.h"

enum {
    TAIL_FILES_MAX = 20000, /* of one input */
    TAIL_OPEN_MAX = 1024,   /* descriptors of one input; fewer where the process may have few */
    TAIL_OPEN_MIN = 16,
    TAIL_WATCHES_MAX = 1024, /* folders under inotify; beyond it the rescan alone finds what is new */
    TAIL_FINGERPRINT_MAX = 256,
    TAIL_CHUNK = 64 * 1024,
    TAIL_TURN = 4 * TAIL_CHUNK, /* bytes of one file before the next has its turn */
    TAIL_TURNS = 8,             /* turns before the loop's other sources have theirs */
    TAIL_BUCKETS = 4096,
    TAIL_MISSES = 5,        /* scans that must miss a file before it counts as gone: it may come back */
    TAIL_RESCAN_MS = 2000,  /* with inotify; polling finds what inotify does not tell */
    TAIL_SCAN_SOON_MS = 20, /* after inotify told of a name that came or went; while files are being renamed */
    TAIL_MISSING_MS = 200,  /* while a file is missing */
    TAIL_TICK_MS = 50,      /* while rotated files wait to be quiet */
    TAIL_QUIET_MS = 100,    /* a rotated file at its end is finished */
    TAIL_PARTIAL_MS = 1000, /* the same with a line without newline at its end */
    TAIL_CLOSE_MS = 10000,  /* a finished file is closed */
    TAIL_LABEL_MAX = 500,   /* bytes of a label that fit a position; a longer one is left out */
};

struct tail;

struct tail_file {
    struct tail_file *next_id, *next_path, *next_ready; /* chains of the set */
    struct tail *tail;
    char *path;  /* where it was seen last; NULL: nobody knows */
    char *label; /* never NULL */
    dev_t device;
    ino_t inode;
    int fd;                  /* -1: closed */
    uint64_t offset;         /* of the first line that is not in the ring */
    uint64_t scanned;        /* from offset to here there is no newline */
    uint64_t size, mtime_ns; /* as last seen */
    uint64_t grew_ns;        /* monotonic: when size was seen to change */
    uint64_t used_ns;        /* monotonic: last turn */
    uint64_t fingerprint;
    uint32_t fingerprint_length;
    uint64_t seen; /* number of the last scan that found it */
    unsigned misses;
    uint64_t order;          /* its place among the files of its label; 0: not known, nothing of it is read */
    struct tail_file *after; /* the one whose lines come first */
    struct tail_former {     /* of the file that had this inode before: what was read of it may stand in a copy */
        uint64_t offset, fingerprint, mtime_ns;
        uint32_t fingerprint_length;
    } former;
    bool remembered; /* an earlier run knew it */
    bool moved;      /* where it is, or who comes before it, is to be found out */
    bool placed;     /* it was, in the settling at hand */
    bool queued, waiting;
    bool truncated; /* while we looked: it is text, whatever hole it begins with now */
    bool verified;  /* what the position says of it was compared with the file */
    bool announce;  /* its position is to be committed before anything of it: found by the first start */
    bool ignored;   /* too old */
    bool binary;
    bool said; /* that it cannot be read */
    bool rotated, finished, unlinked;
    bool forget; /* gone: its position is to be removed, then it is */
};

struct tail {
    struct input input;
    struct tail_file *by_id[TAIL_BUCKETS], *by_path[TAIL_BUCKETS];
    size_t count, open_count, open_max;
    struct tail_file *ready_first, *ready_last;
    struct loop_timer *timer;
    uint64_t next_scan_ns; /* monotonic */
    uint64_t scan_took_ns, scan;
    bool scan_incomplete; /* a folder could not be read: what was not found is not gone */
    bool first_scan;      /* of this input's life */
    bool first_start;     /* of this input ever: what the first scan finds begins where start_at says */
    bool marker_pending;
    bool missing, unsettled; /* files, labels: to be scanned again soon */
    uint64_t since_ns;       /* real time of the first start, in whole seconds */
    uint64_t orders;         /* given so far */
    bool limit_said, glob_said;
    bool holding;         /* the ring had no room a moment ago */
    size_t waiting_count; /* files whose last turn said TAIL_TURN_WAIT */
    /* inotify */
    int watch_fd;
    struct loop_fd *watch_source;
    struct {
        int wd;
        char *folder;
    } watches[TAIL_WATCHES_MAX];
    size_t watch_count;
    /* of the line in hand */
    char *buffer; /* INPUT_LINE_MAX and room for the mark of a cut */
    struct parse_scratch scratch;
};

/* --- tail_set.c --- */

struct tail_file *tail_set_add(struct tail *tail, dev_t device, ino_t inode, const char *path, const char *label);
struct tail_file *tail_set_find(const struct tail *tail, dev_t device, ino_t inode);
struct tail_file *tail_set_at(const struct tail *tail, const char *path);
int tail_set_move(struct tail_file *file, const char *path); /* path may be NULL; -ENOMEM */
void tail_set_remove(struct tail_file *file);                /* closes and frees; pointers to it are cleared */
void tail_set_ready(struct tail_file *file);                 /* at the end of the line, once */
struct tail_file *tail_set_next_ready(struct tail *tail);    /* off the line's front */
void tail_set_ready_again(struct tail_file *file);           /* at its front */
void tail_set_release(struct tail_file *file);               /* those that wait for it need not any more */
void tail_set_renew(struct tail_file *file); /* its inode is another file's now: nothing is known of it */
int tail_set_label(struct tail_file *file, const char *label); /* -ENOMEM */
bool tail_set_knows(const struct tail_file *file);             /* by its place, or from an earlier run */
void tail_set_clear(struct tail *tail);

/* Walks over all files; the body may remove the current one. */
#define TAIL_FOR_EACH(tail, file)                                                                                      \
    for (size_t bucket_ = 0; bucket_ < TAIL_BUCKETS; bucket_++)                                                        \
        for (struct tail_file *file = (tail)->by_id[bucket_], *next_ = file ? file->next_id : NULL; file;              \
             file = next_, next_ = file ? file->next_id : NULL)

/* --- tail_position.c --- */

struct tail_position {
    uint64_t offset, fingerprint, mtime_s;
    uint32_t fingerprint_length;
    struct text label;
};

enum { TAIL_KEY_SIZE = 40, TAIL_VALUE_SIZE = 600 };

/* Its value: hash of the globs, and when the first start was, in seconds. There: files not known came later. */
#define TAIL_MARKER_KEY "started"

struct text tail_position_key(dev_t device, ino_t inode, char out[TAIL_KEY_SIZE]);
int tail_position_parse_key(struct text key, dev_t *ret_device, ino_t *ret_inode);
struct text tail_position_value(const struct tail_file *file, uint64_t offset, char out[TAIL_VALUE_SIZE]);
int tail_position_parse(struct text value, struct tail_position *ret); /* -EBADMSG */
struct text tail_marker_value(const struct config_input *config, uint64_t since_ns, char out[TAIL_KEY_SIZE]);
int tail_marker_parse(const struct config_input *config, struct text value, uint64_t *ret_since_ns); /* -EBADMSG */

/* --- tail_scan.c --- */

void tail_scan(struct tail *tail);
bool tail_is_wanted(const struct tail *tail, const char *path); /* neither excluded nor our own */
void tail_scan_soon(struct tail *tail, uint64_t after_ms);
void tail_schedule(struct tail *tail);                            /* set the timer for what comes next (tail.c) */
void tail_saw(struct tail_file *file, const struct stat *status); /* note size and time */
uint64_t tail_mtime_ns(const struct stat *status);

/* --- tail_rotate.c --- */

void tail_follow(struct tail_file *file);  /* the scan did not find it at any path; may remove it */
void tail_rotated(struct tail_file *file); /* its label is not its path any more */
void tail_gone(struct tail_file *file);    /* it is nowhere; may remove it */
bool tail_is_quiet(const struct tail_file *file, uint64_t for_ms);

/* Whether what stands at `path` with a file's inode is that file: 1, 0, -errno. */
int tail_is_at(const struct tail_file *file, const char *path, const struct stat *status);

/* --- tail_order.c --- */

/* At the end of a scan: find out the places of files that moved or came. What is being renamed meanwhile is left for the
 * next scan. May remove files. */
void tail_settle(struct tail *tail);

/* --- tail_family.c --- */

struct tail_names { /* what a folder holds, sorted */
    struct tail_name {
        char *name;
        ino_t inode;
    } * items;
    size_t count;
};

/* 0; -EAGAIN: not now; another -errno: it cannot be listed. */
int tail_names_read(struct tail_names *ret, const char *folder);
void tail_names_finish(struct tail_names *names);

struct tail_family { /* the rotated files of a label */
    struct tail_member {
        char *path;
        struct stat status;
        struct tail_file *file; /* of the set, with this inode, or NULL */
        enum tail_claim {
            TAIL_NEW,      /* no place is known */
            TAIL_REPLACED, /* the same, and `file` was another one */
            TAIL_KNOWN,    /* by this label */
            TAIL_FOREIGN,  /* by another label */
        } claim;
    } * items;
    size_t count;
};

bool tail_family_has(const char *name, const char *label_name); /* "app.log.1" and "app.log-20261123": "app.log" */
int tail_family_read(struct tail_family *ret, const char *label, const struct tail_names *names); /* -EAGAIN */
bool tail_family_equal(const struct tail_family *a, const struct tail_family *b); /* the same files at the same paths */
void tail_family_sort(struct tail_family *family, const char *label);             /* the oldest first */
void tail_family_finish(struct tail_family *family);

/* --- tail_read.c --- */

enum tail_turn {
    TAIL_TURN_IDLE, /* at its end, or not to be read now: a scan or inotify will say */
    TAIL_TURN_MORE,
    TAIL_TURN_WAIT, /* look again at the next tick */
    TAIL_TURN_HELD, /* no room in the ring */
    TAIL_TURN_GONE, /* removed from the set */
};

enum tail_turn tail_read_turn(struct tail_file *file);
void tail_read_close(struct tail_file *file);
int tail_read_verify(struct tail_file *file); /* open, and judge what the position says of it; -errno */
int tail_read_open(struct tail_file *file);   /* 0, or -errno with what is to be said told once */

/* Whether the file's first bytes are still those that were read; -errno. */
int tail_read_matches(int fd, uint64_t fingerprint, uint32_t length);

/* --- tail_watch.c --- */

void tail_watch_open(struct tail *tail);
void tail_watch_folder_of(struct tail *tail, const char *path);
void tail_watch_close(struct tail *tail);

#endif
