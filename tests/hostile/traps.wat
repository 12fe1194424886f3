;; Traps at a record.
;;= deed
(func $deed (local $i i32)
  unreachable)
