;; Returns a record of 5 MiB.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (local.set $i (call $alloc (i32.const 5242880))) (i32.store (i32.const 3000) (i32.const 5242880)) (call $produce (local.get $answer) (local.get $i) (i32.const 5242880) (i32.const 3000) (i32.const 1) (i32.const 3004) (i32.const 1))
  (local.get $answer))
