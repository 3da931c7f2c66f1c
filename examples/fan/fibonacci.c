/* fx: the decimal number n that it is given becomes the n-th Fibonacci number,
 * or -1 below 1; exact to n = 92. What is no number traps. */
#include "fan.h"

static int64_t number(const unsigned char *text, int32_t length) {
    int64_t value = 0;
    int32_t at = length > 0 && text[0] == '-';
    if (at == length)
        __builtin_trap();
    for (; at < length; at++) {
        if (text[at] < '0' || text[at] > '9' || value > 1000000)
            __builtin_trap();
        value = value * 10 + (text[at] - '0');
    }
    return text[0] == '-' ? -value : value;
}

static int32_t write(unsigned char *to, uint64_t value) {
    unsigned char digits[20];
    int32_t count = 0;
    do
        digits[count++] = (unsigned char)('0' + value % 10);
    while ((value /= 10) > 0);
    for (int32_t i = 0; i < count; i++)
        to[i] = digits[count - 1 - i];
    return count;
}

EXPORT("fx") int32_t fx(unsigned char *text, int32_t length) {
    int64_t n = number(text, length);
    if (n < 1) {
        text[0] = '-';
        return 1 + write(text + 1, 1);
    }
    if (n > 92)
        __builtin_trap();
    uint64_t before = 0, now = 1;
    while (--n > 0) {
        uint64_t next = before + now;
        before = now;
        now = next;
    }
    return write(text, now);
}
