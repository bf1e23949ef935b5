#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/store/block.h"

enum { ROWS = 400, MESSAGE = 160 };

static unsigned seed = 11;

static unsigned below(unsigned limit) {
    return (unsigned)rand_r(&seed) % limit;
}

struct row {
    char message[MESSAGE];
    struct entry_argument arguments[8];
    struct entry entry;
};

static void put(struct row *row, const char *text) {
    size_t length = strlen(row->message);
    snprintf(row->message + length, MESSAGE - length, "%s", text);
}

static void put_argument(struct row *row, const char *text) {
    size_t begin = strlen(row->message);
    put(row, text);
    row->arguments[row->entry.argument_count++] =
        (struct entry_argument) { (uint16_t)begin, (uint16_t)(strlen(row->message) - begin) };
}

/* Plain text to be mined: few letters, so that needles meet much of it. */
static void make_plain(struct row *row) {
    static const char *const parts[] = { "ab", "ba",       "a1", "12", "1",    " ", " ",
                                         "=",  "\"ab a\"", "'",  ".",  "\x11", "b", "aab ba1 " };
    for (unsigned i = 0, count = 1 + below(12); i < count; i++)
        put(row, parts[below(i % 3 ? 5 : 14)]);
}

/* What a call site gives: gaps inside words, next to each other, at both ends, and without anything in them. */
static void make_templated(struct row *row) {
    static const char *const arguments[] = { "", "a", "b", "ab", "aba", "12", "b a", "1", "2", "11", "21" };
    unsigned form = below(4),
             first = below(2) ? 0 : 7; /* in some gaps all have digits, in some there is never nothing */
    row->entry.templated = true;
    row->entry.arguments = row->arguments;
    if (form != 0)
        put(row, form == 1 ? "ab" : "ba a");
    for (unsigned i = 0, count = below(4); i < count; i++) {
        put_argument(row, arguments[first + below(first ? 4 : 7)]);
        if (form > i)
            put(row, first ? "=1" : form == 2 ? "b" : " ab");
    }
}

static void make(struct row *row) {
    *row = (struct row) { .entry = { .service = TEXT_LITERAL("s"), .module = TEXT_LITERAL("m") } };
    if (below(2))
        make_plain(row);
    else
        make_templated(row);
    row->entry.message = text_of(row->message);
}

static struct block *build(const struct row *rows, uint32_t count, struct buffer *out) {
    struct block_builder *builder;
    struct block *block;
    assert_int_equal(block_builder_create(&builder), 0);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(block_builder_add(builder, &rows[i].entry), 0);
    assert_int_equal(block_builder_encode(builder, 1, out), 0);
    block_builder_destroy(builder);
    assert_int_equal(block_open(buffer_text(out), 1, &block, NULL), 0);
    return block;
}

/* A byte of the column's stored bytes turned over; where they are is told in block.h. */
static void damage_column(struct buffer *encoded, unsigned column) {
    uint16_t columns, id;
    uint32_t at;
    memcpy(&columns, encoded->data + 6, sizeof(columns));
    for (size_t i = 0; i < columns; i++) {
        const char *place = encoded->data + 16 + 32 * i;
        memcpy(&id, place, sizeof(id));
        memcpy(&at, place + 12, sizeof(at));
        if (id == column)
            encoded->data[16 + 32 * (size_t)columns + 8 + at] ^= 1;
    }
}

static void make_needle(const struct row *rows, char needle[MESSAGE]) {
    static const char letters[] = "ab12 =\"\x11";
    const char *message = rows[below(ROWS)].message;
    size_t length = strlen(message);
    if (below(4) == 0 || length == 0) {
        size_t size = 1 + below(4);
        for (size_t i = 0; i < size; i++)
            needle[i] = letters[below(sizeof(letters) - 1)];
        needle[size] = '\0';
        return;
    }
    size_t begin = below((unsigned)length), size = 1 + below((unsigned)(length - begin));
    snprintf(needle, MESSAGE, "%.*s", (int)size, message + begin);
    if (below(8) == 0)
        needle[below((unsigned)size)] = 'b';
}

