;; ends: user
;; says: stack
(module
  (memory (export "memory") 1)
  (func $f (export "_start") (call $f) (call $f)))
