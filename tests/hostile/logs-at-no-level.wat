;; Writes a log entry with an unknown level.
;;= deed
(func $deed (local $i i32)
  (call $log (i32.const 200) (i32.const 1314) (i32.const 11) (i32.const 0) (i32.const 0)))
