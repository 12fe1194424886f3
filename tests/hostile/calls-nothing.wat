;; Calls an empty element of a table.
;;= deed
(func $deed (local $i i32)
  (call_indirect $t (i32.const 0)))
;;= table
(table $t 1 funcref)
