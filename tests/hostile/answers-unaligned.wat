;; Returns a result at an unaligned address.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (local.set $answer (i32.add (local.get $answer) (i32.const 1)))
  (local.get $answer))
