;; Calls itself when asked what it is.
;;= misdescribe
(func $misdescribe (local $i i32)
  (call $misdescribe) (call $misdescribe))
