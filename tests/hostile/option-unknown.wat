;; Returns an issue whose rule is neither present nor absent.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (i32.store offset=24 (call $issue (local.get $answer) (i32.const 0) (i32.const 1314) (i32.const 11)) (i32.const 9))
  (local.get $answer))
