/* rules_channels.c - the channels of a rules file: a list whose items have keys by their type. */
#include "alerter/rules_read.h"

#include "common/base/check.h"
#include "common/process/http_client.h"

#include <stdio.h>
#include <stdlib.h>

static void read_type(struct config_reader *reader, const struct config_value *value, void *field) {
    (void)reader, (void)value, (void)field; /* read before, to choose the table */
}

/* As the client takes it, with the scheme written out. */
static bool is_url(const char *text, const char *const *schemes, enum http_scheme scheme) {
    struct error why;
    for (; *schemes; schemes++) {
        size_t length = strlen(*schemes);
        if (strncmp(text, *schemes, length) == 0)
            return text[length] != '\0' && !strchr("/:?#", text[length]) && strlen(text) <= CHANNEL_TEXT_MAX &&
                   http_check_url(text, scheme, &why) == 0;
    }
    return false;
}

static void read_url(struct config_reader *reader, const struct config_value *value, void *field) {
    static const char *const schemes[] = { "http://", "https://", NULL };
    const char *text = config_text(reader, value);
    if (text && !is_url(text, schemes, HTTP_SCHEME_WEB))
        config_fault_of(reader, value, "must be a URL such as http://127.0.0.1:9000/alert, not \"%.60s\"", text);
    else if (text)
        config_keep(reader, field, text);
}

static void read_smtp_url(struct config_reader *reader, const struct config_value *value, void *field) {
    static const char *const schemes[] = { "smtp://", "smtps://", NULL };
    const char *text = config_text(reader, value);
    if (text && !is_url(text, schemes, HTTP_SCHEME_MAIL))
        config_fault_of(reader, value, "must be a URL such as smtp://127.0.0.1:25, not \"%.60s\"", text);
    else if (text && strchr(text, '@'))
        config_fault_of(reader, value, "must not hold a user; write username and password_file instead");
    else if (text)
        config_keep(reader, field, text);
}

/* As the client takes it, and with exactly one '@', none at an end. */
static bool is_address(const char *text) {
    const char *at = strchr(text, '@');
    struct error why;
    return at && at != text && at[1] != '\0' && !strchr(at + 1, '@') && http_check_mail_address(text, &why) == 0;
}

static void read_address(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    if (text && !is_address(text))
        config_fault_of(reader, value, "must be a mail address such as a@example.org, not \"%.60s\"", text);
    else if (text)
        config_keep(reader, field, text);
}

static void read_recipients(struct config_reader *reader, const struct config_value *value, void *field) {
    struct channel_config *channel = field;
    const struct yaml_tree_node *list = rules_list(reader, value, CHANNEL_RECIPIENTS_MAX, "[b@example.org]");
    if (!list)
        return;
    if (list->count == 0)
        config_fault_of(reader, value, "must name at least one address");
    channel->recipients = calloc(list->count + 1, sizeof(*channel->recipients));
    if (!channel->recipients) {
        reader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct config_value item = { list->children[i], value->where, value->key };
        read_address(reader, &item, &channel->recipients[channel->recipient_count]);
        channel->recipient_count += channel->recipients[channel->recipient_count] != NULL;
    }
}

/* By bytes too: the outbox keeps it in so many. */
static void read_name(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    if (text && strlen(text) > CHANNEL_NAME_MAX && text_utf8_count(text_of(text)) <= CHANNEL_NAME_MAX)
        config_fault_of(reader, value, "must have at most %d bytes", CHANNEL_NAME_MAX);
    else if (text)
        rules_read_line(reader, value, field);
}

static void read_flag(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = value->node->kind == YAML_TREE_SCALAR && value->node->plain ? value->node->text : "";
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
        *(bool *)field = text[0] == 't';
    else
        config_fault_of(reader, value, "must be true or false");
}

static const struct config_choice formats[] = {
    { "taskforge", 0, false },
    { "alertmanager", 1, true },
    { .name = NULL },
};

/* There is one format: it is judged, and nothing is to be kept. */
static void read_format(struct config_reader *reader, const struct config_value *value, void *field) {
    const char *text = config_text(reader, value);
    int chosen;
    (void)field;
    if (text)
        (void)config_choose(reader, value, text, &chosen);
}

#define FIELD(field) offsetof(struct channel_config, field)
#define TYPE_KEY                                                                                                       \
    { .name = "type", .read = read_type }
#define NAME_KEY                                                                                                       \
    { .name = "name", .read = read_name, .offset = FIELD(name), .max = CHANNEL_NAME_MAX }

static const struct config_key webhook_keys[] = {
    TYPE_KEY,
    NAME_KEY,
    { .name = "url", .read = read_url, .offset = FIELD(url) },
    { .name = "url_file", .read = config_read_path, .offset = FIELD(url_file) },
    { .name = "format", .read = read_format, .choices = formats },
    { .name = NULL },
};
static const struct config_key email_keys[] = {
    TYPE_KEY,
    NAME_KEY,
    { .name = "smtp_url", .read = read_smtp_url, .offset = FIELD(smtp_url) },
    { .name = "from", .read = read_address, .offset = FIELD(from) },
    { .name = "recipients", .read = read_recipients },
    { .name = "starttls", .read = read_flag, .offset = FIELD(starttls) },
    { .name = "username", .read = rules_read_line, .offset = FIELD(username), .max = CHANNEL_TEXT_MAX },
    { .name = "password", .read = rules_read_line, .offset = FIELD(password), .max = CHANNEL_TEXT_MAX },
    { .name = "password_file", .read = config_read_path, .offset = FIELD(password_file) },
    { .name = NULL },
};

