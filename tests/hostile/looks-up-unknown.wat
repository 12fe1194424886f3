;; Looks up a source that it does not describe, and continues.
;;= deed
(func $deed (local $i i32)
  (call $find (i32.const 1300) (i32.const 14) (i32.const 1291) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4096)))
