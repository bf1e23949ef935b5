/* mail_message.h - a text as a mail: RFC 5322, with a subject by RFC 2047 and a body in quoted-printable. Pure. */
#ifndef TASKFORGE_ALERTER_CHANNELS_MAIL_MESSAGE_H
#define TASKFORGE_ALERTER_CHANNELS_MAIL_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/text.h"

struct mail {
    const char *from; /* addresses, checked */
    const char *const *recipients;
    size_t recipient_count;
    struct text subject; /* any bytes; what is no UTF-8 or a control character is replaced */
    const char *id;      /* Message-ID without <>: ASCII, no space */
    const char *thread;  /* of all mails that belong together, likewise */
    uint64_t time_ns;    /* real */
    struct text body;    /* lines ended with "\n", any bytes */
};

/* Append the whole message, lines ended with CRLF and none longer than 78 characters but addresses and ids. */
void mail_append(struct buffer *out, const struct mail *mail);

#endif
