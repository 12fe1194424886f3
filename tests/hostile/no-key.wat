;; Declares a source without a key.
;;= misdescribe
(func $misdescribe (local $i i32)
  (i32.store (i32.const 2140) (i32.const 0)))
