/* fx: the UTF-8 text that it is given, and a tag of 21 bytes after it. What is
 * no UTF-8 traps. */
#include "fan.h"

static const char TAG[] = " (tagged by TimeRose)";

static size_t sequence(const unsigned char *at, const unsigned char *end) {
    if (*at < 0x80)
        return 1;
    size_t length = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;
    if (*at < 0xc2 || *at > 0xf4 || (size_t)(end - at) < length)
        __builtin_trap();
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            __builtin_trap();
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) ||
        (*at == 0xf0 && at[1] < 0x90) || (*at == 0xf4 && at[1] > 0x8f))
        __builtin_trap();
    return length;
}

EXPORT("fx") int32_t fx(unsigned char *text, int32_t length) {
    unsigned char *end = text + length;
    for (unsigned char *at = text; at < end;)
        at += sequence(at, end);
    for (size_t i = 0; i + 1 < sizeof TAG; i++)
        end[i] = (unsigned char)TAG[i];
    return length + (int32_t)(sizeof TAG - 1);
}
