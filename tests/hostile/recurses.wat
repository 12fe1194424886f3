;; Recurses without end.
;;= deed
(func $deed (local $i i32)
  (call $deed) (call $deed))
