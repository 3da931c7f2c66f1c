;; A buffer outside the memory.
;; abi: fan
;; ends: user
;; says: its memory has
(module
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 2147483000))
  (func (export "run") (param i32) (result i32) (i32.const 1)))
