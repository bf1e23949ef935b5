/* parse_line.c - which of the line parsers it is for. */
#include "agent/inputs/parse_line.h"

#include "agent/inputs/parse_json_line.h"

/* Meant to be JSON: '{' and '"' with nothing but white space before and between. */
static bool looks_like_json(struct text line) {
    size_t i = 0;
    while (i < line.length && (line.data[i] == ' ' || line.data[i] == '\t'))
        i++;
    if (i == line.length || line.data[i++] != '{')
        return false;
    while (i < line.length && (line.data[i] == ' ' || line.data[i] == '\t'))
        i++;
    return i < line.length && line.data[i] == '"';
}

void parse_line(enum config_format format, struct text line, uint64_t now_ns, struct parse_scratch *scratch,
                struct parsed *ret) {
    if (format != CONFIG_FORMAT_TEXT && parse_json_line(line, now_ns, scratch, ret) == 0)
        return;
    parse_text_line(line, format == CONFIG_FORMAT_AUTO, now_ns, scratch, ret);
    if (format == CONFIG_FORMAT_JSON || (format == CONFIG_FORMAT_AUTO && looks_like_json(line)))
        ret->repaired |= ENTRY_REPAIR_JSON;
}
