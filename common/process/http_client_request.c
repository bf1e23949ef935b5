/* One request: its checks, its curl handle with every option, and what fills the answer. */
#include "common/process/http_client_private.h"

#include "common/base/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

enum { HEADERS_MAX = 256 * 1024 }; /* of an answer, all header lines (or SMTP replies) together */
#define RETRY_AFTER_MAX_S (24 * 60 * 60)

/* --- checks --- */

int http_check_url(const char *url, enum http_scheme scheme, struct error *error) {
    const char *allowed = scheme == HTTP_SCHEME_WEB ? "http:// or https://" : "smtp:// or smtps://";
    char *found = NULL, *host = NULL;
    CURLU *parsed;
    int r = 0;

    if (strlen(url) > HTTP_URL_MAX)
        return error_set(error, -EINVAL, "the address has more than %d bytes", HTTP_URL_MAX);
    for (size_t i = 0; url[i]; i++)
        if ((unsigned char)url[i] <= ' ' || (unsigned char)url[i] >= 0x7f)
            return error_set(
                error, -EINVAL,
                "the address has a space, a control character or a byte that is not ASCII at byte %zu: write "
                "it percent-encoded",
                i + 1);
    parsed = curl_url();
    if (!parsed)
        return error_set(error, -ENOMEM, "out of memory");
    if (curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_SCHEME, &found, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK || !host[0])
        r = error_set(error, -EINVAL, "this is no address: expected %sHOST...", allowed);
    else if (scheme == HTTP_SCHEME_WEB ? strcmp(found, "http") != 0 && strcmp(found, "https") != 0
                                       : strcmp(found, "smtp") != 0 && strcmp(found, "smtps") != 0)
        r = error_set(error, -EINVAL, "the address must begin with %s", allowed);
    curl_free(found);
    curl_free(host);
    curl_url_cleanup(parsed);
    return r;
}

bool http_url_is_loopback(const char *url) {
    CURLU *parsed = curl_url();
    char *host = NULL;
    struct in_addr address;
    bool loopback = false;

    if (parsed && curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK)
        loopback = strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
                   (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
    curl_free(host);
    curl_url_cleanup(parsed);
    return loopback;
}

int http_check_header(const struct http_header *header, struct error *error) {
    if (!header->name[0] || header->name[strspn(header->name, "!#$%&'*+-.^_`|~0123456789"
                                                              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")])
        return error_set(error, -EINVAL, "\"%s\" is no header name", header->name);
    if (strlen(header->name) + strlen(header->value) > HTTP_HEADER_MAX)
        return error_set(error, -EINVAL, "the header %s has more than %d bytes", header->name, HTTP_HEADER_MAX);
    for (const char *at = header->value; *at; at++)
        if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
            return error_set(error, -EINVAL, "the header %s has a control character in its value", header->name);
    return 0;
}

int http_check_mail_address(const char *address, struct error *error) {
    if (!address[0] || strlen(address) > HTTP_MAIL_ADDRESS_MAX)
        return error_set(error, -EINVAL, "a mail address has 1 to %d bytes", HTTP_MAIL_ADDRESS_MAX);
    for (const char *at = address; *at; at++)
        if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f || strchr("<>(),:;\\\"[]", *at))
            return error_set(error, -EINVAL,
                             "\"%s\" is no mail address: write it alone (name@example.org), in ASCII, without a name "
                             "around it",
                             address);
    return 0;
}

/* --- what comes back --- */

void http_keep_line(char out[HTTP_LINE_SIZE], struct text line) {
    size_t length = line.length < HTTP_LINE_SIZE - 1 ? line.length : HTTP_LINE_SIZE - 1;

    memcpy(out, line.data, length);
    text_blank_controls(out, length);
    out[length] = '\0';
}

static size_t take_header(char *data, size_t size, size_t count, void *context) {
    struct http_request *request = context;
    struct text line = text_trim((struct text) { data, size * count });

    request->header_bytes += size * count;
    if (request->header_bytes > HEADERS_MAX)
        return 0;
    if (request->mail) {
        http_mail_reply(request, line);
    } else if (text_starts_with(line, TEXT_LITERAL("HTTP/")))
        http_keep_line(request->line, line);
    else if (line.length == 0) {
        long status = 0;

        curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
        request->headers_over = status >= 200;
    }
    return size * count;
}

static size_t take_body(char *data, size_t size, size_t count, void *context) {
    struct http_request *request = context;
    size_t length = size * count, room = request->answer_max - request->answer.length;

    buffer_append(&request->answer, data, length < room ? length : room);
    if (length <= room && !request->answer.failed)
        return length;
    request->cut = true;
    return 0; /* enough: curl closes the connection */
}

void http_request_end(struct http_request *request, CURLcode code) {
    long status = 0;
    curl_off_t retry_after = 0;

    curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after);
    if (retry_after > 0)
        request->retry_after_ns =
            (uint64_t)(retry_after < RETRY_AFTER_MAX_S ? retry_after : RETRY_AFTER_MAX_S) * CLOCK_SECOND;
    if (request->mail)
        http_mail_end(request, code);
    else if (request->headers_over)
        request->status = (unsigned)status;
    if (request->status) {
        request->failure[0] = '\0';
        return;
    }
    request->timed_out = code == CURLE_OPERATION_TIMEDOUT;
    if (!request->failure[0])
        snprintf(request->failure, sizeof(request->failure), "%s", curl_easy_strerror(code));
    text_blank_controls(request->failure, strlen(request->failure));
}

/* --- a handle --- */

static int check_message(const struct http_message *message, bool mail, struct error *error) {
    int r = http_check_url(message->url, mail ? HTTP_SCHEME_MAIL : HTTP_SCHEME_WEB, error);

    if (r == 0 && message->body.length > HTTP_BODY_MAX)
        return error_set(error, -E2BIG, "the body has more than %d bytes", HTTP_BODY_MAX);
    for (size_t i = 0; r == 0 && i < message->header_count; i++)
        r = http_check_header(&message->headers[i], error);
    if (r == 0 && mail)
        r = http_check_mail_address(message->from ? message->from : "", error);
    for (size_t i = 0; r == 0 && i < message->recipient_count; i++)
        r = http_check_mail_address(message->recipients[i], error);
    if (r == 0 && mail && (message->recipient_count == 0 || message->body.length == 0))
        r = error_set(error, -EINVAL, "the mail has no recipient or no text");
    return r;
}

static bool append(struct curl_slist **list, const char *text) {
    struct curl_slist *longer = curl_slist_append(*list, text);

    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool append_header(struct curl_slist **list, const struct http_header *header) {
    char line[HTTP_HEADER_MAX + 8];

    snprintf(line, sizeof(line), header->value[0] ? "%s: %s" : "%s;", header->name, header->value);
    return append(list, line);
}

static long milliseconds(uint64_t ns, uint64_t otherwise_ns) {
    uint64_t ms = (ns ? ns : otherwise_ns) / CLOCK_MILLISECOND;

    return ms == 0 ? 1 : ms > 86400000 ? 86400000 : (long)ms;
}

/* Options of both kinds. The values are constants and strings that were checked: only memory can fail them, which shows at
 * the latest when the request is made. */
static void set_common(struct http_request *request, const struct http_message *message) {
    CURL *easy = request->easy;

    curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->failure);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* nobody waits for a name server's thread */
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, request->mail ? "smtp,smtps" : "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (message->ca_file)
        curl_easy_setopt(easy, CURLOPT_CAINFO, message->ca_file);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS,
                     milliseconds(message->connect_timeout_ns, HTTP_CONNECT_TIMEOUT_NS));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(message->timeout_ns, HTTP_TIMEOUT_NS));
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
    curl_easy_setopt(easy, CURLOPT_URL, message->url);
}

