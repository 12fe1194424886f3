;; Loops without end at a record.
;;= deed
(func $deed (local $i i32)
  (loop $x (br $x)))
