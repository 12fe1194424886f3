;; Makes lookups without end.
;;= deed
(func $deed (local $i i32)
  (loop $x (call $find (i32.const 1285) (i32.const 6) (i32.const 1291) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4096)) (br $x)))
