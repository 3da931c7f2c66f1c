;; Files /out/a, /out/b, … of 100 MiB each without writing a byte of them.
;; ends: user
;; says: output
(module
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_filestat_set_size"
    (func $size (param i32 i64) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 256) "a")
  (func (export "_start")
    (loop $again
      (drop (call $open (i32.const 3) (i32.const 0) (i32.const 256) (i32.const 1)
        (i32.const 1) (i64.const 0x400040) (i64.const 0) (i32.const 0) (i32.const 16)))
      (drop (call $size (i32.load (i32.const 16)) (i64.const 104857600)))
      (i32.store8 (i32.const 256) (i32.add (i32.load8_u (i32.const 256)) (i32.const 1)))
      (br_if $again (i32.lt_u (i32.load8_u (i32.const 256)) (i32.const 107))))
    (loop $for_ever (br $for_ever))))
