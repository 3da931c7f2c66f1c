;; Folders within folders, far deeper than any path reaches.
;; ends: user
;; says: deeper than
(module
  (import "wasi_snapshot_preview1" "path_create_directory"
    (func $create (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 256) "a")
  (func (export "_start")
    (local $folder i32) (local $depth i32)
    (local.set $folder (i32.const 3))
    (loop $deeper
      (if (call $create (local.get $folder) (i32.const 256) (i32.const 1)) (then (unreachable)))
      (if (call $open (local.get $folder) (i32.const 0) (i32.const 256) (i32.const 1)
            (i32.const 2) (i64.const 0x6200) (i64.const 0x6200) (i32.const 0) (i32.const 0))
        (then (unreachable)))
      (drop (call $close (local.get $folder)))
      (local.set $folder (i32.load (i32.const 0)))
      (local.set $depth (i32.add (local.get $depth) (i32.const 1)))
      (br_if $deeper (i32.lt_u (local.get $depth) (i32.const 1000000))))))
