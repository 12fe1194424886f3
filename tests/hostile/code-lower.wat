;; Declares a code in lower case.
;;= misdescribe
(func $misdescribe (local $i i32)
  (call $pair (i32.const 2184) (i32.const 1285) (i32.const 6)))
