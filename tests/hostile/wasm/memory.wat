;; ends: user
;; says: memory
(module
  (memory (export "memory") 1)
  (func (export "_start")
    (loop $again
      (memory.fill
        (i32.mul (memory.grow (i32.const 256)) (i32.const 65536))
        (i32.const 1)
        (i32.const 16777216))
      (br $again))))
