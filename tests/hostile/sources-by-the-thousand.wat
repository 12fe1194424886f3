;; Declares 3,000 sources.
;;= misdescribe
(func $misdescribe (local $i i32)
  (call $pair (i32.const 2064) (i32.const 70000) (i32.const 3000)))
