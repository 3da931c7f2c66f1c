;; A link out of /out; wherever it leads, it is no output.
;; ends: user
;; says: neither a file nor a directory
(module
  (import "wasi_snapshot_preview1" "path_symlink"
    (func $link (param i32 i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 256) "../../state.dblink")
  (func (export "_start")
    (drop (call $link (i32.const 256) (i32.const 14) (i32.const 3) (i32.const 270) (i32.const 4)))))