static void finds_what_a_plain_search_finds_whatever_is_sought(void **state) {
    (void)state;
    static struct row rows[ROWS];
    static uint8_t marks[ROWS];
    unsigned rounds = getenv("TASKFORGE_LONG") ? 200 : 10;
    for (unsigned round = 0; round < rounds; round++) {
        struct buffer encoded = BUFFER_EMPTY;
        for (uint32_t i = 0; i < ROWS; i++)
            make(&rows[i]);
        struct block *block = build(rows, ROWS, &encoded);
        for (unsigned i = 0; i < 1000; i++) {
            char needle[MESSAGE];
            uint32_t from = below(ROWS), to = from + below(ROWS - from + 1);
            make_needle(rows, needle);
            memset(marks, 0, sizeof(marks));
            assert_int_equal(block_mark_messages(block, text_of(needle), from, to, marks, NULL), 0);
            for (uint32_t row = from; row < to; row++)
                assert_int_equal(marks[row - from], strstr(rows[row].message, needle) != NULL);
        }
        block_destroy(block);
        buffer_finish(&encoded);
    }
}

/* Rows of which no argument can hold any of " mailbox ", but some of what else is sought; a block whose arguments are damaged tells what was loaded. */
static void leaves_arguments_alone_that_cannot_hold_what_is_sought(void **state) {
    (void)state;
    static struct row rows[ROWS];
    static const struct {
        const char *needle;
        int result;
        uint32_t found;
    } cases[] = {
        { " mailbox ", 0, ROWS / 2 },   { "job ", 0, ROWS },
        { "zeppelin", 0, 0 },           { "job of", 0, 0 }, /* none is so short */
        { "job 12345 of", 0, 0 },                           /* nor so long */
        { "mailbox nobo now", 0, 0 },                       /* all have a digit */
        { "o of mailbox", 0, 0 },       { "12345678901234567890", 0, 0 },
        { "17", -EBADMSG, 0 },          { "1 of", -EBADMSG, 0 },
        { "job 1", -EBADMSG, 0 },       { "job 123 of", -EBADMSG, 0 },
        { "mailbox nob", -EBADMSG, 0 }, { "mailbox nob1 now", -EBADMSG, 0 },
    };
    struct buffer encoded = BUFFER_EMPTY;
    for (uint32_t i = 0; i < ROWS; i++) {
        rows[i] = (struct row) { .entry = { .service = TEXT_LITERAL("s") } };
        snprintf(rows[i].message, MESSAGE, i % 2 ? "job %u of mailbox nob%u now" : "job %u is nob%u", i, i);
        rows[i].entry.message = text_of(rows[i].message);
    }
    block_destroy(build(rows, ROWS, &encoded));
    damage_column(&encoded, BLOCK_ARGUMENT);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint8_t marks[ROWS] = { 0 };
        uint32_t found = 0;
        struct block *block;
        assert_int_equal(block_open(buffer_text(&encoded), 1, &block, NULL), 0);
        assert_int_equal(block_mark_messages(block, text_of(cases[i].needle), 0, ROWS, marks, NULL), cases[i].result);
        for (uint32_t row = 0; row < ROWS && cases[i].result == 0; row++)
            found += marks[row];
        assert_int_equal(found, cases[i].found);
        block_destroy(block);
    }
    buffer_finish(&encoded);
}

