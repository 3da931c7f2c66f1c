/* What every function of the function-addressable network has in common: a
 * memory that only grows, and `alloc`, by which the host gets a buffer. */
#ifndef FAN_H
#define FAN_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

extern unsigned char __heap_base;
static uintptr_t heap_end = (uintptr_t)&__heap_base;

/* Gives `size` bytes, aligned to 8; traps where memory cannot grow. */
static void *take(size_t size) {
    uintptr_t at = (heap_end + 7) & ~(uintptr_t)7;
    size_t pages = (at + size + 0xffff) >> 16;
    size_t has = __builtin_wasm_memory_size(0);
    if (pages > has && __builtin_wasm_memory_grow(0, pages - has) == (size_t)-1)
        __builtin_trap();
    heap_end = at + size;
    return (void *)at;
}

EXPORT("alloc") unsigned char *alloc(int32_t size) {
    return take((size_t)(uint32_t)size);
}

#endif
