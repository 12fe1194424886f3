;; Loops without end at every second record, and only the limit on total time stops it.
;;= deed
(func $deed (local $i i32)
  (loop $x (br $x)))
