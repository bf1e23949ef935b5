/* match_statement.c - level, service, module, operation and template: judged once for each statement of the block, of which there are
 * some hundred, whatever the number of rows. */
#include <errno.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/query/match_private.h"

static const struct {
    enum filter_field field;
    enum block_column column;
} names[] = {
    { FILTER_SERVICE, BLOCK_SERVICE },
    { FILTER_MODULE, BLOCK_MODULE },
    { FILTER_OPERATION, BLOCK_OPERATION },
};

static uint16_t place_of(const struct block_statement *statement, enum filter_field field) {
    return field == FILTER_SERVICE  ? statement->service
           : field == FILTER_MODULE ? statement->module
                                    : statement->operation;
}

static int judge_name(const struct filter *filter, enum filter_field field, struct text name, struct error *error) {
    if (field == FILTER_SERVICE && (name.length == 0 || !filter_has_service(filter, name))) /* none: gone (gone.h) */
        return 0;
    for (uint32_t i = 0; i < filter->matcher_count; i++) {
        if (filter->matchers[i].field != field)
            continue;
        int status = filter_matcher_text(&filter->matchers[i], name, error);
        if (status <= 0)
            return status;
    }
    return 1;
}

static int judge_template(const struct matching *matching, uint32_t template) {
    const struct filter *filter = matching->filter;
    uint64_t id = block_template_id(matching->block, template);
    for (uint32_t i = 0; i < filter->matcher_count; i++) {
        if (filter->matchers[i].field != FILTER_TEMPLATE)
            continue;
        int status = filter_matcher_template(&filter->matchers[i], id, matching->error);
        if (status <= 0)
            return status;
    }
    return 1;
}

/* Rule out the statements one of whose names, by its dictionary, does not pass. */
static int rule_out_names(struct matching *matching, enum filter_field field, enum block_column column) {
    struct block *block = matching->block;
    int status = block_load(block, column, matching->error);
    uint32_t size = status < 0 ? 0 : block_dictionary_size(block, column);
    uint8_t *passes = status < 0 ? NULL : calloc(size ? size : 1, 1);
    if (!passes)
        return status < 0 ? status : match_no_memory(matching->error);
    for (uint32_t i = 0; i < size && status >= 0; i++) {
        status = judge_name(matching->filter, field, block_dictionary_text(block, column, i), matching->error);
        passes[i] = status > 0;
    }
    const struct block_statement *statements = block_statements(block);
    for (uint32_t i = 0; i < block_statement_count(block) && status >= 0; i++)
        matching->verdicts[i] &= passes[place_of(&statements[i], field)];
    free(passes);
    return status < 0 ? status : 0;
}

static int rule_out_templates(struct matching *matching) {
    struct block *block = matching->block;
    int status = block_load(block, BLOCK_TEMPLATE, matching->error);
    if (status < 0)
        return status;
    const struct block_statement *statements = block_statements(block);
    for (uint32_t i = 0; i < block_statement_count(block) && status >= 0; i++) {
        if (!matching->verdicts[i])
            continue;
        status = judge_template(matching, statements[i].template);
        matching->verdicts[i] = status > 0;
    }
    return status < 0 ? status : 0;
}

static int judge_statements(struct matching *matching) {
    const struct block_statement *statements = block_statements(matching->block);
    uint32_t count = block_statement_count(matching->block);
    int status = match_need_verdicts(matching, count);
    for (uint32_t i = 0; i < count && status == 0; i++)
        matching->verdicts[i] = (matching->filter->levels & 1u << statements[i].level) != 0;
    for (size_t i = 0; i < COUNT_OF(names) && status == 0; i++)
        if (match_asks_for(matching->filter, names[i].field))
            status = rule_out_names(matching, names[i].field, names[i].column);
    if (status == 0 && match_asks_for(matching->filter, FILTER_TEMPLATE))
        status = rule_out_templates(matching);
    return status;
}

int match_by_statement(struct matching *matching) {
    const struct filter *filter = matching->filter;
    struct row_set *set = matching->set;
    bool asked = filter->levels != FILTER_ALL_LEVELS || match_asks_for(filter, FILTER_TEMPLATE);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        asked |= match_asks_for(filter, names[i].field);
    if (!asked)
        return 0;
    int status = block_load(matching->block, BLOCK_STATEMENT, matching->error);
    if (status == 0)
        status = judge_statements(matching);
    if (status < 0)
        return status;
    const uint16_t *rows = block_statement_rows(matching->block);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t row = set->rows[i];
        set->rows[kept] = row;
        kept += matching->verdicts[rows[row]];
    }
    set->count = kept;
    return 0;
}
