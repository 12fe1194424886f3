;; Skips a record that does not exist.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (i32.store (i32.load offset=8 (i32.load offset=8 (local.get $answer))) (i32.const 100000))
  (local.get $answer))
