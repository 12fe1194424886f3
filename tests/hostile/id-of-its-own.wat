;; Returns a record whose reference id could be sixteen arbitrary bytes.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (i32.store (i32.const 3000) (i32.const 100)) (i32.store (i32.const 3004) (i32.const 0)) (call $produce (local.get $answer) (i32.const 5000) (i32.const 100) (i32.const 3000) (i32.const 1) (i32.const 3004) (i32.const 1))
  (local.get $answer))
;;= record
(data (i32.const 5000) "{\"referenceId\":\"00000000-0000-1000-8000-000000000001\",\"type\":\"person\",\"initials\":\"C.\",\"surname\":\"x\"}")
