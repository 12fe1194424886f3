;; Returns an issue with a code of 3 MiB.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (drop (memory.grow (i32.const 80))) (drop (call $issue (local.get $answer) (i32.const 0) (i32.const 524288) (i32.const 3145728)))
  (local.get $answer))