static bool set_http(struct http_request *request, const struct http_message *message) {
    CURL *easy = request->easy;

    for (size_t i = 0; i < message->header_count; i++)
        if (!append_header(&request->headers, &message->headers[i]))
            return false;
    if (message->body.length > 0) {
        if (!append(&request->headers, "Expect:")) /* the body at once, no "100-continue" before it */
            return false;
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.length);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body.data);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers);
    if (message->own_connection) {
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    }
    return true;
}

static bool set_mail(struct http_request *request, const struct http_message *message) {
    CURL *easy = request->easy;

    for (size_t i = 0; i < message->recipient_count; i++)
        if (!append(&request->recipients, message->recipients[i]))
            return false;
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, message->from);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, request->recipients);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT_ALLLOWFAILS, 1L); /* one wrong address keeps the mail from nobody else */
    curl_easy_setopt(easy, CURLOPT_USE_SSL, (long)(message->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (message->username) {
        curl_easy_setopt(easy, CURLOPT_USERNAME, message->username);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, message->password ? message->password : "");
    }
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, http_mail_read);
    curl_easy_setopt(easy, CURLOPT_READDATA, request);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, http_mail_progress);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, request);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
    return true;
}

int http_request_create(struct http_client *client, const struct http_message *message, struct http_request **ret,
                        struct error *error) {
    bool mail = strncasecmp(message->url, "smtp", 4) == 0;
    struct http_request *request;
    int r = check_message(message, mail, error);

    if (r < 0)
        return r;
    request = calloc(1, sizeof(*request));
    if (!request)
        return error_set(error, -ENOMEM, "out of memory");
    request->client = client;
    request->mail = mail;
    request->answer_max = message->answer_max < HTTP_ANSWER_MAX ? message->answer_max : HTTP_ANSWER_MAX;
    buffer_append_text(&request->body, message->body);
    request->easy = curl_easy_init();
    if (!request->easy || request->body.failed) {
        http_request_destroy(request);
        return error_set(error, -ENOMEM, "out of memory");
    }
    set_common(request, message);
    if (!(mail ? set_mail(request, message) : set_http(request, message))) {
        http_request_destroy(request);
        return error_set(error, -ENOMEM, "out of memory");
    }
    *ret = request;
    return 0;
}

void http_request_destroy(struct http_request *request) {
    curl_easy_cleanup(request->easy);
    curl_slist_free_all(request->headers);
    curl_slist_free_all(request->recipients);
    buffer_finish(&request->body);
    buffer_finish(&request->answer);
    free(request);
}
