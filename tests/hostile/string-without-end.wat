;; Returns a string of 100 MB that does not exist.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (drop (call $issue (local.get $answer) (i32.const 0) (i32.const 1024) (i32.const 100000000)))
  (local.get $answer))
