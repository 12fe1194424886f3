;; Returns a result outside its memory.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (local.set $answer (i32.const -64))
  (local.get $answer))
