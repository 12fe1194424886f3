;; Looks up keys whose ends are beyond their bytes.
;;= deed
(func $deed (local $i i32)
  (i32.store (i32.const 3000) (i32.const 99))(call $find (i32.const 1285) (i32.const 6) (i32.const 1291) (i32.const 9) (i32.const 1024) (i32.const 1) (i32.const 3000) (i32.const 1) (i32.const 4096)))
