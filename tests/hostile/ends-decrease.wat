;; Returns ends that decrease.
;;= spoil
(func $spoil (param $answer i32) (result i32) (local $i i32)
  (i32.store (i32.const 3000) (i32.const 2)) (i32.store (i32.const 3004) (i32.const 1)) (i32.store (i32.const 3008) (i32.const 100000)) (i32.store (i32.const 3012) (i32.const 0)) (i32.store (i32.const 3016) (i32.const 0)) (call $produce (local.get $answer) (i32.const 1024) (i32.const 2) (i32.const 3000) (i32.const 2) (i32.const 3012) (i32.const 2))
  (local.get $answer))
