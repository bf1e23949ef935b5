/* parse_journal.h - one entry of the systemd journal, from its fields.
 *
 * MESSAGE is the message, PRIORITY the level (syslog's), the service the unit without ".service" (a
 * scope is passed over), else SYSLOG_IDENTIFIER, else _COMM; the module the identifier, the operation "journal". The timestamp is the source's where
 * it gave one. Into metadata: unit, user_unit, identifier, procid, uid, exe, facility, host, transport, message_id,
 * file, line, function, errno; of a core dump coredump_pid, coredump_signal, coredump_signal_name, coredump_exe, coredump_comm.
 */
#ifndef TASKFORGE_AGENT_INPUTS_PARSE_JOURNAL_H
#define TASKFORGE_AGENT_INPUTS_PARSE_JOURNAL_H

#include "agent/inputs/parsed.h"

/* Of systemd-coredump's records: which process a signal has ended. The collector looks for them. */
#define JOURNAL_COREDUMP_FIELDS(field)                                                                                 \
    field(COREDUMP_PID, "COREDUMP_PID", "coredump_pid") field(COREDUMP_SIGNAL, "COREDUMP_SIGNAL", "coredump_signal")   \
        field(COREDUMP_SIGNAL_NAME, "COREDUMP_SIGNAL_NAME", "coredump_signal_name")                                    \
            field(COREDUMP_EXE, "COREDUMP_EXE", "coredump_exe") field(COREDUMP_COMM, "COREDUMP_COMM", "coredump_comm")

/* The fields an entry is made of, and where they go in metadata. */
#define JOURNAL_FIELDS(field)                                                                                          \
    field(MESSAGE, "MESSAGE", NULL) field(PRIORITY, "PRIORITY", NULL)                                                  \
        field(SOURCE_REALTIME, "_SOURCE_REALTIME_TIMESTAMP", NULL)                                                     \
            field(IDENTIFIER, "SYSLOG_IDENTIFIER", "identifier") field(COMM, "_COMM", NULL) field(EXE, "_EXE", "exe")  \
                field(UNIT, "_SYSTEMD_UNIT", "unit") field(USER_UNIT, "_SYSTEMD_USER_UNIT", "user_unit")               \
                    field(PID, "_PID", "procid") field(SYSLOG_PID, "SYSLOG_PID", NULL) field(UID, "_UID", "uid")       \
                        field(FACILITY, "SYSLOG_FACILITY", NULL) field(HOSTNAME, "_HOSTNAME", "host")                  \
                            field(TRANSPORT, "_TRANSPORT", "transport") field(MESSAGE_ID, "MESSAGE_ID", "message_id")  \
                                field(CODE_FILE, "CODE_FILE", "file") field(CODE_LINE, "CODE_LINE", "line")            \
                                    field(CODE_FUNC, "CODE_FUNC", "function") field(ERRNO, "ERRNO", "errno")           \
                                        JOURNAL_COREDUMP_FIELDS(field)

enum journal_field {
#define JOURNAL_ENUM(name, key, metadata) JOURNAL_##name,
    JOURNAL_FIELDS(JOURNAL_ENUM)
#undef JOURNAL_ENUM
        JOURNAL_FIELD_COUNT,
};

struct journal_entry {
    struct text fields[JOURNAL_FIELD_COUNT]; /* empty: not there */
    uint64_t realtime_us;                    /* when journald took it */
};

/* Put "NAME=value" into its place (the first of a name holds); other names are passed over. */
void parse_journal_field(struct journal_entry *entry, struct text data);

/* Whether the entry comes from a unit or program of ours (law 7): units taskforge.service, taskforge-* and taskforge@*;
 * identifiers, commands and executables taskforge-*. */
bool parse_journal_is_own(const struct journal_entry *entry);

/* Never fails: what is missing is left empty. */
void parse_journal(const struct journal_entry *entry, struct parse_scratch *scratch, struct parsed *ret);

#endif