static void gives_every_message_back_one_by_one(void **state) {
    (void)state;
    static struct row rows[ROWS];
    struct buffer encoded = BUFFER_EMPTY, message = BUFFER_EMPTY;
    for (uint32_t i = 0; i < ROWS; i++)
        make(&rows[i]);
    struct block *block = build(rows, ROWS, &encoded);
    assert_int_equal(block_load(block, BLOCK_ARGUMENT, NULL), 0);
    for (uint32_t row = 0; row < ROWS; row++) {
        buffer_clear(&message);
        block_append_message(block, row, &message);
        assert_true(text_equal(buffer_text(&message), rows[row].entry.message));
    }
    block_destroy(block);
    buffer_finish(&encoded);
    buffer_finish(&message);
}

static void is_template(const char *message, const char *template) {
    struct row row = { .entry = { .service = TEXT_LITERAL("s") } };
    struct buffer encoded = BUFFER_EMPTY;
    snprintf(row.message, sizeof(row.message), "%s", message);
    row.entry.message = text_of(row.message);
    struct block *block = build(&row, 1, &encoded);
    assert_int_equal(block_load(block, BLOCK_TEMPLATE, NULL), 0);
    assert_int_equal(block_template_count(block), 1);
    struct text text = block_template_text(block, block_statements(block)[block_statement_rows(block)[0]].template);
    char shown[MESSAGE];
    for (size_t i = 0; i <= text.length; i++)
        shown[i] = i == text.length ? '\0' : text.data[i] == BLOCK_GAP ? '*' : text.data[i];
    assert_string_equal(shown, template);
    block_destroy(block);
    buffer_finish(&encoded);
}

static void takes_numbers_ids_and_quoted_parts_for_arguments(void **state) {
    (void)state;
    is_template("started", "started");
    is_template("took 12.5 ms", "took * ms");
    is_template("took 12.5ms.", "took *.");
    is_template("job thumbnail-1234 of queue \"mail\"", "job * of queue \"*\"");
    is_template("it's done, isn't it", "it's done, isn't it");
    is_template("user 'al ice' and \"bo, b\"", "user '*' and \"*\"");
    is_template("GET /api/v1/orders/17?page=2 from 10.0.1.7:8080", "GET /api/*/orders/*?page=* from *:*");
    is_template("id 01890a5d-ac96-774b-bcce-b302099a8057", "id *");
    is_template("x=1,y=-2", "x=*,y=*");
    is_template("1", "*");
    is_template("\xc3\xa4"
                "1 \xc3\xbc",
                "* \xc3\xbc");
    is_template("said \"\"", "said \"\"");
    is_template("a \x11 1", "*");
    is_template("0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 x",
                "* * * * * * * * * * * * * * * * * * * * * * * * * * * * * * * *");
}

/* A word in each row that no other has, without a digit: nothing to mine, and yet it must not cost a template each. */
static void gives_up_on_text_without_statements(void **state) {
    (void)state;
    static struct row rows[4000];
    struct buffer encoded = BUFFER_EMPTY;
    for (uint32_t i = 0; i < 4000; i++) {
        rows[i] = (struct row) { .entry = { .service = TEXT_LITERAL("s") } };
        snprintf(rows[i].message, MESSAGE, "word %c%c%c here", 'a' + (int)i % 26, 'a' + (int)i / 26 % 26,
                 'a' + (int)i / 676);
        rows[i].entry.message = text_of(rows[i].message);
    }
    struct block *block = build(rows, 4000, &encoded);
    assert_int_equal(block_load_all(block, NULL), 0);
    assert_in_range(block_template_count(block), 200, 1000);
    for (uint32_t row = 0; row < 4000; row++)
        assert_true(text_equal(block_text(block, BLOCK_MESSAGE, row), rows[row].entry.message));
    block_destroy(block);
    buffer_finish(&encoded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_numbers_ids_and_quoted_parts_for_arguments),
        cmocka_unit_test(gives_up_on_text_without_statements),
        cmocka_unit_test(gives_every_message_back_one_by_one),
        cmocka_unit_test(leaves_arguments_alone_that_cannot_hold_what_is_sought),
        cmocka_unit_test(finds_what_a_plain_search_finds_whatever_is_sought),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
