;; Declares a name that no path can contain.
;;= misdescribe
(func $misdescribe (local $i i32)
  (i32.store8 (i32.const 1024) (i32.const 47)))
