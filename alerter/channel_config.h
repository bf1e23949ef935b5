/* channel_config.h - a notification channel as the rules files describe it (CONTRACT section 7): plain data, checked once
 * by rules_file.c, immutable afterwards. Owned by the struct rules it stands in.
 */
#ifndef TASKFORGE_ALERTER_CHANNEL_CONFIG_H
#define TASKFORGE_ALERTER_CHANNEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

enum channel_type { CHANNEL_WEBHOOK, CHANNEL_EMAIL };

enum {
    CHANNELS_MAX = 64,
    CHANNEL_NAME_MAX = 100, /* bytes */
    CHANNEL_RECIPIENTS_MAX = 100,
    CHANNEL_TEXT_MAX = 2048, /* bytes of a URL, an address, a password, a path */
};

/* What a key's file holds (url_file, password_file) is read when a notification is sent, without the white space at its
 * end, so that a secret can be changed without a reload. Absent texts are NULL. */
struct channel_config {
    char *name; /* unique among the channels of all rules files */
    enum channel_type type;

    /* webhook: exactly one of the two; "http://" or "https://" */
    char *url;
    char *url_file; /* absolute */

    /* email */
    char *smtp_url;    /* "smtp://HOST:PORT" or "smtps://HOST:PORT" */
    char *from;        /* one bare address: no space, no control character, no '<' or '>' */
    char **recipients; /* at least one, likewise */
    size_t recipient_count;
    bool starttls; /* the connection must become TLS, else nothing is sent */
    char *username;
    char *password;      /* at most one of the two, and only with username */
    char *password_file; /* absolute */
};

#endif
