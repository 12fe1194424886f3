;; Returns an address outside its memory from realloc.
;;= realloc
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const -65536))
