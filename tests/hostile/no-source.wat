;; Declares no source.
;;= misdescribe
(func $misdescribe (local $i i32)
  (i32.store (i32.const 2068) (i32.const 0)))
