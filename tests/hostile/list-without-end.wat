;; Returns a list of a thousand million elements.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (i32.store offset=4 (local.get $answer) (i32.const 1000000000))
  (local.get $answer))
