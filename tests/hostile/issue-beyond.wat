;; Returns an issue for a record that does not exist.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (drop (call $issue (local.get $answer) (i32.const 100000) (i32.const 1314) (i32.const 11)))
  (local.get $answer))
