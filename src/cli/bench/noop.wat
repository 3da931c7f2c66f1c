;; Does nothing, but proves that it was given its input: reads 128 bytes of
;; standard input and exits, with another code than 0 where they are fewer.
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  ;; At 0 the buffer's address, at 4 its length, at 8 how much was read.
  (func (export "_start") (local $had i32)
    (loop $more
      (i32.store (i32.const 0) (i32.add (i32.const 16) (local.get $had)))
      (i32.store (i32.const 4) (i32.sub (i32.const 128) (local.get $had)))
      (if (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8))
        (then (call $exit (i32.const 1))))
      (if (i32.eqz (i32.load (i32.const 8)))
        (then (call $exit (i32.const 2))))
      (local.set $had (i32.add (local.get $had) (i32.load (i32.const 8))))
      (br_if $more (i32.lt_u (local.get $had) (i32.const 128))))))