static const struct channel_type_keys {
    const char *name;
    enum channel_type type;
    const struct config_key *keys; /* NULL: not built yet */
    const char *where;
} types[] = {
    { "webhook", CHANNEL_WEBHOOK, webhook_keys, "a webhook channel" },
    { "email", CHANNEL_EMAIL, email_keys, "an email channel" },
    { .name = "slack" },
    { .name = "pagerduty" },
    { .name = "alertmanager" },
};

static const struct channel_type_keys *find_type(struct config_reader *reader, const struct yaml_tree_node *item) {
    const struct yaml_tree_node *node = config_find(item, "type");
    if (!node) {
        config_fault_at(reader, item, "a channel needs a type: webhook or email");
        return NULL;
    }
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        if (node->kind != YAML_TREE_SCALAR || strcmp(node->text, types[i].name) != 0)
            continue;
        if (types[i].keys)
            return &types[i];
        config_fault_at(reader, node, "channels of type %s are not built yet", types[i].name);
        return NULL;
    }
    config_fault_at(reader, node, "a channel's type must be webhook or email, not \"%.60s\"",
                    node->kind == YAML_TREE_SCALAR ? node->text : yaml_tree_describe(node));
    return NULL;
}

/* Keys that belong together; said only of keys that are not written, or both are: others have their fault already. */
static void judge_webhook(struct config_reader *reader, const struct yaml_tree_node *item) {
    bool url = config_find(item, "url"), file = config_find(item, "url_file");
    if (url == file)
        config_fault_at(reader, item, "a webhook channel needs %s",
                        url ? "one of url and url_file, not both" : "a url");
}

static void judge_email(struct config_reader *reader, const struct yaml_tree_node *item,
                        const struct channel_config *channel) {
    static const char *const needed[] = { "smtp_url", "from", "recipients" };
    for (size_t i = 0; i < COUNT_OF(needed); i++)
        if (!config_find(item, needed[i]))
            config_fault_at(reader, item, "an email channel needs %s", needed[i]);
    bool password = config_find(item, "password") || config_find(item, "password_file");
    if (config_find(item, "password") && config_find(item, "password_file"))
        config_fault_at(reader, item, "an email channel has one of password and password_file, not both");
    if (password && !config_find(item, "username"))
        config_fault_at(reader, item, "an email channel with a password needs a username");
    if (!password && config_find(item, "username"))
        config_fault_at(reader, item, "an email channel with a username needs a password_file");
    if (channel->username && channel->smtp_url && !channel->starttls &&
        !text_starts_with(text_of(channel->smtp_url), TEXT_LITERAL("smtps:")) &&
        !http_url_is_loopback(channel->smtp_url))
        config_fault_at(reader, item,
                        "the password would go over the network in clear: set starttls: true, or write smtps://");
}

static void read_channel(struct config_reader *reader, const struct yaml_tree_node *item, struct rules *rules) {
    if (item->kind != YAML_TREE_MAPPING) {
        config_fault_at(reader, item,
                        "a channel must be a mapping such as { name: hook, type: webhook, url: ... }, not %s",
                        yaml_tree_describe(item));
        return;
    }
    const struct channel_type_keys *type = find_type(reader, item);
    const struct yaml_tree_node *name = config_find(item, "name");
    if (!name)
        config_fault_at(reader, item, "a channel needs a name");
    struct channel_config channel = { .type = type ? type->type : CHANNEL_WEBHOOK };
    if (type)
        config_read_section(reader, item, type->where, type->keys, &channel);
    if (type && type->type == CHANNEL_WEBHOOK)
        judge_webhook(reader, item);
    if (type && type->type == CHANNEL_EMAIL)
        judge_email(reader, item, &channel);
    if (type && channel.name && rules_channel(rules, channel.name))
        config_fault_at(reader, name, "two channels are named \"%s\"; give this one a name of its own", channel.name);
    if (type && channel.name && rules->channel_count < CHANNELS_MAX)
        rules->channels[rules->channel_count++] = channel;
    else
        channel_config_finish(&channel);
}

void rules_read_channels(struct config_reader *reader, const struct config_value *value, void *field) {
    struct rules *rules = field;
    const struct yaml_tree_node *list =
        rules_list(reader, value, CHANNELS_MAX - rules->channel_count, "[{ name: hook, type: webhook, url: ... }]");
    if (!list)
        return;
    if (!rules->channels)
        rules->channels = calloc(CHANNELS_MAX, sizeof(*rules->channels));
    if (!rules->channels) {
        reader->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        read_channel(reader, list->children[i], rules);
}
