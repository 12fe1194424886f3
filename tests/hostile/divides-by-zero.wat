;; Divides by zero.
;;= deed
(func $deed (local $i i32)
  (drop (i32.div_u (i32.const 1) (local.get $i))))
