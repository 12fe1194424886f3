;; Writes a log entry with an undeclared code and an invalid position.
;;= deed
(func $deed (local $i i32)
  (call $log (i32.const 1) (i32.const 1280) (i32.const 5) (i32.const 1) (i32.const 706213)))
