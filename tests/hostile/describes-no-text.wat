;; Returns a name that is not UTF-8.
;;= misdescribe
(func $misdescribe (local $i i32)
  (i32.store8 (i32.const 1024) (i32.const 255)))
