;; Returns a description of 5 MiB.
;;= misdescribe
(func $misdescribe (local $i i32)
  (drop (memory.grow (i32.const 128))) (call $pair (i32.const 2048) (i32.const 1024) (i32.const 5242880)))
