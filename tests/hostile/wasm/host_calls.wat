;; Host calls without end, each as costly as it may be.
;; ends: deadline
;; says: 1s
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start")
    (loop $again
      (drop (call $random (i32.const 1024) (i32.const 100000)))
      (br $again))))
