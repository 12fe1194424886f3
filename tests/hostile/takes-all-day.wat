;; Loops at every second record, where only the time of all counts.
;;= deed
(func $deed (local $i i32)
  (loop $x (br $x)))
