;; Gives its input with every byte one higher, and writes its arguments so to
;; standard error. With a second argument also the input, two higher; with a
;; third its arguments, one higher, as /out/result.
(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 64) "result")
  ;; Adds one to each of $length bytes at $at and writes them to $fd.
  (func $shifted (param $fd i32) (param $at i32) (param $length i32) (local $n i32)
    (loop $next
      (if (i32.lt_u (local.get $n) (local.get $length)) (then
        (i32.store8 (i32.add (local.get $at) (local.get $n))
          (i32.add (i32.const 1) (i32.load8_u (i32.add (local.get $at) (local.get $n)))))
        (local.set $n (i32.add (local.get $n) (i32.const 1)))
        (br $next))))
    (call $all (local.get $fd) (local.get $at) (local.get $length)))
  (func $all (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 12))))
  (func (export "_start") (local $count i32) (local $size i32)
    (drop (call $sizes (i32.const 16) (i32.const 20)))
    (drop (call $args (i32.const 1024) (i32.const 4096)))
    (local.set $count (i32.load (i32.const 16)))
    (local.set $size (i32.load (i32.const 20)))
    (call $shifted (i32.const 2) (i32.const 4096) (local.get $size))
    (if (i32.ge_u (local.get $count) (i32.const 4)) (then
      (drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 6)
        (i32.const 1) (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 24)))
      (call $all (i32.load (i32.const 24)) (i32.const 4096) (local.get $size))))
    (block $done
      (loop $again
        (i32.store (i32.const 0) (i32.const 65536))
        (i32.store (i32.const 4) (i32.const 65536))
        (br_if $done (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (local.set $size (i32.load (i32.const 8)))
        (br_if $done (i32.eqz (local.get $size)))
        (call $shifted (i32.const 1) (i32.const 65536) (local.get $size))
        (if (i32.eq (local.get $count) (i32.const 3)) (then
          (call $shifted (i32.const 2) (i32.const 65536) (local.get $size))))
        (br $again)))))
