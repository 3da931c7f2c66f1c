/* map: counts the words of a text, {"x":{"word":n,...}}, keys sorted.
 * reduce: adds two such counts. Letters and digits of ASCII and all bytes above
 * it make words; ASCII is lower-cased. What is no such count traps. */
#include "fan.h"

struct word {
    const unsigned char *text;
    int32_t length;
    uint32_t count;
};

struct words {
    struct word *all;
    int32_t count, room;
};

static int is_word(unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c >= 0x80;
}

static unsigned char lower(unsigned char c) {
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

static int order(const unsigned char *a, int32_t m, const unsigned char *b, int32_t n) {
    for (int32_t i = 0; i < m && i < n; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return m - n;
}

/* Adds to the count of a word, which is put in its place where it is new. */
static void add(struct words *words, const unsigned char *text, int32_t length, uint32_t count) {
    int32_t low = 0, high = words->count;
    while (low < high) {
        int32_t mid = low + (high - low) / 2;
        int side = order(words->all[mid].text, words->all[mid].length, text, length);
        if (side == 0) {
            words->all[mid].count += count;
            return;
        }
        if (side < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (words->count == words->room)
        __builtin_trap();
    for (int32_t i = words->count++; i > low; i--)
        words->all[i] = words->all[i - 1];
    words->all[low] = (struct word){text, length, count};
}

static struct words none(int32_t room) {
    return (struct words){take((size_t)room * sizeof(struct word)), 0, room};
}

/* A copy of the input, since the output overwrites it. */
static unsigned char *copy(const unsigned char *from, int32_t length) {
    unsigned char *to = take((size_t)length);
    for (int32_t i = 0; i < length; i++)
        to[i] = from[i];
    return to;
}

static unsigned char *put(unsigned char *to, const char *text) {
    while (*text)
        *to++ = (unsigned char)*text++;
    return to;
}

static unsigned char *put_number(unsigned char *to, uint32_t value) {
    unsigned char digits[10];
    int count = 0;
    do
        digits[count++] = (unsigned char)('0' + value % 10);
    while ((value /= 10) > 0);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

static int32_t write(unsigned char *buffer, const struct words *words) {
    unsigned char *to = put(buffer, "{\"x\":{");
    for (int32_t i = 0; i < words->count; i++) {
        to = put(to, i > 0 ? ",\"" : "\"");
        for (int32_t j = 0; j < words->all[i].length; j++)
            *to++ = words->all[i].text[j];
        to = put_number(put(to, "\":"), words->all[i].count);
    }
    return (int32_t)(put(to, "}}") - buffer);
}

EXPORT("map") int32_t map(unsigned char *buffer, int32_t length) {
    unsigned char *text = copy(buffer, length);
    struct words words = none(length / 2 + 1);
    for (int32_t at = 0; at < length;) {
        int32_t from = at;
        while (at < length && is_word(text[at] = lower(text[at])))
            at++;
        if (at > from)
            add(&words, text + from, at - from, 1);
        else
            at++;
    }
    return write(buffer, &words);
}

static const unsigned char *expect(const unsigned char *at, const unsigned char *end, const char *text) {
    for (; *text; text++, at++)
        if (at == end || *at != (unsigned char)*text)
            __builtin_trap();
    return at;
}

static void read(struct words *words, const unsigned char *at, const unsigned char *end) {
    at = expect(at, end, "{\"x\":{");
    while (at < end && *at == '"') {
        const unsigned char *word = ++at;
        while (at < end && is_word(*at))
            at++;
        int32_t length = (int32_t)(at - word);
        at = expect(at, end, "\":");
        uint32_t count = 0;
        while (at < end && *at >= '0' && *at <= '9')
            count = count * 10 + (uint32_t)(*at++ - '0');
        add(words, word, length, count);
        if (at < end && *at == ',')
            at++;
    }
    if (expect(at, end, "}}") != end)
        __builtin_trap();
}

EXPORT("reduce") int32_t reduce(unsigned char *buffer, int32_t first, int32_t second) {
    unsigned char *text = copy(buffer, first + second);
    struct words words = none((first + second) / 4 + 1);
    read(&words, text, text + first);
    read(&words, text + first, text + first + second);
    return write(buffer, &words);
}
