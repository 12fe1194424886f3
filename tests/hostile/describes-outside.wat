;; Returns a description outside its memory.
;;= misdescribe
(func $misdescribe (local $i i32)
  (call $pair (i32.const 2048) (i32.const -65536) (i32.const 4096)))
