;; Allocates table elements until the host refuses.
;;= deed
(func $deed (local $i i32)
  (loop $x (br_if $x (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable)
;;= table
(table $t 1 funcref)
