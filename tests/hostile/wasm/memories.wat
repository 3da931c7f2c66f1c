;; More memory than allowed before the first instruction.
;; ends: refused
;; says: memory
(module
  (memory (export "memory") 65536)
  (func (export "_start")))
