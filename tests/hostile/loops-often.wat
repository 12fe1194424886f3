;; Loops without end at every second record.
;;= deed
(func $deed (local $i i32)
  (loop $x (br $x)))
