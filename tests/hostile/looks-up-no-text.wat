;; Looks up a source whose name is not UTF-8.
;;= deed
(func $deed (local $i i32)
  (i32.store8 (i32.const 3000) (i32.const 255))(call $find (i32.const 3000) (i32.const 1) (i32.const 1291) (i32.const 9) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 4096)))
