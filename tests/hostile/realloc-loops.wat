;; Loops without end in realloc.
;;= realloc
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (loop $x (br $x)) (i32.const 0))
