;; Declares a source twice.
;;= misdescribe
(func $misdescribe (local $i i32)
  (memory.copy (i32.const 2600) (i32.const 2128) (i32.const 32)) (memory.copy (i32.const 2632) (i32.const 2128) (i32.const 32)) (call $pair (i32.const 2064) (i32.const 2600) (i32.const 2)))
