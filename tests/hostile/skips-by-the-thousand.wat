;; Skips one record 20,000 times.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (call $pair (i32.add (i32.load offset=8 (local.get $answer)) (i32.const 8)) (call $alloc (i32.const 80000)) (i32.const 20000))
  (local.get $answer))
