;; A result longer than the buffer for it.
;; abi: fan
;; ends: user
;; says: larger than its buffer
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 0))
  (func (export "run") (param i32) (result i32) (i32.const 2147483647)))
