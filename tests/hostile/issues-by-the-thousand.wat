;; Returns 20,000 issues for one record.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (drop (call $issue (local.get $answer) (i32.const 0) (i32.const 1314) (i32.const 11))) (local.set $i (call $alloc (i32.const 720000))) (call $pair (i32.add (local.get $answer) (i32.const 16)) (local.get $i) (i32.const 20000))
  (local.get $answer))
