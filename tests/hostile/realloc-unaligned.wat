;; Returns an unaligned address from realloc.
;;= realloc
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.add (i32.const 1) (call $alloc (i32.add (i32.const 1) (local.get 3)))))
