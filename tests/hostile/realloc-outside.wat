;; Has its arguments put beyond its memory.
;;= realloc
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const -65536))
