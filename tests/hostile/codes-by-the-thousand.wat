;; Declares 1,000 codes.
;;= misdescribe
(func $misdescribe (local $i i32)
  (call $pair (i32.const 2080) (i32.const 70000) (i32.const 1000)))
