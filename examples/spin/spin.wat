;; Computes for a few seconds and prints one letter: for showing what happens
;; to an invocation whose executor dies in the middle of it.
(module
  (import "wasi_snapshot_preview1" "fd_write"
    (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (local $left i64) (local $x i64)
    (local.set $left (i64.const 3000000000))
    (local.set $x (i64.const 88172645463325252))
    (loop $again
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 13))))
      (local.set $x (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 7))))
      (local.set $x (i64.xor (local.get $x) (i64.shl (local.get $x) (i64.const 17))))
      (local.set $left (i64.sub (local.get $left) (i64.const 1)))
      (br_if $again (i64.ne (local.get $left) (i64.const 0))))
    ;; The letter depends on all of it, so that nothing can be left out.
    (i32.store8 (i32.const 8) (i32.add (i32.const 97) (i32.wrap_i64 (i64.rem_u (local.get $x) (i64.const 26)))))
    (i32.store8 (i32.const 9) (i32.const 10))
    (i32.store (i32.const 0) (i32.const 8))
    (i32.store (i32.const 4) (i32.const 2))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
